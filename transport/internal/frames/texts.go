package frames

import "unicode/utf8"

// Texts finds out whether the text messages of a WebSocket are UTF-8, as they
// have to be (RFC 6455, section 8.1): the decoder of JSON would replace what is
// not. It keeps no more of a message than the begin of a character.
type Texts struct {
	text bool // the message under way is one
	at   int  // bytes of the frame, for its mask
	part [utf8.UTFMax]byte
	have int // bytes of part
}

// Begin takes a frame whose header is whole.
func (t *Texts) Begin(f *Follower) {
	t.at = 0
	if f.Control() || f.kind == opContinuation {
		return
	}
	t.text, t.have = f.kind == opText, 0
}

// Take takes a part of a frame's payload, which ends the frame or not, and reports
// whether all is UTF-8 so far.
func (t *Texts) Take(f *Follower, payload []byte, ends bool) bool {
	if !t.text || f.Control() {
		return true
	}
	var mask [4]byte
	if f.header[1]&0x80 != 0 {
		size := maskedSize(f.header[1])
		mask = [4]byte(f.header[size-4 : size])
	}
	for _, c := range payload {
		c ^= mask[t.at&3]
		t.at++
		if t.have == 0 && c < utf8.RuneSelf {
			continue
		}
		t.part[t.have] = c
		t.have++
		if !utf8.FullRune(t.part[:t.have]) {
			continue
		}
		if r, n := utf8.DecodeRune(t.part[:t.have]); r == utf8.RuneError && n <= 1 {
			return false
		}
		t.have = 0
	}
	return t.have == 0 || !ends || !f.last
}

// maskedSize returns the size of the header of a frame with a mask, by its second
// byte.
func maskedSize(second byte) int {
	switch second & 0x7f {
	case 126:
		return 8
	case 127:
		return 14
	}
	return 6
}
