// Metrics: any metric over time, grouped and filtered.
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { HeatMap } from "../chart/heat";
import { LineChart, Swatch, type LineSeries } from "../chart/line";
import type { Mark } from "../chart/marks";
import { named, value } from "../chart/unit";
import { url, useData, type Exemplar, type Instrument, type Line, type MetricSeries } from "../lib/api";
import { text, Time } from "../lib/format";
import { to, useLocation } from "../lib/location";
import { Empty, ErrorBox, Field, Loading } from "../lib/ui";
import { Filters, join, list } from "./filters";
import { Instruments, kind } from "./instruments";

const statistics = ["p50", "p95", "p99", "mean", "rate"] as const;
type Statistic = (typeof statistics)[number];

export default function Metrics(): JSX.Element {
  const { query } = useLocation();
  const { data, error } = useData<Instrument[]>("/metrics", { since: query["since"], until: query["until"], service: query["service"] }, { live: true });
  const name = query["name"] ?? "";
  return (
    <section class="page">
      <h1>Metrics</h1>
      {error && <ErrorBox error={error} />}
      {!data && !error && <Loading />}
      {data?.length === 0 && <Nothing />}
      {data && data.length > 0 && (
        <div class="explorer">
          <Instruments all={data} name={name} />
          {name ? <Metric name={name} instrument={data.find((i) => i.name === name)} />
            : <p class="none">Choose a metric from the list.</p>}
        </div>
      )}
    </section>
  );
}

function Nothing(): JSX.Element {
  return (
    <Empty title="No metric in this time">
      <p>Metrics arrive once in a while: every 60 s by default, every <code>OTEL_METRIC_EXPORT_INTERVAL</code> milliseconds. Choose a longer time, or see the overview for how a service sends them.</p>
      <p><a href={to("/")}>Overview</a></p>
    </Empty>
  );
}

/** What ?by= can say besides the name of an attribute. */
const together = "-"; // no attribute has this name: all series are put together
const apart = "*";

/** grouping returns by what series are put together: histograms all, unless ?by= says otherwise, others by nothing. */
function grouping(by: string | undefined, instrument: Instrument | undefined): string {
  return by || (instrument?.type.includes("histogram") ? together : apart);
}

function Metric({ name, instrument }: { name: string; instrument: Instrument | undefined }): JSX.Element {
  const { query } = useLocation();
  const by = grouping(query["by"], instrument);
  const { data, error } = useData<MetricSeries>("/metrics/series", {
    name, since: query["since"], until: query["until"], service: query["service"], attr: list(query["attr"]), by: by === apart ? undefined : by,
  }, { live: true });
  return (
    <div class="metric">
      <h2 class="mono">{name}</h2>
      {instrument && (
        <p class="quiet">
          {instrument.description && <>{instrument.description} </>}
          {[kind(instrument), named(instrument.unit, false), instrument.temporality, `${instrument.series} series`, instrument.services.join(", ")].filter(Boolean).join(" · ")}
        </p>
      )}
      <Controls name={name} by={by} attributes={instrument?.attributes ?? []} />
      {error && (error.name === "not_found" ? <p class="none">The filters match nothing in this time.</p> : <ErrorBox error={error} />)}
      {data?.name === name && error?.name !== "not_found" && <Charts data={data} by={by} />}
      {data?.name !== name && !error && <Loading />}
    </div>
  );
}

function Controls({ name, by, attributes }: { name: string; by: string; attributes: string[] }): JSX.Element {
  const { query, set } = useLocation();
  const others = attributes.includes(by) || by === together || by === apart ? attributes : [...attributes, by];
  const all = url("/metrics.ndjson", { name, since: query["since"], until: query["until"], service: query["service"], attr: list(query["attr"]) });
  return (
    <div class="controls">
      <Field label="Group by">
        <select value={by} onChange={(e) => set({ by: e.currentTarget.value, stat: undefined })}>
          <option value={together}>nothing: all together</option>
          <option value={apart}>every set of attributes</option>
          {others.map((a) => <option key={a} value={a}>{a}</option>)}
        </select>
      </Field>
      <Filters names={attributes} />
      <a class="button" href={all} download={`${name}.ndjson`}>Export NDJSON</a>
    </div>
  );
}

const seconds = (time: string) => Date.parse(time) / 1000;

function Charts({ data, by }: { data: MetricSeries; by: string }): JSX.Element {
  const { query, set } = useLocation();
  const histogram = data.heat !== undefined || data.type.includes("histogram");
  const times = useMemo(() => data.times.map(seconds), [data]);
  const stat: Statistic = statistics.find((s) => s === query["stat"]) ?? (data.series.length > 1 ? "p95" : "p50");
  const quantile = histogram && data.series.length === 1 && !query["stat"];
  const series = useMemo(() => (quantile ? quantiles(data.series[0]!) : data.series.map((l) => one(l, data, histogram ? stat : "mean", by))), [data, stat, quantile, by]);
  const exemplars = useMemo(() => within(data), [data]);
  const marks = useMemo(() => exemplars.map((e) => dot(e, data.unit)), [exemplars]);
  const zoom = (from: number, to: number) => set({ since: new Date(from * 1000).toISOString(), until: new Date(to * 1000).toISOString() });
  const rate = histogram ? stat === "rate" && !quantile : data.rate;
  const unit = rate && histogram ? "" : data.unit;
  const what = histogram ? (quantile ? "p50, p95, p99" : stat) : named(data.unit, data.rate) || "value";
  return (
    <>
      {histogram && <Choices stat={quantile ? "" : stat} single={data.series.length === 1} />}
      <LineChart id="series" title={what} note={data.more ? `the largest ${data.series.length} of ${data.series.length + data.more} series` : undefined}
        times={times} series={series} unit={unit} rate={rate} height={260} onRange={zoom} marks={histogram && stat !== "rate" ? marks : undefined} />
      {data.heat && (
        <HeatMap id="heat" title="How many took which value" note="dots are exemplars: they open their trace" times={times} buckets={data.heat} unit={data.unit} marks={marks} onRange={zoom} />
      )}
      <SeriesTable series={series} unit={unit} rate={rate} lines={quantile ? [] : data.series} />
      {exemplars.length > 0 && <Exemplars exemplars={exemplars} unit={data.unit} />}
    </>
  );
}

