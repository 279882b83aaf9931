// A chart and the table with the same content, behind one switch.
import type { ComponentChildren, JSX } from "preact";
import { useLocation } from "../lib/location";

export type Cell = string | JSX.Element;

export interface Cells {
  head: string[];
  /** The first cell of a row names it. */
  rows: Cell[][];
  /** How many columns from the left are text; the others are numbers. One where it is not said. */
  texts?: number;
}

export interface FigureProps {
  /** Names the chart in the URL. */
  id: string;
  title: string;
  note?: string;
  table: () => Cells;
  children: ComponentChildren;
}

/** Figure shows the chart, or the table where ?table= names it. */
export function Figure({ id, title, note, table, children }: FigureProps): JSX.Element {
  const { query, set } = useLocation();
  const open = (query["table"] ?? "").split(",").filter(Boolean);
  const on = open.includes(id);
  const toggle = () => {
    const next = on ? open.filter((o) => o !== id) : [...open, id];
    set({ table: next.join(",") || undefined }, { replace: true });
  };
  return (
    <figure class="figure" id={`chart-${id}`}>
      <figcaption>
        <span class="figure-title">{title}</span>
        {note && <span class="figure-note">{note}</span>}
        <button type="button" class="switch" aria-pressed={on} aria-label={`Table of ${title}`} onClick={toggle}>Table</button>
      </figcaption>
      {on ? <CellTable title={title} cells={table()} /> : children}
    </figure>
  );
}

/** CellTable is a plain table in a box of its own, which scrolls. */
export function CellTable({ title, cells }: { title: string; cells: Cells }): JSX.Element {
  const look = (i: number) => (i < (cells.texts ?? 1) ? undefined : "num");
  return (
    <div class="cells" tabIndex={0} role="region" aria-label={`${title}, table`}>
      <table>
        <thead><tr>{cells.head.map((h, i) => <th key={i} scope="col" class={look(i)}>{h}</th>)}</tr></thead>
        <tbody>
          {cells.rows.map((row, r) => (
            <tr key={r}>
              {row.map((c, i) => (i ? <td key={i} class={look(i)}>{c}</td> : <th key={i} scope="row">{c}</th>))}
            </tr>
          ))}
        </tbody>
      </table>
      {cells.rows.length === 0 && <p class="none">Nothing in this time.</p>}
    </div>
  );
}
