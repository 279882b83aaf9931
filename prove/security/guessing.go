package security

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/target"
)

func guessing() []probe.Probe { return []probe.Probe{lockout, forgiven, hostage, sameTime} }

// guessable returns the method whose credentials are guessed first: one with
// passwords, if there is any.
func guessable(t *probe.Try) method { return guessableOf(t.Lab) }

func guessableOf(l *lab.Lab) method {
	var found method
	for _, m := range l.Service.Methods {
		if !probe.Secured(m) || !probe.Unary(m) || m.Changes() || len(m.Alternative()) != 1 {
			continue
		}
		if m.SchemeKind(m.Alternative()[0]) == policy.Basic {
			return m
		}
		if found == nil {
			found = m
		}
	}
	return found
}

// unguessable says why there is nothing to be guessed.
func unguessable(l *lab.Lab) string {
	if guessableOf(l) == nil {
		return "no method that changes nothing has a single credential"
	}
	return ""
}

const guesses = 40

// guesser sends wrong credentials to one process, all from one address.
type guesser struct {
	*lab.Client
	t      *probe.Try
	method method
	last   lab.Request
	// disguised puts another client's address into each request.
	disguised bool
	// spread guesses at another account each time, instead of every other time:
	// an account at which much was guessed may answer late.
	spread bool
	n      int
}

func newGuesser(t *probe.Try, in *target.Instance, m method) *guesser {
	return &guesser{Client: t.NewClient(in), t: t, method: m}
}

// guess sends one wrong credential.
func (g *guesser) guess(ctx context.Context) *lab.Answer {
	creds, err := g.t.Credentials(g.method)
	if err != nil {
		return &lab.Answer{Err: err}
	}
	for name, k := range creds {
		k.Password += "x"
		k.Token += "x"
		if g.spread || g.n%2 == 1 {
			k.User = fmt.Sprintf("prover-%d", g.n)
		}
		creds[name] = k
	}
	valid, err := g.t.Valid(ctx, g.t.Client, g.method)
	if err != nil {
		return &lab.Answer{Err: err}
	}
	g.n++
	g.last = g.t.Attach(valid, g.method, 0, creds)
	if g.disguised {
		address := fmt.Sprintf("203.0.113.%d", g.n)
		g.last = g.last.With("X-Forwarded-For", address).With("X-Real-Ip", address).With("Forwarded", "for="+address)
	}
	return g.Do(ctx, g.last)
}

// on guesses until it has to wait, at most as often as guesses says, and
// returns the last answer.
func (g *guesser) on(ctx context.Context) (last *lab.Answer) {
	for g.n < guesses {
		if last = g.guess(ctx); waits(last) || last.Err != nil {
			break
		}
	}
	return last
}

func waits(a *lab.Answer) bool { return a.Status == http.StatusTooManyRequests }

var lockout = probe.Probe{
	Probe: describe("guess.lockout", "Does an address that guesses credentials have to wait, whatever it says of where it comes from?",
		"Without it passwords are tried at the speed of the network, and nobody notices. Where X-Forwarded-For is believed of anybody, every guess comes from another address.",
		"Count failures by client address and answer 429 with Retry-After for a while, longer each time. Believe X-Forwarded-For of your own proxies only.",
		"OWASP API2:2023", "CWE-307", "CWE-348", "RFC 6585 §4"),
	Needs: lab.Process,
	Omit:  unguessable,
	Limit: 90 * time.Second,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		m := guessable(t)
		if m == nil {
			return probe.Skip("no method that changes nothing has a single credential")
		}
		var env map[string]string
		if t.Service.Contracted { // it believes somebody: not the guesser
			env = map[string]string{"TRUSTED_PROXIES": "192.0.2.1/32"}
		}
		in, err := t.Start(ctx, env)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer in.Close()
		g := newGuesser(t, in, m)
		g.disguised = true
		a := g.on(ctx)
		switch {
		case waits(a) && a.Header.Get("Retry-After") == "":
			return probe.Fail(g.Show(g.last, a), "the 429 does not say when to come back (Retry-After)")
		case waits(a):
			return probe.Pass("429 at number %d, Retry-After: %s, with another X-Forwarded-For each time", g.n, a.Header.Get("Retry-After"))
		}
		if plain := newGuesser(t, in, m); waits(plain.on(ctx)) {
			return probe.Fail(g.Show(g.last, a), "who sends another X-Forwarded-For each time never has to wait: wrong credential number %d is answered %s", g.n, a)
		}
		return probe.Fail(g.Show(g.last, a), "wrong credential number %d to %s is answered %s", g.n, m.ID(), a)
	},
}

