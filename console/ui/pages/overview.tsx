// Overview: the services, and the console itself.
import type { JSX } from "preact";
import { useData, type ConsoleState, type Kept, type Overview as State, type ServiceState } from "../lib/api";
import { age, bytes, count, duration, percent, rate, Time } from "../lib/format";
import { to, useLocation } from "../lib/location";
import { Badge, Copy, Empty, ErrorBox, Loading, Sparkline, type Tone } from "../lib/ui";

export default function Overview(): JSX.Element {
  const { query } = useLocation();
  const { data, error } = useData<State>("/overview", { since: query["since"], until: query["until"] }, { live: true, every: 10 });
  const chosen = query["service"];
  const some = data?.services.filter((s) => !chosen || s.name === chosen) ?? [];
  return (
    <section class="page">
      <h1>Overview</h1>
      {error && <ErrorBox error={error} />}
      {!data && !error && <Loading />}
      {data && some.length === 0 && <Nothing state={data.console} />}
      {some.length > 0 && <div class="services">{some.map((s) => <Service key={s.name} service={s} />)}</div>}
      {data && <Console state={data.console} />}
    </section>
  );
}

const tones: Record<string, Tone> = { ready: "good", sending: "good", degraded: "warn", draining: "warn", silent: "plain", unready: "bad", unreachable: "bad" };

const meanings: Record<string, string> = {
  ready: "Its private port says that it is ready.", sending: "It sends telemetry; its private port is not known.", silent: "It has sent nothing for two minutes.",
  degraded: "It is ready, and a check fails.", unready: "It takes no requests.", draining: "It is stopping.", unreachable: "Its private port does not answer.",
};

function Service({ service: s }: { service: ServiceState }): JSX.Element {
  const r = s.rates;
  return (
    <article class="service" aria-labelledby={`service-${s.name}`}>
      <h2 id={`service-${s.name}`}>
        <a href={to("/methods", { service: s.name })}>{s.name}</a>
        <span title={meanings[s.health]}><Badge tone={tones[s.health] ?? "plain"}>{s.health}</Badge></span>
        <small class="quiet">{[s.version, s.language, s.instances > 1 ? `${s.instances} instances` : ""].filter(Boolean).join(" · ")}</small>
      </h2>
      <dl class="service-numbers">
        <div><dt>rate</dt><dd>{rate(r.rate)}</dd></div>
        <div><dt>errors</dt><dd class={r.errors > 0 ? "bad" : undefined}>{r.calls ? percent(r.errors / r.calls) : "–"}</dd></div>
        <div><dt>refused</dt><dd class={r.refused > 0 ? "warn" : undefined}>{count(r.refused)}</dd></div>
        {(["p50", "p95", "p99"] as const).map((q) => <div key={q}><dt>{q}</dt><dd>{quantile(r[`${q}_ns`])}</dd></div>)}
      </dl>
      <Sparkline values={r.spark} bad={r.failing} label={`Calls a second: ${rate(r.rate)} on average, ${count(r.errors)} of ${count(r.calls)} failed`} />
      <Warnings service={s} />
      <p class="links">
        <a href={to("/traces", { service: s.name })}>traces</a>
        {r.errors > 0 && <a class="bad" href={to("/traces", { service: s.name, status: "error" })}>failed traces</a>}
        <a href={to("/logs", { service: s.name })}>logs</a>
        <a href={to("/metrics", { service: s.name })}>metrics</a>
        {s.admin && <a href={to("/runtime", { service: s.name })}>runtime</a>}
        {s.known && <a href={to("/design", { service: s.name })}>design</a>}
      </p>
    </article>
  );
}

const quantile = (ns: number | undefined) => (ns === undefined ? "–" : duration(ns));

/** Warnings are what needs somebody: failing checks, what expires, silence. */
function Warnings({ service: s }: { service: ServiceState }): JSX.Element {
  const left = s.certificate_expires ? (Date.parse(s.certificate_expires) - Date.now()) / 1000 : undefined;
  return (
    <>
      {s.checks?.filter((c) => c.status !== "ok").map((c) => <p key={c.name} class="bad">{c.name}: {c.error || c.status}</p>)}
      {left !== undefined && <p class={left < 7 * 86400 ? "bad" : left < 30 * 86400 ? "warn" : "quiet"}>certificate {left < 0 ? "has expired" : `ends in ${age(left)}`}</p>}
      {s.keyset_age_s !== undefined && <p class="quiet">keys fetched {age(s.keyset_age_s)} ago</p>}
      {s.last_seen && (s.health === "silent" || s.health === "unreachable") && <p class="quiet">last seen <Time at={s.last_seen} /></p>}
    </>
  );
}

function Console({ state: c }: { state: ConsoleState }): JSX.Element {
  return (
    <section class="panel" aria-labelledby="kept">
      <h2 id="kept">This console</h2>
      <dl class="kept">
        <div><dt>memory</dt><dd>{bytes(c.bytes)} of {bytes(c.budget)}</dd></div>
        <Signal name="spans" kept={c.spans} />
        <Signal name="log records" kept={c.logs} />
        <Signal name="metric points" kept={c.points} />
        <div><dt>OTLP over HTTP</dt><dd>{c.http || "off"}</dd></div>
        <div><dt>OTLP over gRPC</dt><dd>{c.grpc || "off"}</dd></div>
        <div><dt>kept in</dt><dd>{c.file || "memory only"}</dd></div>
        <div><dt>version</dt><dd>{c.version} <a href="/openapi.json">API</a></dd></div>
      </dl>
    </section>
  );
}

function Signal({ name, kept }: { name: string; kept: Kept }): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{count(kept.kept)} kept of {count(kept.received)}
        {kept.evicted > 0 && <span class="quiet" title="the oldest, which gave way to newer ones"> · {count(kept.evicted)} gave way</span>}
        {kept.rejected > 0 && <span class="bad"> · {count(kept.rejected)} rejected</span>}
        {kept.oldest && <span class="quiet"> · since <Time at={kept.oldest} /></span>}
      </dd>
    </div>
  );
}

/** Nothing says how services send to the console. */
function Nothing({ state }: { state: ConsoleState }): JSX.Element {
  const grpc = !state.http;
  const lines = [
    `export OTEL_EXPORTER_OTLP_ENDPOINT=${location.protocol}//${grpc ? state.grpc : state.http}`,
    `export OTEL_EXPORTER_OTLP_PROTOCOL=${grpc ? "grpc" : "http/protobuf"}`,
    ...(state.authenticated ? ['export OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20TOKEN"'] : []),
    "export OTEL_SERVICE_NAME=my-service",
  ].join("\n");
  return (
    <Empty title="Nothing has arrived in this time">
      <p>Give a service, of any language with OpenTelemetry, these lines, and call it once:</p>
      <pre tabIndex={0}>{lines}</pre>
      <Copy value={lines} />
      <p>A service that uses Aguada is started with all of it by:</p>
      <pre tabIndex={0}>aguada run ./my-service</pre>
    </Empty>
  );
}
