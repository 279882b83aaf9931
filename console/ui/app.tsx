// The shell around the pages: navigation, what holds on all of them, and login.
import type { ComponentType, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { onUnauthenticated, useData, type Overview } from "./lib/api";
import { useKeys } from "./lib/keys";
import { pause, useLive } from "./lib/live";
import { to, useLocation } from "./lib/location";
import { applyTheme, theme, type Theme } from "./lib/theme";
import { Window } from "./lib/window";

type Page = { default: ComponentType };

/** pages by the first part of their path; each is loaded when it is opened. */
const pages: Record<string, { name: string; key: string; load: () => Promise<Page> }> = {
  "": { name: "Overview", key: "o", load: () => import("./pages/overview") },
  methods: { name: "Methods", key: "m", load: () => import("./pages/methods") },
  traces: { name: "Traces", key: "t", load: () => import("./pages/traces") },
  logs: { name: "Logs", key: "l", load: () => import("./pages/logs") },
  metrics: { name: "Metrics", key: "e", load: () => import("./pages/metrics") },
  security: { name: "Security", key: "s", load: () => import("./pages/security") },
  map: { name: "Map", key: "p", load: () => import("./pages/map") },
  runtime: { name: "Runtime", key: "r", load: () => import("./pages/runtime") },
  design: { name: "Design", key: "d", load: () => import("./pages/design") },
};

const trace = { load: (): Promise<Page> => import("./pages/trace") };

const sectionOf = (path: string) => path.split("/")[1] ?? "";

interface Shown {
  path: string;
  page?: ComponentType;
  failed?: boolean;
}

/** usePage loads the page of a path; the former one stays until it is there. */
function usePage(path: string): Shown {
  const kind = path.startsWith("/traces/") ? "trace" : sectionOf(path);
  const [shown, setShown] = useState<Shown>({ path: "" });
  useEffect(() => {
    let ended = false;
    const load = kind === "trace" ? trace.load : pages[kind]?.load;
    if (!load) return setShown({ path: kind, failed: true });
    load().then((p) => !ended && setShown({ path: kind, page: p.default }), () => !ended && setShown({ path: kind, failed: true }));
    return () => void (ended = true);
  }, [kind]);
  return shown;
}

export function App(): JSX.Element {
  const { path } = useLocation();
  const [login, setLogin] = useState(false);
  const shown = usePage(path);
  useEffect(() => onUnauthenticated(() => setLogin(true)), []);
  useEffect(() => {
    document.title = `${path.startsWith("/traces/") ? "Trace" : (pages[sectionOf(path)]?.name ?? "Page")} · Aguada console`;
  }, [path]);
  if (login) return <Login />;
  return (
    <>
      <a class="skip" href="#main">Skip to the page</a>
      <Header />
      <main id="main" tabIndex={-1}>
        {shown.page ? <shown.page /> : shown.failed && <p class="error" role="alert">This page could not be loaded. Reload it; does the console still run?</p>}
      </main>
      <Help />
    </>
  );
}

function Header(): JSX.Element {
  const { path } = useLocation();
  const here = sectionOf(path);
  return (
    <header>
      <a class="brand" href={to("/")}>Aguada</a>
      <nav aria-label="Pages">
        {Object.entries(pages).map(([section, p]) => (
          <a key={section} href={to(`/${section}`)} aria-current={section === here ? "page" : undefined}>{p.name}</a>
        ))}
      </nav>
      <div class="tools">
        <Services />
        <Window />
        <Live />
        <Themes />
      </div>
    </header>
  );
}

/** Services chooses the service that all pages look at. */
function Services(): JSX.Element {
  const { query, set } = useLocation();
  const { data } = useData<Overview>("/overview", {}, { every: 15 });
  const names = data?.services.map((s) => s.name) ?? [];
  const chosen = query["service"] ?? "";
  if (chosen && !names.includes(chosen)) names.push(chosen);
  return (
    <select aria-label="Service" value={chosen} onChange={(e) => set({ service: e.currentTarget.value })}>
      <option value="">all services</option>
      {names.map((n) => <option key={n} value={n}>{n}</option>)}
    </select>
  );
}

function Live(): JSX.Element {
  const { paused, connected } = useLive();
  const state = paused ? "paused" : connected ? "live" : "waiting";
  return (
    <button type="button" class={`live live-${state}`} aria-pressed={paused} title={paused ? "Go on (space)" : "Pause what is live (space)"} onClick={() => pause(!paused)}>
      {paused ? "Paused" : connected ? "Live" : "Connecting"}
    </button>
  );
}

function Themes(): JSX.Element {
  const [now, setNow] = useState<Theme>(theme());
  const choose = (t: Theme) => {
    applyTheme(t);
    setNow(t);
  };
  return (
    <select aria-label="Theme" value={now} onChange={(e) => choose(e.currentTarget.value as Theme)}>
      <option value="auto">auto</option>
      <option value="light">light</option>
      <option value="dark">dark</option>
    </select>
  );
}

/** Help lists the keys, and has them work. */
function Help(): JSX.Element | null {
  const [open, setOpen] = useState(false);
  const { go } = useLocation();
  const { paused } = useLive();
  useKeys({
    pages: Object.fromEntries(Object.entries(pages).map(([section, p]) => [p.key, () => go(`/${section}`)])),
    "?": () => setOpen((o) => !o),
    " ": () => pause(!paused),
    "/": () => document.querySelector<HTMLInputElement>("main input")?.focus(),
    Escape: () => setOpen(false),
  });
  if (!open) return null;
  return (
    <section class="help" aria-label="Keys">
      <h2>Keys</h2>
      <dl>
        {Object.values(pages).map((p) => <div key={p.key}><dt><kbd>g</kbd> <kbd>{p.key}</kbd></dt><dd>{p.name}</dd></div>)}
        <div><dt><kbd>/</kbd></dt><dd>search</dd></div>
        <div><dt><kbd>j</kbd> <kbd>k</kbd></dt><dd>next and previous row</dd></div>
        <div><dt><kbd>space</kbd></dt><dd>pause</dd></div>
        <div><dt><kbd>?</kbd></dt><dd>these keys</dd></div>
      </dl>
      <button type="button" onClick={() => setOpen(false)}>Close</button>
    </section>
  );
}

function Login(): JSX.Element {
  const { query } = useLocation();
  return (
    <main class="login">
      <h1>Aguada console</h1>
      <form method="post" action="/login">
        <input type="hidden" name="back" value={query["login"] ? "/" : location.pathname + location.search} />
        <label class="field"><span>Token of the console</span><input type="password" name="token" autocomplete="current-password" required autofocus /></label>
        {query["login"] === "wrong" && <p class="error" role="alert">This is not the token.</p>}
        <button type="submit" class="primary">Open</button>
      </form>
    </main>
  );
}
