package transport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync/atomic"
	"time"

	goagrpc "goa.design/goa/v3/grpc"
	goa "goa.design/goa/v3/pkg"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/aguada-dev/aguada/idempotency"
	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/telemetry"
)

// rpc is a call over gRPC, and its context.
type rpc struct {
	core

	r    *rpcMethod
	ss   grpc.ServerStream
	from arrival
	flow *flow // of a stream; nil for a unary call

	raw     error             // what the generated handler returned; guarded by mu
	wire    error             // why the server itself ended the stream; guarded by mu
	headed  atomic.Bool       // the header is sent
	told    idempotency.Reply // what the method said besides, under an idempotency key
	in      inbound
	out     outbound
	bodyIn  atomic.Int64
	bodyOut atomic.Int64
	code    string
}

var _ context.Context = (*rpc)(nil)

// rpcKey is the context key of a call's *rpc.
type rpcKey struct{}

// Value answers the keys of the call.
func (c *rpc) Value(key any) any {
	if _, ok := key.(rpcKey); ok {
		return c
	}
	if key == transportKey && key != nil {
		return (*rpcTransport)(c)
	}
	return c.core.Value(key)
}

// serve serves one call (grpc.StreamHandler).
func (r *rpcMethod) serve(impl any, ss grpc.ServerStream) (err error) {
	ctx := ss.Context()
	a, ok := ctx.Value(arrivalKey{}).(*arrival)
	if !ok {
		return status.Error(codeOf(policy.InternalFault.GRPC), "called on a server that is not GRPC.Server's")
	}
	c := a.c
	c.r, c.ss, c.p, c.m, c.guard = r, ss, r.g.p, r.m, r.guard
	c.parent, c.start, c.lower, c.via = ctx, a.start, true, a.md["x-forwarded-for"]
	c.p.inFlight.Add(1)
	defer c.p.inFlight.Add(-1)
	r.g.running.Add(1)
	defer r.g.running.Add(-1)
	defer func() {
		if p := recover(); p != nil {
			err = c.recovered(p)
		}
		err = c.end(err)
	}()
	if refusal := c.begin(); refusal != nil {
		c.p.cfg.Telemetry.Refused(cmp.Or(refusal.counted, refusal.Name))
		return refusal
	}
	if r.unary == nil {
		return c.serveStream(impl)
	}
	reply, err := r.unary(impl, c, c.receive, nil)
	switch {
	case c.replay != nil:
		return c.resend()
	case err != nil:
		return err
	}
	return c.sendReply(reply)
}

// begin takes the call along its path up to the reading of its message.
func (c *rpc) begin() *refused {
	c.id[0] = requestID(c.from.md["x-request-id"])
	c.head = map[string][]string{"x-request-id": c.id[:1:1]}
	c.r.instruments.Start(c.parent, &c.span, c.from.md, c.start)
	c.scope.RequestID, c.scope.Service, c.scope.Method = c.id[0], c.m.Service, c.m.Name
	if k := c.r.keyed; k != "" {
		c.keys = c.from.md[k]
	}
	if d := c.m.Deadline; d > 0 {
		c.deadline = c.start.Add(time.Duration(d))
	}
	if refusal := c.checkConnection(); refusal != nil {
		return refusal
	}
	if c.r.unary == nil && c.r.stream == nil {
		return refuse(&policy.NotFound).saying("no such method")
	}
	draining := c.p.cfg.Draining != nil && c.p.cfg.Draining()
	if draining && c.r.unary == nil && !c.m.probe {
		return stopping()
	}
	if c.r.unary != nil {
		if refusal := c.shed(); refusal != nil {
			return refusal
		}
	}
	if c.m.secured {
		if refusal := c.authenticate((*metadataSource)(c)); refusal != nil {
			return refusal
		}
	}
	if refusal := c.enter(); refusal != nil {
		return refusal
	}
	return c.charge()
}

// checkConnection finds out whose connection it is.
func (c *rpc) checkConnection() *refused {
	p, ok := grpcpeer.FromContext(c.parent)
	if !ok {
		return nil
	}
	c.remote = addressOf(p.Addr)
	if c.p.cfg.Trusts == nil && c.p.cfg.Identity == nil {
		return nil
	}
	if info, ok := p.AuthInfo.(credentials.TLSInfo); ok {
		return c.checkPeer(&info.State)
	}
	return nil
}

// addressOf writes an address, with its port, as net/http does.
func addressOf(a net.Addr) string {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return a.String()
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()).String()
}

// sendHead sends the header of the answer. What is told later, or after the
// method sent a header of its own, goes into the trailer.
func (c *rpc) sendHead() {
	if !c.headed.Swap(true) {
		_ = c.ss.SendHeader(c.head) // fails once the client is gone
		c.head = nil
	}
}

