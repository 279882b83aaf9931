// A line chart over time, by uPlot: crosshair with values, drag to zoom.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { Figure, type Cells } from "./figure";
import { Marks, type Mark, type Place } from "./marks";
import { useWidth } from "./size";
import { colour, seriesColours, useTheme } from "./theme";
import { clock, moment, value, increments } from "./unit";

export interface LineSeries {
  label: string;
  /** One for each time; null where there is none. */
  values: (number | null)[];
}

export interface LineProps {
  /** Names the chart in the URL, for its table. */
  id: string;
  title: string;
  note?: string;
  /** In seconds since 1970, rising. */
  times: number[];
  series: LineSeries[];
  /** As OpenTelemetry writes units. */
  unit: string;
  /** Whether values are per second. */
  rate?: boolean;
  height?: number;
  marks?: Mark[];
  /** Called with what was dragged over, in seconds since 1970. */
  onRange?: (from: number, to: number) => void;
  /** Charts of one group show their crosshair at the same time. */
  group?: string;
}

/** Cursor is where the pointer is: the index of a time, and pixels in the plot. */
interface Cursor {
  index: number;
  left: number;
}

const shown = 10; // values beside the crosshair

export function LineChart(props: LineProps): JSX.Element {
  return (
    <Figure id={props.id} title={props.title} note={props.note} table={() => cells(props)}>
      <Plot {...props} />
      {props.series.length > 1 && <Legend {...props} />}
    </Figure>
  );
}

function cells(p: LineProps): Cells {
  const rows = p.times.map((t, i) => [moment(t), ...p.series.map((s) => value(s.values[i] ?? null, p.unit, p.rate))]);
  return { head: ["Time", ...p.series.map((s) => s.label)], rows: rows.reverse() };
}

/** stroke returns the custom property of a series' colour; further rounds through the colours are dashed. */
const stroke = (i: number) => `--series-${i % seriesColours}`;
const dash = (i: number) => (i < seriesColours ? undefined : i < 2 * seriesColours ? [6, 4] : [2, 3]);

function Plot(p: LineProps): JSX.Element {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(p);
  latest.current = p;
  const width = useWidth(host);
  const theme = useTheme();
  const [cursor, setCursor] = useState<Cursor | null>(null);
  const [place, setPlace] = useState<Place | null>(null);
  const height = p.height ?? 220;
  const shape = p.series.map((s) => s.label).join("\u0000");

  useEffect(() => {
    if (!host.current || width < 50) return;
    const u = new uPlot(options(latest, width, height, setCursor, setPlace), data(latest.current), host.current);
    plot.current = u;
    return () => {
      u.destroy();
      plot.current = null;
    };
  }, [width > 50, height, shape, p.unit, p.rate, p.group, theme]);
  useEffect(() => {
    if (plot.current && width > 50) plot.current.setSize({ width, height });
  }, [width, height]);
  useEffect(() => {
    plot.current?.setData(data(p));
  }, [p.times, p.series]);

  return (
    <div class="plot" style={{ height: `${height}px` }}>
      <div ref={host} role="img" aria-label={describe(p)} />
      {place && p.marks && <Marks marks={p.marks} place={place} />}
      {cursor && place && <Values {...p} cursor={cursor} place={place} />}
    </div>
  );
}

const data = (p: LineProps): uPlot.AlignedData => [p.times, ...p.series.map((s) => s.values)];

function describe(p: LineProps): string {
  const last = (s: LineSeries) => value(s.values.findLast((v) => v !== null) ?? null, p.unit, p.rate);
  const some = p.series.slice(0, 4).map((s) => `${s.label} ${last(s)}`);
  return `${p.title}, line chart of ${p.series.length} series. Last: ${some.join(", ")}`;
}

