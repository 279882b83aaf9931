// Charts of what a process needs: CPU, memory, goroutines.
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { LineChart, type LineSeries } from "../chart/line";
import { named } from "../chart/unit";
import { useData, type Instrument, type MetricSeries } from "../lib/api";
import { useLocation } from "../lib/location";
import { ErrorBox } from "../lib/ui";

/** Gauge is a chart of one metric, if the service sends it. */
interface Gauge {
  name: string;
  title: string;
  by?: string;
  /** A second metric in the same unit. */
  beside?: { name: string; label: string };
  /** Seconds a second are cores. */
  cores?: boolean;
}

const gauges: Gauge[] = [
  { name: "process.cpu.time", title: "CPU", by: "cpu.mode", cores: true },
  { name: "go.cpu.time", title: "CPU", by: "go.cpu.state", cores: true },
  { name: "jvm.cpu.time", title: "CPU", cores: true },
  { name: "go.memory.used", title: "Memory", by: "go.memory.type", beside: { name: "go.memory.gc.goal", label: "goal of the next collection" } },
  { name: "jvm.memory.used", title: "Memory", by: "jvm.memory.type" },
  { name: "process.memory.usage", title: "Resident memory" },
  { name: "go.goroutine.count", title: "Goroutines" },
  { name: "jvm.thread.count", title: "Threads" },
  { name: "go.memory.allocated", title: "Allocated" },
  { name: "go.memory.allocations", title: "Allocations" },
  { name: "go.memory.gc.cycles", title: "Collections" },
  { name: "go.memory.gc.pause.duration", title: "Pauses of collections" },
  { name: "jvm.gc.duration", title: "Collections" },
  { name: "go.schedule.duration", title: "Scheduling delay" },
  { name: "nodejs.eventloop.utilization", title: "Use of the event loop" },
  { name: "aguada.requests.in_flight", title: "Requests in flight", beside: { name: "aguada.requests.adaptive_limit", label: "adaptive limit" } },
  { name: "aguada.streams.open", title: "Open streams" },
];

export function Gauges({ service }: { service: string }): JSX.Element {
  const { query } = useLocation();
  const { data, error } = useData<Instrument[]>("/metrics", { since: query["since"], until: query["until"], service }, { live: true });
  const known = new Set((data ?? []).map((i) => i.name));
  const some = gauges.filter((g) => known.has(g.name));
  return (
    <section class="panel" aria-labelledby="process">
      <h2 id="process">Process</h2>
      {error && <ErrorBox error={error} />}
      {data && some.length === 0 && (
        <p class="none">The service sent no metric of its process in this time. Metrics arrive every 60 s by default: choose a longer time.</p>
      )}
      <div class="gauges">
        {some.map((g) => <Chart key={g.name} gauge={g} service={service} beside={g.beside && known.has(g.beside.name) ? g.beside.name : undefined} />)}
      </div>
    </section>
  );
}

function Chart({ gauge, service, beside }: { gauge: Gauge; service: string; beside: string | undefined }): JSX.Element | null {
  const { query, set } = useLocation();
  const time = { since: query["since"], until: query["until"], service };
  const { data, error } = useData<MetricSeries>("/metrics/series", { ...time, name: gauge.name, by: gauge.by }, { live: true });
  const second = useData<MetricSeries>(beside ? "/metrics/series" : null, { ...time, name: beside }, { live: true }).data;
  const times = useMemo(() => (data?.times ?? []).map((t) => Date.parse(t) / 1000), [data]);
  const series = useMemo(() => (data ? [...lines(data, gauge.by), ...(second ? other(second, gauge.beside?.label ?? "") : [])] : []), [data, second]);
  if (error) return <ErrorBox error={error} />;
  if (!data) return <div class="gauge-room" aria-busy="true" />;
  const unit = gauge.cores ? "cores" : named(data.unit, data.rate);
  const zoom = (from: number, to: number) => set({ since: new Date(from * 1000).toISOString(), until: new Date(to * 1000).toISOString() });
  return (
    <LineChart id={gauge.name} title={gauge.title} note={unit} times={times} series={series} unit={gauge.cores ? "" : data.unit}
      rate={data.rate && !gauge.cores} height={150} group="process" onRange={zoom} />
  );
}

/** lines are a histogram's quantiles, or the values of each series. */
function lines(data: MetricSeries, by: string | undefined): LineSeries[] {
  if (data.type.includes("histogram")) {
    const first = data.series[0];
    return first ? [{ label: "p50", values: first.p50 ?? [] }, { label: "p99", values: first.p99 ?? [] }] : [];
  }
  return data.series.map((l) => ({ label: String((by && l.attributes?.[by]) ?? data.name), values: l.values }));
}

function other(data: MetricSeries, label: string): LineSeries[] {
  const first = data.series[0];
  return first ? [{ label, values: first.values }] : [];
}
