// Design: what a service promises, and the verdicts of its last proof.
import type { ComponentChildren, JSX } from "preact";
import { useEffect } from "preact/hooks";
import { useData, type Contract, type Finding, type Proof } from "../lib/api";
import { bytes, Time } from "../lib/format";
import { to, useLocation } from "../lib/location";
import { Badge, Field, Loading } from "../lib/ui";
import { period, rateLimit, read, requirement, type Document, type Method, type Requirement, type Scheme, type Service } from "./contract";
import { Chosen, Unknown } from "./service";

export default function Design(): JSX.Element {
  return <Chosen title="Design" knows={(s) => s.known}>{(service) => <Page key={service} service={service} />}</Chosen>;
}

function Page({ service }: { service: string }): JSX.Element | null {
  const { data, error } = useData<Contract>(`/services/${encodeURIComponent(service)}/contract`, {});
  if (error) return <Unknown service={service} what="contract" error={error} />;
  if (!data) return <Loading />;
  const document = read(data.contract);
  if (!document) return <p class="none">What the service has sent as its contract is none.</p>;
  return <Contracts service={service} document={document} proof={data.proof} />;
}

function Contracts({ service, document: d, proof }: { service: string; document: Document; proof?: Proof }): JSX.Element {
  const { query, set } = useLocation();
  const find = query["find"] ?? "";
  // The method that the address names was not there yet when the browser looked for it.
  useEffect(() => globalThis.document.getElementById(location.hash.slice(1))?.scrollIntoView(), []);
  const services = (d.services ?? []).map((s) => ({ ...s, methods: s.methods.filter((m) => matches(m, find)) })).filter((s) => s.methods.length > 0);
  const all = (d.services ?? []).reduce((sum, s) => sum + s.methods.length, 0);
  const some = services.reduce((sum, s) => sum + s.methods.length, 0);
  return (
    <>
      <div class="contract-head">
        <h2>{d.api.title ?? d.api.name} <small>{d.api.version}</small></h2>
        <p class="quiet">
          {all} methods in {d.services?.length ?? 0} services, by {d.generator ?? "an unknown generator"}
          {d.source && <> from <code>{d.source.dir}</code> (<code title={d.source.sha256}>{d.source.sha256.slice(0, 12)}</code>)</>}
        </p>
      </div>
      {proof ? <Verdicts proof={proof} /> : <p class="quiet">No proof is known: <code>aguada prove DIR</code> makes one of the service in a folder, which the console of <code>aguada run DIR</code> shows here; any other with <code>aguada console --proof {service}=DIR/.aguada/proof.json</code>.</p>}
      {(d.schemes?.length ?? 0) > 0 && <Schemes schemes={d.schemes!} />}
      <Field label="Find a method">
        <input type="search" data-search value={find} placeholder="name, route, scheme, limit…"
          onInput={(e) => set({ find: e.currentTarget.value || undefined }, { replace: true })} />
      </Field>
      <p class="quiet" aria-live="polite">{find ? `${some} of ${all} methods` : ""}</p>
      {services.map((s) => <ServicePart key={s.name} service={s} proof={proof} />)}
    </>
  );
}

/** matches reports whether all that the page says of the method contains all words. */
function matches(m: Method, find: string): boolean {
  const words = find.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return true;
  const text = JSON.stringify({ ...m, example: undefined }).toLowerCase() + `${m.service}.${m.name} ${(m.routes ?? []).map((r) => `${r.verb} ${r.pattern}`)}`.toLowerCase();
  return words.every((w) => text.includes(w));
}

/** rank puts what is wrong first. */
const rank: Record<string, number> = { fail: 0, broken: 1, skip: 2, waived: 3, pass: 4 };

const ranked = (findings: Finding[]) => [...findings].sort((a, b) => (rank[a.verdict] ?? 9) - (rank[b.verdict] ?? 9));

const wrong = (f: Finding) => f.verdict === "fail" || f.verdict === "broken";