/** Choices are the statistics of a histogram. */
function Choices({ stat, single }: { stat: string; single: boolean }): JSX.Element {
  const { set } = useLocation();
  const all = single ? ["", ...statistics] : statistics;
  return (
    <div class="choices" role="group" aria-label="Statistic">
      {all.map((s) => (
        <button key={s} type="button" aria-pressed={s === stat} onClick={() => set({ stat: s || undefined }, { replace: true })}>{s || "quantiles"}</button>
      ))}
    </div>
  );
}

function quantiles(l: Line): LineSeries[] {
  return (["p50", "p95", "p99"] as const).map((q) => ({ label: q, values: l[q] ?? [] }));
}

function one(l: Line, data: MetricSeries, stat: Statistic, by: string): LineSeries {
  const values = stat === "mean" ? l.values : stat === "rate" ? l.count : l[stat];
  return { label: name(l, data, by), values: values ?? [] };
}

/** name tells a series from the others: by its service, and by the attributes in which they differ. */
function name(l: Line, data: MetricSeries, by: string): string {
  const differ = (of: (s: Line) => unknown) => data.series.some((s) => of(s) !== of(data.series[0]!));
  const all = Object.entries(l.attributes ?? {});
  const some = all.filter(([k]) => differ((s) => s.attributes?.[k]));
  const last = (k: string) => k.slice(k.lastIndexOf(".") + 1);
  const alone = (k: string) => some.filter(([o]) => last(o) === last(k)).length === 1;
  const words = all.length === 1 && all[0]![0] === by ? String(all[0]![1]) : some.map(([k, v]) => `${alone(k) ? last(k) : k}=${String(v)}`).join(" ");
  const service = data.series.every((s) => s.service) && differ((s) => s.service) ? l.service : "";
  return [service, words].filter(Boolean).join(" ") || l.service || data.name;
}

const trace = (e: Exemplar) => to(`/traces/${e.trace_id}`, { span: e.span_id });

const dot = (e: Exemplar, unit: string): Mark => ({ time: seconds(e.time), value: e.value, href: trace(e), title: `${value(e.value, unit)}: open the trace` });

/** within leaves out exemplars from before the time that is shown: counters go on sending them. */
function within(data: MetricSeries): Exemplar[] {
  const [first, second] = data.times.map(seconds);
  const begin = first === undefined ? 0 : first - ((second ?? first) - first);
  return data.exemplars.filter((e) => seconds(e.time) >= begin);
}

function SeriesTable({ series, lines, unit, rate }: { series: LineSeries[]; lines: Line[]; unit: string; rate: boolean }): JSX.Element {
  const { query, set } = useLocation();
  const only = (l: Line) => {
    const more = Object.entries(l.attributes ?? {}).map(([k, v]) => `${k}=${String(v)}`);
    set({ attr: join([...new Set([...list(query["attr"]), ...more])]) });
  };
  return (
    <div class="cells" tabIndex={0} role="region" aria-label="Series">
      <table>
        <thead><tr><th scope="col">Series</th><th scope="col" class="num">Least</th><th scope="col" class="num">Mean</th><th scope="col" class="num">Most</th><th scope="col" class="num">Last</th></tr></thead>
        <tbody>
          {series.map((s, i) => {
            const some = s.values.filter((v): v is number => v !== null);
            const mean = some.reduce((sum, v) => sum + v, 0) / some.length;
            const numbers = [Math.min(...some), mean, Math.max(...some), some.at(-1) ?? null];
            const line = lines[i];
            return (
              <tr key={i}>
                <th scope="row"><Swatch index={i} /> {line && Object.keys(line.attributes ?? {}).length > 0
                  ? <button type="button" class="link" title="Show only this" onClick={() => only(line)}>{s.label}</button> : s.label}</th>
                {numbers.map((n, c) => <td key={c} class="num">{value(n, unit, rate)}</td>)}
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function Exemplars({ exemplars, unit }: { exemplars: Exemplar[]; unit: string }): JSX.Element {
  const said = exemplars.some((e) => Object.keys(e.attributes ?? {}).length > 0);
  const slowest = [...exemplars].sort((a, b) => b.value - a.value).slice(0, 50);
  return (
    <section aria-labelledby="exemplars">
      <h3 id="exemplars">Exemplars, the largest first</h3>
      <div class="cells" tabIndex={0} role="region" aria-label="Exemplars">
        <table>
          <thead><tr><th scope="col">Trace</th><th scope="col" class="num">Value</th><th scope="col">Time</th>{said && <th scope="col">Attributes</th>}</tr></thead>
          <tbody>
            {slowest.map((e, i) => (
              <tr key={i}>
                <th scope="row"><a class="mono" href={trace(e)}>{e.trace_id.slice(0, 12)}</a></th>
                <td class="num">{value(e.value, unit)}</td>
                <td><Time at={e.time} /></td>
                {said && <td>{Object.entries(e.attributes ?? {}).map(([k, v]) => `${k}=${text(v)}`).join(" ")}</td>}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
