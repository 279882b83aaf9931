package security

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/idp"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/target"
	"github.com/aguada-dev/aguada/prove/wallet"
)

func keySets() []probe.Probe { return []probe.Probe{outage, flood, rotation, retirement} }

// noKeySet says why there is no key set to be played with.
func noKeySet(l *lab.Lab) string {
	switch {
	case l.Issuer == nil:
		return "the service takes no tokens"
	case l.Issuer.Rotates():
		return ""
	}
	return "tokens are verified by a shared secret"
}

// island is a process with an issuer of its own, and a request that it serves
// with a token.
type island struct {
	*probe.Try
	issuer  *idp.Provider
	in      *target.Instance
	method  method
	request lab.Request
}

func newIsland(ctx context.Context, t *probe.Try) (*island, error) {
	w := &island{Try: t}
	for _, m := range t.Service.Methods {
		if takesToken(m) && probe.Unary(m) && !m.Changes() && m.Fixed() && len(m.Alternative()) == 1 {
			w.method = m
			break
		}
	}
	if w.method == nil {
		return nil, errors.New("no method without path parameters, and that changes nothing, takes a token alone")
	}
	var err error
	if w.request, err = t.Valid(ctx, t.Client, w.method); err != nil {
		return nil, err
	}
	if w.in, w.issuer, err = t.Island(ctx); err != nil {
		return nil, err
	}
	if a := w.do(ctx, w.signed()); !lab.Succeeds(w.method, a) {
		w.close()
		return nil, fmt.Errorf("the service answers %s before anything has happened", a)
	}
	return w, nil
}

func (w *island) close() {
	w.in.Close()
	_ = w.issuer.Close()
}

// signed is the request with a token of the issuer's present key.
func (w *island) signed() lab.Request {
	token, err := w.Token(w.issuer, wallet.Names[0], w.method.Requirements[0].Scopes)
	if err != nil {
		return w.request
	}
	return w.request.With("Authorization", "Bearer "+token)
}

// do sends a request from an address that no other came from.
func (w *island) do(ctx context.Context, r lab.Request) *lab.Answer {
	return w.NewClient(w.in).Do(ctx, r)
}

// until sends requests until an answer is wanted, or three quarters of the
// probe's time have passed.
func (w *island) until(ctx context.Context, next func() lab.Request, want func(*lab.Answer) bool) (*lab.Answer, bool) {
	deadline, _ := ctx.Deadline()
	ctx, cancel := context.WithTimeout(ctx, time.Until(deadline)*3/4)
	defer cancel()
	clock := time.NewTicker(200 * time.Millisecond)
	defer clock.Stop()
	for {
		a := w.do(ctx, next())
		if want(a) {
			return a, true
		}
		select {
		case <-clock.C:
		case <-ctx.Done():
			return a, false
		}
	}
}

// onIsland is a Run with a process and an issuer of its own.
func onIsland(run func(context.Context, *island) finding.Outcome) func(context.Context, *probe.Try) finding.Outcome {
	return func(ctx context.Context, t *probe.Try) finding.Outcome {
		w, err := newIsland(ctx, t)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer w.close()
		return run(ctx, w)
	}
}

var outage = probe.Probe{
	Probe: describe("keys.outage", "Are tokens still verified while the server of key sets is away?",
		"A provider that is down for a minute takes every service with it that fetches keys when it needs them.",
		"Keep the last good key set, fetch ahead of its end, and serve with the old one while the server is away.",
		"RFC 7517 §5", "CWE-400"),
	Needs: lab.Process,
	Omit:  noKeySet,
	Run: onIsland(func(ctx context.Context, w *island) finding.Outcome {
		for _, how := range []idp.Outage{idp.Fail, idp.Drop, idp.Garbage, idp.Hang} {
			w.issuer.Outage(how)
			r := w.signed()
			if a := w.do(ctx, r); !lab.Succeeds(w.method, a) || a.Took > 2*time.Second {
				return probe.Fail(w.Client.Show(r, a), "the answer is %s after %s", a, a.Took.Round(time.Millisecond))
			}
		}
		return probe.Pass("served while the key-set server fails, resets, answers nonsense and hangs")
	}),
}

