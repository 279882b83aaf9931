// Security: who was refused, why, and what expires.
import type { ComponentChildren, JSX } from "preact";
import { useData, type Count, type Expiry, type Failure, type LogRecord, type SecurityState } from "../lib/api";
import { age, count, text, Time } from "../lib/format";
import { to, useLocation } from "../lib/location";
import { Badge, ErrorBox, Loading } from "../lib/ui";

const day = 86_400_000; // milliseconds

export default function Security(): JSX.Element {
  const { query } = useLocation();
  const { data, error } = useData<SecurityState>("/security", { since: query["since"], until: query["until"], service: query["service"] }, { live: true });
  return (
    <section class="page">
      <h1>Security</h1>
      {error && <ErrorBox error={error} />}
      {data ? <Parts state={data} /> : !error && <Loading />}
    </section>
  );
}

function Parts({ state }: { state: SecurityState }): JSX.Element {
  const expiries = [...state.expiries].sort((a, b) => (left(a) ?? Infinity) - (left(b) ?? Infinity));
  return (
    <>
      <Soon expiries={expiries} />
      <div class="halves">
        <Part id="failures" title="Failed authentication"><Failures failures={state.failures} /></Part>
        <div>
          <Part id="refusals" title="Refused calls"><Bars counts={state.refusals} none="No call was refused in this time." link={(cause) => to("/logs", { q: cause })} /></Part>
          <Part id="lockouts" title="Lock-outs"><Bars counts={state.lockouts.map((c) => (c.name === "all" ? { ...c, name: "all schemes" } : c))} none="No client had to wait in this time." /></Part>
        </div>
      </div>
      <Part id="expiries" title="What expires"><Expiries expiries={expiries} /></Part>
      <Part id="events" title="Events"><Events events={state.events} /></Part>
    </>
  );
}

function Part({ id, title, children }: { id: string; title: string; children: ComponentChildren }): JSX.Element {
  return <section class="panel" aria-labelledby={id}><h2 id={id}>{title}</h2>{children}</section>;
}

/** left is the time until a certificate ends in milliseconds; undefined of what does not end. */
const left = (e: Expiry): number | undefined => (e.expires ? Date.parse(e.expires) - Date.now() : undefined);

type Tone = "bad" | "warn" | "good";

const urgency = (ms: number): Tone => (ms < 7 * day ? "bad" : ms < 30 * day ? "warn" : "good");

function days(ms: number): string {
  if (ms < 0) return "has expired";
  if (ms < day) return `${Math.floor(ms / 3_600_000)} h left`;
  const n = Math.floor(ms / day);
  return `${n} day${n === 1 ? "" : "s"} left`;
}

/** Soon warns of certificates that have ended or are about to. */
function Soon({ expiries }: { expiries: Expiry[] }): JSX.Element | null {
  const some = expiries.filter((e) => (left(e) ?? Infinity) < 30 * day);
  if (some.length === 0) return null;
  const worst = urgency(Math.min(...some.map((e) => left(e)!)));
  return (
    <div class={`notice notice-${worst}`} role="status">
      {some.map((e, i) => (
        <p key={i}><b>{e.service}: {e.what} {e.name} {days(left(e)!)}</b>{left(e)! < 0 ? ": callers that check it are refused." : ": renew it."}</p>
      ))}
    </div>
  );
}

function Expiries({ expiries }: { expiries: Expiry[] }): JSX.Element {
  if (expiries.length === 0) return <p class="none">No service says when its certificate ends, or how old its key sets are.</p>;
  return (
    <Rows label="What expires" head={["Left", "Service", "What", "Name", "Ends"]}>
      {expiries.map((e, i) => {
        const ms = left(e);
        return (
          <tr key={i}>
            <td>{ms === undefined ? `fetched ${age(e.age_s ?? 0)} ago` : <Badge tone={urgency(ms)}>{days(ms)}</Badge>}</td>
            <th scope="row">{e.service}</th>
            <td>{e.what}</td>
            <td class="mono">{e.name}</td>
            <td>{e.expires && <Time at={e.expires} />}</td>
          </tr>
        );
      })}
    </Rows>
  );
}

