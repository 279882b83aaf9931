package transport

import "encoding/binary"

// frames follows one direction of a WebSocket, from its first byte on, without
// keeping any of it: it knows where frames begin and messages end (RFC 6455,
// section 5.2). It takes what is no frame for one, which the reader behind it
// refuses.
type frames struct {
	header [14]byte
	have   int    // bytes of the header
	inside bool   // the header is whole, the payload is not
	left   uint64 // bytes of the payload
	kind   byte   // opcode
	last   bool   // the message ends with this frame
}

// step is what [frames.next] came to.
type step byte

const (
	stepNone   step = iota // the end of what there is
	stepHeader             // a frame's header is whole
	stepFrame              // a frame has ended
)

// opcodes.
const (
	opContinuation = 0
	opClose        = 8
)

// next takes bytes up to the end of a header or a payload, and returns how many.
func (f *frames) next(b []byte) (int, step) {
	if f.inside {
		if n := uint64(len(b)); n < f.left {
			f.left -= n
			return len(b), stepNone
		}
		n := int(f.left)
		f.inside, f.left, f.have = false, 0, 0
		return n, stepFrame
	}
	n := 0
	for n < len(b) {
		need := f.size()
		if f.have < need {
			k := copy(f.header[f.have:need], b[n:])
			f.have, n = f.have+k, n+k
		}
		if f.have == f.size() { // which the second byte may have changed
			f.parse()
			return n, stepHeader
		}
	}
	return n, stepNone
}

// size returns how long the header is, as far as it is known: two bytes say it.
func (f *frames) size() int {
	if f.have < 2 {
		return 2
	}
	n := 2
	switch f.header[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if f.header[1]&0x80 != 0 { // a mask
		n += 4
	}
	return n
}

func (f *frames) parse() {
	f.inside, f.kind, f.last = true, f.header[0]&0x0f, f.header[0]&0x80 != 0
	switch n := f.header[1] & 0x7f; n {
	case 126:
		f.left = uint64(binary.BigEndian.Uint16(f.header[2:]))
	case 127:
		f.left = binary.BigEndian.Uint64(f.header[2:])
	default:
		f.left = uint64(n)
	}
}

// control reports whether the frame is a ping, a pong or a close.
func (f *frames) control() bool { return f.kind >= opClose }

// message reports whether a message has ended with the frame.
func (f *frames) message() bool { return f.last && !f.control() }
