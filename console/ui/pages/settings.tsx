// The configuration of a service, masked, and where each value comes from.
import type { JSX } from "preact";
import type { Setting } from "../lib/api";
import { useLocation } from "../lib/location";
import { Field } from "../lib/ui";

const changed = (s: Setting) => s.source !== "default";

export function Settings({ settings }: { settings: Setting[] }): JSX.Element {
  const { query, set } = useLocation();
  const find = query["setting"] ?? "";
  const only = query["changed"] === "1";
  const words = find.toLowerCase().split(/\s+/).filter(Boolean);
  const some = settings.filter((s) => {
    const text = `${s.name} ${s.value} ${s.source} ${s.meaning}`.toLowerCase();
    return (!only || changed(s)) && words.every((w) => text.includes(w));
  });
  return (
    <section class="panel" aria-labelledby="settings">
      <h2 id="settings">Configuration</h2>
      <div class="controls">
        <Field label="Find a setting">
          <input type="search" value={find} placeholder="name, value, meaning" onInput={(e) => set({ setting: e.currentTarget.value || undefined }, { replace: true })} />
        </Field>
        <label class="check">
          <input type="checkbox" checked={only} onChange={(e) => set({ changed: e.currentTarget.checked ? "1" : undefined }, { replace: true })} /> changed only
        </label>
        <span class="quiet" aria-live="polite">{some.length} of {settings.length}; secrets are masked</span>
      </div>
      <div class="cells" tabIndex={0} role="region" aria-label="Configuration, table">
        <table class="settings">
          <thead><tr><th scope="col">Name</th><th scope="col">Value</th><th scope="col">From</th><th scope="col">Default</th><th scope="col">Meaning</th></tr></thead>
          <tbody>
            {some.map((s) => (
              <tr key={s.name} class={changed(s) ? "changed" : undefined}>
                <th scope="row" class="mono">{s.name}</th>
                <td class="mono wrap">{s.value === "" ? <span class="quiet">empty</span> : s.value}</td>
                <td>{s.source}</td>
                <td class="mono wrap">{s.default}</td>
                <td class="meaning">{s.meaning} <small class="quiet">{s.type}</small></td>
              </tr>
            ))}
          </tbody>
        </table>
        {some.length === 0 && <p class="none">{settings.length ? "None matches." : "The service shows none."}</p>}
      </div>
    </section>
  );
}
