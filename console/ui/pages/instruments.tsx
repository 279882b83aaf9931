// The list of the metrics that are known, with search.
import type { JSX } from "preact";
import type { Instrument } from "../lib/api";
import { useLocation } from "../lib/location";

/** Group is the metrics whose names begin alike. */
interface Group {
  prefix: string;
  instruments: Instrument[];
}

/** groups puts metrics together by the first part of their names. */
function groups(all: Instrument[]): Group[] {
  const by = new Map<string, Instrument[]>();
  for (const i of [...all].sort((a, b) => a.name.localeCompare(b.name))) {
    const prefix = i.name.split(".")[0] ?? "";
    by.set(prefix, [...(by.get(prefix) ?? []), i]);
  }
  return [...by].map(([prefix, instruments]) => ({ prefix, instruments }));
}

/** matching returns those whose name, description or attributes contain all words. */
function matching(all: Instrument[], find: string): Instrument[] {
  const words = find.toLowerCase().split(/\s+/).filter(Boolean);
  return all.filter((i) => {
    const text = [i.name, i.description ?? "", i.unit, ...i.attributes].join(" ").toLowerCase();
    return words.every((w) => text.includes(w));
  });
}

export function Instruments({ all, name }: { all: Instrument[]; name: string }): JSX.Element {
  const { query, set, link } = useLocation();
  const find = query["find"] ?? "";
  const some = matching(all, find);
  return (
    <nav class="instruments" aria-label="Metrics" onKeyDown={move}>
      <input type="search" data-search aria-label="Find a metric" placeholder="Find a metric" value={find}
        onInput={(e) => set({ find: e.currentTarget.value || undefined }, { replace: true })} />
      <p class="quiet" aria-live="polite">{find ? `${some.length} of ${all.length}` : `${all.length} metrics`}</p>
      <div class="instruments-list">
        {groups(some).map((g) => (
          <section key={g.prefix} aria-label={g.prefix}>
            <h2>{g.prefix}</h2>
            <ul>
              {g.instruments.map((i) => (
                <li key={i.name}>
                  <a href={link({ name: i.name, by: undefined, attr: undefined, stat: undefined })} aria-current={i.name === name ? "page" : undefined} title={i.description}>
                    {i.name} <small>{kind(i)}</small>
                  </a>
                </li>
              ))}
            </ul>
          </section>
        ))}
      </div>
    </nav>
  );
}

/** kind names the type of a metric shortly. */
export function kind(i: Instrument): string {
  if (i.type === "exponential_histogram") return "histogram";
  if (i.type === "sum") return i.monotonic ? "counter" : "up-down counter";
  return i.type;
}

/** move lets the arrow keys go through the list. */
function move(e: KeyboardEvent & { currentTarget: HTMLElement }): void {
  if (e.key !== "ArrowDown" && e.key !== "ArrowUp") return;
  const stops = [...e.currentTarget.querySelectorAll<HTMLElement>("input, a")];
  const next = stops[stops.indexOf(document.activeElement as HTMLElement) + (e.key === "ArrowDown" ? 1 : -1)];
  if (!next) return;
  next.focus();
  e.preventDefault();
}
