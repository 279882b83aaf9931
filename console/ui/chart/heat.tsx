// A heat map: time from left to right, a histogram's buckets from bottom to
// top, and how many values were in each as colour.
import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Figure, type Cells } from "./figure";
import { Marks, type Mark, type Place } from "./marks";
import { useWidth } from "./size";
import { colour, useTheme } from "./theme";
import { clock, moment, ticks, value } from "./unit";

export interface Buckets {
  /** Upper bounds, but of the last, which has none. */
  bounds: number[];
  /** For each step, the values in each bucket. */
  counts: number[][];
}

export interface HeatProps {
  id: string;
  title: string;
  note?: string;
  /** The end of each step, in seconds since 1970. */
  times: number[];
  buckets: Buckets;
  unit: string;
  height?: number;
  marks?: Mark[];
  onRange?: (from: number, to: number) => void;
}

/** Rows are the buckets that are drawn: those between the first and the last that hold something. */
interface Rows {
  first: number;
  count: number;
  most: number;
}

interface Cell {
  step: number;
  bucket: number;
  left: number;
  top: number;
}

const axis = 20; // pixels, for times
const shades = 5; // --heat-0 to --heat-4

export function HeatMap(p: HeatProps): JSX.Element {
  const rows = useMemo(() => rowsOf(p.buckets), [p.buckets]);
  return (
    <Figure id={p.id} title={p.title} note={p.note} table={() => cells(p, rows)}>
      <Field {...p} rows={rows} />
      <div class="heat-scale" aria-hidden="true">
        <span>fewer</span>
        {Array.from({ length: shades }, (_, i) => <i key={i} style={{ background: `var(--heat-${i})` }} />)}
        <span>{value(rows.most, "", false)} in a cell</span>
      </div>
    </Figure>
  );
}

function rowsOf({ counts }: Buckets): Rows {
  let first = Infinity;
  let last = 0;
  let most = 0;
  for (const step of counts) {
    step.forEach((n, i) => {
      if (n <= 0) return;
      first = Math.min(first, i);
      last = Math.max(last, i);
      most = Math.max(most, n);
    });
  }
  return first === Infinity ? { first: 0, count: 1, most: 0 } : { first, count: last - first + 1, most };
}

/** range writes the bounds of a bucket. */
function range({ bounds }: Buckets, i: number, unit: string): string {
  const upper = bounds[i];
  const lower = bounds[i - 1];
  if (upper === undefined) return lower === undefined ? "all" : `> ${value(lower, unit)}`;
  return lower === undefined ? `≤ ${value(upper, unit)}` : `${value(lower, unit)} – ${value(upper, unit)}`;
}

function cells(p: HeatProps, rows: Rows): Cells {
  const buckets = Array.from({ length: rows.count }, (_, i) => rows.first + i);
  const lines = p.times.map((t, i) => [moment(t), ...buckets.map((b) => value(p.buckets.counts[i]?.[b] ?? 0, ""))]);
  return { head: ["Until", ...buckets.map((b) => range(p.buckets, b, p.unit))], rows: lines.reverse() };
}

/** step is the time between two columns. */
const step = (times: number[]) => (times.length > 1 ? times[1]! - times[0]! : 60);

function Field(p: HeatProps & { rows: Rows }): JSX.Element {
  const host = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = useWidth(host);
  const theme = useTheme();
  const [cell, setCell] = useState<Cell | null>(null);
  const [drag, setDrag] = useState<{ from: number; to: number } | null>(null);
  const height = p.height ?? 220;
  const place = useMemo(() => placeOf(p, width, height), [p.times, p.buckets, p.unit, width, height]);
  useEffect(() => {
    if (canvas.current && width > 50) draw(canvas.current, p, p.rows, place, width, height);
  }, [place, p.rows, theme]);

  const x = (e: PointerEvent) => Math.min(Math.max(e.clientX - host.current!.getBoundingClientRect().left - place.left, 0), place.width);
  const time = (left: number) => place.x[0] + (left / place.width) * (place.x[1] - place.x[0]);
  const drop = () => {
    if (drag && Math.abs(drag.to - drag.from) > 3) p.onRange?.(time(Math.min(drag.from, drag.to)), time(Math.max(drag.from, drag.to)));
    setDrag(null);
  };
  return (
    <div class="plot" ref={host} style={{ height: `${height}px` }}>
      <canvas ref={canvas} role="img" aria-label={`${p.title}, heat map of ${p.times.length} steps and ${p.rows.count} buckets`}
        onPointerDown={(e) => p.onRange && e.button === 0 && (e.currentTarget.setPointerCapture(e.pointerId), setDrag({ from: x(e), to: x(e) }))}
        onPointerMove={(e) => (setCell(find(e, p, p.rows, place, host.current!)), drag && setDrag({ ...drag, to: x(e) }))}
        onPointerUp={drop} onPointerCancel={() => setDrag(null)} onPointerLeave={() => setCell(null)} />
      {drag && <div class="heat-drag" style={{ left: `${place.left + Math.min(drag.from, drag.to)}px`, width: `${Math.abs(drag.to - drag.from)}px`, height: `${place.height}px`, top: `${place.top}px` }} />}
      {p.marks && width > 50 && <Marks marks={p.marks} place={place} row={(v) => rowOf(v, p.buckets, p.rows)} />}
      {cell && <Tip {...p} cell={cell} width={width} />}
    </div>
  );
}

