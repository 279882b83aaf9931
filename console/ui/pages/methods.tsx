// Methods: what was promised for each, against what happened.
import type { JSX } from "preact";
import { useData, type MethodState } from "../lib/api";
import { bytes, count, duration, percent, rate } from "../lib/format";
import { useRows } from "../lib/keys";
import { to, useLocation } from "../lib/location";
import { Badge, Empty, ErrorBox, Loading, Sparkline } from "../lib/ui";

const name = (m: MethodState) => (m.service ? `${m.service}.${m.method}` : m.method);
const id = (m: MethodState) => `${m.app}/${name(m)}`;

/** orders are how the rows can be sorted; the largest first, names from a to z. */
const orders: Record<string, (a: MethodState, b: MethodState) => number> = {
  name: (a, b) => (id(a) < id(b) ? -1 : 1),
  rate: (a, b) => b.rates.rate - a.rates.rate,
  errors: (a, b) => b.rates.errors - a.rates.errors,
  refused: (a, b) => b.rates.refused - a.rates.refused,
  p95: (a, b) => (b.rates.p95_ns ?? 0) - (a.rates.p95_ns ?? 0),
};

export default function Methods(): JSX.Element {
  const { query, set } = useLocation();
  const { data, error } = useData<MethodState[]>("/methods", { since: query["since"], until: query["until"], service: query["service"] }, { live: true });
  useRows("tbody tr button");
  const text = (query["q"] ?? "").toLowerCase();
  const rows = (data ?? []).filter((m) => `${id(m)} ${m.routes.join(" ")}`.toLowerCase().includes(text));
  rows.sort(orders[query["sort"] ?? "name"] ?? orders["name"]);
  const open = rows.find((m) => id(m) === query["open"]);
  return (
    <section class="page">
      <h1>Methods</h1>
      <p><input type="search" aria-label="Find a method" placeholder="find a method or route" value={query["q"] ?? ""} onInput={(e) => set({ q: e.currentTarget.value }, { replace: true })} /></p>
      {error && <ErrorBox error={error} />}
      {!data && !error && <Loading />}
      {data?.length === 0 && <Empty title="No method is known"><p>The console knows the methods of a service by its contract, when it is started with <code>aguada run</code> or named with <code>--admin</code>; those of others by their calls.</p></Empty>}
      {rows.length > 0 && <Table rows={rows} open={query["open"]} />}
      {open && <Detail method={open} />}
    </section>
  );
}

function Table({ rows, open }: { rows: MethodState[]; open: string | undefined }): JSX.Element {
  const { query, set } = useLocation();
  const sort = query["sort"] ?? "name";
  const head = (key: string, label: string, num = true) => (
    <th scope="col" class={num ? "num" : undefined} aria-sort={sort === key ? (key === "name" ? "ascending" : "descending") : undefined}>
      <button type="button" class="link" onClick={() => set({ sort: key === "name" ? undefined : key }, { replace: true })}>{label}{sort === key ? (key === "name" ? " ↑" : " ↓") : ""}</button>
    </th>
  );
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Methods, table">
      <table>
        <thead>
          <tr>{head("name", "Method", false)}<th scope="col">Access</th>{head("rate", "Rate")}<th scope="col">Calls over time</th>{head("errors", "Errors")}{head("refused", "Refused")}<th scope="col" class="num">p50</th>{head("p95", "p95")}<th scope="col">of its deadline</th><th scope="col">Refused because</th></tr>
        </thead>
        <tbody>
          {rows.map((m) => (
            <tr key={id(m)} aria-selected={open === id(m)}>
              <th scope="row">
                <button type="button" class="link" aria-expanded={open === id(m)} onClick={() => set({ open: open === id(m) ? undefined : id(m) }, { replace: true })}>{name(m)}</button>
                {!query["service"] && <span class="quiet"> {m.app}</span>}
              </th>
              <td>{m.access === "unknown" ? <span class="quiet">not declared</span> : m.access}</td>
              <td class="num">{rate(m.rates.rate)}</td>
              <td><Sparkline values={m.rates.spark} bad={m.rates.failing} label={`${count(m.rates.calls)} calls, ${count(m.rates.errors)} failed`} /></td>
              <td class={m.rates.errors ? "num bad" : "num"}>{m.rates.calls ? percent(m.rates.errors / m.rates.calls) : "–"}</td>
              <td class={m.rates.refused ? "num warn" : "num"}>{count(m.rates.refused)}</td>
              <td class="num">{m.rates.p50_ns === undefined ? "–" : duration(m.rates.p50_ns)}</td>
              <td class="num">{m.rates.p95_ns === undefined ? "–" : duration(m.rates.p95_ns)}</td>
              <td><Deadline method={m} /></td>
              <td><Causes method={m} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Deadline shows how much of its deadline the slowest calls take. */
function Deadline({ method: m }: { method: MethodState }): JSX.Element {
  if (!m.deadline_ns) return <span class="quiet">{m.promised ? "no deadline" : "–"}</span>;
  const share = (m.rates.p95_ns ?? 0) / m.deadline_ns;
  const look = share > 0.8 ? "bad" : share > 0.5 ? "warn" : undefined;
  return (
    <span title={`p95 is ${percent(share)} of ${duration(m.deadline_ns)}`}>
      <span class="deadline" aria-hidden="true"><i class={look} style={{ width: `${Math.min(share, 1) * 100}%` }} /></span> <span class="quiet">{duration(m.deadline_ns)}</span>
    </span>
  );
}

function Causes({ method: m }: { method: MethodState }): JSX.Element {
  return <span class="causes">{m.refusals.map((c) => <Badge key={c.name} tone={c.name === "deadline" || c.name === "other" ? "bad" : "warn"}>{c.name} {count(c.count)}</Badge>)}</span>;
}

function Detail({ method: m }: { method: MethodState }): JSX.Element {
  const { set } = useLocation();
  const filter = { service: m.app, method: m.service ? name(m) : m.method };
  const facts: [string, string][] = [
    ["routes", m.routes.join(", ")], ["kind", m.kind], ["access", m.access], ["requires", m.requirements?.join(" or ") ?? ""],
    ["deadline", m.deadline_ns ? duration(m.deadline_ns) : "none"], ["largest body", m.max_body ? bytes(m.max_body) : ""], ["at once", m.max_in_flight ? count(m.max_in_flight) : ""],
    ["rate limits", m.rate_limits?.join("; ") ?? ""], ["idempotency key", m.idempotency ?? ""], ["audited", m.audit ? "yes" : ""],
    ["last proof", m.verdicts?.map((v) => `${v.count} ${v.name}`).join(", ") ?? ""],
  ];
  return (
    <section class="detail" aria-label={name(m)}>
      <div class="detail-head">
        <h2>{name(m)} <small class="quiet">{m.app}</small></h2>
        <a href={to("/traces", filter)}>traces</a>
        <a href={to("/traces", { ...filter, status: "error" })}>failed traces</a>
        <a href={to("/logs", filter)}>logs</a>
        {m.promised && <a href={`${to("/design", { service: m.app })}#${name(m)}`}>design</a>}
        <button type="button" onClick={() => set({ open: undefined }, { replace: true })}>Close</button>
      </div>
      {!m.promised && <p class="quiet">No contract that the console knows declares this method: it is known by its calls.</p>}
      <dl class="pairs-list">
        {facts.filter(([, v]) => v).map(([k, v]) => <><dt key={k}>{k}</dt><dd>{v}</dd></>)}
        <dt>counted from</dt><dd>{m.rates.from === "none" ? "nothing yet" : m.rates.from}</dd>
      </dl>
    </section>
  );
}
