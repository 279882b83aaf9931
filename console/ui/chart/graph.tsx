// A graph of what calls what, from left to right.
import type { JSX } from "preact";
import { useMemo, useRef, useState } from "preact/hooks";
import { Figure, type Cells } from "./figure";
import { place, type Placed, type Point, type Sizes } from "./layers";
import { useWidth } from "./size";

export interface GraphNode {
  id: string;
  name: string;
  kind: "service" | "database" | "messaging" | "external" | "caller";
  /** The second line of its box. */
  note: string;
  bad: boolean;
  href: string;
}

export interface GraphEdge {
  from: string;
  to: string;
  calls: number;
  /** Says between what it is. */
  title: string;
  /** What is written at the line, in at most two lines. */
  label: string[];
  bad: boolean;
  href: string;
}

export interface GraphProps {
  id: string;
  title: string;
  nodes: GraphNode[];
  edges: GraphEdge[];
  table: () => Cells;
}

const sizes: Sizes = { node: { width: 184, height: 48 }, gap: { x: 172, y: 38 }, margin: { x: 14, y: 14 } };
const tight = 132; // the gap between layers where there is little room
const smallest = 0.85; // of its size, to which the drawing shrinks before it scrolls

export function GraphChart(p: GraphProps): JSX.Element {
  return (
    <Figure id={p.id} title={p.title} table={p.table}>
      <Drawing {...p} />
    </Figure>
  );
}

function Drawing({ title, nodes, edges }: GraphProps): JSX.Element {
  const [active, setActive] = useState("");
  const shape = JSON.stringify([nodes.map((n) => n.id), edges.map((e) => [e.from, e.to])]);
  const host = useRef<HTMLDivElement>(null);
  const room = useWidth(host);
  const placed = useMemo(() => fit(nodes, edges, room), [shape, room]);
  const scale = Math.max(smallest, Math.min(1, room / placed.width));
  const most = Math.max(1, ...edges.map((e) => e.calls));
  const near = (e: GraphEdge) => active === "" || e.from === active || e.to === active;
  const fans = (e: GraphEdge) => edges.filter((o) => o.to === e.to).length > edges.filter((o) => o.from === e.from).length;
  const beside = (id: string) => active === "" || id === active || edges.some((e) => near(e) && (e.from === id || e.to === id));
  return (
    <div class="graph" ref={host} role="group" tabIndex={0} aria-label={`${title}: ${nodes.length} nodes, ${edges.length} edges`}>
      <svg width={placed.width * scale} height={placed.height * scale} viewBox={`0 0 ${placed.width} ${placed.height}`}>
        <defs><Arrow id="arrow" /><Arrow id="arrow-bad" /></defs>
        {edges.map((e, i) => <Line key={`${e.from}\u0000${e.to}`} edge={e} points={placed.arcs[i] ?? []} most={most} dim={!near(e)} />)}
        {edges.map((e, i) => <Label key={`${e.from}\u0000${e.to}`} edge={e} points={placed.arcs[i] ?? []} dim={!near(e)} first={fans(e)} />)}
        {nodes.map((n) => (
          <Box key={n.id} node={n} at={placed.nodes.get(n.id) ?? { x: 0, y: 0 }} dim={!beside(n.id)} setActive={setActive} />
        ))}
      </svg>
    </div>
  );
}

/** fit places all with as much room between layers as the width allows. */
function fit(nodes: GraphNode[], edges: GraphEdge[], room: number): Placed {
  const vertices = nodes.map((n) => ({ id: n.id, last: n.kind !== "service" && n.kind !== "caller" }));
  const margin = { x: 14, y: edges.some((e) => e.from === e.to) ? 52 : 14 }; // loops are drawn above their node
  const wide = place(vertices, edges, { ...sizes, margin });
  return wide.width <= room ? wide : place(vertices, edges, { ...sizes, gap: { ...sizes.gap, x: tight }, margin });
}

function Arrow({ id }: { id: string }): JSX.Element {
  return (
    <marker id={id} viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto">
      <path d="M0 0 8 4 0 8z" class={id} />
    </marker>
  );
}

/** ends moves the ends of a way from the centres of its nodes to their sides. */
function ends(points: Point[]): Point[] {
  const half = sizes.node.width / 2;
  const back = points.at(-1)!.x < points[0]!.x;
  const shift = back ? -half : half;
  const aside = back ? 10 : 0;
  return points.map((p, i) => ({
    x: i === 0 ? p.x + shift : i === points.length - 1 ? p.x - shift : p.x,
    y: p.y + aside,
  }));
}

