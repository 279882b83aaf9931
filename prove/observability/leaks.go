package observability

import (
	"context"
	"strings"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/sink"
)

func leaks() []probe.Probe { return []probe.Probe{inAnswer, inLog, inTelemetry} }

var inAnswer = probe.Probe{
	Probe: describe("leak.answer", "Does no answer repeat the caller's credential?",
		"Answers are kept by proxies, browsers and error trackers that must not have credentials.",
		"Write error messages from the name of what failed, never from the value.",
		"CWE-209", "OWASP API8:2023"),
	Each: probe.Secured,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		r, err := t.Valid(ctx, t.Client, t.Method)
		if err != nil {
			return probe.Skip("%v", err)
		}
		creds, err := t.Credentials(t.Method)
		if err != nil {
			return probe.Skip("%v", err)
		}
		for _, tamper := range []string{"", "x"} {
			for name, c := range creds {
				c.Token, c.Password = c.Token+tamper, c.Password+tamper
				creds[name] = c
			}
			signed := t.Attach(r, t.Method, 0, creds)
			if t.Method.Kind != policy.Unary && tamper == "" {
				continue // a stream, which would stay open
			}
			a := t.Client.Do(ctx, signed)
			var head strings.Builder
			_ = a.Header.Write(&head)
			for _, c := range creds {
				for _, secret := range []string{c.Token, c.Password} {
					if len(secret) > 7 && strings.Contains(head.String()+string(a.Body), secret) {
						return probe.Fail(t.Client.Show(signed, a), "the answer %s holds the credential", a)
					}
				}
			}
		}
		return probe.Pass("neither served nor refused")
	},
}

var inLog = probe.Probe{
	Probe: describe("leak.log", "Is no credential and no secret anywhere in the log?",
		"Logs are copied to many places and kept for years; whoever reads them could log in.",
		"Log the method, the route and the outcome; never a URL with its query, headers, or payloads unmasked.",
		"CWE-532", "OWASP Logging Cheat Sheet"),
	Needs: lab.Log | lab.Telemetry,
	Alone: true, // at the end, when most has been written
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		queried(ctx, t)
		lines := t.Main.Log.Since(0)
		var all strings.Builder
		for _, l := range lines {
			all.WriteString(l.Text + "\n")
		}
		if t.Secrets.Find(all.String()) == "" {
			return probe.Pass("%d lines, %d secrets", len(lines), t.Secrets.Len())
		}
		for _, l := range lines {
			if name := t.Secrets.Find(l.Text); name != "" {
				return probe.Fail([]finding.Evidence{{Label: "log line", Text: t.Mask(l.Text)}}, "a line holds %s", name)
			}
		}
		return probe.Fail(nil, "the log holds %s, over several lines", t.Secrets.Find(all.String()))
	},
}

// queried sends credentials where they do not belong, as careless callers do.
func queried(ctx context.Context, t *probe.Try) {
	for _, m := range t.Service.Methods {
		if !probe.Secured(m) || !probe.Unary(m) || m.Changes() {
			continue
		}
		creds, err := t.Credentials(m)
		if err != nil {
			continue
		}
		for _, c := range creds {
			secret := c.Token + c.Password
			r, err := t.Valid(ctx, t.Client, m)
			if err != nil {
				continue
			}
			r.Path += "?access_token=" + secret + "&api_key=" + secret
			r = r.With("Cookie", "session="+secret).With("Referer", "https://example.com/?token="+secret).With("X-Forwarded-Authorization", secret)
			a := t.NewClient(t.Main).Do(ctx, r)
			span(ctx, t, a.Trace)
		}
	}
}

var inTelemetry = probe.Probe{
	Probe: describe("leak.telemetry", "Is no credential and no secret in any span, metric or log record?",
		"Telemetry goes to other companies; what is in it has left the house.",
		"Set attributes from the design, not from headers, queries or payloads; record errors by their name.",
		"CWE-532", "OWASP API8:2023"),
	Needs: lab.Telemetry,
	Alone: true,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		queried(ctx, t)
		var all strings.Builder // one search of all, since there are many secrets
		n := 0
		for text := range t.Sink.Texts() {
			all.WriteString(text.Text + "\n")
			n++
		}
		if t.Secrets.Find(all.String()) == "" {
			if d := t.Sink.Dropped(); d != (sink.Dropped{}) {
				return probe.Skip("more telemetry came than the prover could keep (%d spans went): ask with --only for fewer methods", d.Spans)
			}
			return probe.Pass("%d texts, %d secrets", n, t.Secrets.Len())
		}
		for text := range t.Sink.Texts() {
			if name := t.Secrets.Find(text.Text); name != "" {
				return probe.Fail([]finding.Evidence{{Label: text.Where, Text: text.Of + " " + text.Key + ": " + t.Mask(text.Text)}}, "a %s holds %s", text.Where, name)
			}
		}
		return probe.Pass("%d texts, %d secrets", n, t.Secrets.Len())
	},
}
