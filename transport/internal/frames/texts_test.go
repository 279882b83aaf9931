package frames

import (
	"math/rand/v2"
	"testing"
	"unicode/utf8"
)

// garbled feeds text in frames of the given size, in reads of another, and
// reports whether some of it is not UTF-8.
func garbled(text string, frame, read int, kind byte) bool {
	var f Follower
	var check Texts
	var wire []byte
	for first := true; first || len(text) > 0; first = false {
		n := min(frame, len(text))
		head := byte(0)
		if first {
			head = kind
		}
		if n == len(text) {
			head |= 0x80
		}
		mask := [4]byte{byte(rand.Uint32()), 1, 2, byte(rand.Uint32())}
		if n < 126 {
			wire = append(wire, head, 0x80|byte(n))
		} else {
			wire = append(wire, head, 0x80|126, byte(n>>8), byte(n))
		}
		wire = append(wire, mask[:]...)
		for i := range n {
			wire = append(wire, text[i]^mask[i&3])
		}
		text = text[n:]
		wire = append(wire, 0x89, 0x81, 0, 0, 0, 0, 0xff) // a ping, which may hold anything
	}
	for len(wire) > 0 {
		b := wire[:min(read, len(wire))]
		wire = wire[len(b):]
		for {
			inside := f.Inside()
			n, what := f.Next(b)
			if inside && !check.Take(&f, b[:n], what == End) {
				return true
			}
			if b = b[n:]; what == More {
				break
			}
			if what == Header {
				check.Begin(&f)
			}
		}
	}
	return false
}

// Text is UTF-8, however it is cut into frames and reads; what is binary may be
// anything.
func FuzzTexts(f *testing.F) {
	for _, text := range []string{"", "a", "\u00e9", "\u20ac", "\U0001f600", "\xff", "\xc3", "\xc3(", "\xe2\x82", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc0\xaf", "a\x80", "\ufffd", string(make([]byte, 300))} {
		for _, size := range []uint16{1, 2, 3, 200} {
			f.Add(text, size, size%3+1)
		}
	}
	f.Fuzz(func(t *testing.T, text string, frame, read uint16) {
		frame, read = frame%1000+1, read%1000+1
		if got := garbled(text, int(frame), int(read), opText); got == utf8.ValidString(text) {
			t.Errorf("%q in frames of %d, reads of %d: garbled %t", text, frame, read, got)
		}
		if garbled(text, int(frame), int(read), 2) {
			t.Errorf("%q as a binary message is garbled", text)
		}
	})
}
