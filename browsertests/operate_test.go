//go:build unix

package browsertests

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// takeProfile takes a profile of the heap, and goes into a function.
func (c *consoleTest) takeProfile(t *testing.T) {
	tab := c.open(t, "/runtime")
	do(t, tab, enter("section[aria-labelledby=profiles] select", "heap"))
	until(t, tab, soon, `location.search.includes("kind=heap")`)
	do(t, tab, click("section[aria-labelledby=profiles] button.primary"))
	until(t, tab, soon, `document.querySelectorAll(".flame-box").length > 10`)
	// One that has callers and takes a part of the width.
	const some = `(() => {
  const whole = document.querySelector(".flame-boxes").clientWidth;
  const box = [...document.querySelectorAll(".flame-box[aria-level='4']")].find((e) => e.clientWidth > 60 && e.clientWidth < whole * 0.95);
  return [box?.dataset.frame ?? "", box?.innerText ?? ""];
})()`
	box := must[[]string](t, tab, some)
	if box[0] == "" || box[1] == "" {
		t.Fatalf("no box to click in:\n%s", must[string](t, tab, `document.querySelector(".flame-boxes").outerHTML`))
	}
	at := fmt.Sprintf(".flame-box[data-frame='%s']", box[0])
	do(t, tab, click(at))
	until(t, tab, soon, fmt.Sprintf(`document.querySelector("%s")?.clientWidth >= document.querySelector(".flame-boxes").clientWidth - 2 &&
    document.querySelector(".crumbs [aria-current]")?.innerText === %q`, at, box[1]))
}

// useLease has payloads in the log for a while.
func (c *consoleTest) useLease(t *testing.T) {
	tab := c.open(t, "/runtime")
	const form = "section[aria-labelledby=leases] "
	do(t, tab, click(form+"summary"), enter(form+"select[name=kind]", "payloads"))
	until(t, tab, soon, `location.search.includes("lease=payloads")`)
	do(t, tab, enter(form+"select[name=goa_service]", "orders"), enter(form+"input[name=reason]", "a customer complains"), click(form+"button.primary"))
	until(t, tab, soon, `document.querySelector(".leases")?.innerText.includes("payloads for service orders")`)

	request := c.orderWithNote(t, "while the lease is open")
	do(t, tab, click(`.leases a`))
	until(t, tab, soon, `[...document.querySelectorAll(".record-body")].some((e) => e.innerText.includes("while the lease is open"))`)
	c.seePayload(t, tab, request)

	do(t, tab, chromedp.NavigateBack())
	do(t, tab, click(`//ul[@class="leases"]//button[text()="End"]`))
	until(t, tab, soon, `document.querySelector("section[aria-labelledby=leases]")?.innerText.includes("No lease is open.")`)
	request = c.orderWithNote(t, "after it has ended")
	var own struct{ Matched int }
	c.await(t, "/api/logs?attr=request_id%3D"+request, &own, func() bool { return own.Matched > 0 })
	if n := c.records(t, "q=after+it+has+ended"); n != 0 {
		t.Errorf("%d records with payloads after the lease has ended", n)
	}
}

// seePayload opens the record, and looks for what must not be in it.
func (c *consoleTest) seePayload(t *testing.T, tab context.Context, request string) {
	t.Helper()
	do(t, tab, click(`//div[@class="record-line" or contains(@class,"record")]//button[contains(., "while the lease is open")]`))
	until(t, tab, soon, `document.querySelector(".span-details .attributes") !== null`)
	shown := must[string](t, tab, "document.body.innerText")
	if !strings.Contains(shown, "cust_1042") || !strings.Contains(shown, request) || strings.Contains(shown, card) {
		t.Errorf("the page shows:\n%s", shown)
	}
	if n := c.records(t, "q=while+the+lease+is+open"); n == 0 {
		t.Error("the store has no record of the payload")
	}
	if n := c.records(t, "q="+card); n != 0 {
		t.Errorf("%d records have the number of the card", n)
	}
}

// orderWithNote orders, and returns the id of the request.
func (c *consoleTest) orderWithNote(t *testing.T, note string) string {
	t.Helper()
	body := strings.Replace(order, "Please ring twice.", note, 1)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.service+"/orders", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	c.bearer(req)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("POST /orders: %s", res.Status)
	}
	return res.Header.Get("X-Request-Id")
}

// records returns how many records match.
func (c *consoleTest) records(t *testing.T, query string) int {
	t.Helper()
	var found struct{ Matched int }
	c.ask(t, "/api/logs?limit=1&"+query, &found)
	return found.Matched
}
