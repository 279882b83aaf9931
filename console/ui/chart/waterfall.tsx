// The spans of a trace over time.
import type { JSX } from "preact";
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Span, Trace } from "../lib/api";
import { duration } from "../lib/format";
import { seriesColours } from "./theme";

export interface WaterfallProps {
  trace: Trace;
  selected: string | undefined;
  onSelect: (span: string) => void;
  /** Whether the critical path is shown. */
  critical: boolean;
}

/** Row is a span with its place among the others. */
export interface Row {
  span: Span;
  depth: number;
  children: number;
  /** Index of the row of its parent; -1 of a root. */
  parent: number;
}

/** rows lays out spans that come in the API's order: a parent before its children. */
export function rows(spans: Span[]): Row[] {
  const at = new Map<string, number>();
  const all: Row[] = [];
  spans.forEach((span, i) => {
    const parent = span.parent_id !== undefined && span.parent_id !== span.span_id ? (at.get(span.parent_id) ?? -1) : -1;
    if (parent >= 0) all[parent]!.children++;
    all.push({ span, depth: parent < 0 ? 0 : all[parent]!.depth + 1, children: 0, parent });
    at.set(span.span_id, i);
  });
  return all;
}

/** Zoom is the time that is shown, in nanoseconds from the start of the trace. */
interface Zoom {
  from: number;
  until: number;
}

const rowHeight = 26, window_ = 60; // rows that are in the page beyond those that are seen

export function Waterfall({ trace, selected, onSelect, critical }: WaterfallProps): JSX.Element {
  const whole: Zoom = { from: 0, until: Math.max(trace.duration_ns, 1) };
  const [part, setZoom] = useState<Zoom | null>(null);
  const zoom = part ?? whole;
  const box = useRef<HTMLDivElement>(null);
  const [closed, setClosed] = useState<ReadonlySet<string>>(new Set());
  const [first, setFirst] = useState(0);
  const all = useMemo(() => rows(trace.spans), [trace]);
  const services = useMemo(() => [...new Set(trace.spans.map((s) => s.service))], [trace]);
  const shown = useMemo(() => visible(all, closed), [all, closed]);
  const parts = useMemo(() => {
    const by = new Map<string, { offset: number; length: number }[]>();
    for (const c of trace.critical_path) by.set(c.span_id, [...(by.get(c.span_id) ?? []), { offset: c.offset_ns, length: c.duration_ns }]);
    return by;
  }, [trace]);
  const toggle = (id: string, close: boolean) => setClosed((c) => {
    const next = new Set(c);
    if (close) next.add(id);
    else next.delete(id);
    return next;
  });
  const keys = (e: KeyboardEvent) => {
    const row = shown[at];
    const step = { ArrowDown: 1, ArrowUp: -1 }[e.key];
    if (step !== undefined) {
      const next = shown[Math.min(Math.max(at + step, 0), shown.length - 1)];
      if (next) onSelect(next.span.span_id);
    } else if (e.key === "ArrowLeft" && row) {
      if (row.children && !closed.has(row.span.span_id)) toggle(row.span.span_id, true);
      else if (row.parent >= 0) onSelect(all[row.parent]!.span.span_id);
    } else if (e.key === "ArrowRight" && row) toggle(row.span.span_id, false);
    else if (e.key === "Enter" && row) document.getElementById("span-details")?.focus();
    else return;
    e.preventDefault();
  };
  const at = shown.findIndex((r) => r.span.span_id === selected);
  useLayoutEffect(() => { // what is selected is in sight, also where keys or the address selected it
    const b = box.current;
    if (!b || at < 0) return;
    if (at * rowHeight < b.scrollTop) b.scrollTop = at * rowHeight;
    else if ((at + 1) * rowHeight > b.scrollTop + b.clientHeight) b.scrollTop = (at + 1) * rowHeight - b.clientHeight;
  }, [selected, at]);
  const scrolled = (e: Event) => setFirst(Math.max(0, Math.floor((e.currentTarget as HTMLElement).scrollTop / rowHeight) - window_ / 2));
  const some = shown.length > 300 ? shown.slice(first, first + 40 + window_) : shown;
  const before = shown.length > 300 ? first : 0;
  return (
    <div class="waterfall">
      <Ruler zoom={zoom} onZoom={setZoom} />
      {part && <button type="button" class="zoom-out" onClick={() => setZoom(null)}>Show all</button>}
      <div class="waterfall-rows" ref={box} role="tree" aria-label="Spans" tabIndex={0} onKeyDown={keys} onScroll={scrolled}
        aria-activedescendant={selected && some.some((r) => r.span.span_id === selected) ? `span-${selected}` : undefined}>
        <div role="presentation" style={{ height: `${before * rowHeight}px` }} />
        {some.map((r) => (
          <Bar key={r.span.span_id} row={r} zoom={zoom} selected={r.span.span_id === selected} closed={closed.has(r.span.span_id)}
            colour={services.indexOf(r.span.service) % seriesColours} path={critical ? (parts.get(r.span.span_id) ?? []) : []}
            onSelect={() => onSelect(r.span.span_id)} onToggle={() => toggle(r.span.span_id, !closed.has(r.span.span_id))} />
        ))}
        <div role="presentation" style={{ height: `${(shown.length - before - some.length) * rowHeight}px` }} />
      </div>
      <ul class="legend">
        {services.map((s, i) => <li key={s}><i class="swatch" style={{ background: `var(--series-${i % seriesColours})` }} /> {s}</li>)}
        {critical && <li><i class="swatch swatch-critical" /> what the trace waited for</li>}
      </ul>
    </div>
  );
}

