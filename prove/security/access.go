// Package security holds the probes of who is let in: credentials that are
// missing, wrong, forged, spent or too weak, and what lies around the methods.
//
// A refusal proves something only because the same request is served with the
// right credentials, which the first probe asks for.
package security

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
)

// Probes returns the probes of the family.
func Probes() []probe.Probe {
	return slices.Concat(
		[]probe.Probe{accepted, noCredential, challenge, wrongScheme, garbage, twice, beforeBody},
		scopes(), tokens(), opaqueTokens(), secrets(), surface(), keySets(), guessing(), transport(),
	)
}

// describe is short for the description of a probe of the family.
func describe(code, question, why, fix string, references ...string) finding.Probe {
	return finding.Probe{Code: code, Family: finding.Security, Question: question, Why: why, Fix: fix, References: references}
}

var accepted = probe.Probe{
	Probe: describe("auth.accepted", "Is a caller with the right credentials served?",
		"A refusal proves something only if the same request is served with the right credentials.",
		"Start the service as the prover does and send the request shown. Where path or payload need values that only you know, give them in prove.yaml (parameters).",
		"RFC 9110 §11"),
	Each: probe.HTTP,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		r, err := t.Valid(ctx, t.Client, t.Method)
		if err != nil {
			return probe.Fail(nil, "%v", err)
		}
		r = t.Sign(r, t.Method, lab.Good)
		a := t.Client.Do(ctx, r)
		if !lab.Succeeds(t.Method, a) {
			return probe.Fail(t.Client.Show(r, a), "the answer is %s", a)
		}
		return probe.Pass("%s", a)
	},
}

// refused sends a request that has to be answered with one of the statuses.
func refused(ctx context.Context, t *probe.Try, r lab.Request, want ...int) finding.Outcome {
	a := t.Client.Do(ctx, r)
	if !slices.Contains(want, a.Status) {
		return probe.Fail(t.Client.Show(r, a), "the answer is %s, not %d", a, want[0])
	}
	return probe.Pass("%s", a)
}

// each returns a Run that tampers with a valid request and wants the statuses.
func each(tamper func(t *probe.Try, r lab.Request) (lab.Request, error), want ...int) func(context.Context, *probe.Try) finding.Outcome {
	return func(ctx context.Context, t *probe.Try) finding.Outcome {
		r, err := t.Valid(ctx, t.Client, t.Method)
		if err == nil {
			r, err = tamper(t, r)
		}
		if err != nil {
			return probe.Skip("%v", err)
		}
		return refused(ctx, t, r, want...)
	}
}

var noCredential = probe.Probe{
	Probe: describe("auth.no-credential", "Is a caller without credentials refused with 401?",
		"Without the check anybody who finds the address can call the method. A 400 instead tells a stranger what the payload looks like.",
		"Declare Security on the method, its service or the API, and verify credentials before the payload is decoded.",
		"RFC 9110 §15.5.2", "OWASP API2:2023", "CWE-306"),
	Each: probe.Secured,
	Run:  each(func(_ *probe.Try, r lab.Request) (lab.Request, error) { return r, nil }, http.StatusUnauthorized),
}

var challenge = probe.Probe{
	Probe: describe("auth.challenge", "Does a 401 say how to authenticate?",
		"Clients and their libraries choose a credential by WWW-Authenticate; without it they guess, or give up.",
		"Send WWW-Authenticate with every 401, with a challenge for each scheme of the method.",
		"RFC 9110 §11.6.1", "RFC 6750 §3", "RFC 7617 §2"),
	Each: probe.Secured,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		r, err := t.Valid(ctx, t.Client, t.Method)
		if err != nil {
			return probe.Skip("%v", err)
		}
		a := t.Client.Do(ctx, r)
		if a.Status != http.StatusUnauthorized { // a wrong credential is told, where none is not
			creds, err := t.Credentials(t.Method)
			if err != nil {
				return probe.Skip("%v", err)
			}
			for name, c := range creds {
				c.Token, c.Password = "x", "x"
				creds[name] = c
			}
			r = t.Attach(r, t.Method, 0, creds)
			a = t.Client.Do(ctx, r)
		}
		said := strings.Join(a.Header.Values("WWW-Authenticate"), ", ")
		switch want := challenges(t); {
		case a.Status != http.StatusUnauthorized:
			return probe.Pass("the answer is %s: there is no 401 to be judged (see auth.no-credential)", a)
		case said == "":
			return probe.Fail(t.Client.Show(r, a), "there is no WWW-Authenticate")
		case want != "" && !strings.Contains(strings.ToLower(said), strings.ToLower(want)):
			return probe.Fail(t.Client.Show(r, a), "WWW-Authenticate is %q and does not name %s", said, want)
		}
		return probe.Pass("WWW-Authenticate: %s", said)
	},
}

// challenges is the scheme that a 401 of the method has to name, "" where it has
// no registered name.
func challenges(t *probe.Try) string {
	for _, u := range t.Method.Alternative() {
		switch {
		case u.In != policy.InHeader || !strings.EqualFold(u.Name, "Authorization"):
		case t.Method.SchemeKind(u) == policy.Basic:
			return "Basic"
		case t.Method.TakesToken(u):
			return "Bearer"
		}
	}
	return ""
}

