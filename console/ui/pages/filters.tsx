// Filters by attribute, as chips.
import type { JSX } from "preact";
import { useLocation } from "../lib/location";
import { Field } from "../lib/ui";

/** Filters edits ?attr=: each as name=value, name!=value, name, name>number or name<number. */
export function Filters({ names }: { names: string[] }): JSX.Element {
  const { query, set } = useLocation();
  const all = list(query["attr"]);
  const change = (next: string[]) => set({ attr: join([...new Set(next)]) });
  const add = (e: SubmitEvent) => {
    e.preventDefault();
    const form = e.currentTarget as HTMLFormElement;
    const text = String(new FormData(form).get("filter") ?? "").trim();
    if (text) change([...all, text]);
    form.reset();
  };
  return (
    <form class="filters" onSubmit={add}>
      <Field label="Filter">
        <input name="filter" list="filter-names" maxLength={300} placeholder="name=value" autocomplete="off" spellcheck={false} />
      </Field>
      <datalist id="filter-names">{names.map((n) => <option key={n} value={`${n}=`} />)}</datalist>
      <button type="submit">Add</button>
      {all.map((f) => (
        <button key={f} type="button" class="chip" aria-label={`Remove the filter ${f}`} onClick={() => change(all.filter((o) => o !== f))}>{f} ×</button>
      ))}
    </form>
  );
}

/** list splits the filters that the URL holds in one value; join puts them together. */
export const list = (value: string | undefined): string[] => (value ? value.split("\n").filter(Boolean) : []);
export const join = (all: string[]): string | undefined => all.join("\n") || undefined;
