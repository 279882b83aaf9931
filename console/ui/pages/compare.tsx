// Two traces beside each other: which spans took longer, and which are missing.
import type { JSX } from "preact";
import { useData, type Trace } from "../lib/api";
import { count, duration } from "../lib/format";
import { to } from "../lib/location";
import { ErrorBox, Loading } from "../lib/ui";

/** Sum is all spans of one name of one service. */
interface Sum {
  service: string;
  name: string;
  spans: [number, number];
  took: [number, number];
}

/** sums puts the spans of both together by service and name, those that differ most first. */
export function sums(one: Trace, two: Trace): Sum[] {
  const all = new Map<string, Sum>();
  [one, two].forEach((trace, side) => {
    for (const s of trace.spans) {
      const key = `${s.service}\n${s.name}`;
      const sum = all.get(key) ?? { service: s.service, name: s.name, spans: [0, 0], took: [0, 0] };
      sum.spans[side]! += 1;
      sum.took[side]! += s.duration_ns;
      all.set(key, sum);
    }
  });
  const differs = (s: Sum) => Math.abs(s.took[0] - s.took[1]);
  return [...all.values()].sort((a, b) => differs(b) - differs(a));
}

export function Compare({ one, other }: { one: Trace; other: string }): JSX.Element {
  const { data, error } = useData<Trace>(`/traces/${encodeURIComponent(other)}`);
  if (error) return <ErrorBox error={error} />;
  if (!data) return <Loading />;
  const rows = sums(one, data);
  const most = Math.max(...rows.flatMap((r) => r.took), 1);
  const side = (t: Trace) => <a href={to(`/traces/${t.id}`)}>{t.id.slice(0, 8)} · {duration(t.duration_ns)}</a>;
  return (
    <section aria-labelledby="compare">
      <h2 id="compare">Compared</h2>
      <div class="scroll" tabIndex={0} role="region" aria-label="Spans of both traces, table">
        <table class="traces">
          <thead><tr><th scope="col">Span</th><th scope="col" class="num">{side(one)}</th><th scope="col"><span class="hidden">first</span></th><th scope="col" class="num">{side(data)}</th><th scope="col"><span class="hidden">second</span></th><th scope="col" class="num">Difference</th></tr></thead>
          <tbody>
            {rows.map((r) => {
              const more = r.took[1] - r.took[0];
              const cells = (i: 0 | 1) => (
                <>
                  <td class="num">{r.spans[i] ? `${duration(r.took[i])}${r.spans[i] > 1 ? ` in ${count(r.spans[i])}` : ""}` : <span class="warn">missing</span>}</td>
                  <td class="bar" aria-hidden="true"><i style={{ width: `${(100 * r.took[i]) / most}%` }} /></td>
                </>
              );
              return (
                <tr key={`${r.service}/${r.name}`}>
                  <th scope="row">{r.name} <span class="quiet">{r.service}</span></th>
                  {cells(0)}{cells(1)}
                  <td class={more > 0 ? "num bad" : "num"}>{more > 0 ? "+" : more < 0 ? "−" : ""}{duration(Math.abs(more))}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </section>
  );
}
