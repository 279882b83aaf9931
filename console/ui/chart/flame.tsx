// A flame graph, root on top: each box is a function, as wide as what it and
// all that it called cost.
import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { layout, origin, path, share, short, tree, type Box, type Frame, type Tree } from "./frames";
import { useWidth } from "./size";
import { value } from "./unit";

export interface FlameProps {
  title: string;
  frames: Frame[];
  /** nanoseconds, bytes or count */
  unit: string;
  /** Functions whose name contains it are highlighted. */
  find: string;
  /** The path of the program's module, where it is known. */
  own: string;
}

/** State is what is looked at: the frame that fills the width, and the one that has the focus. */
interface State {
  zoom: number;
  focus: number;
}

/** Shown is the frame that the pointer is on, or the focus, and where. */
interface Shown {
  index: number;
  left: number;
  top: number;
}

const row = 19; // pixels

export function FlameGraph(p: FlameProps): JSX.Element {
  const [state, setState] = useState<State>({ zoom: 0, focus: 0 });
  const [tip, setTip] = useState<Shown | null>(null);
  const host = useRef<HTMLDivElement>(null);
  const width = useWidth(host);
  const t = useMemo(() => tree(p.frames), [p.frames]);
  useEffect(() => setState({ zoom: 0, focus: 0 }), [p.frames]);
  const zoom = state.zoom < p.frames.length ? state.zoom : 0;
  const boxes = useMemo(() => layout(t, zoom, width > 0 ? 0.5 / width : 1), [t, zoom, width]);
  const find = p.find.trim().toLowerCase();
  const enter = (index: number) => {
    setTip(null);
    setState({ zoom: index, focus: index });
  };
  const matches = (f: Frame) => find !== "" && f.name.toLowerCase().includes(find);
  // Kept from one render to the next: thousands of boxes need not be compared when the pointer moves.
  const drawn = useMemo(() => {
    const above = path(t, zoom).length - 1;
    const stop = focusable(boxes, state.focus, zoom);
    return boxes.map((b) => (
      <FrameBox key={b.index} box={b} t={t} p={p} dim={b.depth < above} hit={find === "" ? undefined : matches(t.frames[b.index]!)}
        stop={b.index === stop} pixels={b.width * width} enter={enter} setTip={setTip} />
    ));
  }, [boxes, find, state.focus, width, p.own, p.unit]);
  const rows = Math.max(0, ...boxes.map((b) => b.depth)) + 1;
  return (
    <div class="flame">
      <Crumbs t={t} zoom={zoom} enter={enter} />
      <p class="flame-found" aria-live="polite">
        {find ? `${percent(share(t, matches))} is spent in functions that match “${p.find.trim()}”` : "\u00a0"}
      </p>
      <div class="flame-boxes" ref={host} role="tree" aria-label={`${p.title}: flame graph`} style={{ height: `${rows * row}px` }}
        onKeyDown={(e) => press(e, t, boxes, { ...state, zoom }, setState, host.current)} onMouseLeave={() => setTip(null)}>
        {drawn}
        {tip && <Tip p={p} t={t} tip={tip} width={width} />}
      </div>
      <Key />
    </div>
  );
}

/** Key says what the colours mean. */
function Key(): JSX.Element {
  const all = [["own", "the program"], ["module", "modules"], ["standard", "standard library"], ["runtime", "runtime"]];
  return <ul class="flame-key">{all.map(([name, text]) => <li key={name}><i class={`flame-${name}`} aria-hidden="true" />{text}</li>)}</ul>;
}

/** focusable is the one box that the Tab key reaches. */
const focusable = (boxes: Box[], focus: number, zoom: number) => (boxes.some((b) => b.index === focus) ? focus : zoom);

interface FrameBoxProps {
  box: Box;
  t: Tree;
  p: FlameProps;
  /** Above the frame that fills the width. */
  dim: boolean;
  hit: boolean | undefined;
  stop: boolean;
  pixels: number;
  enter: (index: number) => void;
  setTip: (tip: Shown | null) => void;
}

