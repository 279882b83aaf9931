// One trace, or two beside each other.
import type { JSX } from "preact";
import { Waterfall } from "../chart/waterfall";
import { useData, type Span, type Trace as State } from "../lib/api";
import { count, duration, Time } from "../lib/format";
import { to, useLocation } from "../lib/location";
import { Attributes, Badge, Copy, ErrorBox, Loading } from "../lib/ui";
import { Compare } from "./compare";
import { Records } from "./records";

export default function Trace(): JSX.Element {
  const { path, query, set } = useLocation();
  const id = path.split("/")[2] ?? "";
  const { data, error, reload } = useData<State>(`/traces/${id}`);
  const other = query["with"];
  return (
    <section class="page">
      {error && <><h1>Trace <small class="mono">{id}</small></h1><ErrorBox error={error} /><p><button type="button" onClick={reload}>Look again</button> <a href={to("/traces")}>All traces</a></p></>}
      {!data && !error && <Loading />}
      {data && <Head trace={data} reload={reload} />}
      {data && other && <Compare one={data} other={other} />}
      {data && !other && (
        <>
          <div class="choices" role="group" aria-label="View">
            <button type="button" aria-pressed={query["view"] !== "logs"} onClick={() => set({ view: undefined }, { replace: true })}>Spans</button>
            <button type="button" aria-pressed={query["view"] === "logs"} onClick={() => set({ view: "logs" }, { replace: true })}>Logs ({data.logs.length})</button>
          </div>
          {query["view"] === "logs" ? <Records records={data.logs} empty="No log record names this trace." /> : <Spans trace={data} />}
        </>
      )}
    </section>
  );
}

function Head({ trace, reload }: { trace: State; reload: () => void }): JSX.Element {
  const root = trace.spans[0];
  const failed = trace.spans.filter((s) => s.status === "error").length;
  return (
    <>
      <h1>{root?.name ?? "Trace"} <small>{root?.service}</small></h1>
      <p class="facts-line">
        <b>{duration(trace.duration_ns)}</b> <span><Time at={trace.start} /></span> <span>{count(trace.spans.length)} spans</span>
        {failed > 0 && <Badge tone="bad">{failed} failed</Badge>}
        <span class="mono">{trace.id}</span> <Copy value={trace.id} />
        <a href={to("/logs", { trace: trace.id })}>its logs</a> <a href={to("/traces", { compare: trace.id })}>compare</a>
        <button type="button" class="link" onClick={reload}>look again</button>
      </p>
      {trace.partial && (
        <p class="notice notice-warn" role="status">
          This trace is not whole: {[
            trace.evicted > 0 && `${count(trace.evicted)} of its spans gave way to newer ones`,
            trace.orphans > 0 && `the parents of ${count(trace.orphans)} of its spans have not come`,
          ].filter(Boolean).join(", and ")}.
        </p>
      )}
    </>
  );
}

function Spans({ trace }: { trace: State }): JSX.Element {
  const { query, set } = useLocation();
  const selected = trace.spans.find((s) => s.span_id === query["span"]);
  const critical = query["path"] !== "off";
  return (
    <div class={selected ? "trace-parts trace-open" : "trace-parts"}>
      <div>
        <label class="check-line"><input type="checkbox" checked={critical} onChange={() => set({ path: critical ? "off" : undefined }, { replace: true })} /> show what it waited for (critical path)</label>
        <Waterfall key={trace.id} trace={trace} selected={selected?.span_id} critical={critical} onSelect={(span) => set({ span }, { replace: true })} />
      </div>
      {selected && <Details trace={trace} span={selected} />}
    </div>
  );
}

function Details({ trace, span }: { trace: State; span: Span }): JSX.Element {
  const { set } = useLocation();
  const logs = trace.logs.filter((l) => l.span_id === span.span_id);
  const waited = trace.critical_path.filter((c) => c.span_id === span.span_id).reduce((sum, c) => sum + c.duration_ns, 0);
  const link = (name: string, value: string) => to("/traces", { attr: `${name}=${value}` });
  return (
    <aside class="span-details" id="span-details" tabIndex={-1} aria-label={`Span ${span.name}`}>
      <div class="detail-head">
        <h2>{span.name}</h2>
        <button type="button" onClick={() => set({ span: undefined }, { replace: true })}>Close</button>
      </div>
      <dl class="pairs-list">
        <dt>service</dt><dd>{span.service}</dd>
        <dt>duration</dt><dd>{duration(span.duration_ns)}{waited > 0 && <span class="quiet"> · the trace waited {duration(waited)} for it alone</span>}</dd>
        <dt>began</dt><dd><Time at={span.start} /> <span class="quiet">(+{duration(span.offset_ns)})</span></dd>
        <dt>kind</dt><dd>{span.kind}</dd>
        <dt>status</dt><dd class={span.status === "error" ? "bad" : undefined}>{span.status}{span.status_message && `: ${span.status_message}`}</dd>
        {span.scope && <><dt>scope</dt><dd>{span.scope}</dd></>}
        <dt>span</dt><dd class="mono">{span.span_id}</dd>
        {span.dropped && <><dt>left out</dt><dd class="warn">{span.dropped} attributes, events or links, by the sender</dd></>}
      </dl>
      <Attributes title="Attributes" values={span.attributes} link={link} />
      {span.events && span.events.length > 0 && (
        <>
          <h3>Events</h3>
          {span.events.map((e, i) => (
            <details key={i} class="event" open={e.name === "exception"}>
              <summary>+{duration(e.offset_ns)} <b>{e.name}</b></summary>
              <Attributes values={e.attributes} />
            </details>
          ))}
        </>
      )}
      {span.links && span.links.length > 0 && (
        <>
          <h3>Links</h3>
          <ul>{span.links.map((l, i) => <li key={i}><a class="mono" href={to(`/traces/${l.trace_id}`, { span: l.span_id })}>{l.trace_id.slice(0, 16)}</a><Attributes values={l.attributes} /></li>)}</ul>
        </>
      )}
      {logs.length > 0 && <><h3>Logs inside it</h3><Records records={logs} empty="" /></>}
      <Attributes title="Service" values={span.resource} link={link} />
    </aside>
  );
}
