// Map: services and what they depend on.
import type { JSX } from "preact";
import { GraphChart, type GraphEdge, type GraphNode } from "../chart/graph";
import { useData, type Edge, type Graph, type Node } from "../lib/api";
import { count, duration, percent, rate } from "../lib/format";
import { to, useLocation, type Values } from "../lib/location";
import { Empty, ErrorBox, Loading } from "../lib/ui";

export default function ServiceMap(): JSX.Element {
  const { query } = useLocation();
  const { data, error } = useData<Graph>("/map", { since: query["since"], until: query["until"] }, { live: true });
  return (
    <section class="page">
      <h1>Map</h1>
      {error && <ErrorBox error={error} />}
      {data ? <Picture graph={data} service={query["service"] ?? ""} /> : !error && <Loading />}
    </section>
  );
}

function Picture({ graph, service }: { graph: Graph; service: string }): JSX.Element {
  if (graph.nodes.length === 0) {
    return (
      <Empty title="No spans in this time">
        <p>The map is drawn from spans: choose a longer time, or see the overview for how a service sends them.</p>
        <p><a href={to("/")}>Overview</a></p>
      </Empty>
    );
  }
  const seen = around(graph, service);
  const names = new Map(graph.nodes.map((n) => [n.id, n.name]));
  const link = (q: Values) => to("/traces", { service: undefined, ...q });
  const nodes = seen.nodes.map((n): GraphNode => ({ id: n.id, name: n.name, kind: n.kind, note: note(n), bad: failing(n), href: link(spansOf(n)) }));
  const edges = seen.edges.map((e): GraphEdge => ({
    from: e.from, to: e.to, calls: e.calls, bad: failing(e), label: label(e), title: `${names.get(e.from)} to ${names.get(e.to)}`,
    href: link(between(e, graph)),
  }));
  const table = () => ({
    texts: 2,
    head: ["From", "To", "Calls", "A second", "Errors", "p95"],
    rows: [...seen.edges].sort((a, b) => b.calls - a.calls).map((e) => [
      names.get(e.from) ?? e.from, <a href={link(between(e, graph))}>{names.get(e.to) ?? e.to}</a>, count(e.calls), rate(e.rate),
      e.errors ? `${count(e.errors)} (${percent(e.errors / e.calls)})` : "0", e.p95_ns === undefined ? "–" : duration(e.p95_ns),
    ]),
  });
  return (
    <>
      <GraphChart id="map" title={service ? `What ${service} calls, and what calls it` : "Callers, services, dependencies"} nodes={nodes} edges={edges} table={table} />
      <p class="quiet">From the spans that were sent, which may be a sample. A line is as wide as it has calls, and red where 1 % of them or more failed.</p>
    </>
  );
}

/** around leaves what is not next to the service out; all is kept where none is chosen, or it made no span. */
function around(graph: Graph, service: string): Graph {
  const centre = graph.nodes.find((n) => n.kind === "service" && n.name === service);
  if (!centre) return graph;
  const edges = graph.edges.filter((e) => e.from === centre.id || e.to === centre.id);
  const ids = new Set([centre.id, ...edges.flatMap((e) => [e.from, e.to])]);
  return { nodes: graph.nodes.filter((n) => ids.has(n.id)), edges };
}

const failing = (v: { calls: number; errors: number }) => v.errors > 0 && v.errors >= v.calls / 100;

/** failed is the share of what failed. */
function failed({ errors, calls }: { calls: number; errors: number }): string {
  return `${percent(errors / Math.max(calls, 1))} failed`;
}

/** note says how much went through a node; what failed on the way to a dependency is said at the line. */
function note(n: Node): string {
  const calls = `${count(n.calls)} calls`;
  if (n.kind === "caller") return "from outside";
  if (n.kind !== "service") return `${n.system ?? n.kind} · ${calls}`;
  return n.errors ? `${calls} · ${failed(n)}` : calls;
}

function label(e: Edge): string[] {
  const slow = e.p95_ns === undefined ? "" : ` · p95 ${duration(e.p95_ns)}`;
  return e.errors ? [rate(e.rate) + slow, failed(e)] : [rate(e.rate) + slow];
}

/** spansOf finds the spans of a node. */
function spansOf(n: Node): Values {
  switch (n.kind) {
    case "service": return { service: n.name };
    case "caller": return { kind: "server" };
    default: return { q: n.name };
  }
}

/** between finds the spans of an edge. */
function between(e: Edge, graph: Graph): Values {
  const from = graph.nodes.find((n) => n.id === e.from);
  const target = graph.nodes.find((n) => n.id === e.to);
  if (target?.kind === "service") return { service: target.name, kind: "server" };
  return { service: from?.kind === "service" ? from.name : undefined, q: target?.name };
}
