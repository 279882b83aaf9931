package carriers

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/idp"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
)

func webSockets() []probe.Probe {
	return []probe.Probe{wsNoCredential, wsAccepted, wsForged, wsOrigin, wsExpiry, wsTooLarge, wsGarbage, wsLeft, wsUTF8, wsRate, wsExtras, wsIdle, wsPing, wsFrames, wsDrain}
}

var wsNoCredential = probe.Probe{
	Probe: describe(finding.Security, "ws.no-credential", "Is a caller without credentials refused with 401 before the upgrade?",
		"Once the connection is upgraded it is out of the hands of everything that guards requests.",
		"Verify credentials before the handshake is answered with 101.",
		"RFC 6455 §4.2.2", "RFC 6455 §10.5", "CWE-306"),
	Each: guardedBy(sockets),
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		r, err := t.Valid(ctx, t.Client, t.Method)
		if err != nil {
			return probe.Skip("%v", err)
		}
		return rejected(ctx, t, t.Client, r, "without credentials", http.StatusUnauthorized)
	},
}

// rejected tries a handshake that has to be answered with the status.
func rejected(ctx context.Context, t *probe.Try, from *lab.Client, r lab.Request, what string, want int) finding.Outcome {
	s, a, err := dial(ctx, t.Main, from, r)
	switch {
	case err != nil:
		return probe.Fail(from.Show(r, nil), "%s there is no answer: %v", what, err)
	case s != nil:
		_ = s.Close()
		return probe.Fail(from.Show(r, a), "%s the connection is upgraded", what)
	case a.Status != want:
		return probe.Fail(from.Show(r, a), "%s the answer is %s, not %d", what, a, want)
	}
	return probe.Pass("%s", a)
}

var wsAccepted = probe.Probe{
	Probe: describe(finding.Security, "ws.accepted", "Is a caller with the right credentials given a WebSocket?",
		"A refusal proves something only if the same handshake is accepted with the right credentials.",
		"Start the service as the prover does and send the handshake shown. Where path or query need values that only you know, give them in prove.yaml (parameters).",
		"RFC 6455 §4.2.2"),
	Each: sockets,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		s, err := upgraded(ctx, t, t.Main, t.Client)
		if err != nil {
			return probe.Fail(nil, "%v", err)
		}
		defer func() { _ = s.Close() }()
		if n := s.end(300 * time.Millisecond); n != stillOpen {
			return probe.Fail(nil, "the WebSocket %s at once", code(n))
		}
		return probe.Pass("101")
	},
}

var wsForged = probe.Probe{
	Probe: describe(finding.Security, "ws.forged", "Is every kind of forged token refused with 401 before the upgrade?",
		"Whoever can make such a token is whoever they want to be, for as long as the connection lasts.",
		"Verify tokens with the same verifier as for other requests, before the handshake is answered.",
		"RFC 8725", "OWASP API2:2023", "CWE-347"),
	Needs: lab.Issuer,
	Each:  func(m method) bool { return sockets(m) && tokened(m) },
	Omit: func(l *lab.Lab) string {
		if l.Issuer == nil {
			return "the service takes no tokens"
		}
		return ""
	},
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		r, err := t.Valid(ctx, t.Client, t.Method)
		if err != nil {
			return probe.Skip("%v", err)
		}
		creds, err := t.Credentials(t.Method)
		if err != nil {
			return probe.Skip("%v", err)
		}
		u := t.Method.Alternative()[0]
		n := 0
		for _, f := range t.Issuer.Forgeries() {
			if !f.Must || slices.Contains([]string{"huge", "empty", "blank"}, f.Name) {
				continue
			}
			c := creds[u.Scheme]
			if c.Token, err = t.Issuer.Forge(f.Name, idp.Claims{Scopes: t.Method.Requirements[0].Scopes}); err != nil {
				return probe.Skip("%v", err)
			}
			t.Secrets.Add("a forged token", c.Token)
			from := t.NewClient(t.Main) // an address that has not failed yet
			if o := rejected(ctx, t, from, lab.Put(r, u, c), "with "+f.Description, http.StatusUnauthorized); o.Verdict != finding.Pass {
				return o
			}
			n++
		}
		return probe.Pass("%d kinds, each 401", n)
	},
}

