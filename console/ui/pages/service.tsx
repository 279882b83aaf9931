// What pages about one service share: which service, and what to do where the
// console knows too little of it.
import type { ComponentChildren, JSX } from "preact";
import { useData, type ApiError, type Overview, type ServiceState } from "../lib/api";
import { useLocation } from "../lib/location";
import { Empty, ErrorBox, Loading } from "../lib/ui";

export interface ChosenProps {
  title: string;
  /** Reports whether there is something to show of a service. */
  knows: (s: ServiceState) => boolean;
  children: (service: string) => ComponentChildren;
}

/** Chosen shows its children for the service that ?service= names, or for the only one of which there is something to show. */
export function Chosen({ title, knows, children }: ChosenProps): JSX.Element {
  const { query } = useLocation();
  const { data, error } = useData<Overview>("/overview", {});
  const named = query["service"] ?? "";
  const some = (data?.services ?? []).filter(knows);
  const service = named || (some.length === 1 ? some[0]!.name : "");
  return (
    <section class="page">
      <h1>{title}{service && <small> {service}</small>}</h1>
      {service ? children(service)
        : error ? <ErrorBox error={error} />
        : !data ? <Loading />
        : some.length > 0 ? <Choice services={some} />
        : <Empty title="The console knows only the telemetry of services"><HowTo service="my-service" contract={title === "Design"} /></Empty>}
    </section>
  );
}

function Choice({ services }: { services: ServiceState[] }): JSX.Element {
  const { link } = useLocation();
  return (
    <>
      <p>Of which service?</p>
      <ul class="choice">
        {services.map((s) => <li key={s.name}><a href={link({ service: s.name })}>{s.name}</a> <span class="quiet">{s.version}</span></li>)}
      </ul>
    </>
  );
}

/** Unknown says why the console cannot show what a page is about, and what to do. */
export function Unknown({ service, what, error }: { service: string; what: string; error: ApiError }): JSX.Element {
  if (error.name !== "not_found") return <ErrorBox error={error} />;
  return (
    <Empty title={`The console does not know the ${what} of ${service}`}>
      <p>Its telemetry does not say where it is.</p>
      <HowTo service={service} contract={what === "contract"} />
    </Empty>
  );
}

function HowTo({ service, contract }: { service: string; contract: boolean }): JSX.Element {
  return (
    <>
      <p>Start the service with the console beside it, in the folder of its module:</p>
      <pre tabIndex={0}>aguada run .</pre>
      <p>or tell the console where its private port (<code>ADMIN_ADDR</code>) is:</p>
      <pre tabIndex={0}>{`aguada console --admin ${service}=http://127.0.0.1:8082`}</pre>
      {contract && (
        <>
          <p>or where its contract is:</p>
          <pre tabIndex={0}>{`aguada console --contract ${service}=gen/production/contract.json`}</pre>
        </>
      )}
    </>
  );
}
