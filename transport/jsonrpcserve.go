package transport

import (
	"bytes"
	"cmp"
	"errors"
	"net/http"
	"os"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/transport/internal/media"
)

// serve serves a request of JSON-RPC, once it is let in.
func (f *front) serve(w http.ResponseWriter, _ *http.Request) {
	c := w.(*call)
	body, r := c.readRequest()
	if r != nil {
		f.h.cfg.Telemetry.Refused(cmp.Or(r.counted, r.Name))
		c.refuse(r)
		return
	}
	calls, batch, r := splitCalls(body)
	if r != nil {
		r.status = http.StatusOK
		f.h.cfg.Telemetry.Refused(r.Name)
		c.refuse(r)
		return
	}
	c.carried = true
	if batch {
		f.batch(c, calls)
		return
	}
	e := newEntry(c, c, calls[0], true)
	if p := f.streams(calls[0]); p != nil {
		e.serveEvents(p)
		return
	}
	c.sendCalls(e.serve(f))
}

// readRequest reads the body of a request, which has a bound already.
func (c *call) readRequest() ([]byte, *refused) {
	if c.src == nil {
		return nil, nil
	}
	var b bytes.Buffer // not for reuse: its calls outlive nothing, but who knows whom they are shown to
	if n := c.req.ContentLength; n > 0 {
		b.Grow(int(min(n, maxScratch)) + bytes.MinRead)
	}
	_, err := b.ReadFrom(c.req.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return b.Bytes(), nil
	case errors.As(err, &tooLarge):
		return nil, refuse(&policy.BodyTooLarge)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, refuse(&policy.BodyTimeout)
	}
	c.failure.gone = c.parent.Err() != nil
	return nil, refuse(&malformed).saying("the body is not complete")
}

// batch serves calls one after the other, and answers the request; with nothing
// if all are notifications. Answers are sent before there are more of them than is
// worth keeping. Of calls of no method only the first has a line in the log.
func (f *front) batch(c *call, calls [][]byte) {
	var out []byte
	sep, strays := byte('['), 0
	for _, text := range calls {
		e := newEntry(c, c, text, false)
		if f.longest > 0 {
			e.deadline = c.start.Add(f.longest)
		}
		e.quiet = strays > 0
		answer := e.serveOne(f)
		if e.proc == f.unknown {
			strays++
		}
		if answer == nil {
			continue
		}
		out = append(append(out, sep), answer...)
		if sep = ','; len(out) > maxScratch {
			c.sendPart(out)
			out = nil
		}
	}
	if sep == ',' {
		out = append(out, ']')
	}
	c.sendCalls(out)
}

// serveOne serves a call of a batch, which no stream can be.
func (e *entry) serveOne(f *front) []byte {
	p := f.streams(e.text)
	if p == nil {
		return e.serve(f)
	}
	refusal := e.parse(e.text)
	e.is(p)
	return e.conclude(func() error { return e.refused(cmp.Or(refusal, invalid("the method streams: call it alone"))) })
}

// sendCalls answers the request.
func (c *call) sendCalls(answer []byte) {
	if answer == nil {
		c.status = http.StatusNoContent
		return
	}
	c.w.Header()["Content-Type"] = []string{media.TypeJSON}
	if err := c.send(c, answer); err != nil {
		c.note("write", "", err.Error())
	}
}

// sendPart sends a part of the answer, of whose length nothing is known yet.
func (c *call) sendPart(part []byte) {
	c.w.Header()["Content-Type"] = []string{media.TypeJSON}
	if _, err := c.Write(part); err != nil {
		c.note("write", "", err.Error())
	}
}