// foreigners are origins of pages that have nothing to do with the service.
func foreigners(t *probe.Try) []string {
	return []string{"https://prover-foreign.example", "null", "http://" + t.Main.HTTP + ".prover-foreign.example", "http://prover-foreign.example@" + t.Main.HTTP + "x"}
}

var wsOrigin = probe.Probe{
	Probe: describe(finding.Security, "ws.origin", "Is a page of another origin refused with 403?",
		"Browsers let any page open a WebSocket to anywhere, with the visitor's cookies: only the service can tell pages apart, by Origin.",
		"Compare Origin with the hosts that the service has pages on (websocket.Upgrader.CheckOrigin); name others with CORS in the design.",
		"RFC 6455 §10.2", "CWE-1385"),
	Each: func(m method) bool {
		return sockets(m) && (m.CORS == nil || !slices.Contains(m.CORS.Origins, policy.AnyOrigin))
	},
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		r, err := t.Valid(ctx, t.Client, t.Method)
		if err != nil {
			return probe.Skip("%v", err)
		}
		r = t.Sign(r, t.Method, lab.Good)
		tried := foreigners(t)
		for _, origin := range tried {
			if o := rejected(ctx, t, t.Client, r.With("Origin", origin), "for a page of "+origin, http.StatusForbidden); o.Verdict != finding.Pass {
				return o
			}
		}
		return probe.Pass("%d origins, each 403", len(tried))
	},
}

var wsExpiry = probe.Probe{
	Probe: describe(finding.Security, "ws.expiry", "Is a WebSocket closed when the token that opened it expires?",
		"A WebSocket may last for days: whoever was let in once stays, though the token was for minutes.",
		"Close WebSockets with 1008 at the expiry of their credential.",
		"RFC 9700 §2.2", "CWE-613"),
	Needs: lab.Process,
	Each:  func(m method) bool { return sockets(m) && tokened(m) },
	Omit:  expires,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		in, err := strict(ctx, t)
		if err != nil {
			return probe.Skip("%v", err)
		}
		from := t.NewClient(in)
		r, err := t.Valid(ctx, from, t.Method)
		if err == nil {
			r, err = briefly(t, r)
		}
		if err != nil {
			return probe.Skip("%v", err)
		}
		s, a, err := dial(ctx, in, from, r)
		if err != nil || s == nil {
			return probe.Skip("the handshake is answered %v, %v", a, err)
		}
		defer func() { _ = s.Close() }()
		n := s.end(lifetime + outlived)
		switch n {
		case stillOpen:
			return probe.Fail(from.Show(r, a), "%s after its token has expired the WebSocket is still open", outlived)
		case websocket.CloseAbnormalClosure:
			return probe.Fail(from.Show(r, a), "at the expiry of its token the WebSocket was cut without a close frame")
		}
		return probe.Pass("it %s", code(n))
	},
}

// answered is how long a WebSocket has to be closed after what breaks a rule.
const answered = 3 * time.Second

var wsTooLarge = probe.Probe{
	Probe: describe(finding.Input, "ws.too-large", "Is a message larger than the method's limit closed with 1009?",
		"A message has no end that anybody has to announce: without a limit it grows until the memory is gone.",
		"Set the read limit of each WebSocket (websocket.Conn.SetReadLimit).",
		"RFC 6455 §7.4.1", "RFC 6455 §10.4", "CWE-770"),
	Needs: lab.Floods,
	Each:  func(m method) bool { return sockets(m) && limit(m) <= 64<<20 },
	Run: talking(func(_ context.Context, t *probe.Try, s *socket) finding.Outcome {
		if !s.read("prover") {
			return unread
		}
		size := limit(t.Method) + 1
		if t.Method.MaxBody == 0 {
			size = 32 << 20 // nobody says what the limit is: it is less
		}
		text := `{"prover":"` + strings.Repeat("a", size) + `"}`
		err := s.WriteMessage(websocket.TextMessage, []byte(text))
		n := s.end(answered)
		if n == websocket.CloseAbnormalClosure && size > 64<<10 {
			if err == nil && size > kernel {
				return probe.Fail(nil, "a message of %d bytes is read to its end", size)
			}
			return probe.Pass("the connection was ended while the message was on its way")
		}
		return judged(n, fmt.Sprintf("after a message of %d bytes", size), websocket.CloseMessageTooBig)
	}),
}

