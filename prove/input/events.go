package input

import (
	"bufio"
	"context"
	"crypto/rand"
	"net/http"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
)

func events() []probe.Probe { return []probe.Probe{injection} }

// isSource chooses the methods whose texts may come out of a stream.
func isSource(m method) bool { return probe.WithBody(m) && m.Changes() }

var injection = probe.Probe{
	Probe: describe("event.injection", "Can no caller write events of their own into the streams of others?",
		"A line end within a text ends the event; what follows it is an event that nobody sent, and every client believes it.",
		"Write events as JSON, or a data: line for each line of the text.",
		"WHATWG HTML §9.2.6", "CWE-93", "CWE-116"),
	Omit: func(l *lab.Lab) string {
		var source, stream bool
		for _, m := range l.Service.Methods {
			source, stream = source || isSource(m), stream || m.HTTP() && m.Kind == policy.EventStream
		}
		if !source || !stream {
			return "the service has no event stream, or no method whose texts could be in it"
		}
		return ""
	},
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		said, streams := "no text of a caller is in the events", 0
		for _, stream := range t.Service.Methods {
			if !stream.HTTP() || stream.Kind != policy.EventStream {
				continue
			}
			streams++
			for _, source := range filter(t, isSource) {
				if source.Service != stream.Service {
					continue
				}
				seen, o := inject(ctx, t, stream, source)
				if o.Verdict != "" {
					return o
				}
				if seen {
					said = "texts of callers are in the events, in one piece"
				}
			}
		}
		return probe.Pass("%d streams, %s", streams, said)
	},
}

// settled is how long a stream is watched after the last thing that it sent.
const settled = 700 * time.Millisecond

// inject calls source with texts that end an event, and watches the stream. It
// returns whether the texts came out of it, and an outcome where that is the
// last word.
func inject(ctx context.Context, t *probe.Try, stream, source method) (seen bool, o finding.Outcome) {
	t.Method = source
	d, err := accepted(ctx, t, "event.injection")
	if err != nil {
		return false, probe.Skip("%v", err)
	}
	t.Method = stream
	watch, err := ready(ctx, t)
	if err != nil {
		return false, probe.Skip("%v", err)
	}
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	res, err := t.NewClient(t.Main).Open(watching, watch)
	if err != nil || res.StatusCode != http.StatusOK {
		return false, probe.Skip("%s cannot be watched", stream.ID())
	}
	defer func() { _ = res.Body.Close() }()
	lines := make(chan string, 64)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(res.Body); s.Scan(); {
			select {
			case lines <- s.Text():
			case <-watching.Done():
				return
			}
		}
	}()
	// Short, since the service may have limits that the design does not tell.
	mark := rand.Text()[:6]
	t.Method = source
	for i, end := range []string{`\n`, `\r`, `\r\n`} {
		text := `"` + mark + end + end + "data:z" + mark + `"`
		var r lab.Request
		var a *lab.Answer
		for _, body := range d.putAll(32*i, isText, text) {
			if r, err = ready(ctx, t); err != nil {
				return false, probe.Skip("%v", err)
			}
			r = with(r, body)
			a = ask(ctx, t, r)
		}
		if a == nil {
			break // no text is free to choose
		}
		found, forged := watched(lines, mark)
		if forged != "" {
			return true, probe.Fail(append(t.Client.Show(r, a), finding.Evidence{Label: "events", Text: forged}),
				"a text with line ends, sent to %s, is an event of its own in %s", source.ID(), stream.ID())
		}
		seen = seen || found
	}
	return seen, finding.Outcome{}
}

// watched reads what the stream sends until it is quiet. forged is the lines
// around the one that nobody should be able to send.
func watched(lines <-chan string, mark string) (found bool, forged string) {
	var all []string
	timer := time.NewTimer(settled)
	defer timer.Stop()
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				return found, ""
			}
			// A lone CR ends a line as well, for clients of event streams.
			for part := range strings.SplitSeq(line, "\r") {
				all = append(all, part)
				found = found || strings.Contains(part, mark)
				if data, ok := strings.CutPrefix(part, "data:"); ok && strings.HasPrefix(strings.TrimSpace(data), "z"+mark) {
					return true, strings.Join(all, "\n")
				}
			}
			timer.Reset(settled)
		case <-timer.C:
			return found, ""
		}
	}
}