function FrameBox({ box, t, p, dim, hit, stop, pixels, enter, setTip }: FrameBoxProps): JSX.Element {
  const f = t.frames[box.index]!;
  const show = (at: HTMLElement, left: number) => setTip({ index: box.index, left, top: at.offsetTop + row + 4 });
  const classes = ["flame-box", `flame-${origin(f.name, p.own)}`];
  if (dim) classes.push("flame-above");
  if (hit !== undefined) classes.push(hit ? "flame-hit" : "flame-miss");
  return (
    <div class={classes.join(" ")} role="treeitem" aria-level={box.depth + 1} aria-selected={stop} tabIndex={stop ? 0 : -1} data-frame={box.index}
      aria-label={`${f.name}: ${value(f.value, p.unit)}, ${part(f.value, t)}; itself ${value(f.self, p.unit)}`}
      style={{ left: `${box.x * 100}%`, width: `${box.width * 100}%`, top: `${box.depth * row}px` }}
      onClick={() => enter(box.index)}
      onMouseMove={(e) => show(e.currentTarget, e.clientX - e.currentTarget.parentElement!.getBoundingClientRect().left)}
      onFocus={(e) => show(e.currentTarget, e.currentTarget.offsetLeft)} onBlur={() => setTip(null)}>
      {pixels > 28 ? short(f.name) : ""}
    </div>
  );
}

const percent = (x: number) => `${(x * 100).toFixed(x < 0.1 ? 2 : 1)} %`;
const part = (v: number, t: Tree) => percent(v / (t.frames[0]?.value || 1));

function Tip({ p, t, tip, width }: { p: FlameProps; t: Tree; tip: Shown; width: number }): JSX.Element | null {
  const f = t.frames[tip.index];
  if (!f) return null;
  const side = tip.left > width / 2 ? { right: `${Math.max(0, width - tip.left)}px` } : { left: `${tip.left + 12}px` };
  return (
    <div class="tip" style={{ ...side, top: `${tip.top}px` }} aria-hidden="true">
      <div class="tip-title flame-name">{f.name}</div>
      {f.file && <div class="tip-more flame-name">{f.file}</div>}
      <div class="tip-row"><span>With all it calls</span><span class="num">{value(f.value, p.unit)} · {part(f.value, t)}</span></div>
      <div class="tip-row"><span>Itself</span><span class="num">{value(f.self, p.unit)} · {part(f.self, t)}</span></div>
    </div>
  );
}

function Crumbs({ t, zoom, enter }: { t: Tree; zoom: number; enter: (index: number) => void }): JSX.Element {
  const all = path(t, zoom);
  const some = all.length > 6 ? [all[0]!, -1, ...all.slice(-4)] : all;
  return (
    <nav class="crumbs" aria-label="Frames above">
      {some.map((index, i) => {
        if (index < 0) return <span key="gap">… ›</span>;
        const name = index === 0 ? "All" : short(t.frames[index]?.name ?? "");
        const last = i === some.length - 1;
        return last ? <span key={index} aria-current="location">{name}</span>
          : <span key={index}><button type="button" class="link" onClick={() => enter(index)}>{name}</button> ›</span>;
      })}
    </nav>
  );
}

/** press moves the focus: down to what a frame called most, up to its caller, sideways, and Enter to zoom. */
function press(e: KeyboardEvent, t: Tree, boxes: Box[], s: State, setState: (s: State) => void, host: HTMLElement | null): void {
  const now = focusable(boxes, s.focus, s.zoom);
  const box = boxes.find((b) => b.index === now);
  if (!box || e.ctrlKey || e.metaKey || e.altKey) return;
  const near = boxes.filter((b) => b.depth === box.depth).sort((a, b) => a.x - b.x);
  const at = near.findIndex((b) => b.index === now);
  const drawn = new Set(boxes.map((b) => b.index));
  const next: Record<string, number | undefined> = {
    ArrowDown: now === s.zoom || !path(t, s.zoom).includes(now) ? t.children[now]?.find((c) => drawn.has(c)) : boxes.find((b) => b.depth === box.depth + 1)?.index,
    ArrowUp: t.frames[now]!.parent >= 0 ? t.frames[now]!.parent : undefined,
    ArrowLeft: near[at - 1]?.index,
    ArrowRight: near[at + 1]?.index,
    Home: s.zoom,
  };
  if (e.key === "Enter" || e.key === " ") setState({ zoom: now, focus: now });
  else if (e.key === "Escape" && s.zoom !== 0) setState({ zoom: Math.max(0, t.frames[s.zoom]!.parent), focus: s.zoom });
  else if (e.key in next) {
    const index = next[e.key];
    if (index !== undefined) {
      setState({ ...s, focus: index });
      host?.querySelector<HTMLElement>(`[data-frame="${index}"]`)?.focus();
    }
  } else return;
  e.preventDefault();
  e.stopPropagation();
}
