package frames

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"pgregory.net/rapid"
)

// played is a connection on which a client has sent its bytes and is gone.
type played struct {
	net.Conn
	in *bytes.Reader
}

func (p *played) Read(b []byte) (int, error)       { return p.in.Read(b) }
func (p *played) Write(b []byte) (int, error)      { return len(b), nil }
func (p *played) Close() error                     { return nil }
func (p *played) SetDeadline(time.Time) error      { return nil }
func (p *played) SetReadDeadline(time.Time) error  { return nil }
func (p *played) SetWriteDeadline(time.Time) error { return nil }

// hijackable hands a played connection to gorilla.
type hijackable struct {
	*httptest.ResponseRecorder
	conn net.Conn
}

func (h hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReader(h.conn), bufio.NewWriter(h.conn)), nil
}

// gorilla returns how many messages the reader behind the follower reads, and
// the error that ends them.
func gorilla(tb testing.TB, stream []byte) (n int, err error) {
	tb.Helper()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="},
	}
	u := websocket.Upgrader{}
	conn, err := u.Upgrade(hijackable{httptest.NewRecorder(), &played{in: bytes.NewReader(stream)}}, r, nil)
	if err != nil {
		tb.Fatal(err)
	}
	for {
		_, m, err := conn.NextReader()
		if err == nil {
			_, err = io.Copy(io.Discard, m)
		}
		if err != nil {
			return n, err
		}
		n++
	}
}

// follow returns how many messages the follower sees begin and end in a stream
// that comes in pieces.
func follow(stream []byte, pieces func(left int) int) (begun, ended int) {
	var f Follower
	for len(stream) > 0 {
		piece := stream[:pieces(len(stream))]
		stream = stream[len(piece):]
		for {
			n, what := f.Next(piece)
			piece = piece[n:]
			if what == More {
				break
			}
			if what == Header && !f.Control() && !f.Continues() {
				begun++
			}
			if what == End && f.Message() {
				ended++
			}
		}
	}
	return begun, ended
}

// appendFrame appends a frame of a client's.
func appendFrame(b []byte, first byte, payload []byte, long int) []byte {
	b = append(b, first)
	switch n := len(payload); {
	case n > 65535 || long > 1:
		b = binary.BigEndian.AppendUint64(append(b, 0xff), uint64(n))
	case n > 125 || long > 0:
		b = binary.BigEndian.AppendUint16(append(b, 0xfe), uint16(n))
	default:
		b = append(b, 0x80|byte(n))
	}
	key := [4]byte{1, 2, 3, 4}
	b = append(b, key[:]...)
	for i, c := range payload {
		b = append(b, c^key[i&3])
	}
	return b
}

// Whatever an honest client sends, in whatever pieces it comes, the follower
// sees the messages that gorilla reads.
func TestFramesAreFollowed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stream []byte
		size := rapid.SampledFrom([]int{0, 0, 1, 5, 124, 125, 126, 127, 300, 65535, 65536, 70000})
		control := func() {
			for range rapid.IntRange(0, 2).Draw(t, "controls") {
				kind := rapid.SampledFrom([]byte{0x89, 0x8a}).Draw(t, "control")
				stream = appendFrame(stream, kind, make([]byte, rapid.IntRange(0, 125).Draw(t, "control size")), 0)
			}
		}
		messages := rapid.IntRange(0, 6).Draw(t, "messages")
		for range messages {
			fragments := rapid.IntRange(1, 4).Draw(t, "fragments")
			for i := range fragments {
				control()
				first := byte(0)
				if i == 0 {
					first = websocket.BinaryMessage
				}
				if i == fragments-1 {
					first |= 0x80
				}
				stream = appendFrame(stream, first, make([]byte, size.Draw(t, "size")), rapid.IntRange(0, 2).Draw(t, "long"))
			}
		}
		control()
		begun, ended := follow(stream, func(left int) int {
			return min(left, rapid.SampledFrom([]int{1, 2, 3, 7, 100, 4096, 1 << 20}).Draw(t, "piece"))
		})
		if begun != messages || ended != messages {
			t.Errorf("%d begun, %d ended, want %d", begun, ended, messages)
		}
	})
}

// Whatever a hostile client sends, gorilla reads no message that the follower
// does not see, and the two agree as long as gorilla has nothing to object to.
func FuzzFrames(f *testing.F) {
	text := appendFrame(nil, 0x81, []byte("hello"), 0)
	f.Add(text, uint8(3))
	f.Add(appendFrame(appendFrame(appendFrame(nil, 0x01, []byte("a"), 1), 0x89, nil, 0), 0x80, nil, 2), uint8(1))
	f.Add(append(appendFrame(nil, 0x88, []byte{3, 232}, 0), text...), uint8(9))
	f.Add([]byte{0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0x81}, uint8(2))
	f.Fuzz(func(t *testing.T, stream []byte, piece uint8) {
		read, err := gorilla(t, stream)
		begun, ended := follow(stream, func(left int) int { return min(left, int(piece)+1) })
		if read > ended || read > begun {
			t.Fatalf("gorilla reads %d messages, the follower sees %d begin and %d end", read, begun, ended)
		}
		closed, ok := errors.AsType[*websocket.CloseError](err)
		if whole := ok && closed.Code == websocket.CloseAbnormalClosure; whole && read != ended {
			t.Fatalf("gorilla reads %d messages to the end of the stream, the follower sees %d", read, ended)
		}
	})
}