// kernel is more than the buffers of a connection hold: of a larger message that
// was sent, the service has read most.
const kernel = 24 << 20

// unread is the outcome where there is nothing to be attacked.
var unread = probe.Pass("the service reads nothing from this WebSocket")

// garbage are messages that are no JSON document.
var garbage = []struct{ name, message string }{
	{"what is no JSON", "\x00\x01\x02"},
	{"an empty message", ""},
	{"a list", "[[[]]]]"},
	{"two documents", "{}x"},
	{"half an object", `{"x`},
	{"an object that does not end", `{"a":{"b":`},
	{"deep nesting", strings.Repeat("[", 3000)},
}

var wsGarbage = probe.Probe{
	Probe: describe(finding.Input, "ws.garbage", "Is a message that cannot be decoded answered, or closed as the client's fault?",
		"1011 says that the service is at fault, and a connection that is cut says nothing: clients come back and send the same again.",
		"Close with 1007 or 1008, or answer with an error and go on.",
		"RFC 6455 §7.4.1", "CWE-20"),
	Each: sockets,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		for _, bad := range garbage {
			s, err := upgraded(ctx, t, t.Main, t.Client)
			if err != nil {
				return probe.Skip("%v", err)
			}
			if !s.read("prover") {
				_ = s.Close()
				return unread
			}
			_ = s.WriteMessage(websocket.TextMessage, []byte(bad.message)) // what went wrong is in the code
			n := s.end(time.Second)
			left := n == stillOpen && !s.read("again") && s.end(0) == stillOpen
			_ = s.Close()
			if left {
				return probe.Fail([]finding.Evidence{{Label: "message", Text: excerpt(bad.message)}}, "after %s nobody reads the WebSocket any more, and it stays open", bad.name)
			}
			if n == websocket.CloseAbnormalClosure || n == websocket.CloseInternalServerErr {
				return probe.Fail([]finding.Evidence{{Label: "message", Text: excerpt(bad.message)}}, "after %s the WebSocket %s", bad.name, code(n))
			}
		}
		return probe.Pass("%d kinds", len(garbage))
	},
}

var wsUTF8 = probe.Probe{
	Probe: describe(finding.Input, "ws.utf8", "Is a WebSocket closed (1007) when a text message is not UTF-8?",
		"Text that everybody reads in another way passes one check as this and the next as that.",
		"Check that text messages are UTF-8; many libraries leave it to who uses them.",
		"RFC 6455 §8.1", "RFC 6455 §7.4.1", "CWE-176"),
	Each: sockets,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		for _, text := range []string{"{\"x\":\"\xff\xfe\"}", "{\"x\":\"\xed\xa0\x80\"}", "{\"x\":\"\xc0\xaf\"}"} {
			s, err := upgraded(ctx, t, t.Main, t.Client)
			if err != nil {
				return probe.Skip("%v", err)
			}
			if !s.read("prover") {
				_ = s.Close()
				return unread
			}
			_ = s.WriteMessage(websocket.TextMessage, []byte(text)) // what went wrong is in the code
			n := s.end(answered)
			_ = s.Close()
			if o := judged(n, "after a text that is not UTF-8", refusals...); o.Verdict != finding.Pass {
				return o
			}
		}
		return probe.Pass("3 kinds, each ended")
	},
}

