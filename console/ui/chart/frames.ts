// The layout of a flame graph: which frame is where, without any drawing.

export interface Frame {
  parent: number;
  name: string;
  file?: string;
  value: number;
  self: number;
}

/** Tree is a profile's frames with their children, the most expensive first. */
export interface Tree {
  frames: Frame[];
  children: number[][];
}

/** Box is a frame that is drawn: x and width are shares of the whole, 0 to 1. */
export interface Box {
  index: number;
  depth: number;
  x: number;
  width: number;
}

export function tree(frames: Frame[]): Tree {
  const children: number[][] = frames.map(() => []);
  frames.forEach((f, i) => {
    if (f.parent >= 0 && f.parent < i) children[f.parent]!.push(i);
  });
  for (const list of children) list.sort((a, b) => frames[b]!.value - frames[a]!.value || a - b);
  return { frames, children };
}

/** path returns the frame and its callers, the root first. */
export function path(t: Tree, index: number): number[] {
  const up: number[] = [];
  for (let i = index; i >= 0 && i < t.frames.length; i = t.frames[i]!.parent) up.unshift(i);
  return up;
}

/**
 * layout places the callers of zoom at full width, and below them zoom and all
 * that it called. Boxes narrower than the share least are left out, and so is
 * what is below them.
 */
export function layout(t: Tree, zoom: number, least: number): Box[] {
  const boxes: Box[] = [];
  const above = path(t, zoom);
  above.slice(0, -1).forEach((index, depth) => boxes.push({ index, depth, x: 0, width: 1 }));
  const whole = t.frames[zoom]?.value || 1;
  const pending: Box[] = [{ index: zoom, depth: above.length - 1, x: 0, width: 1 }];
  for (let box = pending.pop(); box; box = pending.pop()) {
    boxes.push(box);
    let x = box.x;
    const below: Box[] = [];
    for (const index of t.children[box.index] ?? []) {
      const width = t.frames[index]!.value / whole;
      if (width >= least) below.push({ index, depth: box.depth + 1, x, width });
      x += width;
    }
    pending.push(...below.reverse());
  }
  return boxes;
}

/** share returns what part of the whole is spent in matching frames and below them; none counts twice. */
export function share(t: Tree, matches: (f: Frame) => boolean): number {
  const total = t.frames[0]?.value ?? 0;
  if (total <= 0) return 0;
  let sum = 0;
  const pending = [0];
  for (let i = pending.pop(); i !== undefined; i = pending.pop()) {
    if (matches(t.frames[i]!)) sum += t.frames[i]!.value;
    else pending.push(...t.children[i]!);
  }
  return sum / total;
}

/** short leaves the folders of an import path out: net/http.(*conn).serve is http.(*conn).serve. */
export function short(name: string): string {
  const plain = bare(name);
  const end = plain.search(/[[(]/);
  const slash = plain.lastIndexOf("/", end < 0 ? undefined : end);
  return plain.slice(slash + 1);
}

/** bare leaves type arguments out: slices.Grow[go.shape.int] is slices.Grow[…]. */
export function bare(name: string): string {
  return name.replace(/\[.+\]/, "[…]");
}

export type Origin = "runtime" | "standard" | "module" | "own" | "root";

/** origin says whose code a Go function is. own is the path of the program's module, where it is known. */
export function origin(name: string, own: string): Origin {
  if (own && (name === own || name.startsWith(own + "/") || name.startsWith(own + "."))) return "own";
  if (name.startsWith("main.")) return "own";
  if (/^(runtime|internal\/runtime|internal\/poll|syscall|gc)\b/.test(name)) return "runtime";
  if (!/[./]/.test(name)) return "root";
  const plain = bare(name);
  const first = plain.slice(0, Math.max(plain.indexOf("/"), 0));
  return first.includes(".") ? "module" : "standard";
}
