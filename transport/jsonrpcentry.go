package transport

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	goahttp "goa.design/goa/v3/http"
	"goa.design/goa/v3/jsonrpc"
	goa "goa.design/goa/v3/pkg"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/telemetry"
)

// entry is one call over JSON-RPC, and its context. To the generated handler it
// is the response writer too.
type entry struct {
	core
	envelope

	proc *procedure
	c    *call // the request that carries it, or the WebSocket's
	text []byte

	invoked  bool  // the endpoint was called
	returned bool  // and has returned
	raw      error // what it returned
	result   []byte
	encoding error // why there is no result

	events *rpcEvents // of a call that streams events
	code   string     // of its error
	sent   int        // bytes of the answer
	quiet  bool       // a call of no method is not worth a line
}

var (
	_ context.Context     = (*entry)(nil)
	_ http.ResponseWriter = (*entry)(nil)
)

// entryKey is the context key of a call's *entry.
type entryKey struct{}

// Value answers the keys of the call.
func (e *entry) Value(key any) any {
	if _, ok := key.(entryKey); ok {
		return e
	}
	return e.core.Value(key)
}

// entryOf returns the JSON-RPC call that ctx belongs to, or nil.
func entryOf(ctx context.Context) *entry {
	e, _ := ctx.Value(entryKey{}).(*entry)
	return e
}

// newEntry begins a call that came in a request, of its own or with others.
func newEntry(ctx context.Context, c *call, text []byte, alone bool) *entry {
	now := time.Now()
	e := &entry{c: c, text: text, core: core{
		p: c.p, http: c, parent: ctx, start: now, id: c.id, remote: c.remote, via: c.via, peer: c.peer, peerEnds: c.peerEnds,
	}}
	e.entry = e
	if alone {
		e.head = c.head
	}
	return e
}

// is says which method the call is of.
func (e *entry) is(p *procedure) {
	e.proc, e.m, e.guard = p, p.m, p.guard
	if own := p.deadlineOf(e.start); e.deadline.IsZero() || !own.IsZero() && own.Before(e.deadline) {
		e.deadline = own
	}
	p.instruments.StartWithin(e.c.parent, &e.span, &e.c.span, e.start)
	e.scope.RequestID, e.scope.Service, e.scope.Method = e.id[0], e.m.Service, e.m.Name
	if e.m.Access != policy.Secured { // as on HTTP: the holder of a certificate
		e.principal = e.c.principal
	}
}

// serve takes the call along its path, and returns its answer; nil for a
// notification.
func (e *entry) serve(f *front) []byte {
	p, err := f.unknown, e.parse(e.text)
	if err == nil {
		if known := f.methods[e.method]; known != nil {
			p = known
		} else {
			err = refuse(&policy.NotFound).saying("no such method")
		}
	}
	e.is(p)
	return e.conclude(func() error {
		if err != nil {
			return e.refused(err)
		}
		if r := e.admit(); r != nil {
			return e.refused(r)
		}
		return e.handle()
	})
}

// refused counts a refusal.
func (e *entry) refused(r *refused) error {
	e.p.cfg.Telemetry.Refused(cmp.Or(r.counted, r.Name))
	return r
}

// admit decides, before the params are decoded, whether the call may go on.
func (e *entry) admit() *refused {
	m := e.m
	if r := e.over(); r != nil {
		return r
	}
	if r := e.shed(); r != nil {
		return r
	}
	if m.secured {
		if r := e.authenticate(); r != nil {
			return r
		}
	}
	if r := e.enter(); r != nil {
		return r
	}
	if r := e.charge(); r != nil {
		return r
	}
	switch {
	case int64(len(e.text)) > m.maxBody:
		return refuse(&policy.BodyTooLarge)
	case e.extra && m.StrictBody:
		return invalid("the call has a member that JSON-RPC does not have")
	}
	return e.over()
}

// over refuses a call whose time is up, or whose client is gone.
func (e *entry) over() *refused {
	err := e.Err()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return refuse(&policy.DeadlineExceeded)
	}
	e.failure.gone = e.deserted()
	return refuse(&policy.Canceled).because(err)
}

// authenticate finds the principal. What a request presents is proved wrong once
// only, however many calls it holds: they are one attempt.
func (e *entry) authenticate() *refused {
	if known := e.c.wrong[e.proc.who]; known != nil && !e.proc.Late() {
		return e.stranger(e.unauthenticated(known))
	}
	r := e.core.authenticate((*entrySource)(e))
	if f := e.failed; r != nil && f != nil && f.Status() == http.StatusUnauthorized && !e.proc.Late() {
		if e.c.wrong == nil {
			e.c.wrong = map[string]*auth.Error{}
		}
		e.c.wrong[e.proc.who] = f
	}
	return r
}

