// How many log records there were over time, by level.
import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import type { LogBar } from "../lib/api";
import { count, local } from "../lib/format";
import { Figure } from "./figure";

const levels = ["error", "warn", "info", "debug"] as const;

export interface LevelsProps {
  bars: LogBar[];
  until: string | undefined;
  /** Bars were dragged over: begin and end, as the API takes them. */
  onRange: (since: string, until: string) => void;
}

const total = (b: LogBar) => b.error + b.warn + b.info + b.debug;

export function Levels({ bars, until, onRange }: LevelsProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const [drag, setDrag] = useState<{ from: number; to: number } | null>(null);
  const most = Math.max(...bars.map(total), 1);
  const at = (e: PointerEvent) => {
    const r = box.current!.getBoundingClientRect();
    return Math.min(Math.max(Math.floor(((e.clientX - r.left) / r.width) * bars.length), 0), bars.length - 1);
  };
  const up = () => {
    if (!drag) return;
    setDrag(null);
    const [a, b] = [Math.min(drag.from, drag.to), Math.max(drag.from, drag.to)];
    onRange(bars[a]!.start, bars[b + 1]?.start ?? until ?? new Date().toISOString());
  };
  const chosen = (i: number) => drag !== null && i >= Math.min(drag.from, drag.to) && i <= Math.max(drag.from, drag.to);
  return (
    <Figure id="levels" title="Records over time" note="drag to look at a part" table={() => ({
      head: ["From", ...levels], rows: bars.filter((b) => total(b) > 0).map((b) => [local(b.start), ...levels.map((l) => count(b[l]))]),
    })}>
      <div class="levels" ref={box} role="img" aria-label={`Log records over time; at most ${count(most)} in a bar. The table has the numbers.`}
        onPointerDown={(e) => { setDrag({ from: at(e), to: at(e) }); e.currentTarget.setPointerCapture(e.pointerId); }}
        onPointerMove={(e) => { const to = at(e); setDrag((d) => d && { ...d, to }); }} onPointerUp={up}>
        {bars.map((b, i) => (
          <div key={i} class={chosen(i) ? "level-bar level-chosen" : "level-bar"} title={`${local(b.start)}: ${levels.filter((l) => b[l]).map((l) => `${count(b[l])} ${l}`).join(", ") || "none"}`}>
            {levels.map((l) => b[l] > 0 && <i key={l} class={`level-${l}`} style={{ height: `${Math.max((100 * b[l]) / most, 2)}%` }} />)}
          </div>
        ))}
      </div>
    </Figure>
  );
}
