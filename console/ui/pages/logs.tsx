// Logs: what matched, and what arrives.
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Levels } from "../chart/levels";
import { url, useData, type LogBatch, type LogList, type LogRecord } from "../lib/api";
import { count } from "../lib/format";
import { useLive } from "../lib/live";
import { to, useLocation, type Values } from "../lib/location";
import { Empty, ErrorBox, Field, Loading } from "../lib/ui";
import { Filters, join, list } from "./filters";
import { Record } from "./records";

const most = 5000; // records in the page

/** filter returns what the API is asked for. */
function filter(query: Values): { [name: string]: string | string[] | undefined } {
  const { since, until, service, method, level, trace, q } = query;
  return { since, until, service, method, level, trace, q, attr: list(query["attr"]) };
}

export default function Logs(): JSX.Element {
  const { query } = useLocation();
  const live = query["until"] === undefined && query["tail"] !== "off";
  return (
    <section class="page">
      <h1>Logs</h1>
      <Controls live={live} />
      <Found live={live} />
    </section>
  );
}

function Controls({ live }: { live: boolean }): JSX.Element {
  const { query, set } = useLocation();
  const field = (name: string, label: string, placeholder: string) => (
    <Field label={label}>
      <input type="search" value={query[name] ?? ""} placeholder={placeholder} maxLength={256} spellcheck={false} onChange={(e) => set({ [name]: e.currentTarget.value.trim() })} />
    </Field>
  );
  return (
    <div class="controls" role="search" aria-label="Logs">
      {field("q", "Text", "in bodies and values")}
      {field("method", "Method", "orders.create")}
      <Field label="Level">
        <select value={query["level"] ?? ""} onChange={(e) => set({ level: e.currentTarget.value })}>
          <option value="">any</option>
          {["trace", "debug", "info", "warn", "error", "fatal"].map((l) => <option key={l} value={l}>{l} and above</option>)}
        </select>
      </Field>
      <Filters names={["http.response.status_code", "error.type", "service", "method", "request_id", "enduser.id", "client.address"]} />
      {query["trace"] && <button type="button" class="chip" aria-label="Remove the filter by trace" onClick={() => set({ trace: undefined })}>trace={query["trace"].slice(0, 8)} ×</button>}
      <button type="button" aria-pressed={live} disabled={query["until"] !== undefined} onClick={() => set({ tail: live ? "off" : undefined }, { replace: true })}>{live ? "Following" : "Follow"}</button>
      <a class="button" href={url("/logs.ndjson", { ...filter(query), limit: 100000 })} download="logs.ndjson">Export NDJSON</a>
      {["q", "method", "level", "trace", "attr"].some((k) => query[k]) &&
        <button type="button" onClick={() => set({ q: "", method: "", level: "", trace: "", attr: "" })}>Clear</button>}
    </div>
  );
}

function Found({ live }: { live: boolean }): JSX.Element {
  const { query, set } = useLocation();
  const asked = filter(query);
  const { data, error, reload } = useData<LogList>("/logs", { ...asked, limit: 500 }, { every: live ? 10 : 0 });
  const { hidden } = useLive();
  useEffect(() => { // what came while nobody looked
    if (live && data && !hidden) reload();
  }, [hidden]);
  const tail = useTail(live ? url("/logs/live", { ...asked, limit: 500 }) : null);
  const known = new Set(tail.records.map((r) => r.seq));
  const older = data?.records.filter((r) => !known.has(r.seq)) ?? [];
  const records = tail.records.length ? [...older].reverse().concat(tail.records).sort((a, b) => b.seq - a.seq) : older;
  const link = (name: string, value: string) => to("/logs", { ...query, attr: join([...new Set([...list(query["attr"]), `${name}=${value}`])]) });
  return (
    <>
      {error && <ErrorBox error={error} />}
      {!data && !error && <Loading />}
      {data && <Levels bars={data.histogram} until={query["until"]} onRange={(from, until) => set({ since: from, until })} />}
      {data && (
        <p class="quiet" aria-live="off">
          {count(data.matched)} of {count(data.scanned)} records match{records.length < data.matched ? `; the latest ${count(records.length)} are listed` : ""}.
          {tail.skipped > 0 && <> {count(tail.skipped)} arrived too fast to be shown here; they are all kept.</>}
        </p>
      )}
      {data && records.length === 0 && <Nothing />}
      {records.length > 0 && <Lines records={records} link={link} />}
    </>
  );
}

