package observability

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/model"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/sink"
	"github.com/aguada-dev/aguada/prove/target"
)

// pretended is an address (RFC 5737) that a caller says to be at.
const pretended = "203.0.113.77"

var address = probe.Probe{
	Probe: describe("log.address", "Is the caller's address in the log the one that called, whatever X-Forwarded-For says?",
		"Whoever can choose the address in the log can put the blame on anybody, and be in nobody's list.",
		"Believe X-Forwarded-For only from proxies that you have configured, and only what they have appended.",
		"CWE-348", "CWE-117", "OpenTelemetry attributes: client.address"),
	Needs: lab.Log | lab.Telemetry,
	Each:  probe.Unary,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		r, err := t.Valid(ctx, t.Client, t.Method)
		if err != nil {
			return probe.Skip("%v", err)
		}
		r = t.Sign(r, t.Method, lab.Good).With("X-Forwarded-For", pretended).With("Forwarded", "for="+pretended).With("X-Real-Ip", pretended)
		mark := t.Main.Log.Mark()
		a := t.Client.Do(ctx, r)
		s := span(ctx, t, a.Trace) // whose line has come by then
		if s != nil {
			// client.address may be what a proxy says; who is at the other end may not.
			for _, key := range []string{"network.peer.address", "net.peer.ip", "net.sock.peer.addr"} {
				if s.Attributes.Text(key) == pretended {
					return probe.Fail(show(s), "the span's %s is what the caller claims", key)
				}
			}
		}
		for _, l := range t.Main.Log.Since(mark) {
			if !strings.Contains(l.Text, a.Trace) {
				continue
			}
			if name := claimed(l.Fields()); name != "" {
				return probe.Fail([]finding.Evidence{{Label: "log line", Text: l.Text}}, "%s is what the caller claims", name)
			}
		}
		return probe.Pass("nothing says that the call came from %s", pretended)
	},
}

// claimed returns the name of the first member that gives the pretended address as
// the caller's, "" if none does. A member that repeats a header says so in its
// name.
func claimed(fields map[string]any) string {
	members := flat("", fields)
	for _, name := range slices.Sorted(maps.Keys(members)) {
		text, _ := members[name].(string)
		if host, _, err := net.SplitHostPort(text); err == nil {
			text = host
		}
		header := strings.Contains(strings.ToLower(name), "forwarded") || strings.Contains(strings.ToLower(name), "header")
		if text == pretended && !header {
			return name
		}
	}
	return ""
}

var statuses = probe.Probe{
	Probe: describe("log.status", "Is the status in the log one that HTTP has, for each call that was made?",
		"A status of 0 is that of no answer: counted by their status, such calls are neither served nor refused.",
		"Where the handler writes no status, log the 200 that net/http sends; log 101 for an upgraded connection.",
		"RFC 9110 §15", "OpenTelemetry attributes: http.response.status_code"),
	Needs: lab.Log | lab.Telemetry,
	Alone: true, // at the end, when most has been written
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		settle(ctx, t)
		n := 0
		for _, l := range t.Main.Log.Since(0) {
			status, ok := statusOf(l)
			if !ok {
				continue
			}
			if n++; status < 100 || status > 599 {
				return probe.Fail([]finding.Evidence{{Label: "log line", Text: l.Text}}, "a line has the status %v", status)
			}
		}
		return probe.Pass("%d lines with a status", n)
	},
}

// statusOf returns the status of HTTP that a line tells.
func statusOf(l target.Line) (status float64, ok bool) {
	for key, v := range flat("", l.Fields()) {
		key = strings.ToLower(key)
		if strings.Contains(key, "http") && strings.Contains(key, "status") {
			if status, ok = v.(float64); ok {
				return status, true
			}
		}
	}
	return 0, false
}

// flat returns the members of an object by their path.
func flat(name string, v any) map[string]any {
	x, ok := v.(map[string]any)
	if !ok {
		return map[string]any{name: v}
	}
	all := map[string]any{}
	for key, inner := range x {
		for path, value := range flat(strings.TrimPrefix(name+"."+key, "."), inner) {
			all[path] = value
		}
	}
	return all
}

// deserted calls and goes away before the answer.
var deserted = probe.Probe{
	Probe: describe("log.deserted", "Is a stream whose client goes away not logged or traced as the service's error?",
		"Clients come and go all day: if each of them is a 500, nobody sees the one that is.",
		"Tell a cancelled context from a failure: log the status that was sent, or 499, and leave the span's status unset.",
		"OpenTelemetry HTTP spans: Status", "RFC 9110 §15.6.1"),
	Needs: lab.Log | lab.Telemetry,
	Each:  func(m *model.Method) bool { return probe.HTTP(m) && m.Kind == policy.EventStream },
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		r, err := t.Valid(ctx, t.Client, t.Method)
		if err != nil {
			return probe.Skip("%v", err)
		}
		trace := lab.NewTrace()
		r = t.Sign(r, t.Method, lab.Good).With("Accept", "text/event-stream").With("Traceparent", "00-"+trace+"-"+trace[:16]+"-01")
		opening, leave := context.WithCancel(ctx)
		res, err := t.Client.Open(opening, r)
		if err != nil {
			leave()
			return probe.Skip("the stream does not open: %v", err)
		}
		_ = res.Body.Close()
		leave()
		if res.StatusCode != http.StatusOK {
			return probe.Skip("the stream does not open: %s", res.Status)
		}
		waiting, cancel := context.WithTimeout(ctx, lab.Soon)
		defer cancel()
		l, ok := t.Main.Log.Wait(waiting, 0, func(l target.Line) bool {
			_, told := statusOf(l)
			return told && strings.Contains(l.Text, trace)
		})
		if !ok {
			return probe.Skip("no line with the trace id %s and a status was written within %s", trace, lab.Soon)
		}
		if status, _ := statusOf(l); status >= 500 {
			return probe.Fail([]finding.Evidence{{Label: "log line", Text: l.Text}}, "the client went away, and the line has the status %v", status)
		}
		if s := span(ctx, t, trace); s != nil && s.Status == sink.Failed {
			return probe.Fail(show(s), "the client went away, and the span is marked as an error")
		}
		return probe.Pass("%s", fmt.Sprint(l.Fields()["level"]))
	},
}