function options(
  latest: { current: LineProps }, width: number, height: number,
  setCursor: (c: Cursor | null) => void, setPlace: (p: Place) => void,
): uPlot.Options {
  const p = latest.current;
  const axis: uPlot.Axis = {
    stroke: () => colour("--chart-text"),
    font: "11px system-ui, sans-serif",
    grid: { stroke: () => colour("--chart-grid"), width: 1 },
    ticks: { show: false },
  };
  return {
    width, height,
    legend: { show: false },
    padding: [8, 8, 0, 0],
    focus: { alpha: 1 },
    scales: { x: { time: true, range: (_, min, max) => [min - span(latest.current.times), max] }, y: { range: (_, min, max) => bounds(min, max) } },
    cursor: {
      y: false,
      points: { size: 6 },
      drag: { x: !!p.onRange, y: false, setScale: false },
      sync: p.group ? { key: p.group } : undefined,
    },
    series: [{}, ...p.series.map((s, i): uPlot.Series => ({
      label: s.label, stroke: colour(stroke(i)), width: 1.5, dash: dash(i), spanGaps: false, points: { size: 4, show: alone },
    }))],
    axes: [
      { ...axis, values: (_, splits, _axis, _space, step) => clock(splits, step), space: 70, size: 24, gap: 4 },
      { ...axis, values: (_, splits) => splits.map((v) => value(v, p.unit, false)), size: ySize, incrs: increments(p.unit) },
    ],
    hooks: {
      setCursor: [(u) => setCursor(u.cursor.idx == null || (u.cursor.left ?? -1) < 0 ? null : { index: u.cursor.idx, left: u.cursor.left ?? 0 })],
      draw: [(u) => setPlace(placeOf(u))],
      setSelect: [(u) => {
        if (u.select.width < 3) return;
        latest.current.onRange?.(u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x"));
        u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      }],
    },
  };
}

/** alone shows points where a value has no neighbours: a line through one point is nothing. */
function alone(u: uPlot, series: number): boolean {
  const values = u.data[series]!;
  let count = 0;
  for (const v of values) if (v != null && ++count > 2) return false;
  return count > 0;
}

/** span is the time that the first value is of: times are the ends of steps. */
const span = (times: number[]) => (times.length > 1 ? times[1]! - times[0]! : 0);

function bounds(min: number | null, max: number | null): [number, number] {
  if (min === null || max === null || (min === 0 && max === 0)) return [0, 1];
  return [Math.min(min * 1.05, 0), Math.max(max * 1.08, 0)];
}

/** ySize is the room for the values of the axis, by the longest. */
function ySize(_: uPlot, values: string[] | null): number {
  const longest = Math.max(3, ...(values ?? []).map((v) => v.length));
  return Math.ceil(longest * 6.2) + 14;
}

function placeOf(u: uPlot): Place {
  const ratio = devicePixelRatio;
  const { left, top, width, height } = u.bbox;
  const { x, y } = u.scales;
  return {
    left: left / ratio, top: top / ratio, width: width / ratio, height: height / ratio,
    x: [x?.min ?? 0, x?.max ?? 1], y: [y?.min ?? 0, y?.max ?? 1],
  };
}

/** Values says what the crosshair is on: the largest first. */
function Values({ times, series, unit, rate, cursor, place }: LineProps & { cursor: Cursor; place: Place }): JSX.Element | null {
  const time = times[cursor.index];
  if (time === undefined) return null;
  const all = series.map((s, i) => ({ label: s.label, at: s.values[cursor.index] ?? null, i })).filter((v) => v.at !== null);
  all.sort((a, b) => b.at! - a.at!);
  const right = cursor.left > place.width / 2;
  const side = right ? { right: `${place.width - cursor.left + 10}px` } : { left: `${cursor.left + 10}px` };
  return (
    <div class="plot-over" style={over(place)}>
      <div class="tip" style={{ ...side, top: "4px" }}>
        <div class="tip-title">{moment(time)}</div>
        {all.slice(0, shown).map((v) => (
          <div class="tip-row" key={v.i}>
            <span><Swatch index={v.i} /> {v.label}</span>
            <span class="num">{value(v.at, unit, rate)}</span>
          </div>
        ))}
        {all.length > shown && <div class="tip-more">and {all.length - shown} more</div>}
        {all.length === 0 && <div class="tip-more">no value</div>}
      </div>
    </div>
  );
}

const over = (p: Place) => ({ left: `${p.left}px`, top: `${p.top}px`, width: `${p.width}px`, height: `${p.height}px` });

/** Swatch is the colour of a series. */
export function Swatch({ index }: { index: number }): JSX.Element {
  return <i class={`swatch${index < seriesColours ? "" : " swatch-dashed"}`} style={{ background: `var(${stroke(index)})` }} aria-hidden="true" />;
}

function Legend({ series }: LineProps): JSX.Element {
  return (
    <ul class="legend" aria-hidden="true">
      {series.slice(0, 12).map((s, i) => <li key={i}><Swatch index={i} /> {s.label}</li>)}
      {series.length > 12 && <li>and {series.length - 12} more</li>}
    </ul>
  );
}
