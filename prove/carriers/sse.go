package carriers

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/wallet"
)

func serverSent() []probe.Probe {
	return []probe.Probe{sseNoCredential, sseOpens, sseCached, sseLastID, sseExpiry, sseOutlasts, sseDrain}
}

const eventStream = "text/event-stream"

// media is the media type of an answer.
func media(h http.Header) string {
	kind, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	return kind
}

// guardedBy returns a choice of the methods of a kind that need a credential.
func guardedBy(kind func(method) bool) func(method) bool {
	return func(m method) bool { return kind(m) && m.Secured() }
}

var sseNoCredential = probe.Probe{
	Probe: describe(finding.Security, "sse.no-credential", "Is a caller without credentials refused with 401 before a stream begins?",
		"Once the status 200 is sent there is no way to refuse: clients take what follows for events, and come back for ever.",
		"Verify credentials before the header of the stream is written.",
		"RFC 9110 §15.5.2", "HTML §9.2", "CWE-306"),
	Each: guardedBy(events),
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		r, err := t.Valid(ctx, t.Client, t.Method)
		if err != nil {
			return probe.Skip("%v", err)
		}
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		res, err := t.Client.Open(ctx, r.With("Accept", eventStream))
		if err != nil {
			return probe.Fail(t.Client.Show(r, nil), "there is no answer: %v", err)
		}
		defer func() { _ = res.Body.Close() }()
		if res.StatusCode != http.StatusUnauthorized || media(res.Header) == eventStream {
			return probe.Fail(t.Client.Show(r, &lab.Answer{Status: res.StatusCode, Header: res.Header}), "the answer is %d, %s", res.StatusCode, media(res.Header))
		}
		return probe.Pass("401, no stream")
	},
}

// open begins the stream of the method for a holder of everything. The caller
// closes the body.
func open(ctx context.Context, t *probe.Try, c *lab.Client, r lab.Request) (*http.Response, error) {
	res, err := c.Open(ctx, t.Sign(r, t.Method, lab.Good).With("Accept", eventStream))
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		defer func() { _ = res.Body.Close() }()
		return nil, fmt.Errorf("the answer is %s", res.Status)
	}
	return res, nil
}

var sseOpens = probe.Probe{
	Probe: describe(finding.Security, "sse.accepted", "Is a caller with the right credentials given a stream of events?",
		"A refusal proves something only if the same request is served with the right credentials. What is no event stream is dropped by clients, who then come back for ever.",
		"Answer 200 with Content-Type: text/event-stream, and write nothing but fields of events and comments.",
		"HTML §9.2.5", "HTML §9.2.6"),
	Each: events,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		r, err := t.Valid(ctx, t.Client, t.Method)
		if err != nil {
			return probe.Fail(nil, "%v", err)
		}
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		res, err := open(ctx, t, t.Client, r)
		if err != nil {
			return probe.Fail(t.Client.Show(t.Sign(r, t.Method, lab.Good), nil), "the stream does not open: %v", err)
		}
		defer func() { _ = res.Body.Close() }()
		if kind := media(res.Header); kind != eventStream {
			return probe.Fail(t.Client.Show(r, &lab.Answer{Status: res.StatusCode, Header: res.Header}), "the answer is %q", kind)
		}
		quiet := time.AfterFunc(2*time.Second, cancel)
		defer quiet.Stop()
		lines := bufio.NewScanner(res.Body)
		n := 0
		for n < 3 && lines.Scan() {
			if n++; !field(lines.Text()) {
				return probe.Fail([]finding.Evidence{{Label: "line", Text: lines.Text()}}, "a line of the stream is no field of an event")
			}
		}
		if n == 0 && ctx.Err() == nil {
			return probe.Fail(nil, "the stream ends at once: %v", lines.Err())
		}
		return probe.Pass("%s, %d lines", eventStream, n)
	},
}

// field reports whether a line is one of an event stream: a field, a comment, or
// the end of an event.
func field(line string) bool {
	name, _, _ := strings.Cut(strings.TrimPrefix(line, "\ufeff"), ":")
	return slices.Contains([]string{"", "data", "id", "event", "retry"}, name)
}

