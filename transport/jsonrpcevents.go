package transport

import (
	"encoding/json"
	"net/http"

	goa "goa.design/goa/v3/pkg"

	"github.com/aguada-dev/aguada/policy"
)

// rpcEvents is the discipline of a call that streams Server-Sent Events. Errors
// that the generated handler writes by itself are dropped, and written anew with
// what is known of where they came from.
type rpcEvents struct {
	held    []byte // of an error's event: its data, so far
	failing bool   // an error's event is under way
	dropped bool   // the last event was dropped
}

// What generated code writes of the event of an error.
const (
	errorEvent = "event: error\n"
	errorEnd   = eventEnd
)

// streams returns the method of a call if it streams events, else nil.
func (f *front) streams(text []byte) *procedure {
	var e envelope
	if r := e.parse(text); r == nil {
		if p := f.methods[e.method]; p != nil {
			if p.Kind == policy.EventStream {
				return p
			}
			return nil
		}
	}
	return nil
}

// serveEvents serves a call that streams events. From now on the request is the
// stream.
func (e *entry) serveEvents(p *procedure) {
	c := e.c
	c.m = p.stream
	c.deadline = e.deadline
	e.events = new(rpcEvents)
	refusal := e.parse(e.text)
	e.is(p)
	answer := e.conclude(func() error {
		if refusal == nil && e.p.cfg.Draining != nil && e.p.cfg.Draining() {
			refusal = stopping()
		}
		if refusal == nil {
			refusal = e.admit()
		}
		if refusal != nil {
			return e.refused(refusal)
		}
		c.setDeadlines()
		if !e.pending && !e.opens() {
			return e.refused(stopping())
		}
		return e.handle()
	})
	e.endStream(answer)
}

// opens begins the stream, of whose caller nothing more is to be found out, and
// reports whether it may.
func (e *entry) opens() bool {
	if e.principal != nil {
		e.c.principal = e.principal
	}
	return e.c.open()
}

// endStream writes the error that the stream ends with, if it does. What the
// result was, its events have said.
func (e *entry) endStream(answer []byte) {
	c := e.c
	if e.code == "" || answer == nil {
		return
	}
	if !c.begun {
		c.w.Header()["Content-Type"] = []string{"text/event-stream"}
		c.WriteHeader(http.StatusOK)
	}
	e.event(answer)
}

// event writes an event of an error.
func (e *entry) event(data []byte) {
	for _, part := range [...][]byte{[]byte(errorEvent), []byte(eventData), data, []byte(errorEnd)} {
		if _, err := e.c.Write(part); err != nil {
			e.note("write", "", err.Error())
			return
		}
	}
	_ = e.c.FlushError()
}

// writeEvent writes what generated code writes of an event.
func (e *entry) writeEvent(p []byte) (int, error) {
	v := e.events
	switch {
	case string(p) == errorEvent:
		v.failing, v.dropped, v.held = true, true, v.held[:0]
		return len(p), nil
	case v.failing && string(p) == errorEnd:
		v.failing = false
		e.judgeEvent()
		return len(p), nil
	case v.failing:
		if string(p) != eventData {
			v.held = append(v.held, p...)
		}
		return len(p), nil
	}
	v.dropped = false
	n, err := e.c.Write(p)
	e.sent += n
	return n, err
}

// judgeEvent decides what becomes of the event of an error. Before and after the
// method runs it is of the handler's making; while it runs it is the method's
// own, which tells no text of a fault either, nor one that the design does not
// know: generated code has the data of declared errors alone, and an error that is
// wrapped in another, whose text is for the log, has none to show.
func (e *entry) judgeEvent() {
	v := e.events
	if !e.invoked || e.returned {
		return
	}
	var said struct {
		Error struct {
			Code    int             `json:"code"`
			Message string          `json:"message"`
			Data    json.RawMessage `json:"data"`
		} `json:"error"`
		ID json.RawMessage `json:"id"`
	}
	if json.Unmarshal(v.held, &said) != nil {
		return
	}
	var flags struct{ Name, Fault any }
	_ = json.Unmarshal(said.Error.Data, &flags)
	data := v.held
	if said.Error.Code == policy.InternalFault.JSONRPC || flags.Fault == true || bare(said.Error.Data) {
		r := refuse(&policy.InternalFault)
		r.id = goa.NewErrorID()
		e.note(r.Name, r.id, said.Error.Message)
		e.failure.fault = true
		out, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": said.ID, "error": newRPCError(e.describeRefused(r), 0)})
		if err != nil {
			return
		}
		data = out
	}
	v.dropped = false
	e.event(data)
}

// bare reports whether an error's data says nothing.
func bare(data []byte) bool {
	var members map[string]json.RawMessage
	return json.Unmarshal(data, &members) == nil && len(members) == 0 || len(data) == 0
}
