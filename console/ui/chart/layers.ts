// The layout of the map: nodes in layers from left to right, by what calls
// what. Nothing is drawn here.

export interface Vertex {
  id: string;
  /** Last puts a node that calls nothing into the last layer: databases and the like. */
  last: boolean;
}

export interface Arc {
  from: string;
  to: string;
}

export interface Point {
  x: number;
  y: number;
}

export interface Placed {
  /** The centre of each node. */
  nodes: Map<string, Point>;
  /** For each arc, in their order, the points that it passes, from centre to centre. */
  arcs: Point[][];
  width: number;
  height: number;
}

export interface Sizes {
  node: { width: number; height: number };
  /** Between layers, and between nodes of one. */
  gap: { x: number; y: number };
  margin: { x: number; y: number };
}

/** Slot is a node, or a place where a long arc passes a layer. */
interface Slot {
  key: string;
  height: number;
  y: number;
  before: Slot[];
  after: Slot[];
}

/** place computes where everything is. The same graph gives the same places. */
export function place(vertices: Vertex[], arcs: Arc[], sizes: Sizes): Placed {
  const ids = new Set(vertices.map((v) => v.id));
  const forward = acyclic(vertices, arcs.filter((a) => a.from !== a.to && ids.has(a.from) && ids.has(a.to)));
  const layer = layers(vertices, forward);
  const depth = Math.max(0, ...layer.values()) + 1;
  const columns: Slot[][] = Array.from({ length: depth }, () => []);
  const slots = new Map<string, Slot>();
  const slot = (key: string, at: number, height: number) => {
    const s: Slot = { key, height, y: 0, before: [], after: [] };
    slots.set(key, s);
    columns[at]!.push(s);
    return s;
  };
  for (const v of vertices) slot(v.id, layer.get(v.id)!, sizes.node.height);
  const passed = forward.map((arc) => thread(arc, layer, slots, slot, sizes));
  for (let round = 0; round < 12; round++) order(columns, round % 2 === 0);
  arrange(columns, sizes);
  return measure(vertices, arcs, forward, passed, layer, slots, sizes);
}

/** Forward is an arc that goes from left to right; turned where the true one goes back. */
interface Forward extends Arc {
  turned: boolean;
}

/** acyclic turns the arcs that close a circle. */
function acyclic(vertices: Vertex[], arcs: Arc[]): Forward[] {
  const out = new Map<string, Arc[]>(vertices.map((v) => [v.id, []]));
  const indegree = new Map<string, number>(vertices.map((v) => [v.id, 0]));
  for (const a of arcs) {
    out.get(a.from)!.push(a);
    indegree.set(a.to, indegree.get(a.to)! + 1);
  }
  const state = new Map<string, "open" | "done">();
  const turned = new Set<Arc>();
  const visit = (id: string) => {
    state.set(id, "open");
    for (const a of out.get(id)!) {
      if (state.get(a.to) === "open") turned.add(a);
      else if (!state.has(a.to)) visit(a.to);
    }
    state.set(id, "done");
  };
  const sorted = [...vertices].sort((a, b) => indegree.get(a.id)! - indegree.get(b.id)!);
  for (const v of sorted) if (!state.has(v.id)) visit(v.id);
  return arcs.map((a) => (turned.has(a) ? { from: a.to, to: a.from, turned: true } : { ...a, turned: false }));
}

/** layers gives each node the length of the longest way to it. */
function layers(vertices: Vertex[], arcs: Forward[]): Map<string, number> {
  const layer = new Map<string, number>(vertices.map((v) => [v.id, 0]));
  const calls = new Set(arcs.map((a) => a.from));
  for (let round = 0, changed = true; changed && round <= vertices.length; round++) {
    changed = false;
    for (const a of arcs) {
      const least = layer.get(a.from)! + 1;
      if (layer.get(a.to)! < least) {
        layer.set(a.to, least);
        changed = true;
      }
    }
  }
  const end = Math.max(0, ...layer.values());
  for (const v of vertices) if (v.last && !calls.has(v.id) && end > 0) layer.set(v.id, end);
  return layer;
}

