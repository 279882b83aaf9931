//go:build unix

package browsertests

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// axe judges how well a page can be used by everybody. https://github.com/dequelabs/axe-core, 4.14.1, MPL-2.0.
//
//go:embed testdata/axe.min.js
var axe string

// consolePage is a page, and what must be seen on it.
type consolePage struct {
	name, path, heading string
	shows               string // JavaScript: whether its data is there
}

func (c *consoleTest) pagesOf(t *testing.T, slow traceSummary) []consolePage {
	t.Helper()
	var other struct{ Traces []traceSummary }
	c.await(t, "/api/traces?method=POST+/orders&max=400ms&limit=1", &other, func() bool { return len(other.Traces) == 1 })
	text := func(selector, part string) string {
		return fmt.Sprintf("[...document.querySelectorAll(%q)].some((e) => e.textContent.includes(%q))", selector, part)
	}
	drawn := func(selector string) string {
		return fmt.Sprintf("document.querySelector(%q)?.getBoundingClientRect().width > 100", selector)
	}
	return []consolePage{
		{"overview", "/", "Overview", text("article.service h2", "shop") + "&&" + text("article.service h2", "ready") + "&&" + text(".kept", "spans")},
		{"methods", "/methods?open=shop%2Forders.create", "Methods", text("tbody th", "orders.create") + "&&" + text(".detail dd", "POST /orders")},
		{"traces", "/traces", "Traces", text("tbody th", "POST /orders") + "&&" + drawn("main canvas")},
		{"trace", "/traces/" + slow.ID, "POST /orders", text("[role=treeitem]", "POST /orders")},
		{"compare", "/traces/" + slow.ID + "?with=" + other.Traces[0].ID, "POST /orders", text("section[aria-labelledby=compare] tbody th", "POST /orders")},
		{"logs", "/logs", "Logs", text(".record-body", "POST /orders")},
		{"metrics", "/metrics?name=http.server.request.duration", "Metrics", text("main h2", "http.server.request.duration") + "&&" + drawn("main .metric canvas")},
		{"security", "/security", "Security", text("section[aria-labelledby=failures] td", "basic") + "&&" + text("section[aria-labelledby=expiries] td", "key set")},
		{"map", "/map", "Map", text("svg .node", "shop") + "&&" + drawn("main svg .edge")},
		{"runtime", "/runtime", "Runtime", text(".checks li", "database") + "&&" + text(".settings th", "HTTP_ADDR") + "&&" + drawn(".gauges canvas")},
		{"design", "/design", "Design", text("main h2", "Shop") + "&&document.getElementById('orders.create')?.innerText.includes('POST /orders')"},
	}
}

// allPages opens every page in the dark and in the light at the same time.
func (c *consoleTest) allPages(t *testing.T, program string, slow traceSummary) {
	all := c.pagesOf(t, slow)
	for _, taste := range []string{"light", "dark"} {
		t.Run(taste, func(t *testing.T) {
			t.Parallel()
			window := browser(t, program)
			do(t, window)
			for _, p := range all {
				t.Run(p.name, func(t *testing.T) {
					tab := newTab(t, window)
					do(t, tab, scheme(taste))
					wrong := complaints(t, tab)
					defer func() {
						for _, text := range wrong() {
							t.Errorf("the browser says: %s", text)
						}
					}()
					c.judge(t, tab, p, taste)
				})
			}
		})
	}
}

// complaints returns what takes the errors that the browser has seen since.
func complaints(t *testing.T, tab context.Context) func() []string {
	t.Helper()
	var mu sync.Mutex
	var all []string
	add := func(text string) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, text)
	}
	// What the page's policy refuses is an error of the log, too.
	err := chromedp.Listen(tab, func(event any) {
		switch e := event.(type) {
		case *log.EventEntryAdded:
			if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
				add(fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL))
			}
		case *runtime.EventExceptionThrown:
			add((&chromedp.ExceptionError{ExceptionDetails: e.ExceptionDetails}).Error())
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeAssert {
				add(fmt.Sprintf("console.error: %s", e.Args[0].Value))
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		defer func() { all = nil }()
		return all
	}
}

// judge opens a page and looks whether it is as it should be.
func (c *consoleTest) judge(t *testing.T, tab context.Context, p consolePage, taste string) {
	t.Helper()
	do(t, tab, chromedp.EmulateViewport(1280, 800), chromedp.Navigate(c.console+p.path))
	until(t, tab, soon, fmt.Sprintf("document.querySelector('main h1')?.innerText.startsWith(%q)", p.heading))
	until(t, tab, soon, p.shows)
	if dark := must[bool](t, tab, `getComputedStyle(document.documentElement).colorScheme === "dark"`); dark != (taste == "dark") {
		t.Errorf("in %s, whether it is dark: %t", taste, dark)
	}
	accessible(t, tab, taste)
	for _, width := range []int64{360, 1920} {
		do(t, tab, chromedp.EmulateViewport(width, 800))
		fits(t, tab, width)
		keep(t, tab, fmt.Sprintf("console-%s-%d-%s", p.name, width, taste))
	}
}

// accessible has axe look for what keeps people from using the page: in the dark
// at its colours alone, for the rest is the same in the light.
func accessible(t *testing.T, tab context.Context, taste string) {
	t.Helper()
	must[chromedp.Void](t, tab, axe+";void 0")
	const run = `axe.run(document, { resultTypes: ["violations"], preload: false, %s }).then((r) => r.violations
  .filter((v) => v.impact === "serious" || v.impact === "critical")
  .map((v) => v.id + " (" + v.impact + "): " + v.help + v.nodes.slice(0, 5).map((n) => "\n    " + n.target.join(" ") + ": " + n.html.slice(0, 160)
    + "\n      " + [...n.any, ...n.all].map((x) => x.message).join("; ").slice(0, 300)).join("") + (v.nodes.length > 5 ? "\n    and " + (v.nodes.length - 5) + " more" : "")))`
	only := ""
	if taste == "dark" {
		only = `runOnly: ["color-contrast", "link-in-text-block"]`
	}
	for _, violation := range must[[]string](t, tab, fmt.Sprintf(run, only)) {
		t.Errorf("axe: %s", violation)
	}
}

// fits checks that nobody must scroll sideways, once the page has been laid out
// anew.
func fits(t *testing.T, tab context.Context, width int64) {
	t.Helper()
	const measure = `new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  const kept = (e) => { for (let p = e.parentElement; p; p = p.parentElement) if (getComputedStyle(p).overflowX !== "visible") return true; return false; };
  const out = [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !kept(e))
    .map((e) => e.tagName.toLowerCase() + "." + (e.getAttribute("class") ?? "") + " ends at " + Math.round(e.getBoundingClientRect().right));
  done(wide > 0 ? ["by " + wide + " px", ...out.slice(0, 8)] : []);
})))`
	if out := must[[]string](t, tab, measure); len(out) > 0 {
		t.Errorf("at %d px it is too wide: %s", width, strings.Join(out, "; "))
	}
}

// keep keeps what is seen in the folder SCREENSHOTS, if there is one.
func keep(t *testing.T, tab context.Context, name string) {
	t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	image, err := chromedp.Run(tab, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), image, 0o600); err != nil {
		t.Fatal(err)
	}
}
