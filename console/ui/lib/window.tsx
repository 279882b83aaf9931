// The time that all pages look at.
import type { JSX } from "preact";
import { local } from "./format";
import { useLocation } from "./location";

const choices: [string, string][] = [["5m", "5 minutes"], ["15m", "15 minutes"], ["1h", "1 hour"], ["6h", "6 hours"], ["24h", "24 hours"]];

/** span returns begin and end of the time of a query, in milliseconds since 1970. */
export function span(query: Record<string, string | undefined>): { from: number; until: number } {
  const until = query["until"] ? Date.parse(query["until"]) : Date.now();
  const since = query["since"] ?? "15m";
  const ago = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(since);
  const unit = { ms: 1, s: 1e3, m: 6e4, h: 3.6e6 };
  return { from: ago ? Date.now() - Number(ago[1]) * unit[ago[2] as keyof typeof unit] : Date.parse(since), until };
}

/** Window chooses the time. A range that was dragged on a chart is shown as it is. */
export function Window(): JSX.Element {
  const { query, set } = useLocation();
  const since = query["since"] ?? "15m";
  const own = query["until"] !== undefined || !choices.some(([v]) => v === since);
  const name = `${local(query["since"] ?? "").replace(/\.\d+$/, "") || since}${query["until"] ? ` – ${local(query["until"]).replace(/\.\d+$/, "")}` : ""}`;
  return (
    <select aria-label="Time" value={own ? "own" : since}
      onChange={(e) => set({ since: e.currentTarget.value === "15m" ? undefined : e.currentTarget.value, until: undefined })}>
      {own && <option value="own">{name}</option>}
      {choices.map(([value, label]) => <option key={value} value={value}>{`last ${label}`}</option>)}
    </select>
  );
}
