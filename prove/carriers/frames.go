package carriers

import (
	"context"
	"slices"

	"github.com/gorilla/websocket"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
)

// Bits and opcodes of frames (RFC 6455, section 5.2).
const (
	final    = 0x80
	reserved = 0x40
	masked   = 0x80
	textual  = 0x1
	closing  = 0x8
	pinging  = 0x9
)

// frame makes a masked frame with a payload of less than 126 bytes.
func frame(first byte, payload string) []byte {
	mask := []byte{1, 2, 3, 4}
	b := append([]byte{first, masked | byte(len(payload))}, mask...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return b
}

// wrong are bytes that break the protocol.
var wrong = []struct {
	name  string
	bytes []byte
}{
	{"an unmasked frame", []byte{final | textual, 2, '{', '}'}},
	{"a reserved bit", frame(final|reserved|textual, "{}")},
	{"a reserved opcode", frame(final|0x3, "{}")},
	{"a reserved opcode of control frames", frame(final|0xB, "")},
	{"a ping in fragments", frame(pinging, "x")},
	{"a ping of 126 bytes", slices.Concat([]byte{final | pinging, masked | 126, 0, 126, 0, 0, 0, 0}, make([]byte, 126))},
	{"a continuation of nothing", frame(final, "{}")},
	{"a message within a message", slices.Concat(frame(textual, "{"), frame(final|textual, "{}"))},
	{"a close frame of one byte", frame(final|closing, "x")},
	{"a close frame with a code that nobody may send", frame(final|closing, "\x03\xed")},
	{"a length with its highest bit set", []byte{final | textual, masked | 127, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 'x'}},
}

// refusals are codes that say that the client broke a rule; the last two are
// connections that were ended without saying so, as the protocol allows.
var refusals = []int{
	websocket.CloseProtocolError, websocket.CloseInvalidFramePayloadData, websocket.CloseUnsupportedData, websocket.ClosePolicyViolation,
	websocket.CloseMessageTooBig, websocket.CloseNoStatusReceived, websocket.CloseAbnormalClosure,
}

var wsFrames = probe.Probe{
	Probe: describe(finding.Input, "ws.frames", "Is a WebSocket closed with 1002 whose client breaks the protocol?",
		"Frames that one side reads in another way than the other let messages be hidden from what is in between.",
		"Use a maintained library for frames, and close the connection when it reports an error.",
		"RFC 6455 §5.1", "RFC 6455 §5.4", "RFC 6455 §5.5", "CWE-20"),
	Needs: lab.Floods,
	Each:  sockets,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		coded := 0
		for _, w := range wrong {
			s, err := upgraded(ctx, t, t.Main, t.Client)
			if err != nil {
				return probe.Skip("%v", err)
			}
			if !s.read("prover") {
				_ = s.Close()
				return unread
			}
			_, _ = s.NetConn().Write(w.bytes) // what went wrong is in the code
			n := s.end(answered)
			_ = s.Close()
			if o := judged(n, "after "+w.name, refusals...); o.Verdict != finding.Pass {
				return o
			}
			if n == websocket.CloseProtocolError {
				coded++
			}
		}
		return probe.Pass("%d kinds, %d of them closed with 1002", len(wrong), coded)
	},
}
