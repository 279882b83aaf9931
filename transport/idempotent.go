package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"

	goa "goa.design/goa/v3/pkg"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/idempotency"
	"github.com/aguada-dev/aguada/policy"
)

// errReplayed ends a call whose answer is that of an earlier one, and written
// already or about to be. It is told to nobody.
var errReplayed = errors.New("the answer was given before")

// The forms of stored replies.
const (
	formHTTP = "http"
	formGRPC = "grpc"
)

// perCall are the response headers that belong to one call: they are not stored.
var perCall = []string{
	policy.Replayed, fieldRateLimit.name, fieldRateLimitPolicy.name, fieldRetryAfter.name, "X-Request-Id", "Date", "Connection", "Content-Length",
}

// compileIdempotency judges what keeps the keys of a method, and which headers of
// its answers are stored.
func (p *path) compileIdempotency(m *method) error {
	if m.Idempotency == nil {
		return nil
	}
	if p.keeper == nil && p.cfg.Idempotency != nil {
		p.keeper = p.cfg.Idempotency()
	}
	switch {
	case !m.secured:
		return fmt.Errorf("method %s.%s has idempotency keys, which belong to a principal, and nobody knows it: the service authenticates by itself", m.Service, m.Name)
	case !m.wrapped:
		return fmt.Errorf("method %s.%s has idempotency keys, and its endpoint is not wrapped, which looks at them", m.Service, m.Name)
	case p.keeper == nil:
		return fmt.Errorf("method %s.%s has idempotency keys, and nothing keeps them", m.Service, m.Name)
	}
	m.stored = []string{"Content-Type", "Set-Cookie"}
	for _, name := range m.ResponseHeaders {
		if !slices.Contains(perCall, name) && !slices.Contains(m.stored, name) {
			m.stored = append(m.stored, name)
		}
	}
	return nil
}

// once calls the method of a call with an idempotency key, unless it was called
// before under that key: then the error is errReplayed and c.replay its answer.
func (c *core) once(ctx context.Context, e goa.Endpoint, req any) (any, error) {
	claim, err := c.claimKey(ctx, req)
	if err != nil {
		return nil, err
	}
	if claim == nil {
		return c.run(ctx, e, req)
	}
	c.claim = claim
	res, err := c.run(claim.Context(ctx), e, req)
	if err != nil {
		c.release()
	}
	return res, err
}

// claimKey claims the key of a call. There is neither claim nor error where it has
// none and need not.
func (c *core) claimKey(ctx context.Context, req any) (*idempotency.Claim, error) {
	keyed := c.m.Idempotency
	key, err := idempotency.ParseKey(c.keys)
	switch {
	case errors.Is(err, idempotency.ErrMissing) && !keyed.Required:
		return nil, nil
	case err != nil:
		return nil, c.keyRefused(err)
	}
	print, err := idempotency.Fingerprint(req, keyed.Credentials...)
	if err != nil {
		return nil, c.fault(err)
	}
	form := formGRPC
	if c.http != nil {
		form = formHTTP
	}
	begun := time.Now()
	if keyed.Wait > 0 {
		c.stepOut()
	}
	claim, reply, err := c.p.keeper.Begin(ctx, idempotency.Call{
		Issuer: c.principal.Issuer, Subject: c.principal.Subject, With: others(c.principal), Method: c.m.Service + "." + c.m.Name,
		Key: key, Form: form, Fingerprint: print, Keep: time.Duration(keyed.Keep), Wait: time.Duration(keyed.Wait),
	})
	if keyed.Wait > 0 {
		c.waited.Add(int64(time.Since(begun)))
	}
	switch {
	case err != nil:
		return nil, c.keyRefused(err)
	case reply != nil:
		c.p.cfg.Telemetry.Idempotent("replayed")
		c.replay = reply
		c.tell(fieldReplayed, []string{"true"})
		if c.http != nil {
			c.http.writeReply(reply)
		}
		return nil, errReplayed
	}
	c.p.cfg.Telemetry.Idempotent("first")
	return claim, nil
}

