// Values and times as charts write them: short, in the unit that OpenTelemetry
// names, times local.
import { bytes, count, duration } from "../lib/format";

/** nanoseconds of the units of time. */
const nanoseconds: Record<string, number> = { s: 1e9, ms: 1e6, us: 1e3, ns: 1, nanoseconds: 1, min: 6e10, h: 3.6e12 };

/** value writes a number in its unit; "–" where there is none. */
export function value(v: number | null | undefined, unit: string, rate = false): string {
  if (v === null || v === undefined || !Number.isFinite(v)) return "–";
  const per = rate ? "/s" : "";
  if (unit in nanoseconds && !rate) return duration(v * nanoseconds[unit]!);
  if (unit === "By" || unit === "bytes") return bytes(v) + per;
  if (unit === "%") return `${count(v)} %`;
  return count(v) + per;
}

/** named writes the unit for people, such as "requests a second"; "" where there is none. */
export function named(unit: string, rate: boolean): string {
  const words: Record<string, string> = { s: "seconds", ms: "milliseconds", us: "microseconds", ns: "nanoseconds", By: "bytes", "%": "percent", "1": "" };
  const noun = /^\{(.+)\}$/.exec(unit)?.[1];
  const name = noun ? `${noun.replaceAll("_", " ")}s` : (words[unit] ?? unit);
  if (!rate) return name;
  return name ? `${name} a second` : "a second";
}

const two = (n: number) => String(n).padStart(2, "0");

/** moment writes seconds since 1970 as local time, with the date where it is not today. */
export function moment(seconds: number): string {
  const t = new Date(seconds * 1000);
  const time = `${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}`;
  return t.toDateString() === new Date().toDateString() ? time : `${date(t)} ${time}`;
}

const date = (t: Date) => `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())}`;

/** clock writes the marks of an axis that are step seconds apart. */
export function clock(marks: number[], step: number): string[] {
  return marks.map((seconds) => {
    const t = new Date(seconds * 1000);
    const midnight = t.getHours() === 0 && t.getMinutes() === 0 && t.getSeconds() === 0;
    if (step >= 86400 || (midnight && step >= 60)) return `${two(t.getMonth() + 1)}-${two(t.getDate())}`;
    const time = `${two(t.getHours())}:${two(t.getMinutes())}`;
    return step < 60 ? `${time}:${two(t.getSeconds())}` : time;
  });
}

const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];

/** ticks returns at most about so many round times between two. */
export function ticks(from: number, to: number, most: number): { at: number[]; step: number } {
  const step = steps.find((s) => (to - from) / s <= Math.max(most, 1)) ?? 86400;
  const offset = new Date(from * 1000).getTimezoneOffset() * 60;
  const at: number[] = [];
  for (let t = Math.ceil((from - offset) / step) * step + offset; t <= to && at.length < 50; t += step) at.push(t);
  return { at, step };
}

/** increments returns the steps of an axis in the unit, where 1, 2 and 5 times a power of ten are not right. */
export function increments(unit: string): number[] | undefined {
  if (unit !== "By" && unit !== "bytes") return undefined;
  return Array.from({ length: 50 }, (_, i) => 2 ** i);
}
