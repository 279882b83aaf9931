// Light, dark, or as the system says; the choice is this browser's.

export type Theme = "auto" | "light" | "dark";

const key = "aguada-theme";

/** theme returns the choice. */
export function theme(): Theme {
  const chosen = localStorage.getItem(key);
  return chosen === "light" || chosen === "dark" ? chosen : "auto";
}

/** applyTheme shows the page in the theme, after having chosen another one. */
export function applyTheme(chosen?: Theme): void {
  if (chosen) localStorage.setItem(key, chosen);
  const now = theme();
  if (now === "auto") document.documentElement.removeAttribute("data-theme");
  else document.documentElement.setAttribute("data-theme", now);
}