function Nothing(): JSX.Element {
  return (
    <Empty title="No record in this time">
      <p>Take a filter away, or look at a longer time. Logs arrive where a service sends them by OTLP; the <a href={to("/")}>overview</a> says how.</p>
    </Empty>
  );
}

/** Tail is what arrived since the page was opened, the oldest first. */
interface Tail {
  records: LogRecord[];
  skipped: number;
}

/** useTail follows an address; null follows nothing. What arrives is shown once a frame at most. */
function useTail(address: string | null): Tail {
  const [tail, setTail] = useState<Tail>({ records: [], skipped: 0 });
  const { paused, hidden } = useLive();
  useEffect(() => setTail({ records: [], skipped: 0 }), [address]); // a pause leaves what is being read
  useEffect(() => {
    if (!address || paused || hidden) return;
    let waiting: Tail = { records: [], skipped: 0 };
    let frame = 0;
    const show = () => {
      frame = 0;
      const arrived = waiting;
      waiting = { records: [], skipped: 0 };
      setTail((t) => joined(t, arrived));
    };
    const stop = listen(address, (b) => {
      waiting = joined(waiting, { records: b.records, skipped: b.skipped + b.evicted }); // hidden pages have no frames
      if (!frame) frame = requestAnimationFrame(show);
    });
    return () => {
      stop();
      cancelAnimationFrame(frame);
      show();
    };
  }, [address, paused, hidden]);
  return tail;
}

/** joined puts what arrived after what there was, which goes where the console was started anew: it counts from the beginning. */
function joined(t: Tail, next: Tail): Tail {
  const last = t.records.at(-1), first = next.records[0];
  const before = last && first && first.seq <= last.seq ? [] : t.records;
  return { records: before.concat(next.records).slice(-most), skipped: t.skipped + next.skipped };
}

/** listen calls f with what arrives; it connects again where the console refused or went away. */
function listen(address: string, f: (b: LogBatch) => void): () => void {
  let source: EventSource, timer = 0;
  const connect = () => {
    source = new EventSource(address);
    source.onmessage = (e: MessageEvent<string>) => f(JSON.parse(e.data) as LogBatch);
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) timer = window.setTimeout(connect, 3000);
    };
  };
  connect();
  return () => {
    clearTimeout(timer);
    source.close();
  };
}

const rowHeight = 22;

/** Lines shows the rows that are seen, and room for the others. An open row has its own height. */
function Lines({ records, link }: { records: LogRecord[]; link: (name: string, value: string) => string }): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [open, setOpen] = useState<LogRecord | null>(null);
  const anchor = useRef<number | undefined>(undefined);
  const first = Math.max(0, Math.floor(top / rowHeight) - 20);
  const some = records.slice(first, first + 90);
  const newest = records[0]?.seq;
  useLayoutEffect(() => { // what is read stays where it is while newer rows come above it
    const b = box.current;
    if (b && b.scrollTop > rowHeight && anchor.current !== undefined) {
      const moved = records.findIndex((r) => r.seq === anchor.current);
      if (moved > 0) b.scrollTop += moved * rowHeight;
    }
    anchor.current = newest;
  }, [newest]);
  return (
    <>
      <div class="lines" ref={box} tabIndex={0} role="region" aria-label="Log records, the latest first" onScroll={(e) => setTop(e.currentTarget.scrollTop)}>
        <div class="records" role="list" style={{ height: `${records.length * rowHeight}px` }}>
          <div role="presentation" style={{ height: `${first * rowHeight}px` }} />
          {some.map((r) => <Record key={r.seq} record={r} open={false} onToggle={() => setOpen(open?.seq === r.seq ? null : r)} link={link} />)}
        </div>
      </div>
      {open && (
        <aside class="span-details" aria-label="Log record">
          <div class="detail-head"><h2>Record</h2><button type="button" onClick={() => setOpen(null)}>Close</button></div>
          <Record record={open} open onToggle={() => setOpen(null)} link={link} />
        </aside>
      )}
    </>
  );
}