var wrongScheme = probe.Probe{
	Probe: describe("auth.wrong-scheme", "Is a credential refused under the name of another scheme?",
		"Code that cuts off whatever comes before the space takes \"Basic x\" for the token x; what was meant for one check then meets another.",
		"Compare the scheme's name, without regard to case, before looking at what follows it.",
		"RFC 9110 §11.4", "RFC 6750 §2.1", "CWE-287"),
	Each: func(m method) bool { return probe.Secured(m) && authorization(m) },
	Run: each(func(t *probe.Try, r lab.Request) (lab.Request, error) {
		r = t.Sign(r, t.Method, lab.Good)
		_, credential, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		return r.With("Authorization", "Digest "+credential), nil
	}, http.StatusUnauthorized),
}

// authorization reports whether a credential of the method is in Authorization.
func authorization(m method) bool {
	for _, u := range m.Alternative() {
		if u.In == policy.InHeader && strings.EqualFold(u.Name, "Authorization") {
			return true
		}
	}
	return false
}

var garbage = probe.Probe{
	Probe: describe("auth.garbage", "Is a credential of no form refused with 401?",
		"A parser that fails with 500, or that treats what it cannot read as nobody in particular, lets its caller choose the outcome.",
		"Answer 401 whenever a credential cannot be read, and say no more than that.",
		"RFC 9110 §15.5.2", "CWE-20"),
	Each: probe.Secured,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		r, err := t.Valid(ctx, t.Client, t.Method)
		if err != nil {
			return probe.Skip("%v", err)
		}
		tried := []string{"x", "....", "\xff\xfe\xfd", "%00", "' OR '1'='1", strings.Repeat("A", 7000), "null", "undefined", "eyJhbGciOiJub25lIn0.e30."}
		for _, text := range tried {
			creds, err := t.Credentials(t.Method)
			if err != nil {
				return probe.Skip("%v", err)
			}
			for name, c := range creds {
				c.Token, c.Password = text, text
				creds[name] = c
			}
			bad := t.Attach(r, t.Method, 0, creds)
			client := t.NewClient(t.Main) // each from an address that has not failed yet
			if a := client.Do(ctx, bad); a.Status != http.StatusUnauthorized {
				return probe.Fail(client.Show(bad, a), "the answer is %s, not 401", a)
			}
		}
		return probe.Pass("%d kinds, each 401", len(tried))
	},
}

var twice = probe.Probe{
	Probe: describe("auth.twice", "Is a request refused that carries two credentials in one place?",
		"A proxy in front and the service may each read another one of two headers: what was checked is then not what is used.",
		"Refuse requests in which a header that holds a credential is there twice.",
		"RFC 9110 §5.3", "CWE-345"),
	Each: func(m method) bool { return probe.Secured(m) && m.Alternative()[0].In == policy.InHeader },
	Run: each(func(t *probe.Try, r lab.Request) (lab.Request, error) {
		r = t.Sign(r, t.Method, lab.Good)
		name := http.CanonicalHeaderKey(t.Method.Alternative()[0].Name)
		r.Header[name] = append(r.Header[name], "Bearer x")
		return r, nil
	}, http.StatusUnauthorized, http.StatusBadRequest),
}

// waitsForBody sends a stranger's request whose body never begins.
func waitsForBody(ctx context.Context, t *probe.Try, r lab.Request) finding.Outcome {
	body, end := io.Pipe()
	waiting, cancel := context.WithTimeout(ctx, lab.Soon)
	defer cancel()
	// The client does not give up while it waits for the body.
	defer context.AfterFunc(waiting, func() { _ = end.Close() })()
	defer func() { _ = end.Close() }()
	r.Body, r.Stream = nil, body
	a := t.NewClient(t.Main).Do(waiting, r)
	if a.Err != nil && waiting.Err() != nil {
		return probe.Fail(t.Client.Show(r, a), "nothing is answered before the body begins: somebody who is not let in is waited for")
	}
	return probe.Pass("%s", a)
}

// unread is how much of a body may be read of somebody who is not let in: what
// fits into the buffers of both ends.
const unread = 8 << 20

var beforeBody = probe.Probe{
	Probe: describe("auth.before-body", "Is a stranger refused before the body is read?",
		"Where the body is read, decoded and validated first, anybody makes the service work and allocate as much as they like.",
		"Authenticate by what is in the header, and only then read the body.",
		"CWE-770", "CWE-408", "OWASP API4:2023"),
	Needs: lab.Floods,
	Each:  func(m method) bool { return probe.Secured(m) && m.HasBody },
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		r, err := t.Valid(ctx, t.Client, t.Method)
		if err != nil {
			return probe.Skip("%v", err)
		}
		if o := waitsForBody(ctx, t, r); o.Verdict != finding.Pass {
			return o
		}
		const total = 64 << 20
		body := &counting{left: total}
		r.Body, r.Stream = nil, body
		began := time.Now()
		a := t.Client.Do(ctx, r)
		switch {
		case a.Status != http.StatusUnauthorized && a.Status != 0:
			return probe.Fail(t.Client.Show(r, a), "the answer is %s, not 401, after %d MiB of the body", a, body.sent()>>20)
		case body.sent() > unread:
			return probe.Fail(t.Client.Show(r, a), "%d MiB of %d were read before the answer", body.sent()>>20, total>>20)
		case a.Status == 0:
			return probe.Fail(t.Client.Show(r, a), "%s: the connection was ended without saying why", a)
		}
		return probe.Pass("401 after %s, %d KiB sent of %d MiB", time.Since(began).Round(time.Millisecond), body.sent()>>10, total>>20)
	},
}

var _ io.Reader = (*counting)(nil)
