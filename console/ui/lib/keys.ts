// Keys that work wherever nothing is being typed.
import { useEffect, useRef } from "preact/hooks";

type Action = () => void;

export interface Keys {
  /** What follows the key g. */
  pages?: Record<string, Action>;
  [key: string]: Action | Record<string, Action> | undefined;
}

/** typing reports whether an element takes keys for itself. */
function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || ["INPUT", "SELECT", "TEXTAREA"].includes(target.tagName));
}

/** useKeys has actions done at keys; of buttons and links, the space bar and Enter stay theirs. */
export function useKeys(keys: Keys): void {
  const now = useRef(keys);
  now.current = keys;
  useEffect(() => {
    let after = 0; // when g was pressed
    const press = (e: KeyboardEvent) => {
      if (e.metaKey || e.ctrlKey || e.altKey) return;
      if (typing(e.target)) {
        if (e.key === "Escape") (e.target as HTMLElement).blur();
        return;
      }
      if ((e.key === " " || e.key === "Enter") && e.target instanceof Element && e.target.closest("a,button,summary,[role=button],[tabindex]")) return;
      const page = Date.now() - after < 1500 ? now.current.pages?.[e.key] : undefined;
      after = e.key === "g" && now.current.pages ? Date.now() : 0;
      const action = page ?? now.current[e.key];
      if (typeof action !== "function") return;
      e.preventDefault();
      action();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
}

/** useRows moves the focus between the rows that a selector names, by j and k and the arrows. */
export function useRows(selector: string): void {
  const move = (by: number) => () => {
    const rows = [...document.querySelectorAll<HTMLElement>(selector)];
    const at = rows.findIndex((r) => r === document.activeElement || r.contains(document.activeElement));
    const next = rows[Math.min(Math.max(at + by, 0), rows.length - 1)];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  };
  useKeys({ j: move(1), k: move(-1) });
}
