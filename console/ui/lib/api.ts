// Requests to the API, and data that follows what arrives.
import { useEffect, useRef, useState } from "preact/hooks";
import { paused, subscribe } from "./live";
import type { ApiError } from "./types";

export type * from "./types";

export type Query = Record<string, string | string[] | number | undefined>;

/** url returns the address of a path below /api, with a query; what is undefined or empty is left out. */
export function url(path: string, query: Query = {}): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const v of Array.isArray(value) ? value : [value]) if (v !== undefined && v !== "") params.append(name, String(v));
  }
  const text = params.toString();
  return `/api${path}${text && "?"}${text}`;
}

/** Refused is an answer that is no success. */
class Refused extends Error {
  constructor(readonly error: ApiError) {
    super(error.message);
  }
}

/** failure turns whatever was thrown into what can be shown. */
export function failure(err: unknown): ApiError {
  if (err instanceof Refused) return err.error;
  return { name: "unreachable", message: "The console does not answer. Does it still run?", status: 0 };
}

async function call<T>(address: string, init: RequestInit): Promise<T> {
  const response = await fetch(address, { ...init, headers: { accept: "application/json", ...init.headers } });
  const text = await response.text();
  if (response.ok) return (text ? JSON.parse(text) : undefined) as T;
  if (response.status === 401) unauthenticated();
  let error: ApiError = { name: "error", message: text.trim() || response.statusText, status: response.status };
  try {
    const said = JSON.parse(text) as { name?: string; message?: string };
    error = { name: said.name ?? error.name, message: said.message ?? error.message, status: response.status };
  } catch {
    // It is the guard that answered, in words.
  }
  throw new Refused(error);
}

let unauthenticated = () => {};

/** onUnauthenticated has f called when the API asks for a token. */
export function onUnauthenticated(f: () => void): void {
  unauthenticated = f;
}

export const get = <T>(path: string, query: Query = {}, signal?: AbortSignal) => call<T>(url(path, query), { ...(signal && { signal }) });

export const post = <T>(path: string, body: unknown) =>
  call<T>(url(path), { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } });

export const del = (path: string) => call<void>(url(path), { method: "DELETE" });

export interface Data<T> {
  /** What was answered last; it stays while something newer is loaded. */
  data?: T;
  error?: ApiError;
  reload: () => void;
}

export interface DataOptions {
  /** Load again when something arrives, once a second at most. */
  live?: boolean;
  /** Load again every so many seconds. */
  every?: number;
}

interface Answer<T> {
  address: string;
  data?: T;
  error?: ApiError;
}

/** useData loads from a path; null loads nothing. */
export function useData<T>(path: string | null, query: Query = {}, options: DataOptions = {}): Data<T> {
  const address = path === null ? "" : url(path, query);
  const [answer, setAnswer] = useState<Answer<T>>({ address: "" });
  const again = useRef(() => {});
  useEffect(() => {
    if (!address) return;
    let abort: AbortController | undefined;
    let ended = false;
    const load = () => {
      abort?.abort();
      const mine = (abort = new AbortController());
      call<T>(address, { signal: mine.signal }).then(
        (data) => !ended && setAnswer({ address, data }),
        (err: unknown) => !ended && !mine.signal.aborted && setAnswer((a) => ({ ...(a.address === address && a.data !== undefined && { data: a.data }), address, error: failure(err) })),
      ).finally(() => mine === abort && (abort = undefined));
    };
    again.current = load;
    load();
    const stop = options.live ? subscribe(() => !abort && load()) : () => {};
    const timer = options.every ? setInterval(() => !document.hidden && !paused() && !abort && load(), options.every * 1000) : undefined;
    return () => {
      ended = true;
      abort?.abort();
      stop();
      clearInterval(timer);
    };
  }, [address, options.live, options.every]);
  return { ...answer, reload: () => again.current() };
}