// entrySource is a call over JSON-RPC as the source of its credentials.
type entrySource entry

var _ auth.Source = (*entrySource)(nil)

// Credential finds a credential in the request, or in the decoded params.
func (s *entrySource) Credential(u *policy.Use, kind policy.SchemeKind) (auth.Credential, error) {
	if u.In != policy.InBody {
		return (*source)(s.c).Credential(u, kind)
	}
	if s.late == nil {
		return auth.Credential{}, auth.ErrLate
	}
	credential, ok := s.m.late(s.late, u.Scheme)
	if !ok || credential == (auth.Credential{}) {
		return auth.Credential{}, auth.ErrMissing
	}
	return credential, nil
}

// handle calls the generated handler, and returns what went wrong.
func (e *entry) handle() error {
	req := e.c.req.WithContext(e)
	in := &jsonrpc.RawRequest{JSONRPC: "2.0", Method: e.method, Params: json.RawMessage(e.params), HasID: e.ref != nil}
	if in.HasID {
		in.ID = e.callID()
	}
	err := e.proc.handle(e, req, in, e)
	switch {
	case e.returned:
		return cmp.Or(e.raw, e.encoding)
	case e.encoding != nil:
		return e.encoding
	case e.proc.check != nil && !e.invoked:
		if err := e.proc.check(e.c.req.WithContext(e), in); err != nil {
			return err
		}
	}
	return cmp.Or(err, fmt.Errorf("method %s.%s was not called", e.m.Service, e.m.Name))
}

// noText is an id that has no text, which Goa would take for none.
type noText struct{ json.RawMessage }

// callID returns the id as generated code has it: its text, which is exact for a
// number. One that streams repeats the id: a number as a float64, or as it came
// where that would be another number.
func (e *entry) callID() any {
	id := e.ref
	text := string(plain(id))
	switch {
	case text != "":
		return text
	case id[0] == '"' || id[0] == 'n':
		return noText{id}
	case e.events == nil:
		return string(id)
	}
	var n float64
	if json.Unmarshal(id, &n) != nil { // out of range
		return noText{id}
	}
	if whole := !bytes.ContainsAny(id, ".eE"); whole && strconv.FormatFloat(n, 'f', -1, 64) != string(id) {
		return noText{id} // another number
	}
	return n
}

// invoke is called by the wrapped endpoint, once the params are decoded.
func (e *entry) invoke(ctx context.Context, endpoint goa.Endpoint, req any) (res any, err error) {
	e.invoked = true
	defer func() { e.returned, e.raw = true, err }()
	if e.pending {
		e.late = req
		r := e.authenticate()
		if r == nil {
			r = e.chargeLate()
		}
		if r == nil && e.events != nil && !e.opens() {
			r = stopping()
		}
		if r != nil {
			return nil, e.refused(r)
		}
	}
	res, err = e.core.invoke(ctx, endpoint, req)
	if r := e.c.ending.Load(); r != nil && err != nil {
		return nil, r
	}
	return res, err
}

// conclude calls do, and makes the answer of what it returns. Whatever panics
// meanwhile, the call ends.
func (e *entry) conclude(do func() error) (answer []byte) {
	e.p.inFlight.Add(1)
	defer e.p.inFlight.Add(-1)
	defer e.end()
	err := e.try(func() error {
		err := do()
		answer = e.answer(err) // which asks what the service made
		return nil
	})
	if err != nil {
		answer = e.answer(err)
	}
	return answer
}

// try calls f, and makes an error of its panic.
func (e *entry) try(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = e.recovered(p)
		}
	}()
	return f()
}

// recovered makes an error of a panic. http.ErrAbortHandler gets through: it is
// for the connection.
func (e *entry) recovered(p any) error {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		e.note("aborted", "", "")
		e.answer(refuse(&policy.InternalFault))
		panic(http.ErrAbortHandler)
	}
	r := refuse(&policy.InternalFault)
	r.id = goa.NewErrorID()
	e.failure = failure{kind: "panic", id: r.id, text: fmt.Sprint(p), stack: string(debug.Stack()), fault: true}
	return r
}