function Verdicts({ proof }: { proof: Proof }): JSX.Element {
  const open = ranked(proof.findings.filter((f) => wrong(f) || f.verdict === "skip"));
  const of = proof.findings.filter((f) => !f.target && !wrong(f) && f.verdict !== "skip");
  return (
    <section class="panel" aria-labelledby="proof">
      <h3 id="proof">Proof <Verdict verdict={proof.failed > 0 ? "fail" : proof.skipped > 0 ? "skip" : "pass"} text={proof.failed > 0 ? "not proved" : proof.skipped > 0 ? "with gaps" : "proved"} /></h3>
      <p class="quiet">
        {proof.passed} passed, {proof.failed} failed, {proof.skipped} skipped, {proof.waived} waived; made <Time at={proof.time} />
      </p>
      {open.length > 0 && <ul class="findings">{open.map((f, i) => <FindingItem key={i} finding={f} />)}</ul>}
      {of.length > 0 && (
        <details>
          <summary>{of.length} more of the whole service</summary>
          <ul class="findings">{ranked(of).map((f, i) => <FindingItem key={i} finding={f} />)}</ul>
        </details>
      )}
    </section>
  );
}

function Verdict({ verdict, text }: { verdict: string; text?: string }): JSX.Element {
  const tone = verdict === "fail" || verdict === "broken" ? "bad" : verdict === "skip" ? "warn" : verdict === "pass" ? "good" : "plain";
  return <Badge tone={tone}>{text ?? verdict}</Badge>;
}

function FindingItem({ finding: f }: { finding: Finding }): JSX.Element {
  return (
    <li>
      <Verdict verdict={f.verdict} /> <code>{f.code}</code> {f.target && <a href={`#${f.target}`}>{f.target}</a>} {f.question}
      {f.detail && <p>{f.detail}</p>}
      {f.fix && wrong(f) && <p><b>Fix:</b> {f.fix}</p>}
    </li>
  );
}

function Schemes({ schemes }: { schemes: Scheme[] }): JSX.Element {
  return (
    <section class="panel" aria-labelledby="schemes">
      <h3 id="schemes">Schemes</h3>
      <dl class="facts">
        {schemes.map((s) => (
          <Fact key={s.name} name={<code>{s.name}</code>}>
            {s.kind.replaceAll("_", " ")}
            {(s.scopes?.length ?? 0) > 0 && (
              <ul>{s.scopes!.map((scope) => <li key={scope}><code>{scope}</code> {s.scope_descriptions?.[scope]}</li>)}</ul>
            )}
            {s.flows?.map((f, i) => (
              <p key={i} class="quiet">
                {f.type.replaceAll("_", " ")}: {[f.authorization_url, f.token_url, f.refresh_url].filter(Boolean).join(", ")}
              </p>
            ))}
          </Fact>
        ))}
      </dl>
    </section>
  );
}

function Fact({ name, children }: { name: ComponentChildren; children: ComponentChildren }): JSX.Element {
  return <div class="fact"><dt>{name}</dt><dd>{children}</dd></div>;
}

function ServicePart({ service: s, proof }: { service: Service; proof?: Proof }): JSX.Element {
  return (
    <section aria-labelledby={`service-${s.name}`}>
      <h3 id={`service-${s.name}`} class="contract-service">
        {s.name} {s.depends_on && <small>needs {s.depends_on.join(", ")}</small>}
      </h3>
      {s.methods.map((m, i) => <MethodPart key={`${m.name}${i}`} method={m} findings={(proof?.findings ?? []).filter((f) => f.target === `${m.service}.${m.name}`)} />)}
    </section>
  );
}

function MethodPart({ method: m, findings }: { method: Method; findings: Finding[] }): JSX.Element {
  const bad = findings.filter(wrong).length;
  return (
    <article class="panel method" id={`${m.service}.${m.name}`} aria-label={`${m.service}.${m.name}`}>
      <div class="method-head">
        <h4>{m.name}</h4>
        {m.kind !== "unary" && <Badge>{m.kind}</Badge>}
        <Badge tone={m.access === "undeclared" ? "warn" : "plain"}>{m.access}</Badge>
        {m.audit && <Badge>audited</Badge>}
        {bad > 0 && <Verdict verdict="fail" text={`${bad} failed`} />}
        <span class="method-links">
          <a href={to("/methods", { q: `${m.service}.${m.name}` })}>state</a>
          <a href={to("/traces", { method: `${m.service}.${m.name}` })}>traces</a>
        </span>
      </div>
      <ul class="routes">
        {(m.routes ?? []).map((r, i) => <li key={i}><code><b>{r.verb}</b> {r.pattern}</code></li>)}
        {m.grpc && <li><code><b>gRPC</b> {m.grpc.method}</code>{streams(m)}</li>}
        {m.jsonrpc && <li><code><b>JSON-RPC</b> {m.jsonrpc.method}</code> at <code>{m.jsonrpc.route.verb} {m.jsonrpc.route.pattern}</code></li>}
      </ul>
      {findings.length > 0 && (
        <details class="verdicts" open={bad > 0}>
          <summary>Proof: {counts(findings)}</summary>
          <ul class="findings">{ranked(findings).map((f, i) => <FindingItem key={i} finding={{ ...f, target: "" }} />)}</ul>
        </details>
      )}
      <Policy method={m} />
      {m.example && <Example example={m.example} />}
    </article>
  );
}