/** thread makes the places where an arc passes the layers between its ends, and returns all of its places. */
function thread(
  arc: Forward, layer: Map<string, number>, slots: Map<string, Slot>,
  slot: (key: string, at: number, height: number) => Slot, sizes: Sizes,
): string[] {
  const keys = [arc.from];
  const end = layer.get(arc.to)!;
  for (let at = layer.get(arc.from)! + 1; at < end; at++) {
    const key = `${arc.from}\u0000${arc.to}\u0000${arc.turned}\u0000${at}`;
    slot(key, at, sizes.node.height / 2);
    keys.push(key);
  }
  keys.push(arc.to);
  for (let i = 1; i < keys.length; i++) {
    slots.get(keys[i - 1]!)!.after.push(slots.get(keys[i]!)!);
    slots.get(keys[i]!)!.before.push(slots.get(keys[i - 1]!)!);
  }
  return keys;
}

/** order sorts each layer by where the neighbours in the layer before (or after) are. */
function order(columns: Slot[][], right: boolean): void {
  const sequence = right ? columns : [...columns].reverse();
  for (const column of columns) column.forEach((s, i) => (s.y = i));
  for (const column of sequence) {
    const weight = new Map<Slot, number>();
    column.forEach((s) => weight.set(s, mean(right ? s.before : s.after) ?? s.y));
    column.sort((a, b) => weight.get(a)! - weight.get(b)!);
    column.forEach((s, i) => (s.y = i));
  }
}

function mean(slots: Slot[]): number | undefined {
  return slots.length ? slots.reduce((sum, s) => sum + s.y, 0) / slots.length : undefined;
}

/** arrange stacks each layer, then draws slots towards their neighbours where there is room. */
function arrange(columns: Slot[][], sizes: Sizes): void {
  for (const column of columns) {
    const height = column.reduce((sum, s) => sum + s.height + sizes.gap.y, -sizes.gap.y);
    let top = -height / 2;
    for (const s of column) {
      s.y = top + s.height / 2;
      top += s.height + sizes.gap.y;
    }
  }
  for (let round = 0; round < 8; round++) {
    const right = round % 2 === 0;
    for (const column of right ? columns : [...columns].reverse()) {
      const wish = column.map((s) => mean(right ? s.before : s.after) ?? s.y);
      settle(column, wish, sizes.gap.y);
    }
  }
}

/** settle puts slots as near as it can to where they would be, in their order and apart. */
function settle(column: Slot[], wish: number[], gap: number): void {
  const apart = (a: Slot, b: Slot) => (a.height + b.height) / 2 + gap;
  const down: number[] = [];
  column.forEach((s, i) => down.push(i ? Math.max(wish[i]!, down[i - 1]! + apart(column[i - 1]!, s)) : wish[i]!));
  const up: number[] = [];
  for (let i = column.length - 1; i >= 0; i--) {
    const below = column[i + 1];
    up[i] = below ? Math.min(wish[i]!, up[i + 1]! - apart(column[i]!, below)) : wish[i]!;
  }
  column.forEach((s, i) => (s.y = (down[i]! + up[i]!) / 2));
}

function measure(
  vertices: Vertex[], arcs: Arc[], forward: Forward[], passed: string[][],
  layer: Map<string, number>, slots: Map<string, Slot>, sizes: Sizes,
): Placed {
  let top = 0;
  let bottom = 0;
  for (const s of slots.values()) {
    top = Math.min(top, s.y - s.height / 2);
    bottom = Math.max(bottom, s.y + s.height / 2);
  }
  const step = sizes.node.width + sizes.gap.x;
  const nodes = new Map<string, Point>();
  const x = (at: number) => sizes.margin.x + sizes.node.width / 2 + at * step;
  const y = (s: Slot) => s.y - top + sizes.margin.y;
  for (const v of vertices) nodes.set(v.id, { x: x(layer.get(v.id)!), y: y(slots.get(v.id)!) });
  let next = 0;
  const ways = arcs.map((a) => {
    const from = nodes.get(a.from);
    const to = nodes.get(a.to);
    if (!from || !to) return [];
    if (a.from === a.to) return [from, to];
    const turned = forward[next]!.turned;
    const keys = passed[next++]!;
    const first = layer.get(turned ? a.to : a.from)!;
    const points = keys.map((key, i) => ({ x: x(first + i), y: y(slots.get(key)!) }));
    return turned ? points.reverse() : points;
  });
  const last = Math.max(0, ...layer.values());
  return {
    nodes, arcs: ways,
    width: 2 * sizes.margin.x + sizes.node.width + last * step,
    height: 2 * sizes.margin.y + Math.max(bottom - top, sizes.node.height),
  };
}
