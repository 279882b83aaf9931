// Leases: debugging that ends by itself.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { del, failure, post, type ApiError, type Lease } from "../lib/api";
import { to, useLocation } from "../lib/location";
import { Badge, ErrorBox, Field } from "../lib/ui";

export interface LeasesProps {
  service: string;
  leases: Lease[];
  /** The services of the contract. */
  services: string[];
  /** Reads the leases anew. */
  refresh: () => void;
}

/** Acting is what was asked for last. */
interface Acting {
  busy: boolean;
  error: ApiError | null;
  said: string;
}

/** Request is the body that opens a lease. */
interface Request {
  kind: string;
  level?: string;
  goa_service?: string;
  method?: string;
  scheme?: string;
  principal?: string;
  seconds: number;
  reason: string;
  extends?: string;
}

export function Leases({ service, leases, services, refresh }: LeasesProps): JSX.Element {
  const [state, setState] = useState<Acting>({ busy: false, error: null, said: "" });
  const path = `/services/${encodeURIComponent(service)}/leases`;
  const act = async (said: string, f: () => Promise<unknown>): Promise<boolean> => {
    setState({ busy: true, error: null, said: "" });
    try {
      await f();
      setState({ busy: false, error: null, said });
      refresh();
      return true;
    } catch (err) {
      setState({ busy: false, error: failure(err), said: "" });
      return false;
    }
  };
  const open = (r: Request) => act(r.extends ? "The lease is extended." : "The lease is open.", () => post(path, r));
  const end = (id: string) => act("The lease has ended.", () => del(`${path}/${encodeURIComponent(id)}`));
  return (
    <section class="panel" aria-labelledby="leases">
      <h2 id="leases">Debug leases</h2>
      <p class="quiet">A lease lowers the level of the log, or writes payloads to it, redacted, for the calls that match all that it names. It ends by itself, and is audited.</p>
      {leases.length > 0 ? <ul class="leases">{leases.map((l) => <LeaseItem key={l.id} lease={l} service={service} busy={state.busy} open={open} end={end} />)}</ul>
        : <p class="none">No lease is open.</p>}
      <div aria-live="polite">
        {state.said && <p class="said">{state.said}</p>}
        {state.error && <ErrorBox error={state.error} />}
      </div>
      <OpenForm services={services} busy={state.busy} open={open} />
    </section>
  );
}

/** useNow returns the time, every second. */
function useNow(): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

function left(seconds: number): string {
  if (seconds <= 0) return "has ended";
  const m = Math.floor(seconds / 60);
  return `${m > 0 ? `${m} min ` : ""}${Math.floor(seconds % 60)} s left`;
}

interface ItemProps {
  lease: Lease;
  service: string;
  busy: boolean;
  open: (r: Request) => Promise<boolean>;
  end: (id: string) => Promise<boolean>;
}

function LeaseItem({ lease: l, service, busy, open, end }: ItemProps): JSX.Element {
  const seconds = (Date.parse(l.expires) - useNow()) / 1000;
  const extend = () => open({
    kind: l.kind, level: l.level || undefined, goa_service: l.goa_service || undefined, method: l.method || undefined,
    scheme: l.scheme || undefined, principal: l.principal || undefined, reason: l.reason, extends: l.id,
    seconds: Math.max(1, Math.round((Date.parse(l.expires) - Date.parse(l.opened)) / 1000)),
  });
  return (
    <li>
      <div>
        <b>{l.kind === "payloads" ? "payloads" : `log level ${l.level}`}</b> for {scope(l)} <Badge tone={seconds < 30 ? "warn" : "plain"}>{left(seconds)}</Badge>
        <div class="quiet">{l.reason} · opened by {l.opened_by}</div>
      </div>
      <div class="lease-actions">
        <a href={logs(l, service)}>log</a>
        <button type="button" disabled={busy} onClick={extend}>Extend</button>
        <button type="button" disabled={busy} onClick={() => end(l.id)}>End</button>
      </div>
    </li>
  );
}

function scope(l: Lease): string {
  const what = l.goa_service ? (l.method ? `${l.goa_service}.${l.method}` : `service ${l.goa_service}`) : "all calls";
  return [what, l.principal && `of ${l.principal}`, l.scheme && `by ${l.scheme}`].filter(Boolean).join(" ");
}

/** logs is where the records that the lease makes are seen. */
function logs(l: Lease, service: string): string {
  return to("/logs", {
    service, level: l.kind === "log-level" ? l.level : undefined,
    method: l.goa_service && l.method ? `${l.goa_service}.${l.method}` : undefined,
  });
}

function OpenForm({ services, busy, open }: { services: string[]; busy: boolean; open: (r: Request) => Promise<boolean> }): JSX.Element {
  const { query, set } = useLocation();
  const kind = query["lease"] === "payloads" ? "payloads" : "log-level";
  const submit = async (e: SubmitEvent) => {
    e.preventDefault();
    const form = e.currentTarget as HTMLFormElement;
    const field = new FormData(form);
    const text = (name: string) => String(field.get(name) ?? "").trim() || undefined;
    const done = await open({
      kind, level: kind === "log-level" ? text("level") : undefined, goa_service: text("goa_service"), method: text("method"),
      scheme: text("scheme"), principal: text("principal"), seconds: Math.round(Number(text("minutes") ?? 10) * 60), reason: text("reason") ?? "",
    });
    if (done) form.reset();
  };
  return (
    <details open={query["lease"] !== undefined}>
      <summary>Open a lease</summary>
      <form class="controls lease-form" onSubmit={submit}>
        <Field label="Kind">
          <select name="kind" value={kind} onChange={(e) => set({ lease: e.currentTarget.value }, { replace: true })}>
            <option value="log-level">log level</option>
            <option value="payloads">payloads, redacted</option>
          </select>
        </Field>
        {kind === "log-level" && (
          <Field label="Level"><select name="level">{["debug", "info", "warn", "error"].map((l) => <option key={l}>{l}</option>)}</select></Field>
        )}
        <Field label="Service">
          <select name="goa_service"><option value="">all</option>{services.map((s) => <option key={s}>{s}</option>)}</select>
        </Field>
        <Field label="Method"><input name="method" maxLength={128} placeholder="all" /></Field>
        <Field label="Principal"><input name="principal" maxLength={256} placeholder="anybody" /></Field>
        <Field label="Proved by scheme"><input name="scheme" maxLength={128} placeholder="any" /></Field>
        <Field label="Minutes"><input name="minutes" type="number" min={1} max={60} required defaultValue="10" /></Field>
        <Field label="Reason"><input name="reason" required maxLength={200} placeholder="ticket 4711" /></Field>
        <button type="submit" class="primary" disabled={busy}>Open</button>
      </form>
      {kind === "payloads" && <p class="quiet">Payloads need a service or a principal.</p>}
    </details>
  );
}
