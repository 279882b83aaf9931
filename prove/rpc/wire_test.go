package rpc

import (
	"bytes"
	"maps"
	"net"
	"testing"
	"time"
)

func FuzzFrame(f *testing.F) {
	f.Add([]byte("\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\xfa"))
	f.Add([]byte("\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0b"))
	f.Add([]byte("\xff\xff\xff\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := readFrame(bytes.NewReader(b))
		if err != nil {
			return
		}
		if len(e.Payload) > len(b)-9 {
			t.Errorf("%d bytes of %d", len(e.Payload), len(b))
		}
		_, _ = e.Setting(MaxConcurrentStreams)
		_ = e.goAway()
	})
}

// What is written is what is read.
func TestWire(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	want := Event{Kind: FrameSettings, Stream: 7, Payload: []byte("\x00\x03\x00\x00\x00\xfa")}
	go func() { _ = (&Wire{far}).Write(Event{Kind: FramePing, Payload: make([]byte, 8)}, want) }()
	e, ok := (&Wire{near}).Wait(FrameSettings, time.Second)
	if n, there := e.Setting(MaxConcurrentStreams); !ok || e.Stream != 7 || n != 250 || !there {
		t.Errorf("%t, %+v, %d", ok, e, n)
	}
	if _, there := e.Setting(1); there {
		t.Error("a setting is there that nobody sent")
	}
	_ = far.Close()
	if how, ended := (&Wire{near}).Ended(time.Second); !ended {
		t.Errorf("%q", how)
	}
}

func TestWildcards(t *testing.T) {
	for _, test := range []struct {
		pattern, path string
		want          map[string]string
	}{
		{"/orders/{id}", "/orders/a%20b", map[string]string{"id": "a b"}},
		{"/orders/{id}/cancel", "/orders/x/cancel", map[string]string{"id": "x"}},
		{"/a/{b}/c/{*rest}", "/a/1/c/2/3", map[string]string{"b": "1", "rest": "2/3"}},
		{"/orders", "/orders", map[string]string{}},
		{"/orders/{id}", "/x", map[string]string{}},
		{"/{a", "/x", map[string]string{"a": "x"}},
	} {
		if got := wildcards(test.pattern, test.path); !maps.Equal(got, test.want) {
			t.Errorf("%s of %s: %v", test.pattern, test.path, got)
		}
	}
}
