package carriers

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
)

// Frames of a client (RFC 6455, section 5.2), masked by zeros.
var (
	pingFrame = []byte{0x89, 0x80, 0, 0, 0, 0}
	firstPart = []byte{0x01, 0x81, 0, 0, 0, 0, '{'}
	nextPart  = []byte{0x00, 0x80, 0, 0, 0, 0} // empty: no limit of size ends that
)

// many is how many frames no client needs that is bounded in messages.
const many = 20_000

var wsExtras = probe.Probe{
	Probe: describe(finding.Resilience, "ws.extras", "Is a WebSocket closed whose client sends nothing but pings, or a message in ever more tiny parts?",
		"Neither is a message, so that no limit of messages counts them; each costs the service a read, and a ping an answer.",
		"Bound control frames and fragments by a rate of their own, and close the WebSocket with 1008.",
		"RFC 6455 §5.4", "RFC 6455 §5.5.2", "CWE-770"),
	Needs: lab.Floods,
	Each:  func(m method) bool { return sends(m) && m.MessageRate != nil },
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		for _, kind := range []struct {
			name        string
			first, each []byte
		}{{"pings", nil, pingFrame}, {"parts of a message", firstPart, nextPart}} {
			s, err := upgraded(ctx, t, t.Main, t.Client)
			if err != nil {
				return probe.Skip("%v", err)
			}
			conn := s.NetConn()
			_ = conn.SetWriteDeadline(time.Now().Add(answered))
			_, err = conn.Write(kind.first)
			for sent := 0; err == nil && sent < many; sent += 100 {
				_, err = conn.Write([]byte(strings.Repeat(string(kind.each), 100))) // it is closed, if not
			}
			n := s.end(answered)
			_ = s.Close()
			if n == stillOpen {
				return probe.Fail(nil, "after %d %s without a pause the WebSocket is still open", many, kind.name)
			}
			if n != websocket.ClosePolicyViolation && n != websocket.CloseTryAgainLater && n != websocket.CloseAbnormalClosure && n != websocket.CloseMessageTooBig {
				return probe.Fail(nil, "after %d %s without a pause the WebSocket %s; it should be closed with 1008", many, kind.name, code(n))
			}
		}
		return probe.Pass("closed, after pings and after parts of a message")
	},
}

var sseCached = probe.Probe{
	Probe: describe(finding.Security, "sse.cache", "Is no cache on its way allowed to keep a stream of events?",
		"An answer that says nothing of caching may be kept by any proxy: the next caller is given what the last one was told.",
		"Answer streams with Cache-Control: no-store (or no-cache).",
		"RFC 9111 §3", "HTML §9.2.6", "CWE-525"),
	Each: events,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		r, err := t.Valid(ctx, t.Client, t.Method)
		if err != nil {
			return probe.Skip("%v", err)
		}
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		res, err := open(ctx, t, t.Client, r)
		if err != nil {
			return probe.Skip("the stream does not open: %v", err)
		}
		_ = res.Body.Close()
		control := strings.ToLower(strings.Join(res.Header.Values("Cache-Control"), ","))
		if !strings.Contains(control, "no-store") && !strings.Contains(control, "no-cache") && !strings.Contains(control, "private") {
			return probe.Fail(t.Client.Show(r, &lab.Answer{Status: http.StatusOK, Header: res.Header}), "Cache-Control is %q", control)
		}
		return probe.Pass("%s", control)
	},
}
