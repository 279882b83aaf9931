//go:build unix

package browsertests

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// patience is how long a step may take on a busy machine.
const patience = 4 * time.Minute

// chromium returns the browser's program, and skips the test without one.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("SKIPPED: there is no Chromium on PATH, so nothing was clicked")
	return ""
}

// browser opens a tab.
func browser(t *testing.T, path string) context.Context {
	t.Helper()
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.Flag("disable-gpu", true), chromedp.Flag("disable-background-networking", true))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, opts...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	return ctx
}

// do runs steps in a tab.
func do(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

// scheme sets what the page is told of the user's taste: dark or light.
func scheme(name string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, _ *chromedp.Target) (chromedp.Void, error) {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
		})
		return chromedp.Void{}, err
	}
}

// listener is a program that waits for the browser to come back.
type listener struct {
	url  string
	came chan url.Values
}

func listen(t *testing.T) *listener {
	t.Helper()
	l := &listener{came: make(chan url.Values, 8)}
	s := newLoopback(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/callback" {
			http.NotFound(w, r)
			return
		}
		l.came <- r.URL.Query()
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintln(w, `<p id="came">you may close this window</p>`)
	}))
	l.url = s + "/callback"
	return l
}

// wait returns what the browser brought, once it shows the answer: it refuses to
// go elsewhere while it loads.
func (l *listener) wait(t *testing.T, ctx context.Context) url.Values {
	t.Helper()
	select {
	case q := <-l.came:
		do(t, ctx, chromedp.WaitVisible(chromedp.CSS("#came")))
		return q
	case <-ctx.Done():
		where, _ := chromedp.Run(ctx, chromedp.Location())
		t.Fatalf("the browser never came back; it is at %q", where)
		return nil
	}
}
