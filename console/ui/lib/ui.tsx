// Small parts that pages share.
import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";
import { text } from "./format";

export type Tone = "good" | "warn" | "bad" | "plain";

export function Badge({ tone = "plain", children }: { tone?: Tone; children: ComponentChildren }): JSX.Element {
  return <span class={`badge badge-${tone}`}>{children}</span>;
}

/** Field is a control with its label. */
export function Field({ label, children }: { label: string; children: ComponentChildren }): JSX.Element {
  return <label class="field"><span>{label}</span>{children}</label>;
}

/** Empty says that there is nothing, and what to do. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }): JSX.Element {
  return <div class="empty"><h2>{title}</h2>{children}</div>;
}

export function ErrorBox({ error }: { error: { name: string; message: string } }): JSX.Element {
  return <div class="error" role="alert">{error.message}</div>;
}

export function Loading(): JSX.Element {
  return <p class="none" aria-busy="true">Loading…</p>;
}

/** Copy puts a text into the clipboard. */
export function Copy({ value, label = "Copy" }: { value: string; label?: string }): JSX.Element {
  const [done, setDone] = useState(false);
  const copy = () => void navigator.clipboard.writeText(value).then(() => {
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  });
  return <button type="button" class="copy" onClick={copy}>{done ? "Copied" : label}</button>;
}

export interface SparkProps {
  values: number[];
  /** Drawn over the others, in the colour of errors. */
  bad?: number[];
  label: string;
}

/** Sparkline is a small chart in a row. */
export function Sparkline({ values, bad, label }: SparkProps): JSX.Element {
  const width = 120, height = 24;
  const most = Math.max(...values, 1e-9);
  const x = (i: number) => (i * width) / Math.max(values.length - 1, 1);
  const y = (v: number) => height - 1 - (v / most) * (height - 3);
  const path = (all: number[]) => all.map((v, i) => `${i ? "L" : "M"}${x(i).toFixed(1)} ${y(v).toFixed(1)}`).join("");
  return (
    <svg class="spark" viewBox={`0 0 ${width} ${height}`} width={width} height={height} preserveAspectRatio="none" role="img" aria-label={label}>
      <path class="spark-area" d={`${path(values)}L${width} ${height}L0 ${height}Z`} />
      <path class="spark-line" d={path(values)} />
      {bad?.some((v) => v > 0) && <path class="spark-bad" d={path(bad)} />}
    </svg>
  );
}

export interface AttributesProps {
  title?: string;
  values: Record<string, unknown> | undefined;
  /** Makes the address that is filtered by an attribute. */
  link?: (name: string, value: string) => string;
}

/** Attributes lists attributes, each a link that filters by it. */
export function Attributes({ title, values, link }: AttributesProps): JSX.Element | null {
  const all = Object.entries(values ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  if (all.length === 0) return null;
  return (
    <>
      {title && <h3>{title}</h3>}
      <dl class="attributes">
        {all.map(([name, value]) => {
          const shown = text(value);
          const plain = typeof value !== "object" && shown.length < 256;
          return (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{link && plain ? <a href={link(name, shown)} title="Filter by this">{shown || "(empty)"}</a> : shown}</dd>
            </div>
          );
        })}
      </dl>
    </>
  );
}