// end finishes the call.
func (e *entry) end() {
	now := e.start.Add(time.Since(e.start))
	e.finishContext(now)
	e.leave()
	e.unload(now, answered(e.code != ""))
	line := telemetry.Request{
		System: telemetry.JSONRPC, Call: e.proc.Method, Code: e.code, Verb: cut(e.c.req.Method, maxVerb), Route: e.c.route.Pattern,
		BodyIn: int64(len(e.text)), BodyOut: int64(e.sent),
	}
	if e.proc.Method == "" {
		line.Call, line.Path = "_OTHER", cut(e.method, maxPath)
	}
	if e.failure.gone {
		line.Code = strconv.Itoa(statusGone) // as over HTTP
	}
	e.fill(&line, now)
	line.Quiet = line.Quiet || e.quiet && e.proc.Method == ""
	if line.Level() >= slog.LevelError || e.span.Traced() {
		e.scope.Show()
	}
	line.Forced = e.leased && e.scope.Lowered(line.Level())
	_ = telemetry.LogRequest(e, e.p.log.Handler(), &line)
	e.proc.instruments.End(&e.span, &line)
	e.audit(&line)
}

// Header returns the header of the answer to the request that carries the call.
func (e *entry) Header() http.Header { return e.c.Header() }

// WriteHeader chooses the status of a stream of events; other calls have none.
func (e *entry) WriteHeader(status int) {
	if e.events != nil {
		e.c.WriteHeader(status)
	}
}

// Write takes what generated code writes by itself, which is events.
func (e *entry) Write(p []byte) (int, error) {
	if e.events == nil {
		return 0, errors.New("write answer: a call over JSON-RPC is answered by its result")
	}
	return e.writeEvent(p)
}

// FlushError sends the events that are written so far.
func (e *entry) FlushError() error {
	if e.events == nil || e.events.dropped {
		return nil
	}
	return e.c.FlushError()
}

// Decoder returns the decoder of a call's params. It is that of HTTP's bodies.
func (j *JSONRPC) Decoder(r *http.Request) goahttp.Decoder {
	if e := entryOf(r.Context()); e != nil {
		return goahttp.EncodingFunc(func(v any) error { return decodeParams(e.m, e.params, v) })
	}
	if c := callOf(r.Context()); c != nil && c.m.front != nil {
		return goahttp.EncodingFunc(func(v any) error { return c.decodeMessage(r, v) })
	}
	return goahttp.RequestDecoder(r)
}

// decodeParams reads params, which are valid JSON and not too deep, into v.
func decodeParams(m *method, params []byte, v any) error {
	if len(params) == 0 {
		return io.EOF
	}
	if err := json.Unmarshal(params, v); err != nil {
		return explain(err)
	}
	if m.StrictBody {
		if r := strictly(params, v); r != nil {
			return service(r)
		}
	}
	return nil
}

// Encoder returns what takes the result of a call, and encodes events.
func (j *JSONRPC) Encoder(ctx context.Context, w http.ResponseWriter) goahttp.Encoder {
	if e, ok := w.(*entry); ok && e.events == nil {
		return goahttp.EncodingFunc(e.take)
	}
	return goahttp.EncodingFunc(func(v any) error {
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		_, err = w.Write(b)
		return err
	})
}

// take keeps the result of the call. Errors are made of what they came from.
func (e *entry) take(v any) error {
	if r, ok := v.(*jsonrpc.Response); ok && r.Error == nil {
		result, err := json.Marshal(r.Result)
		if err != nil {
			e.encoding = fmt.Errorf("encode result: %w", err)
			return e.encoding
		}
		e.result = result
	}
	return nil
}

// ErrorHandler is called by generated code where a notification failed, which
// the call knows already.
func (j *JSONRPC) ErrorHandler(context.Context, http.ResponseWriter, error) {}

// answer makes the answer, nil where there is none.
func (e *entry) answer(err error) []byte {
	silent := e.ref == nil && e.method != ""
	var b []byte
	if err == nil {
		if silent {
			return nil
		}
		b = append(make([]byte, 0, len(e.result)+len(e.ref)+40), `{"jsonrpc":"2.0","result":`...)
		b = append(append(b, cmpBytes(e.result, nullID)...), `,"id":`...)
	} else {
		fault := e.describeCall(err)
		e.code = strconv.Itoa(fault.Code)
		if silent {
			return nil
		}
		text, failed := json.Marshal(fault)
		if failed != nil { // a body of the design's own type
			text = []byte(`{"code":-32603,"message":"internal error"}`)
		}
		b = append(append(append(b, `{"jsonrpc":"2.0","error":`...), text...), `,"id":`...)
	}
	b = append(append(b, cmpBytes(e.ref, nullID)...), '}')
	e.sent = len(b)
	return b
}

func cmpBytes(a, b []byte) []byte {
	if a == nil {
		return b
	}
	return a
}