// receive reads the one message of a call whose client does not stream.
func (c *rpc) receive(m any) error {
	c.in.m, c.in.max = m, c.m.maxBody
	c.stepOut()
	c.r.patience.wait(&c.from)
	begun := time.Now()
	err := c.ss.RecvMsg(&c.in)
	c.waited.Add(int64(time.Since(begun)))
	c.r.patience.leave(&c.from)
	return c.received(err)
}

// received judges what was read.
func (c *rpc) received(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return io.EOF
	case err != nil:
		return c.broke(err)
	case c.in.tooLarge:
		return c.keep(refuse(&policy.BodyTooLarge))
	case c.in.err != nil:
		return c.keep(undecodable("the message is no valid Protocol Buffer of its type"))
	}
	c.bodyIn.Add(c.in.n)
	return nil
}

// send writes a message.
func (c *rpc) send(m any) error {
	data, err := protobuf.CodecV2.Marshal(m)
	if err != nil {
		return c.keep(c.fault(fmt.Errorf("encode message: %w", err)))
	}
	return c.sendData(data)
}

// sendData writes a message that is encoded.
func (c *rpc) sendData(data mem.BufferSlice) error {
	n := int64(data.Len())
	c.out.data = data
	if err := c.ss.SendMsg(&c.out); err != nil {
		return c.broke(err)
	}
	c.bodyOut.Add(n)
	return nil
}

// keep notes an error, which generated code may turn into a status.
func (c *rpc) keep(err error) error {
	c.mu.Lock()
	c.raw = err
	c.mu.Unlock()
	return err
}

// broke notes an error of the server's, which it has told the client already.
func (c *rpc) broke(err error) error {
	c.mu.Lock()
	if c.wire == nil {
		c.wire = err
	}
	c.mu.Unlock()
	return err
}

// recovered answers a panic.
func (c *rpc) recovered(p any) error {
	r := refuse(&policy.InternalFault)
	r.id = goa.NewErrorID()
	c.failure = failure{kind: "panic", id: r.id, text: fmt.Sprint(p), stack: string(debug.Stack()), fault: true}
	return c.keep(r)
}

// end finishes the call, and returns what the server tells the client.
func (c *rpc) end(err error) (told error) {
	defer func() {
		if p := recover(); p != nil {
			c.mishap(p)
			told = status.Error(codeOf(policy.InternalFault.GRPC), policy.InternalFault.Message)
		}
	}()
	if c.flow != nil {
		c.flow.shut()
	}
	c.release()
	err = c.conclude(err)
	if c.told.Header != nil { // by a method that failed
		c.head = metadata.Join(c.head, c.told.Header)
	}
	c.ss.SetTrailer(c.told.Trailer)
	switch {
	case c.headed.Load():
		c.ss.SetTrailer(c.head)
	case len(c.head) > 0:
		_ = c.ss.SetHeader(c.head) // goes with the status
	}
	now := c.start.Add(time.Since(c.start))
	c.finishContext(now)
	c.unload(now, answered(err != nil))
	c.leave()
	c.writeLog(now)
	return err
}

// writeLog writes the line of the call, and its audit event.
func (c *rpc) writeLog(now time.Time) {
	line := telemetry.Request{System: telemetry.GRPC, Call: c.r.name, Code: c.code, BodyIn: c.bodyIn.Load(), BodyOut: c.bodyOut.Load()}
	if c.r.name == "" {
		line.Call = "_OTHER"
		name, _ := grpc.MethodFromServerStream(c.ss)
		line.Path = cut(name, maxPath)
	}
	c.fill(&line, now)
	if line.Level() >= slog.LevelError || c.span.Traced() {
		c.scope.Show()
	}
	line.Forced = c.leased && c.scope.Lowered(line.Level())
	_ = telemetry.LogRequest(c, c.p.log.Handler(), &line)
	c.r.instruments.End(&c.span, &line)
	c.audit(&line)
}

// unaryNoting and streamNoting keep what a generated handler returns.
type (
	unaryNoting  struct{ goagrpc.UnaryHandler }
	streamNoting struct{ goagrpc.StreamHandler }
)

// Handle implements goagrpc.UnaryHandler.
func (n unaryNoting) Handle(ctx context.Context, message any) (any, error) {
	reply, err := n.UnaryHandler.Handle(ctx, message)
	return reply, noting(ctx, err)
}

// Handle implements goagrpc.StreamHandler.
func (n streamNoting) Handle(ctx context.Context, input any) error {
	return noting(ctx, n.StreamHandler.Handle(ctx, input))
}

// Decode implements goagrpc.StreamHandler.
func (n streamNoting) Decode(ctx context.Context, message any) (any, error) {
	payload, err := n.StreamHandler.Decode(ctx, message)
	return payload, noting(ctx, err)
}

func noting(ctx context.Context, err error) error {
	if err != nil {
		if c, ok := ctx.Value(rpcKey{}).(*rpc); ok {
			return c.keep(err)
		}
	}
	return err
}