var flood = probe.Probe{
	Probe: describe("keys.flood", "Do made-up key ids not make the service ask for the key set again and again?",
		"A stranger who sends tokens with random key ids then makes the service flood its own provider, which locks it out.",
		"Fetch for an unknown key id in single flight and at most once in some seconds.",
		"CWE-400", "OWASP API4:2023"),
	Needs: lab.Process,
	Omit:  noKeySet,
	Run: onIsland(func(ctx context.Context, w *island) finding.Outcome {
		before := w.issuer.Requests().Keys
		const tries = 60
		for range tries {
			token, err := w.issuer.Forge("unknown-kid", idp.Claims{})
			if err != nil {
				return probe.Skip("%v", err)
			}
			r := w.request.With("Authorization", "Bearer "+token)
			if a := w.do(ctx, r); a.Status != http.StatusUnauthorized && a.Status != http.StatusServiceUnavailable {
				return probe.Fail(w.Client.Show(r, a), "the answer is %s", a)
			}
		}
		asked := w.issuer.Requests().Keys - before
		if asked > tries/4 {
			return probe.Fail(nil, "%d tokens with made-up key ids brought about %d requests for the key set", tries, asked)
		}
		return probe.Pass("%d tokens, %d requests for the key set", tries, asked)
	}),
}

var rotation = probe.Probe{
	Probe: describe("keys.rotation", "Is a token with a new key accepted soon, and one with the old key still?",
		"Issuers change their keys without asking. A service that only reads them at its start refuses everybody afterwards.",
		"Fetch the key set again when a key id is unknown, and keep what it publishes.",
		"RFC 7517 §5", "OWASP API2:2023"),
	Needs: lab.Process,
	Omit:  noKeySet,
	Limit: 40 * time.Second,
	Run: onIsland(func(ctx context.Context, w *island) finding.Outcome {
		old := w.signed()
		if err := w.issuer.Rotate(); err != nil {
			return probe.Skip("%v", err)
		}
		began := time.Now()
		if a, ok := w.until(ctx, w.signed, func(a *lab.Answer) bool { return lab.Succeeds(w.method, a) }); !ok {
			return probe.Fail(w.Client.Show(w.signed(), a), "a token with the new key is answered %s, %s after the change", a, time.Since(began).Round(time.Second))
		}
		took := time.Since(began)
		if a := w.do(ctx, old); !lab.Succeeds(w.method, a) {
			return probe.Fail(w.Client.Show(old, a), "a token with the old key, which is still published, is answered %s", a)
		}
		return probe.Pass("the new key after %s, the old one still", took.Round(10*time.Millisecond))
	}),
}

var retirement = probe.Probe{
	Probe: describe("keys.retired", "Is a token refused soon after its key was withdrawn?",
		"A key is withdrawn when it has leaked. Until the service notices, whoever has it is anybody.",
		"Fetch key sets on a schedule of seconds to a few minutes, and drop verified tokens with their key.",
		"RFC 7517 §5", "CWE-324"),
	Needs: lab.Process,
	Omit:  noKeySet,
	Limit: 60 * time.Second,
	Run: onIsland(func(ctx context.Context, w *island) finding.Outcome {
		old := w.signed()
		if a := w.do(ctx, old); !lab.Succeeds(w.method, a) {
			return probe.Skip("the service answers %s before the key is withdrawn", a)
		}
		if err := w.issuer.Rotate(); err != nil {
			return probe.Skip("%v", err)
		}
		w.issuer.Retire()
		began := time.Now()
		a, ok := w.until(ctx, func() lab.Request {
			w.do(ctx, w.signed()) // a token with the new key is what makes a service look
			return old
		}, func(a *lab.Answer) bool { return a.Status == http.StatusUnauthorized })
		if !ok {
			return probe.Fail(w.Client.Show(old, a), "the answer is still %s, %s after the key was withdrawn", a, time.Since(began).Round(time.Second))
		}
		return probe.Pass("refused after %s", time.Since(began).Round(10*time.Millisecond))
	}),
}
