// Traces as dots: when they began, and how long they took. The list below is the
// table of it.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { TraceSummary } from "../lib/api";
import { duration, local } from "../lib/format";
import { navigate, to } from "../lib/location";
import { useWidth } from "./size";
import { colour, useTheme } from "./theme";
import { clock, ticks } from "./unit";

export interface ScatterProps {
  traces: TraceSummary[];
  /** Milliseconds since 1970. */
  from: number;
  until: number;
  /** A rectangle was drawn: times in milliseconds, durations in nanoseconds. */
  onRange: (since: number, until: number, min: number, max: number) => void;
}

const height = 190, left = 64, right = 12, top = 8, bottom = 20;

/** Scale places times and durations; durations by their logarithm. */
interface Scale {
  from: number;
  until: number;
  low: number; // exponents of ten, of nanoseconds
  high: number;
  width: number;
}

const xOf = (s: Scale, ms: number) => left + ((ms - s.from) / (s.until - s.from)) * (s.width - left - right);
const yOf = (s: Scale, ns: number) => height - bottom - ((Math.log10(Math.max(ns, 1)) - s.low) / (s.high - s.low)) * (height - top - bottom);
const msAt = (s: Scale, x: number) => s.from + ((x - left) / (s.width - left - right)) * (s.until - s.from);
const nsAt = (s: Scale, y: number) => 10 ** (s.low + ((height - bottom - y) / (height - top - bottom)) * (s.high - s.low));

function scaleOf(p: ScatterProps, width: number): Scale {
  const all = p.traces.map((t) => Math.log10(Math.max(t.duration_ns, 1)));
  const low = Math.floor(Math.min(...all)), high = Math.ceil(Math.max(...all) + 0.01);
  const latest = Math.max(...p.traces.map((t) => Date.parse(t.start)));
  return { from: p.from, until: Math.max(p.until, latest), low, high: Math.max(high, low + 1), width };
}

function draw(ctx: CanvasRenderingContext2D, s: Scale, traces: TraceSummary[]): void {
  ctx.clearRect(0, 0, s.width, height);
  ctx.font = "11px system-ui, sans-serif";
  ctx.strokeStyle = colour("--chart-grid");
  ctx.fillStyle = colour("--chart-text");
  ctx.textAlign = "right";
  for (let e = s.low; e <= s.high; e++) {
    const y = yOf(s, 10 ** e);
    ctx.beginPath();
    ctx.moveTo(left, y);
    ctx.lineTo(s.width - right, y);
    ctx.stroke();
    ctx.fillText(duration(10 ** e), left - 6, y + 4);
  }
  ctx.textAlign = "center";
  const marks = ticks(s.from / 1000, s.until / 1000, (s.width - left) / 90);
  clock(marks.at, marks.step).forEach((text, i) => ctx.fillText(text, xOf(s, marks.at[i]! * 1000), height - 6));
  for (const failed of [false, true]) { // those that failed lie above the others
    ctx.fillStyle = failed ? colour("--bad") : colour("--series-0");
    ctx.globalAlpha = failed ? 0.9 : 0.55;
    for (const t of traces) {
      if (t.errors > 0 !== failed) continue;
      const x = xOf(s, Date.parse(t.start)), y = yOf(s, t.duration_ns);
      if (failed) ctx.fillRect(x - 3.5, y - 3.5, 7, 7);
      else {
        ctx.beginPath();
        ctx.arc(x, y, 3.5, 0, 7);
        ctx.fill();
      }
    }
  }
  ctx.globalAlpha = 1;
}

/** Drag is a rectangle that is being drawn, or where the pointer rests. */
interface Drag {
  x: number;
  y: number;
  toX: number;
  toY: number;
  down: boolean;
}

export function Scatter(p: ScatterProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null), canvas = useRef<HTMLCanvasElement>(null);
  const width = useWidth(box), theme = useTheme();
  const [drag, setDrag] = useState<Drag | null>(null);
  const s = scaleOf(p, Math.max(width, left + right + 50));
  useEffect(() => {
    const c = canvas.current, ctx = c?.getContext("2d");
    if (!c || !ctx || !width) return;
    const ratio = devicePixelRatio || 1;
    c.width = width * ratio;
    c.height = height * ratio;
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    draw(ctx, s, p.traces);
  }, [p.traces, width, theme, p.from, p.until]);
  const at = (e: PointerEvent) => {
    const r = box.current!.getBoundingClientRect();
    return { x: e.clientX - r.left, y: e.clientY - r.top };
  };
  const nearest = (x: number, y: number) => {
    let best: TraceSummary | undefined, near = 12;
    for (const t of p.traces) {
      const d = Math.hypot(xOf(s, Date.parse(t.start)) - x, yOf(s, t.duration_ns) - y);
      if (d < near) [best, near] = [t, d];
    }
    return best;
  };
  const down = (e: PointerEvent) => {
    if (e.button !== 0) return;
    const { x, y } = at(e);
    setDrag({ x, y, toX: x, toY: y, down: true });
    (e.currentTarget as HTMLElement).setPointerCapture(e.pointerId);
  };
  const move = (e: PointerEvent) => {
    const { x, y } = at(e);
    setDrag((d) => (d?.down ? { ...d, toX: x, toY: y } : { x, y, toX: x, toY: y, down: false }));
  };
  const up = () => {
    if (!drag?.down) return;
    setDrag(null);
    if (Math.abs(drag.toX - drag.x) < 5 && Math.abs(drag.toY - drag.y) < 5) {
      const t = nearest(drag.x, drag.y);
      if (t) navigate(to(`/traces/${t.id}`));
      return;
    }
    const [x1, x2] = [Math.min(drag.x, drag.toX), Math.max(drag.x, drag.toX)], [y1, y2] = [Math.min(drag.y, drag.toY), Math.max(drag.y, drag.toY)];
    p.onRange(msAt(s, Math.max(x1, left)), msAt(s, Math.min(x2, width - right)), nsAt(s, Math.min(y2, height - bottom)), nsAt(s, Math.max(y1, top)));
  };
  const under = drag && !drag.down ? nearest(drag.x, drag.y) : undefined;
  return (
    <div class="scatter" ref={box} onPointerDown={down} onPointerMove={move} onPointerUp={up} onPointerCancel={() => setDrag(null)} onPointerLeave={() => setDrag((d) => (d?.down ? d : null))}>
      <canvas ref={canvas} role="img" aria-label={`${p.traces.length} traces by their start and duration; the table below lists them. Drag to select some.`} />
      {drag?.down && <div class="scatter-drag" style={{ left: `${Math.min(drag.x, drag.toX)}px`, top: `${Math.min(drag.y, drag.toY)}px`, width: `${Math.abs(drag.toX - drag.x)}px`, height: `${Math.abs(drag.toY - drag.y)}px` }} />}
      {under && (
        <div class="tip" style={{ left: `${Math.min(drag!.x + 12, Math.max(width - 260, 0))}px`, top: `${drag!.y + 12}px` }}>
          <div class="tip-title">{under.name} · {duration(under.duration_ns)}</div>
          <div class="tip-more">{under.service} · {local(under.start)}{under.errors ? ` · ${under.errors} failed` : ""}</div>
        </div>
      )}
    </div>
  );
}