/** visible leaves out what is below a closed row. */
function visible(all: Row[], closed: ReadonlySet<string>): Row[] {
  if (closed.size === 0) return all;
  const hidden = new Set<number>();
  return all.filter((r, i) => {
    if (r.parent >= 0 && (hidden.has(r.parent) || closed.has(all[r.parent]!.span.span_id))) {
      hidden.add(i);
      return false;
    }
    return true;
  });
}

interface BarProps {
  row: Row;
  zoom: Zoom;
  selected: boolean;
  closed: boolean;
  colour: number;
  path: { offset: number; length: number }[];
  onSelect: () => void;
  onToggle: () => void;
}

function Bar({ row, zoom, selected, closed, colour, path, onSelect, onToggle }: BarProps): JSX.Element {
  const { span } = row;
  const width = zoom.until - zoom.from;
  const place = (offset: number, length: number) => {
    const from = Math.max(offset, zoom.from), until = Math.min(offset + length, zoom.until);
    return { left: `${(100 * (from - zoom.from)) / width}%`, width: `max(2px, ${(100 * Math.max(until - from, 0)) / width}%)` };
  };
  const out = span.offset_ns > zoom.until || span.offset_ns + span.duration_ns < zoom.from;
  const failed = span.status === "error";
  const right = (span.offset_ns + span.duration_ns / 2 - zoom.from) / width > 0.6;
  return (
    <div id={`span-${span.span_id}`} class={`span${selected ? " span-selected" : ""}`} role="treeitem" aria-level={row.depth + 1} aria-selected={selected}
      aria-expanded={row.children ? !closed : undefined} onClick={onSelect}>
      <div class="span-name" style={{ paddingLeft: `${Math.min(row.depth, 20) * 12 + 4}px` }}>
        {row.children > 0 && <span class="span-toggle" aria-hidden="true" onClick={(e) => { e.stopPropagation(); onToggle(); }}>{closed ? "▸" : "▾"}</span>}
        <span class={failed ? "bad" : undefined} title={`${span.name} · ${span.service}`}>{failed && <span aria-hidden="true">✕ </span>}{span.name}<span class="hidden">, {span.service}{failed && ", failed"}, </span></span>
        {closed && <span class="quiet"> +{row.children}</span>}
      </div>
      <div class="span-track">
        {!out && <i class={failed ? "span-bar span-failed" : "span-bar"} style={{ ...place(span.offset_ns, span.duration_ns), background: `var(--series-${colour})` }} />}
        {!out && path.map((c, i) => <i key={i} class="span-critical" style={place(c.offset, c.length)} />)}
        {!out && span.events?.map((e, i) => <i key={`e${i}`} class="span-event" title={e.name} style={{ left: place(e.offset_ns, 0).left }} />)}
        {!out && <span class="span-time" style={right ? { right: `${100 - parseFloat(place(span.offset_ns, 0).left)}%` } : { left: `calc(${(100 * (span.offset_ns + span.duration_ns - zoom.from)) / width}% + 4px)` }}>{duration(span.duration_ns)}</span>}
      </div>
    </div>
  );
}

/** Ruler shows the time; what is dragged over on it is zoomed to. */
function Ruler({ zoom, onZoom }: { zoom: Zoom; onZoom: (z: Zoom | null) => void }): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const [drag, setDrag] = useState<{ from: number; to: number } | null>(null);
  const share = (e: PointerEvent) => {
    const r = box.current!.getBoundingClientRect();
    return Math.min(Math.max((e.clientX - r.left) / r.width, 0), 1);
  };
  const up = () => {
    if (!drag) return;
    setDrag(null);
    const [a, b] = [Math.min(drag.from, drag.to), Math.max(drag.from, drag.to)];
    if (b - a < 0.005) return;
    const width = zoom.until - zoom.from;
    onZoom({ from: zoom.from + a * width, until: zoom.from + b * width });
  };
  const marks = [0, 0.25, 0.5, 0.75, 1];
  return (
    <div class="ruler" title="Drag to zoom, double click to show all">
      <div class="ruler-track" ref={box} onDblClick={() => onZoom(null)} onPointerCancel={() => setDrag(null)}
        onPointerDown={(e) => { setDrag({ from: share(e), to: share(e) }); e.currentTarget.setPointerCapture(e.pointerId); }}
        onPointerMove={(e) => { const to = share(e); setDrag((d) => d && { ...d, to }); }} onPointerUp={up}>
        {marks.map((m) => <span key={m} style={m === 1 ? { right: "0" } : { left: `${m * 100}%` }}>{duration(zoom.from + m * (zoom.until - zoom.from))}</span>)}
        {drag && <i class="ruler-drag" style={{ left: `${100 * Math.min(drag.from, drag.to)}%`, width: `${100 * Math.abs(drag.to - drag.from)}%` }} />}
      </div>
    </div>
  );
}
