// Dots on a chart that open their trace.
import type { JSX } from "preact";

/** Place is the plot in its element, in CSS pixels, and what its edges stand for. */
export interface Place {
  left: number;
  top: number;
  width: number;
  height: number;
  x: [number, number];
  y: [number, number];
}

export interface Mark {
  /** In seconds since 1970. */
  time: number;
  value: number;
  title: string;
  href: string;
}

const near = 9; // pixels

/** apart leaves out what would lie on something larger: dots are for the eye, the table has all. */
function apart(marks: Mark[], at: (m: Mark) => readonly [number, number]): Mark[] {
  const kept: Mark[] = [];
  for (const m of [...marks].sort((a, b) => b.value - a.value)) {
    const [x, y] = at(m);
    if (kept.every((k) => Math.hypot(at(k)[0] - x, at(k)[1] - y) >= near)) kept.push(m);
  }
  return kept;
}

/** Marks lays links over a plot. The keyboard reaches the same links in the table beside the chart. */
export function Marks({ marks, place, row }: { marks: Mark[]; place: Place; row?: (value: number) => number }): JSX.Element {
  const inside = (v: number, [min, max]: [number, number]) => max > min && v >= min && v <= max;
  const part = (v: number, [min, max]: [number, number]) => (v - min) / (max - min);
  const up = row ?? ((v: number) => v);
  const seen = marks.filter((m) => inside(m.time, place.x) && inside(up(m.value), place.y));
  const at = (m: Mark) => [part(m.time, place.x) * place.width, part(up(m.value), place.y) * place.height] as const;
  return (
    <div class="plot-over" aria-hidden="true"
      style={{ left: `${place.left}px`, top: `${place.top}px`, width: `${place.width}px`, height: `${place.height}px` }}>
      {apart(seen, at).map((m, i) => (
        <a key={i} class="mark" href={m.href} title={m.title} tabIndex={-1}
          style={{ left: `${part(m.time, place.x) * 100}%`, bottom: `${part(up(m.value), place.y) * 100}%` }} />
      ))}
    </div>
  );
}
