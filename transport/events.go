package transport

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/aguada-dev/aguada/policy"
)

// events is the line discipline of Server-Sent Events. Each Write of generated
// code is one field of an event; whatever strings the service put into it, it
// stays one field, and the event stays one event (the HTML standard, section 9.2):
// data keeps its lines, as lines of data, and in id and event
// spaces take the place of what would end them. The fields of an event are
// written together, with its data.
type events struct {
	buf   *[]byte // of the event under way; nil between two
	head  []byte  // what is not written of it yet
	order int     // of the last field in it, from 1
	data  bool    // data is under way, in several writes
	dirty bool    // an event is written, but not flushed
	wrong bool    // something was written that is no field
}

// eventFields come before the data, in this order.
var eventFields = [...]string{"id: ", "event: ", "retry: "}

const (
	eventData = "data: "
	eventEnd  = "\n\n"
	nextLine  = "\n" + eventData
)

// errNoField is what becomes of bytes that are no field of an event.
var errNoField = errors.New("write event: this is no field of an event as generated code writes it")

var noBuffering = []string{"no"}

// isEventStream reports whether what is to be written are events, and not an
// error.
func (c *call) isEventStream() bool {
	if c.m.Kind != policy.EventStream || c.status != http.StatusOK {
		return false
	}
	values := c.w.Header()["Content-Type"]
	return len(values) == 1 && values[0] == "text/event-stream"
}

// beginEvents prepares an answer of events, which nothing on its way shall keep
// or collect.
func (c *call) beginEvents() {
	header := c.w.Header()
	header["Cache-Control"] = noStore[:1:1]
	header["X-Accel-Buffering"] = noBuffering[:1:1]
	c.events = new(events)
}

// writeEvent writes what generated code writes of an event.
func (c *call) writeEvent(p []byte) (int, error) {
	e := c.events
	out, ok := e.take(p)
	if !ok {
		e.wrong = true
		return 0, errNoField
	}
	if len(out) > 0 {
		e.dirty = true
		n, err := c.w.Write(out)
		e.rest()
		c.bodyOut += int64(n)
		if err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// take adds a write to the event under way, and returns it once it is whole. It
// is false for what is no field.
func (e *events) take(p []byte) (out []byte, ok bool) {
	value, isData := bytes.CutPrefix(p, []byte(eventData))
	if e.buf == nil {
		e.buf = wires.Get().(*[]byte)
		e.head = (*e.buf)[:0]
	}
	switch {
	case e.data && string(p) == eventEnd:
		e.data, e.head = false, bytes.TrimSuffix(e.head, []byte(nextLine)) // an encoder's last newline
		return e.whole(), true
	case e.data:
		e.lines(p)
		return nil, true
	case isData && len(value) == 0:
		e.data, e.head = true, append(e.head, eventData...)
		return nil, true
	case isData:
		if value, ok = bytes.CutSuffix(value, []byte(eventEnd)); !ok {
			return nil, false
		}
		if len(e.head) == 0 && !bytes.ContainsAny(value, "\r\n") {
			return p, true
		}
		e.head = append(e.head, eventData...)
		e.lines(value)
		return e.whole(), true
	}
	return nil, e.field(p)
}

// field adds what comes before the data.
func (e *events) field(p []byte) bool {
	for i, name := range eventFields {
		value, ok := bytes.CutPrefix(p, []byte(name))
		if !ok {
			continue
		}
		if value, ok = bytes.CutSuffix(value, []byte{'\n'}); !ok {
			return false
		}
		if i+1 <= e.order { // the event before had no data: it failed
			e.head = e.head[:0]
		}
		e.order, e.head = i+1, append(e.head, name...)
		e.head = appendLine(e.head, value)
		e.head = append(e.head, '\n')
		return true
	}
	return false
}

// lines adds data.
func (e *events) lines(value []byte) {
	for len(value) > 0 {
		i := bytes.IndexAny(value, "\r\n")
		if i < 0 {
			e.head = append(e.head, value...)
			return
		}
		e.head = append(append(e.head, value[:i]...), nextLine...)
		if value[i] == '\r' && i+1 < len(value) && value[i+1] == '\n' {
			i++
		}
		value = value[i+1:]
	}
}

// whole ends the event, and returns it.
func (e *events) whole() []byte {
	out := append(e.head, eventEnd...)
	e.order, e.head = 0, out[:0]
	return out
}

// rest gives back the buffer of an event that is written: for most of its time a
// stream has none.
func (e *events) rest() {
	if cap(e.head) <= maxScratch {
		*e.buf = e.head
		wires.Put(e.buf)
	}
	e.buf, e.head = nil, nil
}

// appendLine adds a text that has to stay in its line.
func appendLine(b, text []byte) []byte {
	for _, c := range text {
		if c == '\r' || c == '\n' || c == 0 {
			c = ' '
		}
		b = append(b, c)
	}
	return b
}

// flushed notes that the client, or at least the kernel, has what was written.
func (e *events) flushed(w *watch) {
	if e.dirty {
		e.dirty = false
		w.touch()
	}
}

// Bounds of when clients of a server that stops shall come back. They do not
// come all at once.
const (
	retryLeast  = time.Second
	retrySpread = 4 * time.Second
)

// endEvents says, after the last event, why the stream ends: when to come back,
// if the server stops, else a comment with the name of the reason and the id of
// the error. Clients see no event that the design does not have.
func (c *call) endEvents() {
	c.mu.Lock()
	left := c.farewell != 0
	if !left {
		c.farewell = farewellSaid
	}
	c.mu.Unlock()
	if e := c.events; e != nil {
		if e.wrong {
			c.note("write", "", errNoField.Error())
		}
		last := c.lastWords(left)
		switch {
		case len(last) == 0 || c.deserted():
		case c.outgrown():
			c.apart.wire.hold(last)
			c.bodyOut += int64(len(last))
		default:
			n, _ := c.w.Write(last)
			c.bodyOut += int64(n)
			_ = c.FlushError()
		}
	}
}

func (c *call) lastWords(left bool) []byte {
	switch r := c.ending.Load(); {
	case r != nil:
		return append(appendLine([]byte(": "), []byte(r.reason())), eventEnd...)
	case left:
		wait := retryLeast + rand.N(retrySpread) //nolint:gosec // no secret
		return append(strconv.AppendInt([]byte("retry: "), wait.Milliseconds(), 10), eventEnd...)
	case c.failure.kind != "":
		text := append([]byte(c.failure.kind+" "), c.failure.id...)
		return append(appendLine([]byte(": "), text), eventEnd...)
	}
	return nil
}