var sseLastID = probe.Probe{
	Probe: describe(finding.Input, "sse.last-event-id", "Is a Last-Event-ID that was never given out no fault of the service?",
		"Clients send back what they got, and attackers anything: an id that ends in a database must not fail there.",
		"Validate Last-Event-ID as any input; answer 400, 410 or 204 to one that means nothing.",
		"HTML §9.2.4", "CWE-20"),
	Each: events,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		r, err := t.Valid(ctx, t.Client, t.Method)
		if err != nil {
			return probe.Skip("%v", err)
		}
		r = t.Sign(r, t.Method, lab.Good).With("Accept", eventStream)
		tried := []string{"x", "0", "-1", "99999999999999999999", "' OR '1'='1", "\xff\xfe", "%00", strings.Repeat("9", 4000), "{\"$ne\":null}"}
		for _, id := range tried {
			bad := r.With("Last-Event-ID", id)
			waiting, cancel := context.WithTimeout(ctx, 2*time.Second)
			res, err := t.Client.Open(waiting, bad)
			if err == nil {
				_ = res.Body.Close()
			}
			late := waiting.Err() != nil // a stream that says nothing is one too
			cancel()
			switch {
			case err != nil && !late:
				return probe.Fail(t.Client.Show(bad, nil), "with %s there is no answer", excerpt(id))
			case err == nil && res.StatusCode >= 500:
				return probe.Fail(t.Client.Show(bad, &lab.Answer{Status: res.StatusCode, Header: res.Header}), "with %s the answer is %s", excerpt(id), res.Status)
			}
		}
		return probe.Pass("%d kinds, none above 499", len(tried))
	},
}

// tokened chooses the methods over HTTP whose one credential is a token.
func tokened(m method) bool {
	return m.Secured() && len(m.Alternative()) == 1 && m.TakesToken(m.Alternative()[0]) && m.Alternative()[0].In == policy.InHeader
}

// briefly returns the request with a token that expires soon.
func briefly(t *probe.Try, r lab.Request) (lab.Request, error) {
	u := t.Method.Alternative()[0]
	c, err := shortLived(t, t.Method, u, t.Method.Requirements[0].Scopes)
	return t.Attach(r, t.Method, 0, map[string]wallet.Credential{u.Scheme: c}), err
}

var sseExpiry = probe.Probe{
	Probe: describe(finding.Security, "sse.expiry", "Does a stream of events end when the token that opened it expires?",
		"A stream may last for days: whoever was let in once stays, though the token was for minutes.",
		"End streams at the expiry of their credential; the client comes back with a new one.",
		"RFC 9700 §2.2", "CWE-613"),
	Needs: lab.Process,
	Each:  func(m method) bool { return events(m) && tokened(m) },
	Omit:  expires,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		in, err := strict(ctx, t)
		if err != nil {
			return probe.Skip("%v", err)
		}
		c := t.NewClient(in)
		r, err := t.Valid(ctx, c, t.Method)
		if err == nil {
			r, err = briefly(t, r)
		}
		if err != nil {
			return probe.Skip("%v", err)
		}
		ctx, cancel := context.WithTimeout(ctx, lifetime+outlived)
		defer cancel()
		began := time.Now()
		res, err := c.Open(ctx, r)
		if err != nil {
			return probe.Skip("the stream does not open: %v", err)
		}
		defer func() { _ = res.Body.Close() }()
		if res.StatusCode != http.StatusOK {
			return probe.Skip("the stream does not open: %s", res.Status)
		}
		_, err = io.Copy(io.Discard, res.Body)
		if ctx.Err() != nil {
			return probe.Fail(c.Show(r, nil), "%s after its token has expired the stream is still open", outlived)
		}
		return probe.Pass("it ended after %s, of %s; error %v", time.Since(began).Round(time.Millisecond), lifetime, err)
	},
}

var sseDrain = probe.Probe{
	Probe: describe(finding.Lifecycle, "sse.drain", "Do streams of events end cleanly when the service stops?",
		"A stream that nobody ends holds the process up until it is killed; one that is cut in the middle of an event loses it.",
		"On SIGTERM end streams after an event is whole, with the end of the body.",
		"HTML §9.2.3", "RFC 9112 §7.1", "Kubernetes pod termination"),
	Needs: lab.Process,
	Each:  events,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		p, err := alone(ctx, t)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer p.Close()
		c := t.NewClient(p.Instance)
		r, err := t.Valid(ctx, c, t.Method)
		if err != nil {
			return probe.Skip("%v", err)
		}
		res, err := open(ctx, t, c, r)
		if err != nil {
			return probe.Skip("the stream does not open: %v", err)
		}
		defer func() { _ = res.Body.Close() }()
		p.Terminate()
		waiting := time.AfterFunc(prompt, p.Close)
		text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
		switch {
		case !waiting.Stop():
			return probe.Fail(nil, "the stream is still open %s after SIGTERM", prompt)
		case err != nil:
			return probe.Fail(nil, "the stream was cut: %v", err)
		case len(text) > 0 && !strings.HasSuffix(string(text), "\n"):
			return probe.Fail([]finding.Evidence{{Label: "stream", Text: tail(string(text))}}, "the stream ends in the middle of a line")
		}
		if o := p.ends(ctx); o != nil {
			return *o
		}
		return probe.Pass("the end of the body after %d bytes, exit code 0", len(text))
	},
	Limit: 40 * time.Second,
}

// tail is the end of a text.
func tail(text string) string { return text[max(0, len(text)-300):] }

// alone starts a process for the probe. The caller closes it.
func alone(ctx context.Context, t *probe.Try) (*process, error) {
	in, err := t.Start(ctx, nil)
	if err != nil {
		return nil, err
	}
	return &process{Instance: in}, nil
}
