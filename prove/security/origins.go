package security

import (
	"context"
	"net/http"
	"slices"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/target"
)

// named is the origin that a service is told to trust, and strangers are those
// of others, some of which look like it.
const named = "https://pages.prover.example"

var strangers = [][]string{
	{"https://prover.example"}, {"null"}, {named + ".evil.example"}, {named + ":8443"}, {"http://pages.prover.example"},
	{"https://evil-pages.prover.example"}, {"https://pages-prover.example"}, {named + "/"}, {named, "https://evil.example"},
}

var origins = probe.Probe{
	Probe: describe("cors.origins", "Do only the pages that the service names read its answers?",
		"A service that repeats whatever Origin it is sent lets every page that a user visits read what the user may read.",
		"Compare the Origin with a list, letter by letter; never repeat an unknown one, never allow null, and allow credentials only where pages need them.",
		"Fetch Standard §3.2.3", "CWE-942", "OWASP API8:2023"),
	Omit: unguessable,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		m := guessable(t)
		if m == nil {
			return probe.Skip("no method that changes nothing has a single credential")
		}
		r, err := t.Valid(ctx, t.Client, m)
		if err != nil {
			return probe.Skip("%v", err)
		}
		r = t.Sign(r, m, lab.Good)
		in, known := t.Main, false
		if t.Service.Contracted && !slices.ContainsFunc(t.Service.Methods, func(m method) bool { return m.Kind == "preflight" }) {
			if in, err = t.Start(ctx, map[string]string{"CORS_ORIGINS": named}); err != nil {
				return probe.Skip("%v", err)
			}
			defer in.Close()
			known = true
		}
		return shared(ctx, t, in, r, known)
	},
}

// shared judges what pages of origins are told, of which the service knows one
// or none.
func shared(ctx context.Context, t *probe.Try, in *target.Instance, r lab.Request, known bool) finding.Outcome {
	c := t.NewClient(in)
	ask := lab.Request{Verb: http.MethodOptions, Path: r.Path}.With("Access-Control-Request-Method", r.Verb)
	for _, r := range []lab.Request{r, ask} {
		for _, from := range strangers {
			r = r.With("Origin", "")
			r.Header["Origin"] = from
			a := c.Do(ctx, r)
			allowed := a.Header.Get("Access-Control-Allow-Origin")
			open := allowed == "*" && !known && a.Header.Get("Access-Control-Allow-Credentials") == ""
			if allowed != "" && !open && (known || slices.Contains(from, allowed)) {
				return probe.Fail(c.Show(r, a), "to Origin %q the answer says Access-Control-Allow-Origin: %s", from, allowed)
			}
		}
		if !known {
			continue
		}
		r = r.With("Origin", named)
		a := c.Do(ctx, r)
		switch {
		case a.Header.Get("Access-Control-Allow-Origin") != named:
			return probe.Fail(c.Show(r, a), "the origin that the service was told to trust is not allowed: Access-Control-Allow-Origin is %q", a.Header.Get("Access-Control-Allow-Origin"))
		case a.Header.Get("Access-Control-Allow-Credentials") != "":
			return probe.Fail(c.Show(r, a), "credentials are allowed, for which nobody asked")
		case a.Header.Get("Vary") == "":
			return probe.Fail(c.Show(r, a), "the answer depends on Origin and does not say so (Vary)")
		}
	}
	return probe.Pass("%d strange origins are told nothing", len(strangers))
}
