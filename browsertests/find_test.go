//go:build unix

package browsertests

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// findSlowTrace goes the way of a person who was told that an order took long.
func (c *consoleTest) findSlowTrace(t *testing.T, slow traceSummary) {
	tab := c.open(t, "/")
	do(t, tab, click(`//article//a[text()="traces"]`))
	until(t, tab, soon, `document.querySelectorAll("tbody tr").length > 1`)
	do(t, tab, enter(`input[placeholder="20ms"]`, "1s"+kb.Enter))
	// The longest has the longest bar.
	until(t, tab, soon, `document.querySelectorAll("tbody tr").length === 1 && document.querySelector("tbody td.bar i").style.width === "100%"`)
	if got, want := must[string](t, tab, `document.querySelector("tbody th a").pathname`), "/traces/"+slow.ID; got != want {
		t.Fatalf("the slowest trace is %s, not %s", got, want)
	}
	do(t, tab, click(`tbody th a`))
	until(t, tab, soon, `document.querySelector("main h1")?.innerText.startsWith("POST /orders") && document.querySelectorAll("[role=treeitem]").length > 3`)

	child := c.longestChild(t, slow)
	do(t, tab, click("#span-"+child.ID))
	until(t, tab, soon, fmt.Sprintf(`document.querySelector(".span-details h2")?.innerText === %q && document.querySelector(".span-details .mono").innerText === %q`, child.Name, child.ID))

	do(t, tab, click(`//a[text()="its logs"]`))
	until(t, tab, soon, `location.pathname === "/logs" && document.querySelectorAll(".record-line").length > 0`)
	if rows := must[[]string](t, tab, `[...document.querySelectorAll(".record-body")].map((e) => e.innerText)`); !strings.Contains(rows[0], "POST /orders · 201 · 1.5") {
		t.Errorf("the logs of the trace are:\n%s", strings.Join(rows, "\n"))
	}
	do(t, tab, click(".record-line"), click(`//a[text()="open its trace"]`))
	until(t, tab, soon, fmt.Sprintf(`location.pathname === "/traces/%s" && document.querySelector("main h1")?.innerText.startsWith("POST /orders")`, slow.ID))
}

// spanOf is a span of a trace.
type spanOf struct {
	ID       string `json:"span_id"`
	Parent   string `json:"parent_id"`
	Name     string
	Duration int64 `json:"duration_ns"`
}

func (c *consoleTest) longestChild(t *testing.T, of traceSummary) (longest spanOf) {
	t.Helper()
	var trace struct{ Spans []spanOf }
	c.ask(t, "/api/traces/"+of.ID, &trace)
	for _, s := range trace.Spans {
		if s.Parent != "" && s.Duration > longest.Duration {
			longest = s
		}
	}
	if longest.ID == "" {
		t.Fatalf("the trace has no child span: %+v", trace)
	}
	return longest
}

// seeRefusedLogin watches the page while somebody tries a wrong password.
func (c *consoleTest) seeRefusedLogin(t *testing.T) {
	tab := c.open(t, "/security")
	const counted = `[...document.querySelectorAll("section[aria-labelledby=failures] tbody td:first-child")].reduce((n, e) => n + Number(e.innerText), 0)`
	const events = `document.querySelectorAll("section[aria-labelledby=events] tbody tr").length`
	until(t, tab, soon, counted+` > 0 && document.querySelector(".live-live") !== null`)
	before := must[[]int](t, tab, "["+counted+","+events+"]")
	must[bool](t, tab, "window.sameDocument = true")
	c.refused(t)
	until(t, tab, 2*time.Second*slack, fmt.Sprintf("%s === %d && %s === %d && window.sameDocument", counted, before[0]+1, events, before[1]+1))
	if row := must[string](t, tab, `document.querySelector("section[aria-labelledby=events] tbody tr").innerText`); !strings.Contains(row, "auth.account="+c.user) {
		t.Errorf("the latest event is %q", row)
	}
}

// openOften opens pages anew, more of them than a browser has connections to one
// host: it keeps those that were left, for going back to them.
func (c *consoleTest) openOften(t *testing.T) {
	tab := newTab(t, c.browser)
	for i := range 8 {
		path, shown := "/", `[...document.querySelectorAll("article.service h2")].some((e) => e.innerText.includes("shop"))`
		if i%2 == 1 {
			path, shown = "/logs", `document.querySelector(".record-body") !== null`
		}
		soon, cancel := context.WithTimeout(tab, 10*time.Second*slack)
		defer cancel()
		do(t, soon, chromedp.Navigate(c.console+path))
		until(t, soon, 5*time.Second*slack, shown)
	}
}
