package transport

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/transport/internal/testsvc/gen/shop"
)

// during runs f inside a call of the show or find method and returns its
// answer. The latter is public: the fake time of synctest is before the
// tokens'.
func during(t *testing.T, r *rig, req *http.Request, f func(context.Context) error) *httptest.ResponseRecorder {
	t.Helper()
	called := false
	r.shop.show = func(ctx context.Context, _ *shop.ShowPayload) (*shop.Order, error) {
		called = true
		return stored, f(ctx)
	}
	r.shop.find = func(ctx context.Context, _ *shop.FindPayload) (any, error) {
		called = true
		return "found", f(ctx)
	}
	w := httptest.NewRecorder()
	r.h.ServeHTTP(w, req)
	if !called {
		t.Fatalf("the method was not called: %d %s", w.Code, w.Body)
	}
	return w
}

func TestDeadline(t *testing.T) {
	r := newRig(t, func(r *rig) { r.policyOf("find").Deadline = 5e9 })
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		tests := []struct {
			name string
			f    func(context.Context) error
		}{
			{"done", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
			{"done of a child", func(ctx context.Context) error {
				child, cancel := context.WithCancel(ctx)
				defer cancel()
				<-child.Done()
				return child.Err()
			}},
			{"never asked", func(ctx context.Context) error { time.Sleep(6 * time.Second); return ctx.Err() }},
			{"an error of its own", func(ctx context.Context) error { <-ctx.Done(); return errors.New("query was interrupted") }},
			{"after func", func(ctx context.Context) error {
				c := make(chan struct{})
				context.AfterFunc(ctx, func() { close(c) })
				<-c
				return context.Cause(ctx)
			}},
		}
		for _, test := range tests {
			start = time.Now()
			w := during(t, r, request("GET", "/find", "", ""), func(ctx context.Context) error {
				d, ok := ctx.Deadline()
				if !ok || d.Sub(start) != 5*time.Second {
					t.Errorf("%s: deadline %v %v", test.name, d, ok)
				}
				return test.f(ctx)
			})
			if w.Code != http.StatusGatewayTimeout {
				t.Errorf("%s: status %d: %s", test.name, w.Code, w.Body)
			}
			if d := time.Since(start); d > 6*time.Second {
				t.Errorf("%s: took %v", test.name, d)
			}
		}
		base, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		during(t, r, request("GET", "/find", "", "").WithContext(base), func(ctx context.Context) error {
			if d, _ := ctx.Deadline(); time.Until(d) != time.Second {
				t.Errorf("the parent's earlier deadline is lost: %v", d)
			}
			<-ctx.Done()
			return ctx.Err()
		})
	})
}

func TestContextEndsWithTheCall(t *testing.T) {
	r := newRig(t, nil)
	var asked, unasked context.Context
	during(t, r, request("GET", "/orders/o1", r.token, ""), func(ctx context.Context) error {
		asked = ctx
		if err := ctx.Err(); err != nil {
			t.Errorf("err = %v during the call", err)
		}
		select {
		case <-ctx.Done():
			t.Error("done during the call")
		default:
		}
		return nil
	})
	during(t, r, request("GET", "/orders/o1", r.token, ""), func(ctx context.Context) error { unasked = ctx; return nil })
	for name, ctx := range map[string]context.Context{"asked": asked, "unasked": unasked} {
		if !errors.Is(ctx.Err(), context.Canceled) {
			t.Errorf("%s: err = %v after the call", name, ctx.Err())
		}
		select {
		case <-ctx.Done():
		default:
			t.Errorf("%s: not done after the call", name)
		}
		child, cancel := context.WithCancel(ctx)
		if child.Err() == nil {
			t.Errorf("%s: a child made after the call is alive", name)
		}
		cancel()
	}
}

func TestChildrenNeedNoGoroutine(t *testing.T) {
	r := newRig(t, nil)
	during(t, r, request("GET", "/orders/o1", r.token, ""), func(ctx context.Context) error {
		before := runtime.NumGoroutine()
		for range 50 {
			child, cancel := context.WithCancel(ctx)
			defer cancel()
			_ = child
		}
		if n := runtime.NumGoroutine(); n > before {
			t.Errorf("%d goroutines for 50 children", n-before)
		}
		return nil
	})
}

func TestParentCancels(t *testing.T) {
	r := newRig(t, nil)
	base, cancel := context.WithCancel(context.Background())
	during(t, r, request("GET", "/orders/o1", r.token, "").WithContext(base), func(ctx context.Context) error {
		cancel()
		if !errors.Is(ctx.Err(), context.Canceled) {
			t.Errorf("err = %v", ctx.Err())
		}
		<-ctx.Done()
		return ctx.Err()
	})
	if line := r.log.last(t); line["http.response.status_code"] != 499.0 || line["level"] != "INFO" {
		t.Errorf("line = %v", line)
	}
}

// A goroutine that outlives its call keeps its own caller, whatever is called
// meanwhile, and can write nothing.
func TestOutlivingGoroutinesKeepTheirCaller(t *testing.T) {
	r := newRig(t, nil)
	stop := make(chan struct{})
	var outliving sync.WaitGroup
	r.shop.show = func(ctx context.Context, _ *shop.ShowPayload) (*shop.Order, error) {
		me, _ := auth.FromContext(ctx)
		subject, id := me.Subject, RequestID(ctx)
		c := callOf(ctx)
		outliving.Go(func() {
			for {
				p, ok := auth.FromContext(ctx)
				if !ok || p.Subject != subject || RequestID(ctx) != id {
					t.Errorf("saw another caller: %v instead of %s", p, subject)
					return
				}
				_, _ = ctx.Deadline()
				_ = ctx.Err()
				select {
				case <-stop:
					<-ctx.Done()
					if _, err := c.Write([]byte("late")); err == nil {
						t.Error("wrote into an answer that is over")
					}
					return
				default:
					runtime.Gosched()
				}
			}
		})
		return stored, nil
	}
	var calls sync.WaitGroup
	for range 4 {
		for _, token := range []string{r.token, r.other, r.reader} {
			calls.Go(func() {
				for range 5 {
					w := httptest.NewRecorder()
					r.h.ServeHTTP(w, request("GET", "/orders/o1", token, ""))
					if w.Code != http.StatusOK {
						t.Errorf("status %d: %s", w.Code, w.Body)
					}
				}
			})
		}
	}
	calls.Wait()
	close(stop)
	outliving.Wait()
}

func TestConfirm(t *testing.T) {
	r := newRig(t, nil)
	during(t, r, request("GET", "/orders/o1", r.token, ""), func(ctx context.Context) error {
		if err := Confirm(ctx); err != nil {
			t.Errorf("confirm: %v", err)
		}
		forged := auth.NewContext(ctx, &auth.Principal{Subject: "root"})
		if err := Confirm(forged); err != nil {
			t.Errorf("confirm: %v", err)
		}
		return nil
	})
	r.shop.find = func(ctx context.Context, _ *shop.FindPayload) (any, error) {
		if Confirm(ctx) == nil {
			t.Error("a public method's call is confirmed")
		}
		return "ok", nil
	}
	base := auth.NewContext(context.Background(), &auth.Principal{Subject: "root"})
	w := httptest.NewRecorder()
	r.h.ServeHTTP(w, request("GET", "/find", "", "").WithContext(base))
	if w.Code != http.StatusOK {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	if Confirm(base) == nil || Confirm(context.Background()) == nil {
		t.Error("confirmed outside of a call")
	}
}
