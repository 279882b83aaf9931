// Numbers and times as people read them.
import type { JSX } from "preact";

/** digits writes a number with three digits that count. */
function digits(v: number): string {
  const a = Math.abs(v);
  return a >= 100 || a === 0 ? String(Math.round(v)) : String(Number(v.toPrecision(3)));
}

/** duration writes nanoseconds, such as "1.24 ms". */
export function duration(ns: number): string {
  const a = Math.abs(ns);
  if (a >= 3.6e12) return `${digits(ns / 3.6e12)} h`;
  if (a >= 6e10) return `${digits(ns / 6e10)} min`;
  if (a >= 1e9) return `${digits(ns / 1e9)} s`;
  if (a >= 1e6) return `${digits(ns / 1e6)} ms`;
  if (a >= 1e3) return `${digits(ns / 1e3)} µs`;
  return `${digits(ns)} ns`;
}

/** bytes writes a number of bytes, such as "1.5 MiB". */
export function bytes(v: number): string {
  const a = Math.abs(v);
  for (const [unit, size] of [["TiB", 2 ** 40], ["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]] as const) {
    if (a >= size) return `${digits(v / size)} ${unit}`;
  }
  return `${digits(v)} B`;
}

/** count writes a number, shortened where it is large: "12.3k". */
export function count(v: number): string {
  const a = Math.abs(v);
  if (a >= 1e9) return `${digits(v / 1e9)}G`;
  if (a >= 1e6) return `${digits(v / 1e6)}M`;
  if (a >= 1e4) return `${digits(v / 1e3)}k`;
  return a >= 1000 ? String(Math.round(v)) : digits(v);
}

/** rate writes calls a second; of rare ones, a minute. */
export function rate(v: number): string {
  if (v === 0) return "0/s";
  return v < 0.1 ? `${digits(v * 60)}/min` : `${digits(v)}/s`;
}

/** percent writes a share from 0 to 1. */
export function percent(share: number): string {
  if (share === 0) return "0 %";
  return share < 0.001 ? "<0.1 %" : `${digits(share * 100)} %`;
}

/** age writes seconds as an age, such as "5 min". */
export function age(seconds: number): string {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 2 * 86400) return `${digits(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

const pad = (n: number, width = 2) => String(n).padStart(width, "0");

/** local writes a time in local time to the millisecond; with the date where it is not today. */
export function local(at: string): string {
  const t = new Date(at);
  if (Number.isNaN(t.getTime())) return at;
  const time = `${pad(t.getHours())}:${pad(t.getMinutes())}:${pad(t.getSeconds())}.${pad(t.getMilliseconds(), 3)}`;
  if (t.toDateString() === new Date().toDateString()) return time;
  return `${t.getFullYear()}-${pad(t.getMonth() + 1)}-${pad(t.getDate())} ${time}`;
}

/** Time shows a time of the API: local, in UTC where the pointer rests on it. */
export function Time({ at }: { at: string }): JSX.Element {
  return <time dateTime={at} title={`${at} (UTC)`}>{local(at)}</time>;
}

/** text writes a value of an attribute. */
export const text = (v: unknown): string => (typeof v === "string" ? v : JSON.stringify(v));