var forgiven = probe.Probe{
	Probe: describe("guess.forgiven", "Does a guesser have to wait who logs into an account of their own now and then?",
		"Where a success forgets the failures before it, whoever has an account guesses at all others for ever.",
		"Let failures of an address be forgotten by time, not by a success.",
		"OWASP API2:2023", "CWE-307"),
	Needs: lab.Process,
	Omit:  unguessable,
	Limit: 40 * time.Second,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		m := guessable(t)
		if m == nil {
			return probe.Skip("no method that changes nothing has a single credential")
		}
		in, err := t.Start(ctx, nil)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer in.Close()
		valid, err := t.Valid(ctx, t.Client, m)
		if err != nil {
			return probe.Skip("%v", err)
		}
		g := newGuesser(t, in, m)
		g.spread = true
		var a *lab.Answer
		for g.n < guesses {
			if a = g.guess(ctx); waits(a) {
				return probe.Pass("429 at number %d, with a login between every three", g.n)
			}
			if a.Err != nil {
				break
			}
			if g.n%3 == 0 {
				g.Do(ctx, t.Sign(valid, m, lab.Good))
			}
		}
		plain := newGuesser(t, in, m)
		plain.spread = true
		if a.Status == http.StatusUnauthorized && !waits(plain.on(ctx)) {
			return probe.Pass("nobody has to wait at all (see guess.lockout)")
		}
		return probe.Fail(g.Show(g.last, a), "wrong credential number %d to %s is answered %s, with a login between every three", g.n, m.ID(), a)
	},
}

var hostage = probe.Probe{
	Probe: describe("guess.hostage", "Can the owner of an account still log in while a stranger guesses at it?",
		"A lock-out by account lets anybody who knows a name keep its owner out.",
		"Lock out addresses, not accounts; for an account add at most a short delay.",
		"OWASP API2:2023", "CWE-645"),
	Needs: lab.Process,
	Omit:  unguessable,
	Limit: 40 * time.Second,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		m := guessable(t)
		if m == nil {
			return probe.Skip("no method that changes nothing has a single credential")
		}
		in, err := t.Start(ctx, nil)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer in.Close()
		newGuesser(t, in, m).on(ctx)
		owner := t.NewClient(in)
		if owner.From == "" {
			return probe.Skip("this system has one address on loopback: the owner and the stranger would be the same")
		}
		r, err := t.Valid(ctx, t.Client, m)
		if err != nil {
			return probe.Skip("%v", err)
		}
		r = t.Sign(r, m, lab.Good)
		if a := owner.Do(ctx, r); !lab.Succeeds(m, a) {
			return probe.Fail(owner.Show(r, a), "the owner, from another address, is answered %s", a)
		} else {
			return probe.Pass("served after %s", a.Took.Round(time.Millisecond))
		}
	},
}

// A hash that is made for one of two logins and not for the other shows where it
// takes at least this, and makes a difference of a factor.
const (
	slowHash = 5 * time.Millisecond
	factor   = 3
)

var sameTime = probe.Probe{
	Probe: describe("password.time", "Does an unknown user have to wait as long for the 401 as a known one with a wrong password?",
		"Where the password is hashed for known users only, the time of the answer tells which users there are.",
		"Verify the password of an unknown user against a hash that nobody has.",
		"CWE-208", "CWE-204", "OWASP API2:2023"),
	Needs: lab.Process,
	Each:  takes(policy.Basic), Alone: true,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		c, err := t.Wallet.Credential(policy.Basic, nil, lab.Good)
		if err != nil {
			return probe.Skip("%v", err)
		}
		r, err := t.Valid(ctx, t.Client, t.Method)
		if err != nil {
			return probe.Skip("%v", err)
		}
		// Of its own, as an account at which much was guessed has to wait: the
		// shortest of few is the time of the hash.
		in, err := t.Start(ctx, nil)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer in.Close()
		var known, unknown []time.Duration
		for range 3 {
			for user, took := range map[string]*[]time.Duration{c.User: &known, c.User + "-nobody": &unknown} {
				bad := r.Clone()
				creds, err := t.Credentials(t.Method)
				if err != nil {
					return probe.Skip("%v", err)
				}
				for name, k := range creds {
					k.User, k.Password = user, "prover-wrong"
					creds[name] = k
				}
				a := t.NewClient(in).Do(ctx, t.Attach(bad, t.Method, 0, creds))
				if a.Err != nil {
					return probe.Skip("%s", a)
				}
				*took = append(*took, a.Took)
			}
		}
		a, b := slices.Min(known), slices.Min(unknown)
		if a > slowHash && b < a/factor {
			return probe.Fail(nil, "a wrong password of a known user is refused after %s, an unknown user after %s", a, b)
		}
		return probe.Pass("known user: %s, unknown user: %s", a.Round(10*time.Microsecond), b.Round(10*time.Microsecond))
	},
}