function streams({ grpc }: Method): string {
  if (grpc?.client_stream && grpc.server_stream) return " streams both ways";
  if (grpc?.client_stream) return " streams from the client";
  return grpc?.server_stream ? " streams from the server" : "";
}

function counts(findings: Finding[]): string {
  const by = new Map<string, number>();
  for (const f of ranked(findings)) by.set(f.verdict, (by.get(f.verdict) ?? 0) + 1);
  return [...by].map(([verdict, n]) => `${n} ${verdict}`).join(", ");
}

function Policy({ method: m }: { method: Method }): JSX.Element {
  const limits = m.rate_limits ?? [];
  return (
    <dl class="facts">
      {m.requirements && <Fact name="Callers need"><Alternatives all={m.requirements} /></Fact>}
      {m.grpc?.requirements && <Fact name="over gRPC"><Alternatives all={m.grpc.requirements} /></Fact>}
      {m.jsonrpc?.requirements && <Fact name="over JSON-RPC"><Alternatives all={m.jsonrpc.requirements} /></Fact>}
      <Fact name="Deadline">{m.deadline === "0s" ? "none" : period(m.deadline)}</Fact>
      <Fact name="Largest body">{m.max_body > 0 ? bytes(m.max_body) : "none"}{m.strict_body && ", unknown members are refused"}</Fact>
      {m.max_in_flight ? <Fact name="At once">{m.max_in_flight.toLocaleString("en")} calls</Fact> : null}
      {limits.length > 0 && <Fact name="Rate">{limits.map((l) => <div key={l.name} title={l.name}>{rateLimit(l)}</div>)}</Fact>}
      {m.shed_priority && <Fact name="Under overload">{m.shed_priority} priority</Fact>}
      {m.idempotency && (
        <Fact name="Idempotency">
          <code>{m.idempotency.header}</code>, kept {period(m.idempotency.keep)}{m.idempotency.required ? ", required" : ""}
        </Fact>
      )}
      {m.stream_idle && <Fact name="Idle streams end">after {period(m.stream_idle)}</Fact>}
      {m.message_rate && <Fact name="Messages">{m.message_rate.rate} in {period(m.message_rate.per)}, at once {m.message_rate.burst}</Fact>}
      {m.sensitive && <Fact name="Never logged">{codes(m.sensitive)}</Fact>}
      {m.cors && <Fact name="Pages of">{m.cors.origins.join(", ")}{m.cors.credentials && ", with credentials"}</Fact>}
      {m.consumes && <Fact name="Takes">{codes(m.consumes)}</Fact>}
      {m.produces && <Fact name="Answers">{codes(m.produces)}</Fact>}
      {m.request_headers && <Fact name="Reads headers">{codes(m.request_headers)}</Fact>}
      {m.response_headers && <Fact name="Writes headers">{codes(m.response_headers)}</Fact>}
      {m.jsonrpc?.errors && <Fact name="Errors">{Object.entries(m.jsonrpc.errors).map(([name, code]) => `${name} (${code})`).join(", ")}</Fact>}
    </dl>
  );
}

const codes = (all: string[]) => all.map((c, i) => <span key={c}>{i > 0 && ", "}<code>{c}</code></span>);

function Alternatives({ all }: { all: Requirement[] }): JSX.Element {
  return <>{all.map((r, i) => <div key={i}>{i > 0 && "or "}{requirement(r)}</div>)}</>;
}

function Example({ example: e }: { example: NonNullable<Method["example"]> }): JSX.Element {
  const header = Object.entries(e.header ?? {}).map(([name, v]) => `${name}: ${v}`);
  const body = e.body === undefined ? [] : ["", JSON.stringify(e.body, null, 2)];
  return (
    <details>
      <summary>Example, answered with {e.status}</summary>
      <pre tabIndex={0}>{[`${e.verb} ${e.path}`, ...header, ...body].join("\n")}</pre>
    </details>
  );
}
