// The search for traces: its form, and what of the URL goes to the API.
import type { JSX } from "preact";
import { url } from "../lib/api";
import { useLocation, type Values } from "../lib/location";
import { Field } from "../lib/ui";
import { Filters, list } from "./filters";

/** filter returns what the API is asked for. */
export function filter(query: Values): Record<string, string | string[] | undefined> {
  const { since, until, service, method, status, kind, min, max, q } = query;
  return { since, until, service, method, status, kind, min, max, q, attr: list(query["attr"]) };
}

/** Search is the form above the list. Each change is in the URL at once. */
export function Search(): JSX.Element {
  const { query, set } = useLocation();
  const field = (name: string, label: string, placeholder: string, width: number) => (
    <Field label={label}>
      <input type="search" value={query[name] ?? ""} placeholder={placeholder} style={{ width: `${width}px` }} maxLength={256} spellcheck={false}
        onChange={(e) => set({ [name]: e.currentTarget.value.trim() })} />
    </Field>
  );
  const choice = (name: string, label: string, values: string[]) => (
    <Field label={label}>
      <select value={query[name] ?? ""} onChange={(e) => set({ [name]: e.currentTarget.value })}>
        <option value="">any</option>
        {values.map((v) => <option key={v} value={v}>{v}</option>)}
      </select>
    </Field>
  );
  return (
    <div class="controls" role="search" aria-label="Traces">
      {field("q", "Text", "in names and values", 170)}
      {field("method", "Method or span", "orders.create", 150)}
      {field("min", "At least", "20ms", 70)}
      {field("max", "At most", "2s", 70)}
      {choice("status", "Status", ["error", "ok"])}
      {choice("kind", "Kind", ["server", "client", "internal", "producer", "consumer"])}
      <Filters names={common} />
      <a class="button" href={url("/traces.ndjson", { ...filter(query), limit: 100000 })} download="spans.ndjson">Export NDJSON</a>
      {["q", "method", "min", "max", "status", "kind", "attr"].some((k) => query[k]) &&
        <button type="button" onClick={() => set({ q: "", method: "", min: "", max: "", status: "", kind: "", attr: "" })}>Clear</button>}
    </div>
  );
}

/** common are attributes that most services send. */
const common = ["http.response.status_code", "http.route", "error.type", "goa.service", "goa.method", "rpc.method", "db.system.name", "request_id", "enduser.id"];
