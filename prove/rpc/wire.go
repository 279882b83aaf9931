package rpc

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// The frames of HTTP/2 (RFC 9113, section 6) that the prover writes or looks for.
const (
	FrameHeaders      = 0x1
	FrameReset        = 0x3
	FrameSettings     = 0x4
	FramePing         = 0x6
	FrameGoAway       = 0x7
	FrameContinuation = 0x9
)

// MaxConcurrentStreams is the identifier of that setting.
const MaxConcurrentStreams = 0x3

// preface begins a connection.
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Wire is a connection on which frames are sent that no client would send. It is
// for one goroutine.
type Wire struct{ conn net.Conn }

// Event is one frame that came.
type Event struct {
	Kind    byte
	Flags   byte
	Stream  uint32
	Payload []byte
}

// Connect opens a connection and sends the client's preface, with empty
// settings. It ends with ctx's deadline; the caller closes it.
func (c *Client) Connect(ctx context.Context) (*Wire, error) {
	conn, err := c.dialer.DialContext(ctx, "tcp", c.in.GRPC)
	if err != nil {
		return nil, err
	}
	if end, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(end)
	}
	w := &Wire{conn}
	_, err = io.WriteString(conn, preface)
	if err == nil {
		err = w.Write(Event{Kind: FrameSettings})
	}
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("begin HTTP/2: %w", err)
	}
	return w, nil
}

// Close ends the connection.
func (w *Wire) Close() { _ = w.conn.Close() }

// Write sends frames.
func (w *Wire) Write(frames ...Event) error {
	var b bytes.Buffer
	for _, e := range frames {
		n := len(e.Payload)
		b.Write([]byte{byte(n >> 16), byte(n >> 8), byte(n), e.Kind, e.Flags})
		_ = binary.Write(&b, binary.BigEndian, e.Stream) // never fails
		b.Write(e.Payload)
	}
	_, err := w.conn.Write(b.Bytes())
	return err
}

// Read waits for a frame.
func (w *Wire) Read() (Event, error) { return readFrame(w.conn) }

func readFrame(r io.Reader) (Event, error) {
	var head [9]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return Event{}, err
	}
	n := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
	e := Event{Kind: head[3], Flags: head[4], Stream: binary.BigEndian.Uint32(head[5:]) &^ (1 << 31)}
	var payload bytes.Buffer // grows with what comes, not with what is announced
	if _, err := io.CopyN(&payload, r, int64(n)); err != nil {
		return Event{}, err
	}
	e.Payload = payload.Bytes()
	return e, nil
}

// Wait reads until a frame of the kind comes, at most for so long; false where
// the connection ended, or nothing came, before.
func (w *Wire) Wait(kind byte, most time.Duration) (Event, bool) {
	_ = w.conn.SetReadDeadline(time.Now().Add(most))
	for {
		e, err := w.Read()
		if err != nil {
			return Event{}, false
		}
		if e.Kind == kind {
			return e, true
		}
	}
}

// Ended waits until the server ends the connection, or says that it will
// (GOAWAY), at most for so long. It answers nothing, pings included.
func (w *Wire) Ended(most time.Duration) (how string, ended bool) {
	_ = w.conn.SetReadDeadline(time.Now().Add(most))
	for {
		e, err := w.Read()
		var late net.Error
		switch {
		case errors.As(err, &late) && late.Timeout():
			return "", false
		case err != nil:
			return "the connection was closed", true
		case e.Kind == FrameGoAway:
			return e.goAway(), true
		}
	}
}

// goAway says what a GOAWAY frame does.
func (e Event) goAway() string {
	if len(e.Payload) < 8 {
		return "GOAWAY"
	}
	return fmt.Sprintf("GOAWAY, error code %d %s", binary.BigEndian.Uint32(e.Payload[4:]), bytes.ToValidUTF8(e.Payload[8:], nil))
}

// Setting returns the value of a setting that the frame holds.
func (e Event) Setting(id uint16) (uint32, bool) {
	for p := e.Payload; len(p) >= 6; p = p[6:] {
		if binary.BigEndian.Uint16(p) == id {
			return binary.BigEndian.Uint32(p[2:]), true
		}
	}
	return 0, false
}