/** Rows is a table in a box that scrolls. */
function Rows({ label, head, children }: { label: string; head: string[]; children: ComponentChildren }): JSX.Element {
  return (
    <div class="cells" tabIndex={0} role="region" aria-label={`${label}, table`}>
      <table>
        <thead><tr>{head.map((h) => <th key={h} scope="col" class={h === "Count" ? "num" : undefined}>{h}</th>)}</tr></thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

function Failures({ failures }: { failures: Failure[] }): JSX.Element {
  if (failures.length === 0) return <p class="none">No credential was refused in this time.</p>;
  return (
    <Rows label="Failed authentication" head={["Count", "Scheme", "Reason", "Client", "Service", "Last"]}>
      {failures.map((f, i) => (
        <tr key={i}>
          <td class="num">{count(f.count)}</td>
          <td>{f.scheme || "none"}</td>
          <td>{f.reason}</td>
          <td class="mono">{f.client ? <a href={to("/logs", { service: f.service, q: f.client })} title="Its records in the log">{f.client}</a> : <span class="quiet">unknown</span>}</td>
          <td><a href={to("/logs", { service: f.service, q: f.reason })}>{f.service}</a></td>
          <td><Time at={f.last} /></td>
        </tr>
      ))}
    </Rows>
  );
}

interface BarsProps {
  counts: Count[];
  none: string;
  /** Where more is seen of one. */
  link?: (name: string) => string;
}

function Bars({ counts, none, link }: BarsProps): JSX.Element {
  const some = counts.filter((c) => c.count > 0);
  if (some.length === 0) return <p class="none">{none}</p>;
  const most = Math.max(...some.map((c) => c.count));
  return (
    <table class="bars">
      <tbody>
        {some.map((c) => (
          <tr key={c.name}>
            <th scope="row">{link ? <a href={link(c.name)}>{c.name}</a> : c.name}</th>
            <td class="num">{count(c.count)}</td>
            <td class="bar" aria-hidden="true"><i style={{ width: `${(100 * c.count) / most}%` }} /></td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Events({ events }: { events: LogRecord[] }): JSX.Element {
  if (events.length === 0) return <p class="none">No audit event and no refused login in this time.</p>;
  return (
    <Rows label="Events" head={["Time", "Level", "What", "Service", "Attributes", "See"]}>
      {events.map((e) => (
        <tr key={e.seq}>
          <td><Time at={e.time} /></td>
          <td>{e.severity >= 13 ? <Badge tone={e.severity >= 17 ? "bad" : "warn"}>{e.level}</Badge> : e.level}</td>
          <th scope="row">{what(e)}</th>
          <td>{e.service}</td>
          <td class="pairs">{pairs(e)}</td>
          <td>
            <a href={to("/logs", near(e))}>log</a>{traceOf(e) && <> <a href={to(`/traces/${traceOf(e)}`, { span: e.span_id })}>trace</a></>}
          </td>
        </tr>
      ))}
    </Rows>
  );
}

/** what names an event by the action or the method that it is about, where it says so. */
function what(e: LogRecord): string {
  const { service, method, action } = e.attributes ?? {};
  const name = e.event || text(e.body);
  if (typeof action === "string") return `${name}: ${action}`;
  return typeof service === "string" && typeof method === "string" ? `${name}: ${service}.${method}` : name;
}

/** traceOf returns the id of the trace; audit events have it as an attribute. */
function traceOf(e: LogRecord): string {
  const id = e.trace_id || e.attributes?.["trace_id"];
  return typeof id === "string" && /^[0-9a-f]{32}$/.test(id) ? id : "";
}

/** aside are attributes that say nothing about who was refused and why; the log has them. */
const aside = new Set(["service", "method", "action", "request_id", "trace_id", "error.id", "duration_ms", "http.request.body.size", "http.response.body.size"]);

function pairs(e: LogRecord): JSX.Element[] {
  const all = Object.entries(e.attributes ?? {}).filter(([k, v]) => !aside.has(k) && v !== "");
  return all.map(([k, v]) => <span key={k}><span class="quiet">{k}=</span>{text(v)} </span>);
}

/** near finds the record in the log: what its service wrote in the second before and after it. */
function near(e: LogRecord): Record<string, string> {
  const at = Date.parse(e.time);
  return { service: e.service, since: new Date(at - 1000).toISOString(), until: new Date(at + 1000).toISOString() };
}