function way(points: Point[]): string {
  if (points.length < 2) return "";
  if (points.length === 2 && points[0]!.x === points[1]!.x && points[0]!.y === points[1]!.y) {
    const { x, y } = points[0]!;
    const top = y - sizes.node.height / 2;
    return `M${x - 30} ${top}C${x - 30} ${top - 34} ${x + 30} ${top - 34} ${x + 30} ${top - 1}`;
  }
  const at = ends(points);
  let d = `M${at[0]!.x} ${at[0]!.y}`;
  for (let i = 1; i < at.length; i++) {
    const a = at[i - 1]!;
    const b = at[i]!;
    const middle = (a.x + b.x) / 2;
    d += `C${middle} ${a.y} ${middle} ${b.y} ${b.x} ${b.y}`;
  }
  return d;
}

interface LineProps {
  edge: GraphEdge;
  points: Point[];
  dim: boolean;
}

function Line({ edge, points, most, dim }: LineProps & { most: number }): JSX.Element {
  const width = 1 + 5 * (Math.log1p(edge.calls) / Math.log1p(most));
  return (
    <path class={`edge${edge.bad ? " edge-bad" : ""}${dim ? " dim" : ""}`} d={way(points)} stroke-width={width.toFixed(1)}
      marker-end={`url(#${edge.bad ? "arrow-bad" : "arrow"})`} />
  );
}

/**
 * Label is at the last part of the way, near its end, where the lines of one
 * source are apart; or first, near the begin, where those of one target are.
 */
function Label({ edge, points, dim, first }: LineProps & { first: boolean }): JSX.Element | null {
  if (points.length < 2) return null;
  const at = ends(points);
  const self = points.length === 2 && points[0]!.x === points[1]!.x;
  const [a, b] = first ? [at[0]!, at[1]!] : [at.at(-2)!, at.at(-1)!];
  const t = first ? 0.38 : 0.62;
  const width = 8 + 6 * Math.max(...edge.label.map((l) => l.length));
  const free = Math.max(0, Math.abs(b.x - a.x) - width - 8) / 2; // on both sides of a label in the middle
  const off = Math.min(Math.max((b.x - a.x) * (along(t, 0, 0.5, 0.5, 1) - 0.5), -free), free);
  const height = 4 + 13 * edge.label.length;
  const flat = !self && Math.abs(b.y - a.y) < 28; // beside a flat line, not on it: there would be nothing left of it
  const x = self ? points[0]!.x : (a.x + b.x) / 2 + (flat ? 0 : off);
  const y = (self ? points[0]!.y - sizes.node.height / 2 - 28 : a.y + (b.y - a.y) * along(t, 0, 0, 1, 1)) - (flat ? height / 2 + 4 : 0);
  return (
    <a href={edge.href} class={`edge-label${edge.bad ? " edge-label-bad" : ""}${dim ? " dim" : ""}`}>
      <title>{edge.title}</title>
      <rect x={x - width / 2} y={y - height / 2} width={width} height={height} rx={3} />
      {edge.label.map((line, i) => (
        <text key={i} x={x} y={y + (i - (edge.label.length - 1) / 2) * 13 + 4} text-anchor="middle">{line}</text>
      ))}
    </a>
  );
}

/** along is a Bézier curve of the third degree. */
function along(t: number, p0: number, p1: number, p2: number, p3: number): number {
  const u = 1 - t;
  return u * u * u * p0 + 3 * u * u * t * p1 + 3 * u * t * t * p2 + t * t * t * p3;
}

function Box({ node, at, dim, setActive }: { node: GraphNode; at: Point; dim: boolean; setActive: (id: string) => void }): JSX.Element {
  const { width, height } = sizes.node;
  const left = at.x - width / 2;
  const top = at.y - height / 2;
  const enter = () => setActive(node.id);
  const leave = () => setActive("");
  return (
    <a href={node.href} class={`node node-${node.kind}${node.bad ? " node-bad" : ""}${dim ? " dim" : ""}`}
      onMouseEnter={enter} onMouseLeave={leave} onFocus={enter} onBlur={leave}>
      <title>{`${node.kind} ${node.name}: ${node.note}`}</title>
      <rect x={left} y={top} width={width} height={height} rx={node.kind === "caller" ? height / 2 : 4} />
      <text class="node-name" x={left + 12} y={top + 20}>{cut(node.name, 20)}</text>
      <text class="node-note" x={left + 12} y={top + 37}>{cut(node.note, 28)}</text>
    </a>
  );
}

const cut = (s: string, most: number) => (s.length > most ? `${s.slice(0, most - 1)}…` : s);
