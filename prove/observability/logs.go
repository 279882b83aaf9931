package observability

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/target"
)

func logs() []probe.Probe {
	return []probe.Probe{oneLine, valid, address, deserted, level, debugging, statuses}
}

var oneLine = probe.Probe{
	Probe: describe("log.line", "Does each call leave one line of the log with its trace id and status?",
		"At night the line is what is found first; the trace id leads from it to everything else.",
		"Write one line when a call ends, with trace_id, method, route, status and duration.",
		"OpenTelemetry logs: trace context in non-OTLP formats"),
	Needs: lab.Log | lab.Telemetry,
	Each:  probe.Unary,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		mark := t.Main.Log.Mark()
		r, a, err := call(ctx, t)
		if err != nil {
			return probe.Skip("%v", err)
		}
		waiting, cancel := context.WithTimeout(ctx, lab.Soon)
		defer cancel()
		about := func(l target.Line) bool {
			return strings.Contains(l.Text, a.Trace) && has(l.Fields(), float64(a.Status))
		}
		if _, ok := t.Main.Log.Wait(waiting, mark, about); !ok {
			return probe.Fail(t.Client.Show(r, a), "no line of the log has the trace id %s and the status %d", a.Trace, a.Status)
		}
		// Spans come behind the line: what has been written by then is all.
		span(ctx, t, a.Trace)
		lines, whole := map[string]string{}, ""
		for _, l := range t.Main.Log.Since(mark) {
			if strings.Contains(l.Text, a.Trace) && describes(l) {
				if whole != "" {
					return probe.Fail([]finding.Evidence{{Label: "log lines", Text: whole + "\n" + l.Text}}, "two lines describe one request by its verb and URL")
				}
				whole = l.Text
			}
			if !about(l) {
				continue
			}
			message := said(l.Fields())
			if lines[message] != "" {
				return probe.Fail([]finding.Evidence{{Label: "log lines", Text: lines[message] + "\n" + l.Text}}, "two lines say the same of one call")
			}
			lines[message] = l.Text // an audit log tells of the call in its own words
		}
		return probe.Pass("one line")
	},
}

// describes reports whether a line has the verb of a request and where it went.
func describes(l target.Line) bool {
	verb, where := false, false
	for key, v := range flat("", l.Fields()) {
		if _, ok := v.(string); !ok || !strings.Contains(strings.ToLower(key), "http") && !strings.Contains(strings.ToLower(key), "url") {
			continue
		}
		key = strings.ToLower(key)
		verb = verb || strings.Contains(key, "method")
		where = where || strings.Contains(key, "url") || strings.Contains(key, "route") || strings.Contains(key, "target") || strings.Contains(key, "path")
	}
	return verb && where
}

// said is the message of a line.
func said(fields map[string]any) string {
	for _, name := range []string{"msg", "message", "body"} {
		if text, ok := fields[name].(string); ok {
			return text
		}
	}
	return ""
}

// has reports whether a member of the object, however deep, is the number, or
// its text.
func has(v any, n float64) bool {
	switch x := v.(type) {
	case float64:
		return x == n
	case string:
		return x == fmt.Sprint(n)
	case map[string]any:
		for _, inner := range x {
			if has(inner, n) {
				return true
			}
		}
	case []any:
		for _, inner := range x {
			if has(inner, n) {
				return true
			}
		}
	}
	return false
}

var valid = probe.Probe{
	Probe: describe("log.valid", "Is every line of the log one valid JSON object, whatever callers send?",
		"A caller who can break a line out of its form can forge others, or hide what they did from who reads the log by a program.",
		"Write logs with an encoder that escapes control characters, quotes and invalid UTF-8 (log/slog's JSON handler).",
		"CWE-117", "OWASP Logging Cheat Sheet", "RFC 8259"),
	Needs: lab.Log | lab.Telemetry,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		const canary = "prover-forged-line"
		for _, bad := range []string{"%0a{\"msg\":\"" + canary + "\"}", "%0d%0a" + canary, "%22,%22level%22:%22" + canary, "%00%01%1b[31m" + canary, "%ff%fe" + canary, "%e2%80%a8" + canary} {
			r := lab.Request{Verb: "GET", Path: "/" + bad + "?q=" + bad}
			if text, err := url.PathUnescape(bad); err == nil && !strings.ContainsAny(text, "\r\n\x00") {
				r = r.With("User-Agent", text).With("X-Request-Id", text).With("Referer", text)
			}
			t.NewClient(t.Main).Do(ctx, r)
		}
		settle(ctx, t)
		n := 0
		for _, line := range t.Main.Log.Since(0) {
			if strings.TrimSpace(line.Text) == "" {
				continue
			}
			n++
			if err := object(line.Text); err != nil {
				return probe.Fail([]finding.Evidence{{Label: "log line", Text: line.Text}}, "a line is no valid JSON object: %v", err)
			}
			if fields := line.Fields(); fields["msg"] == canary || fields["level"] == canary || fields["message"] == canary {
				return probe.Fail([]finding.Evidence{{Label: "log line", Text: line.Text}}, "a caller wrote a line of their own")
			}
		}
		return probe.Pass("%d lines", n)
	},
}

// object reports why a line is not one JSON object whose members have names of
// their own.
func object(line string) error {
	dec := json.NewDecoder(bytes.NewReader([]byte(line)))
	start, err := dec.Token()
	if err != nil {
		return err
	}
	if start != json.Delim('{') {
		return errors.New("it does not begin with {")
	}
	names := map[string]bool{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		text, ok := name.(string)
		if !ok || names[text] {
			return fmt.Errorf("%v is there twice", name)
		}
		names[text] = true
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the object")
	}
	return nil
}
