package carriers

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
)

// unknowns are messages of a form that many methods take, about what is not
// there.
var unknowns = []string{
	`{}`, `{"id":"prover-none"}`, `{"id":"00000000-0000-4000-8000-000000000000"}`, `{"id":999999999}`, `{"name":"prover-none"}`, `{"order_id":"prover-none"}`,
}

var wsLeft = probe.Probe{
	Probe: describe(finding.Resilience, "ws.left-open", "Is a WebSocket whose method has ended closed?",
		"Nobody reads a connection any more whose method returned an error, and nobody closes it: each holds a descriptor and memory for as long as its client likes.",
		"Close the connection whenever the method returns, with a code that says why; do not leave it to the method.",
		"RFC 6455 §7.1.1", "CWE-772"),
	Needs: lab.Process,
	Each:  sockets,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		p, err := alone(ctx, t)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer p.Close()
		outcomes := make([]finding.Outcome, len(unknowns))
		var all sync.WaitGroup
		for i, text := range unknowns {
			all.Go(func() { outcomes[i] = abandoned(ctx, t, p, text) })
		}
		all.Wait()
		seen := map[string]int{}
		for _, o := range outcomes {
			if o.Verdict != finding.Pass {
				return o
			}
			seen[o.Detail]++
		}
		return probe.Pass("%d kinds of messages: %v", len(unknowns), seen)
	},
}

// lookups is how often it is looked whether a WebSocket is read after a message:
// its method may take a while to end.
const lookups = 6

// abandoned sends a message, and fails where nobody reads on and nobody closes.
func abandoned(ctx context.Context, t *probe.Try, p *process, text string) finding.Outcome {
	s, err := upgraded(ctx, t, p.Instance, t.NewClient(p.Instance))
	if err != nil {
		return probe.Skip("%v", err)
	}
	defer func() { _ = s.Close() }()
	if !s.reads() {
		return unread
	}
	_ = s.WriteMessage(websocket.TextMessage, []byte(text)) // what becomes of it shows below
	for range lookups {
		if n := s.end(500 * time.Millisecond); n != stillOpen {
			return probe.Pass("it %s", code(n))
		}
		if !s.reads() && s.end(0) == stillOpen {
			return probe.Fail([]finding.Evidence{{Label: "message", Text: text}}, "after the message nobody reads the WebSocket any more, and it stays open")
		}
	}
	return probe.Pass("read on")
}

// reads is read, of a service that may be busy.
func (s *socket) reads() bool {
	for i := range 4 {
		if s.read(strings.Repeat("prover ", i+1)) {
			return true
		}
	}
	return false
}

// outlasted is a timeout of writes that streams have to outlast.
const outlasted = time.Second

var sseOutlasts = probe.Probe{
	Probe: describe(finding.Resilience, "sse.write-timeout", "Does a stream of events outlast the server's timeout for writing an answer?",
		"The timeout that protects calls cuts streams: the first event after it is lost without a word, and the service believes that it was sent.",
		"Lift the deadline of writes for streams (http.ResponseController.SetWriteDeadline), and bound idle ones by themselves.",
		"HTML §9.2.3", "net/http: Server.WriteTimeout"),
	Needs: lab.Process,
	Each:  events,
	Limit: 40 * time.Second,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		in, err := t.Start(ctx, map[string]string{"WRITE_TIMEOUT": outlasted.String()})
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer in.Close()
		c := t.NewClient(in)
		r, err := t.Valid(ctx, c, t.Method)
		if err != nil {
			return probe.Skip("%v", err)
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		res, err := open(ctx, t, c, r)
		if err != nil {
			return probe.Skip("the stream does not open: %v", err)
		}
		defer func() { _ = res.Body.Close() }()
		ended := make(chan error, 1)
		go func() {
			_, err := io.Copy(io.Discard, bufio.NewReader(res.Body))
			ended <- err
		}()
		if err, over := endsWithin(ctx, ended, outlasted+outlasted/2); over {
			return probe.Fail(c.Show(r, nil), "with WRITE_TIMEOUT=%s the stream has ended by then: %v", outlasted, err)
		}
		made := happen(ctx, t, c)
		if err, over := endsWithin(ctx, ended, 2*time.Second); over {
			return probe.Fail(c.Show(r, nil), "with WRITE_TIMEOUT=%s the stream ends at the first event after that: %v", outlasted, err)
		}
		return probe.Pass("open %s after WRITE_TIMEOUT=%s, and %d calls that may make events", 2*time.Second, outlasted, made)
	},
}

// endsWithin waits for the end of a stream.
func endsWithin(ctx context.Context, ended <-chan error, most time.Duration) (error, bool) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case err := <-ended:
		if err == nil {
			err = errors.New("as if it was complete")
		}
		return err, true
	case <-timer.C:
		return nil, false
	case <-ctx.Done():
		return nil, false
	}
}

// happen makes every call that changes something, of which a stream may tell, and
// returns how many were served.
func happen(ctx context.Context, t *probe.Try, c *lab.Client) (served int) {
	for _, m := range t.Service.Methods {
		if !probe.WithBody(m) || !m.Fixed() || t.Spares(m) != "" {
			continue
		}
		r, err := t.Valid(ctx, c, m)
		if err != nil {
			continue
		}
		if a := c.Do(ctx, t.Sign(r, m, lab.Good)); lab.Succeeds(m, a) {
			served++
		}
	}
	return served
}
