// Traces: find one, by its filters or by its place in the plot.
import type { JSX } from "preact";
import { Scatter } from "../chart/scatter";
import { useData, type TraceList, type TraceSummary } from "../lib/api";
import { count, duration, Time } from "../lib/format";
import { useRows } from "../lib/keys";
import { to, useLocation } from "../lib/location";
import { Badge, Empty, ErrorBox, Loading } from "../lib/ui";
import { span } from "../lib/window";
import { filter, Search } from "./spans";

const most = 500; // traces in the plot and the list

export default function Traces(): JSX.Element {
  const { query, set } = useLocation();
  const { data, error } = useData<TraceList>("/traces", { ...filter(query), order: query["order"], limit: most }, { live: true });
  useRows("tbody th a");
  const zoom = (since: number, until: number, min: number, max: number) => set({
    since: new Date(since).toISOString(), until: new Date(until).toISOString(), min: `${Math.floor(min)}ns`, max: `${Math.ceil(max)}ns`,
  });
  return (
    <section class="page">
      <h1>Traces</h1>
      <Search />
      {error && <ErrorBox error={error} />}
      {!data && !error && <Loading />}
      {data?.traces.length === 0 && <Nothing />}
      {data && data.traces.length > 0 && (
        <>
          <Scatter traces={data.traces} {...span(query)} onRange={zoom} />
          <p class="quiet" aria-live="polite">
            {data.more ? `The ${query["order"] ?? "latest"} ${count(data.traces.length)} traces` : `${count(data.traces.length)} traces`}; {count(data.matched)} of {count(data.scanned)} spans match.
          </p>
          <List traces={data.traces} />
        </>
      )}
    </section>
  );
}

function Nothing(): JSX.Element {
  const { query } = useLocation();
  const filtered = ["q", "method", "min", "max", "status", "kind", "attr"].some((k) => query[k]);
  return (
    <Empty title={filtered ? "No trace matches" : "No trace in this time"}>
      {filtered ? <p>Take a filter away, or look at a longer time.</p>
        : <p>Call a service that sends here, or look at a longer time. The <a href={to("/")}>overview</a> says how a service sends.</p>}
    </Empty>
  );
}

/** share is the length of a bar in percent: by the logarithm, as in the plot, since one slow trace would make all others alike. */
function share(ns: number, shortest: number, longest: number): number {
  const low = Math.log(Math.max(shortest, 1)) - 0.5, high = Math.log(Math.max(longest, 2));
  return Math.max((100 * (Math.log(Math.max(ns, 1)) - low)) / Math.max(high - low, 0.1), 1);
}

function List({ traces }: { traces: TraceSummary[] }): JSX.Element {
  const { query, set } = useLocation();
  const longest = Math.max(...traces.map((t) => t.duration_ns), 1), shortest = Math.min(...traces.map((t) => t.duration_ns), longest);
  const first = query["compare"];
  const order = query["order"] ?? "latest";
  const head = (key: string, label: string, look?: string) => (
    <th scope="col" class={look} aria-sort={order === key ? "descending" : undefined}>
      <button type="button" class="link" onClick={() => set({ order: key === "latest" ? undefined : key })}>{label}{order === key ? " ↓" : ""}</button>
    </th>
  );
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Traces, table">
      <table class="traces">
        <thead><tr><th scope="col">Trace</th>{head("latest", "Start")}{head("slowest", "Duration", "num")}<th scope="col"><span class="hidden">How long beside the others, by its logarithm</span></th><th scope="col">Status</th><th scope="col" class="num">Spans</th><th scope="col">Services</th><th scope="col">Compare</th></tr></thead>
        <tbody>
          {traces.map((t) => (
            <tr key={t.id} aria-selected={first === t.id}>
              <th scope="row"><a href={to(`/traces/${t.id}`)}>{t.name || "(no name)"}</a> <span class="quiet mono">{t.id.slice(0, 8)}</span>
                {t.partial && <> <Badge tone="warn">partial</Badge></>}</th>
              <td><Time at={t.start} /></td>
              <td class="num">{duration(t.duration_ns)}</td>
              <td class="bar" aria-hidden="true"><i class={t.errors ? "failed" : undefined} style={{ width: `${share(t.duration_ns, shortest, longest)}%` }} /></td>
              <td>{t.errors > 0 ? <Badge tone="bad">{t.status ? `${t.status} · ` : ""}{t.errors} failed</Badge> : <Status code={t.status} />}</td>
              <td class="num">{count(t.spans)}</td>
              <td>{t.services.join(", ")}</td>
              <td>{first && first !== t.id
                ? <a href={to(`/traces/${first}`, { with: t.id })}>with {first.slice(0, 8)}</a>
                : <button type="button" class="link" aria-pressed={first === t.id} onClick={() => set({ compare: first === t.id ? undefined : t.id }, { replace: true })}>{first === t.id ? "chosen" : "choose"}</button>}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Status shows a status of HTTP or gRPC; those that refuse stand out. */
function Status({ code }: { code: string | undefined }): JSX.Element | null {
  if (!code) return null;
  const refused = /^[45]\d\d$/.test(code) || (/^[A-Z_]+$/.test(code) && code !== "OK");
  return refused ? <Badge tone="warn">{code}</Badge> : <span>{code}</span>;
}
