package transport

import (
	"context"
	"io"
	"slices"
	"testing"

	"github.com/aguada-dev/aguada/transport/internal/streamsvc/gen/tape"
)

// A text that is no UTF-8 closes the connection, and the method has nothing of
// the frame where it is none; a character may be in two fragments.
func TestTexts(t *testing.T) {
	text := func(first byte, payload string) []byte { return appendFrame(nil, first, []byte(payload), 0) }
	hello := text(0x81, wordHello)
	tests := map[string]struct {
		sent []byte
		got  []string // what the method has
		code int
		kind any // error.type
	}{
		"a character in two fragments": {slices.Concat(text(0x01, "{\"text\":\"\xc3"), text(0x80, "\xa9\"}"), text(0x88, "\x03\xe8")), []string{"\u00e9"}, 1000, nil},
		"no character":                 {slices.Concat(hello, text(0x81, "{\"text\":\"\xc3(\"}"), hello), []string{"hello"}, 1007, "protocol_error"},
		"in the last fragment":         {slices.Concat(text(0x01, `{"text":"`), text(0x00, "\u00e9"), text(0x80, "\xff\"}")), nil, 1007, "protocol_error"},
		"half a character at the end":  {slices.Concat(hello, text(0x81, wordHello+"\xe2\x82"), hello), []string{"hello"}, 1007, "protocol_error"},
		"an empty end after a half":    {slices.Concat(text(0x01, "{\"text\":\"\xe2\x82"), text(0x80, "")), nil, 1007, "protocol_error"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newTape(t, nil)
			var got []string
			r.svc.talk = func(_ context.Context, s tape.TalkServerStream) error {
				for {
					word, err := s.Recv()
					if err != nil {
						return err
					}
					got = append(got, word.Text)
				}
			}
			conn := handshake(t, r.listen(t))
			_, _ = conn.Write(test.sent)
			answer, _ := io.ReadAll(conn)
			line := r.last(t)
			if len(answer) < 4 || answer[0] != 0x88 || int(answer[2])<<8|int(answer[3]) != test.code {
				t.Errorf("closed with % x, want %d", answer, test.code)
			}
			if line["error.type"] != test.kind || !slices.Equal(got, test.got) {
				t.Errorf("the method has %q; the log: %v", got, line)
			}
		})
	}
}
