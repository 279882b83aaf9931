//go:build unix

package browsertests

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// card is what callers pay with: no page may ever show it.
const card = "4000056655665556"

// A person looks at a service that is used, in the console that aguada run starts.
func TestConsole(t *testing.T) {
	program := chromium(t)
	c := &consoleTest{shop: orders(t)}
	c.token = c.newToken(t)
	slow := c.use(t)
	c.browser = browser(t, program)
	do(t, c.browser) // starts it: tabs share it from now on

	t.Run("first load", c.firstLoad)
	t.Run("pages", func(t *testing.T) { c.allPages(t, program, slow) })
	t.Run("slow trace", func(t *testing.T) { c.findSlowTrace(t, slow) })
	t.Run("refused login", c.seeRefusedLogin)
	t.Run("heap profile", c.takeProfile)
	t.Run("debug lease", c.useLease)
	t.Run("live tail", c.followTail)
	t.Run("many loads", c.openOften)
}

// consoleTest is a console, the service that it shows, and a browser at it.
type consoleTest struct {
	*shop
	token   string
	browser context.Context
}

// newToken gets a token as a user does.
func (c *consoleTest) newToken(t *testing.T) string {
	t.Helper()
	out, err := exec.Command(c.binary, "token", "--scope", "api:read api:write", c.dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// call calls the service, and returns the status.
func (c *consoleTest) call(ctx context.Context, method, path string, body io.Reader, edit func(*http.Request)) (int, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.service+path, body)
	if err != nil {
		return 0, err
	}
	edit(req)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return res.StatusCode, err
}

const order = `{"card":"` + card + `","currency":"EUR","customer_id":"cust_1042","note":"Please ring twice.",` +
	`"items":[{"quantity":2,"sku":"TEA-ASSAM-250","unit_price_cents":1250}]}`

func (c *consoleTest) bearer(r *http.Request) {
	r.Header.Set("Authorization", "Bearer "+c.token)
	r.Header.Set("Content-Type", "application/json")
}

func (c *consoleTest) createOrder(ctx context.Context, body io.Reader) error {
	status, err := c.call(ctx, http.MethodPost, "/orders", body, c.bearer)
	if err == nil && status != http.StatusCreated {
		err = fmt.Errorf("POST /orders: %d", status)
	}
	return err
}

// refused tries to log in with a password that is wrong.
func (c *consoleTest) refused(t *testing.T) {
	t.Helper()
	status, err := c.call(t.Context(), http.MethodGet, "/accounts/me", nil, func(r *http.Request) { r.SetBasicAuth(c.user, "wrong") })
	if err != nil || status != http.StatusUnauthorized {
		t.Fatalf("a wrong password is answered %d, %v", status, err)
	}
}

// hesitating is a body whose second half comes late.
type hesitating struct {
	io.Reader
	pause time.Duration
}

func (h *hesitating) Read(b []byte) (int, error) {
	n, err := h.Reader.Read(b[:min(len(b), len(order)/2+1)])
	if h.pause > 0 && n > 0 {
		time.Sleep(h.pause) // a slow line, not something that is waited for
		h.pause = 0
	}
	return n, err
}

// use has callers use the service until the test ends. It returns the trace of
// the one call that took long.
func (c *consoleTest) use(t *testing.T) traceSummary {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		for tick := time.NewTicker(500 * time.Millisecond); ; {
			if err := c.createOrder(ctx, strings.NewReader(order)); err != nil && ctx.Err() == nil {
				done <- err
				return
			}
			if _, err := c.call(ctx, http.MethodGet, "/orders?limit=2", nil, c.bearer); err != nil && ctx.Err() == nil {
				done <- err
				return
			}
			select {
			case <-ctx.Done():
				done <- nil
				return
			case <-tick.C:
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	c.refused(t)
	if err := c.createOrder(ctx, &hesitating{strings.NewReader(order), 1500 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	var found struct{ Traces []traceSummary }
	c.await(t, "/api/traces?method=POST+/orders&min=1s", &found, func() bool { return len(found.Traces) == 1 && found.Traces[0].Spans > 3 })
	return found.Traces[0]
}

// traceSummary is what the list says of a trace.
type traceSummary struct {
	ID       string
	Spans    int
	Duration int64 `json:"duration_ns"`
}

// ask asks the API of the console.
func (c *consoleTest) ask(t *testing.T, path string, to any) {
	t.Helper()
	res, err := http.Get(c.console + path)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %d, %v\n%s", path, res.StatusCode, err, body)
	}
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(to); err != nil {
		t.Fatalf("GET %s: %v\n%s", path, err, body)
	}
}

// await asks until the answer is as wanted.
func (c *consoleTest) await(t *testing.T, path string, to any, good func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); <-tick.C {
		if c.ask(t, path, to); good() {
			return
		}
	}
	t.Fatalf("GET %s never told what was waited for: %+v", path, to)
}

// open opens a page of the console in a tab of its own, which the test closes.
func (c *consoleTest) open(t *testing.T, path string) context.Context {
	t.Helper()
	tab := newTab(t, c.browser)
	do(t, tab, chromedp.Navigate(c.console+path))
	return tab
}

// newTab opens an empty tab until the test ends.
func newTab(t *testing.T, browser context.Context) context.Context {
	t.Helper()
	tab, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	do(t, tab)
	return tab
}

// until waits in the page until an expression of JavaScript is true. It needs no
// eval in the page, which the console forbids.
func until(t *testing.T, tab context.Context, within time.Duration, expression string) {
	t.Helper()
	const look = `new Promise((done, fail) => {
  const end = performance.now() + %d;
  const look = () => {
    if (%s) done();
    else if (performance.now() > end) fail(new Error(location.href + " shows:\n" + document.body.innerText.slice(0, 2000)));
    else requestAnimationFrame(look);
  };
  look();
})`
	if _, err := evaluate[chromedp.Void](tab, fmt.Sprintf(look, within.Milliseconds(), expression)); err != nil {
		t.Fatalf("not within %s: %s\n%v", within, expression, err)
	}
}

// soon is how long a page may take on a busy machine.
const soon = 20 * time.Second

// evaluate returns what an expression of JavaScript, or the promise that it is, comes to.
func evaluate[T any](tab context.Context, expression string) (T, error) {
	return chromedp.Run(tab, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// must returns what an expression comes to.
func must[T any](t *testing.T, tab context.Context, expression string) T {
	t.Helper()
	v, err := evaluate[T](tab, expression)
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// click clicks what a person sees; it is named by CSS or XPath.
func click(selector string) chromedp.Action[chromedp.Void] {
	return chromedp.Click(selector, chromedp.NodeVisible)
}

// enter types into what has the focus once it was clicked.
func enter(selector, text string) chromedp.Action[chromedp.Void] {
	return chromedp.SendKeys(selector, text, chromedp.NodeVisible)
}
