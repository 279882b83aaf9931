package transport

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/auth"
)

// A payload line never holds the connection that a raw body is.
func TestWithoutBody(t *testing.T) {
	type payload struct{ Name string }
	type raw struct {
		Payload *payload
		Body    io.ReadCloser
	}
	type bare struct{ Body io.ReadCloser }
	type named struct{ Body string }
	p := &payload{Name: "x"}
	if got := withoutBody(&raw{Payload: p, Body: http.NoBody}); got != p {
		t.Errorf("%v", got)
	}
	if got := withoutBody(&bare{Body: io.NopCloser(strings.NewReader("secret"))}); got != nil {
		t.Errorf("%v", got)
	}
	for _, v := range []any{p, &named{Body: "a field of the design"}, "text", 7, (*payload)(nil)} {
		if got := withoutBody(v); got != v {
			t.Errorf("%v became %v", v, got)
		}
	}
}

// verdicts is a verifier that says what the token asks it to.
type verdicts struct{}

func (verdicts) Verify(_ context.Context, c auth.Credential) (*auth.Principal, error) {
	switch c.Token {
	case "good", "reader":
		p := &auth.Principal{Subject: c.Token, Scopes: []string{"api:read", "api:write"}}
		if c.Token == "reader" {
			p.Scopes = nil
		}
		return p, nil
	case "locked":
		return nil, &auth.Error{Reason: auth.Locked, RetryAfter: time.Minute}
	case "down":
		return nil, errors.New("connection refused")
	default:
		return nil, &auth.Error{Reason: auth.Unknown, Account: "ann"}
	}
}

// Whoever is not let in is audited once, with the reason and the account, and
// without the credential; a method that is audited has its own event beside. Not
// to have presented anything is no failure.
func TestFailuresAreAudited(t *testing.T) {
	var events []Event
	r := newRig(t, func(r *rig) {
		r.cfg.Audit = func(e *Event) { events = append(events, *e) }
		r.cfg.Verifiers["jwt"] = verdicts{}
	})
	type want struct {
		reason auth.Reason
		user   string
		status int
	}
	for _, c := range []struct {
		verb, path, token string
		failed            *want
		calls             int // events of the method's own
	}{
		{"GET", "/orders/1", "good", nil, 0},
		{"GET", "/orders/1", "", nil, 0},
		{"GET", "/orders/1", "wrong-secret", &want{auth.Unknown, "ann", 401}, 0},
		{"GET", "/orders/1", "not one token", &want{auth.Malformed, "", 401}, 0},
		{"GET", "/orders/1", "locked", &want{auth.Locked, "", 429}, 0},
		{"GET", "/orders/1", "down", &want{auth.Unavailable, "", 503}, 0},
		{"GET", "/orders/1", "reader", &want{auth.InsufficientScope, "reader", 403}, 0},
		{"POST", "/orders/7:cancel", "wrong-secret", &want{auth.Unknown, "ann", 401}, 1},
		{"POST", "/orders/7:cancel", "", nil, 1},
		{"POST", "/orders/7:cancel", "good", nil, 1},
		{"POST", "/nothing", "wrong-secret", nil, 0},
	} {
		events = nil
		w := r.do(request(c.verb, c.path, c.token, ""))
		var failed *Event
		calls := 0
		for i, e := range events {
			if !e.Failed {
				calls++
				continue
			}
			if failed != nil {
				t.Errorf("%s %q: audited twice", c.path, c.token)
			}
			failed = &events[i]
		}
		if (failed != nil) != (c.failed != nil) || calls != c.calls {
			t.Errorf("%s %q: %d, events %+v", c.path, c.token, w.Code, events)
			continue
		}
		if failed == nil {
			continue
		}
		got := want{auth.Reason(failed.ErrorType), failed.User, failed.Status}
		if got != *c.failed || failed.Outcome != "denied" || failed.Scheme != "jwt" || failed.RequestID != "" || w.Code != got.status {
			t.Errorf("%s %q: %d, event %+v", c.path, c.token, w.Code, failed)
		}
	}
	if strings.Contains(r.log.String(), "wrong-secret") {
		t.Error("the credential is in the log")
	}
}
