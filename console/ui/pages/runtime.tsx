// Runtime: what a service's process does, and what can be done to it.
import type { JSX } from "preact";
import { useData, type Check, type Runtime } from "../lib/api";
import { duration, Time } from "../lib/format";
import { Badge, Loading } from "../lib/ui";
import { Gauges } from "./gauges";
import { Leases } from "./leases";
import { Profiles } from "./profile";
import { Chosen, Unknown } from "./service";
import { Settings } from "./settings";

export default function RuntimePage(): JSX.Element {
  return <Chosen title="Runtime" knows={() => true}>{(service) => <Page key={service} service={service} />}</Chosen>;
}

function Page({ service }: { service: string }): JSX.Element {
  const { data, error, reload } = useData<Runtime>(`/services/${encodeURIComponent(service)}/runtime`, {}, { every: 5 });
  return (
    <>
      {data && <State runtime={data} />}
      {error && <Unknown service={service} what="private port" error={error} />}
      {!data && !error && <Loading />}
      <Gauges service={service} />
      {data && <Profiles service={service} module={moduleOf(data.build)} />}
      {data && <Leases service={service} leases={data.leases} services={data.goa_services} refresh={reload} />}
      {data && <Settings settings={data.settings} />}
    </>
  );
}

/** built takes a text from what /build says. */
function built(build: unknown, name: string): string {
  if (typeof build !== "object" || build === null) return "";
  const text = (build as Record<string, unknown>)[name];
  return typeof text === "string" ? text : "";
}

/** moduleOf guesses the path of the program's module from that of its main package. */
const moduleOf = (build: unknown) => built(build, "main").replace(/\/cmd\/.*$/, "");

const tones: Record<string, "good" | "warn" | "bad"> = { ready: "good", ok: "good", starting: "warn", draining: "warn" };

function State({ runtime: r }: { runtime: Runtime }): JSX.Element {
  const facts = [r.uptime_s === undefined ? "" : `up for ${duration(r.uptime_s * 1e9)}`, built(r.build, "version"), built(r.build, "go"), built(r.build, "platform")];
  const failing = r.checks.some((c) => c.status !== "ok");
  return (
    <section class="panel" aria-labelledby="state">
      <h2 id="state">State <Badge tone={r.state === "ready" && failing ? "warn" : (tones[r.state] ?? "bad")}>{r.state}</Badge></h2>
      <p class="quiet">
        {facts.filter(Boolean).join(" · ")} · private port <code>{r.admin}</code>
      </p>
      {r.checks.length > 0 ? <ul class="checks">{r.checks.map((c) => <CheckItem key={c.name} check={c} />)}</ul> : <p class="none">The service has no checks.</p>}
    </section>
  );
}

function CheckItem({ check: c }: { check: Check }): JSX.Element {
  return (
    <li>
      <Badge tone={tones[c.status] ?? "bad"}>{c.status}</Badge> <b>{c.name}</b>{" "}
      <span class="quiet">{c.duration_ms !== undefined && duration(c.duration_ms * 1e6)}{c.since && <> · since <Time at={c.since} /></>}</span>
      {c.error && <p class="check-error">{c.error}</p>}
    </li>
  );
}
