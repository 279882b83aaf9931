// Log records as rows that open.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { LogRecord } from "../lib/api";
import { duration, local, text } from "../lib/format";
import { to } from "../lib/location";
import { Attributes, Copy } from "../lib/ui";

export interface RecordsProps {
  records: LogRecord[];
  empty: string;
  /** Makes the address that is filtered by an attribute. */
  link?: (name: string, value: string) => string;
}

export function Records({ records, empty, link }: RecordsProps): JSX.Element {
  const [open, setOpen] = useState<number | null>(null);
  if (records.length === 0) return <p class="none">{empty}</p>;
  return (
    <div class="records" role="list">
      {records.map((r) => <Record key={r.seq} record={r} open={open === r.seq} onToggle={() => setOpen(open === r.seq ? null : r.seq)} {...(link && { link })} />)}
    </div>
  );
}

export interface RecordProps {
  record: LogRecord;
  open: boolean;
  onToggle: () => void;
  link?: (name: string, value: string) => string;
}

/** headline says of the line of a call what was called, and how that ended. */
function headline(r: LogRecord): string {
  const of = (name: string) => (r.attributes?.[name] === undefined ? "" : text(r.attributes[name]));
  const verb = of("http.request.method"), call = of("rpc.method");
  if (!verb && !call) return "";
  const took = Number(of("duration_ms"));
  return [verb ? `${verb} ${of("http.route") || of("url.path")}` : call, of("http.response.status_code") || of("rpc.response.status_code"),
    took ? duration(took * 1e6) : ""].filter(Boolean).join(" · ");
}

/** inline are the attributes that a row shows, beside its body. */
function inline(r: LogRecord): string {
  return Object.entries(r.attributes ?? {}).map(([k, v]) => `${k}=${text(v)}`).join(" ");
}

export function Record({ record: r, open, onToggle, link }: RecordProps): JSX.Element {
  return (
    <div class={`record record-${r.level}`} role="listitem">
      <button type="button" class="record-line" aria-expanded={open} onClick={onToggle}>
        <time dateTime={r.time} title={`${r.time} (UTC)`}>{local(r.time)}</time>
        <span class="record-level">{r.level}</span>
        <span class="record-service">{r.service}</span>
        <span class="record-body">{r.event && r.event !== text(r.body) ? <b>{r.event} </b> : null}{text(r.body)} {headline(r) && <b>{headline(r)} </b>}<span class="quiet">{inline(r)}</span></span>
      </button>
      {open && (
        <div class="record-open">
          <p>
            {r.trace_id && <a href={to(`/traces/${r.trace_id}`, { span: r.span_id })}>open its trace</a>} <Copy value={JSON.stringify(r, null, 2)} label="Copy as JSON" />
          </p>
          <Attributes values={{ ...(typeof r.body === "object" ? { body: r.body } : {}), ...r.attributes, ...(r.scope ? { "(scope)": r.scope } : {}) }} {...(link && { link })} />
        </div>
      )}
    </div>
  );
}
