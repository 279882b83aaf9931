// The URL is the state: whatever is chosen on a page is in it, and can be shared.
import { useEffect, useState } from "preact/hooks";

export type Values = Record<string, string | undefined>;

export interface Location {
  path: string;
  query: Values;
  /** Changes some values of the query; undefined and "" remove one. */
  set: (values: Values, options?: { replace?: boolean }) => void;
  /** Goes to another page. The time and the service that are looked at stay. */
  go: (path: string, values?: Values) => void;
  /** The address of this page with some values changed. */
  link: (values: Values) => string;
}

const listeners = new Set<() => void>();

function changed(): void {
  for (const l of listeners) l();
}

function changedQuery(values: Values): string {
  const params = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined || value === "") params.delete(name);
    else params.set(name, value);
  }
  const text = params.toString();
  return location.pathname + (text && `?${text}`);
}

/** kept are what holds on every page. */
const kept = ["since", "until", "service"];

/** to returns the address of a page, with what holds on every page and further values. */
export function to(path: string, values: Values = {}): string {
  const now = new URLSearchParams(location.search);
  const params = new URLSearchParams();
  for (const name of kept) {
    const value = name in values ? values[name] : now.get(name);
    if (value) params.set(name, value);
  }
  for (const [name, value] of Object.entries(values)) if (!kept.includes(name) && value) params.set(name, value);
  const text = params.toString();
  return path + (text && `?${text}`);
}

/** navigate opens an address of this origin without loading the page anew. */
export function navigate(address: string, replace = false): void {
  if (replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
  changed();
}

/** useLocation returns where the page is, as it changes. */
export function useLocation(): Location {
  const [, again] = useState(0);
  useEffect(() => {
    const l = () => again((n) => n + 1);
    listeners.add(l);
    return () => void listeners.delete(l);
  }, []);
  return {
    path: location.pathname,
    query: Object.fromEntries(new URLSearchParams(location.search)),
    set: (values, options) => navigate(changedQuery(values), options?.replace),
    go: (path, values) => navigate(to(path, values)),
    link: changedQuery,
  };
}

/** follow has links to pages of the console open without loading, and history work. */
export function follow(): void {
  addEventListener("popstate", changed);
  addEventListener("click", (e) => {
    const link = e.target instanceof Element ? e.target.closest("a") : null;
    if (!link || e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
    if (link.origin !== location.origin || link.target || link.hasAttribute("download") || link.pathname.startsWith("/api/") || link.pathname === "/openapi.json") return;
    if (link.hash && link.pathname === location.pathname && link.search === location.search) return;
    e.preventDefault();
    const before = location.pathname;
    navigate(link.pathname + link.search + link.hash);
    if (location.pathname !== before) scrollTo(0, 0);
  });
}
