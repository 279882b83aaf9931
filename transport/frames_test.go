package transport

import (
	"encoding/binary"
	"testing"
	"time"
)

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

// Counting a message allocates nothing.
func TestFramesCostNoAllocation(t *testing.T) {
	c := &call{core: core{start: time.Now(), watch: &watch{begun: time.Now(), idle: time.Hour}}}
	s := &socket{c: c, bounded: true, open: true, messages: pace{cost: 1, fill: 10}, extras: pace{cost: 1, fill: 10}}
	message := appendFrame(appendFrame(nil, 0x01, []byte("hello"), 0), 0x80, nil, 0)
	if n := testing.AllocsPerRun(100, func() {
		if s.admit(message) != len(message) {
			t.Error("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkFrames(b *testing.B) {
	c := &call{core: core{start: time.Now(), watch: &watch{begun: time.Now(), idle: time.Hour}}}
	s := &socket{c: c, bounded: true, open: true, messages: pace{cost: 1, fill: 10}, extras: pace{cost: 1, fill: 10}}
	message := appendFrame(nil, 0x81, make([]byte, 100), 0)
	b.ReportAllocs()
	for b.Loop() {
		s.admit(message)
	}
}