var wsRate = probe.Probe{
	Probe: describe(finding.Resilience, "ws.message-rate", "Is a WebSocket closed whose client sends faster than the design allows?",
		"A WebSocket is one request for every rate limit: what comes on it has to be counted by itself.",
		"Count the messages of a WebSocket as they are read, and close it with 1008.",
		"RFC 6455 §7.4.1", "CWE-770", "OWASP API4:2023"),
	Needs: lab.Floods,
	Each:  func(m method) bool { return sends(m) && m.MessageRate != nil },
	Run: talking(func(_ context.Context, t *probe.Try, s *socket) finding.Outcome {
		message := []byte("{}")
		if err := s.WriteMessage(websocket.TextMessage, message); err != nil {
			return probe.Skip("%v", err)
		}
		rate := t.Method.MessageRate
		if n := s.end(300 * time.Millisecond); n != stillOpen {
			return probe.Skip("no message is known that the method takes: after {} the WebSocket %s", code(n))
		}
		total := 4 * (rate.Burst + rate.Rate)
		for range total {
			if s.WriteMessage(websocket.TextMessage, message) != nil {
				break // it is closed
			}
		}
		return judged(s.end(answered), "after messages without a pause", websocket.ClosePolicyViolation, websocket.CloseTryAgainLater)
	}),
}

// idles is the longest idle time that is waited for.
const idles = 3 * time.Second

var wsIdle = probe.Probe{
	Probe: describe(finding.Resilience, "ws.idle", "Is a WebSocket closed on which nothing passes for as long as the design allows?",
		"Connections of clients that are long gone pile up until no new one is accepted.",
		"Close WebSockets on which no message passed for a while.",
		"RFC 6455 §7.4.1", "CWE-400"),
	Each: func(m method) bool {
		return sockets(m) && m.StreamIdle > 0 && time.Duration(m.StreamIdle) <= idles
	},
	Run: talking(func(_ context.Context, t *probe.Try, s *socket) finding.Outcome {
		n := s.end(time.Duration(t.Method.StreamIdle) + answered)
		if n == stillOpen || n == websocket.CloseAbnormalClosure {
			return probe.Fail(nil, "after %s without a message the WebSocket %s", time.Duration(t.Method.StreamIdle), code(n))
		}
		return probe.Pass("it %s", code(n))
	}),
}

var wsPing = probe.Probe{
	Probe: describe(finding.Resilience, "ws.ping", "Is a ping answered with a pong that says the same?",
		"Clients and proxies find out by pings whether a connection is alive: without pongs they end it.",
		"Keep reading the WebSocket: libraries answer pings while they read.",
		"RFC 6455 §5.5.2"),
	Each: sends,
	Run: talking(func(_ context.Context, _ *probe.Try, s *socket) finding.Outcome {
		if !s.read("prover") {
			return probe.Fail(nil, "no pong came; the WebSocket %s", code(s.end(0)))
		}
		return probe.Pass("pong")
	}),
}

var wsDrain = probe.Probe{
	Probe: describe(finding.Lifecycle, "ws.drain", "Are WebSockets closed with 1001 when the service stops?",
		"A connection that is cut looks like a broken network: clients wait for a time-out. One that nobody closes holds the process up until it is killed.",
		"On SIGTERM send close frames with 1001 (going away), wait a moment, and then close the connections: http.Server.Shutdown knows nothing of them.",
		"RFC 6455 §7.4.1", "Kubernetes pod termination"),
	Needs: lab.Process,
	Each:  sockets,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		p, err := alone(ctx, t)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer p.Close()
		s, err := upgraded(ctx, t, p.Instance, t.NewClient(p.Instance))
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer func() { _ = s.Close() }()
		p.Terminate()
		o := judged(s.end(prompt), "at SIGTERM", websocket.CloseGoingAway, websocket.CloseServiceRestart)
		if o.Verdict != finding.Pass {
			return o
		}
		_ = s.Close()
		if late := p.ends(ctx); late != nil {
			return *late
		}
		return probe.Pass("%s, exit code 0", o.Detail)
	},
	Limit: 40 * time.Second,
}
