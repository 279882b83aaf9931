// Package frames follows a WebSocket without keeping what passes: where its frames
// begin and its messages end (RFC 6455, section 5.2), and whether its texts are
// UTF-8 (section 8.1).
//
//	for at := 0; ; {
//		n, what := follower.Next(b[at:])
//		if at += n; what == frames.More {
//			break
//		}
//		if what == frames.End && follower.Message() {
//			messages++
//		}
//	}
//
// It refuses nothing but texts: what is no frame it takes for one, which the reader
// behind it refuses.
package frames

import "encoding/binary"

// Follower follows one direction of a WebSocket, from its first byte on. The zero
// value is at the begin. A copy of it goes on by itself. It is for one goroutine.
type Follower struct {
	header [14]byte
	have   int    // bytes of the header
	inside bool   // the header is whole, the payload is not
	left   uint64 // bytes of the payload
	kind   byte   // opcode
	last   bool   // the message ends with this frame
}

// Step is what [Follower.Next] came to.
type Step byte

// The steps.
const (
	More   Step = iota // the end of what there is: there is more to come
	Header             // a frame's header is whole
	End                // a frame has ended
)

// The opcodes that matter.
const (
	opContinuation = 0
	opText         = 1
	OpClose        = 8
)

// Next takes bytes up to the end of a header or a payload, and returns how many.
func (f *Follower) Next(b []byte) (int, Step) {
	if f.inside {
		if n := uint64(len(b)); n < f.left {
			f.left -= n
			return len(b), More
		}
		n := int(f.left)
		f.inside, f.left, f.have = false, 0, 0
		return n, End
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
			return n, Header
		}
	}
	return n, More
}

// size returns how long the header is, as far as it is known: two bytes say it.
func (f *Follower) size() int {
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

func (f *Follower) parse() {
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

// Between reports whether the next byte begins a frame.
func (f *Follower) Between() bool { return !f.inside && f.have == 0 }

// Inside reports whether the next byte is one of a frame's payload.
func (f *Follower) Inside() bool { return f.inside }

// Left returns how much of the frame's payload is to come, in bytes: all of it at
// the frame's [Header].
func (f *Follower) Left() uint64 { return f.left }

// Control reports whether the frame is a ping, a pong or a close.
func (f *Follower) Control() bool { return f.kind >= OpClose }

// Continues reports whether the frame is a fragment of a message after its first.
func (f *Follower) Continues() bool { return f.kind == opContinuation }

// Message reports whether a message ends with the frame.
func (f *Follower) Message() bool { return f.last && !f.Control() }

// Closes follows b, to its end or to a close frame, and reports whether there is one
// and no message begins before it. Once one does, messages is true, and stays so from
// one part of a stream to the next.
func (f *Follower) Closes(b []byte, messages *bool) bool {
	for {
		n, what := f.Next(b)
		b = b[n:]
		switch {
		case what == More:
			return false
		case what == Header && f.kind == OpClose:
			return !*messages
		case what == Header && !f.Control():
			*messages = true
		}
	}
}
