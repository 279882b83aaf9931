// What arrives at the console: one stream for the whole page.
import { useEffect, useState } from "preact/hooks";

type Listener = () => void;

/** State of the stream. */
interface Live {
  paused: boolean;
  connected: boolean;
  hidden: boolean;
  source: EventSource | undefined;
  last: number; // when listeners were told last
  timer: number | undefined;
}

const listeners = new Set<Listener>();
const watchers = new Set<Listener>();
let live: Live = { paused: false, connected: false, hidden: document.hidden, source: undefined, last: 0, timer: undefined };

const every = 1000; // milliseconds between two reloads at least

function set(change: Partial<Live>): void {
  const before = live;
  live = { ...live, ...change };
  if (live.paused !== before.paused || live.connected !== before.connected || live.hidden !== before.hidden) for (const w of watchers) w();
}

function tell(): void {
  set({ timer: undefined, last: Date.now() });
  if (live.paused || document.hidden) return;
  for (const l of listeners) l();
}

function arrived(): void {
  if (live.timer !== undefined) return;
  set({ timer: window.setTimeout(tell, Math.max(0, live.last + every - Date.now())) });
}

function connect(): void {
  if (live.source || document.hidden) return;
  const source = new EventSource("/api/changes");
  source.onopen = () => set({ connected: true });
  source.onerror = () => {
    set({ connected: false });
    if (source.readyState !== EventSource.CLOSED) return; // it connects again by itself
    set({ source: undefined });
    window.setTimeout(() => watchers.size > 0 && connect(), 3000);
  };
  source.onmessage = arrived;
  set({ source });
}

/** subscribe has f called when something arrived, unless the page is paused or hidden. */
export function subscribe(f: Listener): () => void {
  listeners.add(f);
  connect();
  return () => listeners.delete(f);
}

export const paused = () => live.paused;

/** pause stops and goes on with what is live. */
export function pause(on: boolean): void {
  set({ paused: on });
  if (!on) tell();
}

/** useLive returns how live the page is. */
export function useLive(): { paused: boolean; connected: boolean; hidden: boolean } {
  const [, again] = useState(0);
  useEffect(() => {
    const w = () => again((n) => n + 1);
    watchers.add(w);
    connect();
    return () => void watchers.delete(w);
  }, []);
  return { paused: live.paused, connected: live.connected, hidden: live.hidden };
}

// A browser has six connections to the console at most, for all of its tabs and
// the pages that it keeps for going back: those that nobody sees have no stream.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    live.source?.close();
    set({ source: undefined, connected: false, hidden: true });
  } else {
    set({ hidden: false });
    if (watchers.size + listeners.size > 0) connect();
    arrived();
  }
});
