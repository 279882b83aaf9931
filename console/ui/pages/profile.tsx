// Taking a profile, and looking at it.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { FlameGraph } from "../chart/flame";
import { bare } from "../chart/frames";
import { value } from "../chart/unit";
import { failure, post, type ApiError, type Profile, type Top } from "../lib/api";
import { Time } from "../lib/format";
import { useLocation } from "../lib/location";
import { ErrorBox, Field } from "../lib/ui";

const kinds: Record<string, string> = {
  cpu: "CPU: what it does now",
  heap: "heap: what holds memory",
  allocs: "allocations since the start",
  goroutine: "goroutines: what each does now",
  block: "block: where goroutines waited",
  mutex: "mutex: who held locks that others wanted",
};

/** Taking is the state of the form. */
interface Taking {
  /** When the running one began, in milliseconds since 1970; 0 where none runs. */
  began: number;
  seconds: number;
  profile: Profile | null;
  error: ApiError | null;
}

export function Profiles({ service, module }: { service: string; module: string }): JSX.Element {
  const { query, set } = useLocation();
  const [state, setState] = useState<Taking>({ began: 0, seconds: 0, profile: null, error: null });
  const kind = query["kind"] && query["kind"] in kinds ? query["kind"] : "cpu";
  const seconds = Math.min(Math.max(Number(query["seconds"]) || 5, 1), 60);
  const take = async (e: Event) => {
    e.preventDefault();
    setState((s) => ({ ...s, began: Date.now(), seconds: kind === "cpu" ? seconds : 0, error: null }));
    try {
      const profile = await post<Profile>(`/services/${encodeURIComponent(service)}/profile`, { kind, seconds });
      setState({ began: 0, seconds: 0, profile, error: null });
    } catch (err) {
      setState((s) => ({ ...s, began: 0, error: failure(err) }));
    }
  };
  return (
    <section class="panel" aria-labelledby="profiles">
      <h2 id="profiles">Profile</h2>
      <form class="controls" onSubmit={take}>
        <Field label="Kind">
          <select value={kind} onChange={(e) => set({ kind: e.currentTarget.value }, { replace: true })}>
            {Object.entries(kinds).map(([k, text]) => <option key={k} value={k}>{text}</option>)}
          </select>
        </Field>
        {kind === "cpu" && (
          <Field label="Seconds">
            <input type="number" min={1} max={60} required value={seconds} onChange={(e) => set({ seconds: e.currentTarget.value }, { replace: true })} />
          </Field>
        )}
        <button type="submit" class="primary" disabled={state.began > 0}>Take a profile</button>
      </form>
      <div aria-live="polite">
        {state.began > 0 && <Progress began={state.began} seconds={state.seconds} />}
        {state.error && <ErrorBox error={state.error} />}
      </div>
      {state.profile && <Shown profile={state.profile} module={module} />}
    </section>
  );
}

function Progress({ began, seconds }: { began: number; seconds: number }): JSX.Element {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 200);
    return () => clearInterval(timer);
  }, []);
  const passed = (now - began) / 1000;
  const running = passed < seconds;
  return (
    <p class="progress">
      <progress max={1} value={running ? passed / seconds : undefined} aria-label="Profile" />
      <span aria-hidden="true">{running ? `${Math.floor(passed)} of ${seconds} s` : "reading it…"}</span>
    </p>
  );
}

function Shown({ profile: p, module }: { profile: Profile; module: string }): JSX.Element {
  const { query, set } = useLocation();
  const find = query["function"] ?? "";
  const search = (name: string) => set({ function: name || undefined }, { replace: true });
  if (p.total <= 0 || p.frames.length < 2) {
    return <p class="none">The profile is empty: {p.kind === "cpu" ? "the service did nothing in this time." : p.kind === "block" || p.kind === "mutex" ? "the program has set no rate for it." : "there is nothing in it."}</p>;
  }
  return (
    <>
      <p class="quiet">
        {p.kind} of {p.service}, <Time at={p.taken} />{p.duration_ns ? `, for ${value(p.duration_ns, "ns")}` : ""}: {value(p.total, p.unit)} in all
      </p>
      <Field label="Find a function">
        <input type="search" value={find} placeholder="part of its name" onInput={(e) => search(e.currentTarget.value)} />
      </Field>
      <div class="flame-and-table">
        <FlameGraph title={`${p.kind} profile of ${p.service}`} frames={p.frames} unit={p.unit} find={find} own={module} />
        <TopTable top={p.top} total={p.total} unit={p.unit} search={search} />
      </div>
    </>
  );
}

type Column = "self" | "total";

function TopTable({ top, total, unit, search }: { top: Top[]; total: number; unit: string; search: (name: string) => void }): JSX.Element {
  const { query, set } = useLocation();
  const by: Column = query["top"] === "total" ? "total" : "self";
  const rows = [...top].sort((a, b) => b[by] - a[by]).slice(0, 100);
  const head = (column: Column, text: string) => (
    <th scope="col" class="num" aria-sort={by === column ? "descending" : undefined}>
      <button type="button" class="sort" onClick={() => set({ top: column === "self" ? undefined : column }, { replace: true })}>{text}{by === column ? " ▾" : ""}</button>
    </th>
  );
  return (
    <div class="cells top" tabIndex={0} role="region" aria-label="Functions, the most expensive first">
      <table>
        <thead><tr><th scope="col">Function</th>{head("self", "Itself")}{head("total", "With calls")}</tr></thead>
        <tbody>
          {rows.map((f) => (
            <tr key={f.name}>
              <th scope="row"><button type="button" class="link flame-name" title={`Find ${f.name} in the graph`} onClick={() => search(f.name)}>{bare(f.name)}</button></th>
              <td class="num">{value(f.self, unit)} <small>{percent(f.self / total)}</small></td>
              <td class="num">{value(f.total, unit)} <small>{percent(f.total / total)}</small></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const percent = (x: number) => `${(100 * x).toFixed(1)} %`;