/** rowOf returns how far up a value is, 0 to 1. */
function rowOf(v: number, { bounds }: Buckets, rows: Rows): number {
  let i = bounds.findIndex((b) => v <= b);
  if (i < 0) i = bounds.length;
  const lower = bounds[i - 1] ?? 0;
  const upper = bounds[i];
  const inside = upper === undefined || upper <= lower ? 0.5 : Math.min(Math.max((v - lower) / (upper - lower), 0), 1);
  return (i - rows.first + inside) / rows.count;
}

function placeOf(p: HeatProps, width: number, height: number): Place {
  const longest = Math.max(3, ...p.buckets.bounds.map((b) => value(b, p.unit).length));
  const left = Math.ceil(longest * 6.2) + 14;
  const last = p.times.at(-1) ?? 1;
  return { left, top: 8, width: Math.max(width - left - 8, 1), height: height - axis - 8, x: [(p.times[0] ?? 0) - step(p.times), last], y: [0, 1] };
}

function draw(canvas: HTMLCanvasElement, p: HeatProps, rows: Rows, place: Place, width: number, height: number): void {
  const ratio = devicePixelRatio;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const c = canvas.getContext("2d");
  if (!c) return;
  c.scale(ratio, ratio);
  const shade = scale(c, rows.most);
  const w = place.width / Math.max(p.times.length, 1);
  const h = place.height / rows.count;
  p.buckets.counts.forEach((column, i) => {
    for (let row = 0; row < rows.count; row++) {
      const n = column[rows.first + row] ?? 0;
      if (n <= 0) continue;
      c.fillStyle = shade(n);
      const left = Math.round((place.left + i * w) * ratio) / ratio;
      const right = Math.round((place.left + (i + 1) * w) * ratio) / ratio;
      const top = Math.round((place.top + place.height - (row + 1) * h) * ratio) / ratio;
      const bottom = Math.round((place.top + place.height - row * h) * ratio) / ratio;
      const gap = w > 4 && h > 4 ? 0.5 : 0;
      c.fillRect(left + gap, top + gap, right - left - 2 * gap, bottom - top - 2 * gap);
    }
  });
  label(c, p, rows, place, h);
}

/** scale returns the colour of a count; in between two shades it is mixed. Roots, for few must be seen beside many. */
function scale(c: CanvasRenderingContext2D, most: number): (n: number) => string {
  const stops = Array.from({ length: shades }, (_, i) => {
    c.fillStyle = colour(`--heat-${i}`) || "#888888";
    const hex = String(c.fillStyle);
    return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  });
  return (n) => {
    const at = Math.sqrt(n / Math.max(most, 1)) * (shades - 1);
    const low = Math.min(Math.floor(at), shades - 2);
    const mixed = stops[low]!.map((v, i) => Math.round(v + (stops[low + 1]![i]! - v) * (at - low)));
    return `rgb(${mixed.join(",")})`;
  };
}

function label(c: CanvasRenderingContext2D, p: HeatProps, rows: Rows, place: Place, h: number): void {
  c.fillStyle = colour("--chart-text");
  c.font = "11px system-ui, sans-serif";
  c.textAlign = "right";
  c.textBaseline = "middle";
  const every = Math.max(1, Math.ceil(16 / h));
  for (let row = 0; row < rows.count; row += every) {
    const bound = p.buckets.bounds[rows.first + row];
    if (bound === undefined) continue;
    const y = place.top + place.height - (row + 1) * h;
    c.fillText(value(bound, p.unit), place.left - 6, Math.max(y, place.top + 4));
  }
  c.textAlign = "center";
  c.textBaseline = "alphabetic";
  const { at, step: size } = ticks(place.x[0], place.x[1], Math.floor(place.width / 80));
  const names = clock(at, size);
  at.forEach((t, i) => {
    const x = place.left + ((t - place.x[0]) / (place.x[1] - place.x[0])) * place.width;
    c.fillText(names[i]!, Math.min(Math.max(x, place.left + 16), place.left + place.width - 20), place.top + place.height + 15);
  });
}

function find(e: PointerEvent, p: HeatProps, rows: Rows, place: Place, host: HTMLElement): Cell | null {
  const box = host.getBoundingClientRect();
  const left = e.clientX - box.left;
  const top = e.clientY - box.top;
  const column = Math.floor(((left - place.left) / place.width) * p.times.length);
  const row = Math.floor((1 - (top - place.top) / place.height) * rows.count);
  if (column < 0 || column >= p.times.length || row < 0 || row >= rows.count) return null;
  return { step: column, bucket: rows.first + row, left, top };
}

function Tip(p: HeatProps & { cell: Cell; width: number }): JSX.Element {
  const { cell, width } = p;
  const end = p.times[cell.step] ?? 0;
  const side = cell.left > width / 2 ? { right: `${width - cell.left + 12}px` } : { left: `${cell.left + 12}px` };
  const column = p.buckets.counts[cell.step] ?? [];
  const all = column.reduce((sum, n) => sum + n, 0);
  const n = column[cell.bucket] ?? 0;
  return (
    <div class="tip" style={{ ...side, top: `${cell.top + 12}px` }}>
      <div class="tip-title">{moment(end - step(p.times))} – {moment(end)}</div>
      <div class="tip-row"><span>{range(p.buckets, cell.bucket, p.unit)}</span><span class="num">{value(n, "")}</span></div>
      <div class="tip-row"><span>All of this time</span><span class="num">{value(all, "")}</span></div>
    </div>
  );
}