// others names the principals besides the first where a method asks for several
// credentials at once, such as an application's and a user's: users of one
// application are strangers.
func others(p *auth.Principal) []string {
	var names []string
	for _, with := range p.With {
		names = append(names, principalName(with))
	}
	return names
}

// keyRefused maps an error of the keeper's.
func (c *core) keyRefused(err error) error {
	answer := idempotency.Answer(err)
	if answer == nil { // of the context, or a fault
		return c.methodError(err)
	}
	c.p.cfg.Telemetry.Idempotent(answer.Name)
	c.p.cfg.Telemetry.Refused(answer.Name)
	r := refuse(answer).because(err)
	if answer == &policy.KeyConflict {
		r.wait = time.Second
	}
	return r
}

// completed stores the reply of the method, before any of it is sent. It returns
// what the caller is told instead, if the reply must not be given.
func (c *core) completed(r idempotency.Reply) error {
	claim := c.claim
	c.claim = nil
	err := claim.Complete(c, r)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, idempotency.ErrUnstored): // what was done stands
		c.p.log.LogAttrs(c, slog.LevelError, "answer not stored under its idempotency key", slog.String("error", err.Error()))
		return nil
	}
	return c.keyRefused(err)
}

// release gives the key of a call that failed back.
func (c *core) release() {
	if c.claim == nil {
		return
	}
	claim := c.claim
	c.claim = nil
	if err := claim.Release(c); err != nil {
		c.p.log.LogAttrs(c, slog.LevelWarn, "idempotency key not given back", slog.String("error", err.Error()))
	}
}

// keep stores the answer that is about to be written, and reports whether it
// shall be; otherwise another one has been.
func (c *call) keep(body []byte) bool {
	header := map[string][]string{}
	for _, name := range c.m.stored {
		if values := c.head[name]; len(values) > 0 {
			header[name] = values
		}
	}
	status := c.status
	if status == 0 {
		status = http.StatusOK
	}
	if err := c.completed(idempotency.Reply{Status: status, Header: header, Body: body}); err != nil {
		c.answerError(err)
		return false
	}
	return true
}

// answerError replaces the answer by that to an error. What the answer's headers
// say of a result that does not count is not told.
func (c *call) answerError(err error) {
	for _, name := range c.m.stored {
		delete(c.head, name)
	}
	r, ok := errors.AsType[*refused](err)
	if !ok {
		r = c.fault(err)
	}
	c.answer(r)
}

// writeReply answers as an earlier call was answered.
func (c *call) writeReply(r *idempotency.Reply) {
	for name, values := range r.Header {
		c.head[name] = values
	}
	if len(r.Body) > 0 {
		c.head["Content-Length"] = []string{strconv.Itoa(len(r.Body))}
	}
	c.status = r.Status
	c.begin()
	if len(r.Body) > 0 {
		n, err := c.w.Write(r.Body)
		c.bodyOut += int64(n)
		if err != nil {
			c.note("write", "", err.Error())
		}
	}
	c.sealed = true
}

// sendReply stores the reply of a call under an idempotency key, if it has one, and
// sends it.
func (c *rpc) sendReply(m any) error {
	if c.claim == nil {
		c.sendHead()
		return c.send(m)
	}
	data, err := protobuf.CodecV2.Marshal(m)
	if err != nil {
		return c.keep(c.fault(fmt.Errorf("encode message: %w", err)))
	}
	r := c.told
	c.told = idempotency.Reply{}
	r.Body = data.Materialize()
	if err := c.completed(r); err != nil {
		data.Free()
		return c.keep(err)
	}
	c.tellAgain(&r)
	return c.sendData(data)
}

// resend sends the reply of an earlier call.
func (c *rpc) resend() error {
	c.tellAgain(c.replay)
	return c.sendData(mem.BufferSlice{mem.SliceBuffer(c.replay.Body)})
}

// tellAgain sends the header, with what a stored reply has in it.
func (c *rpc) tellAgain(r *idempotency.Reply) {
	c.head = metadata.Join(c.head, r.Header)
	c.sendHead()
	c.ss.SetTrailer(r.Trailer)
}
