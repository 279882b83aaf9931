package transport

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync/atomic"
	"time"

	goagrpc "goa.design/goa/v3/grpc"
	"google.golang.org/grpc"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/telemetry"
)

// GRPC serves the methods of a contract over gRPC. It is what generated code
// registers services at, in place of a *grpc.Server, and makes that server once
// the preparation is over:
//
//	orderspb.RegisterOrdersServer(h.GRPC(), ordersgrpc.New(endpoints, nil, nil))
//	err = h.Ready()
//	server := h.GRPC().Server(transport.GRPCConfig{…})
//
// A call takes the path of an HTTP request, in the same order, before its
// message is read: a method that has routes besides shares its limits and calls
// in flight with them. Errors are those of HTTP as statuses, with
// google.rpc.ErrorInfo and, where a call may succeed later, RetryInfo.
//
// RegisterService must not be called after HTTP.Ready, nor concurrently.
type GRPC struct {
	p        *path
	methods  map[string]*rpcMethod // by the full name
	order    []*rpcMethod
	services []rpcService
	unknown  *rpcMethod
	plain    *method
	held     *method // plain, for streams
	largest  int64   // MaxBody of all methods
	errs     []error
	running  atomic.Int64
}

var _ grpc.ServiceRegistrar = (*GRPC)(nil)

// rpcService is a service as it is registered at the server.
type rpcService struct {
	desc *grpc.ServiceDesc
	impl any
}

// rpcMethod is a method as it is called over gRPC.
type rpcMethod struct {
	g           *GRPC
	m           *method
	name        string // "package.Service/Method"
	guard       *auth.Guard
	instruments *telemetry.RPCInstruments
	registered  bool

	unary          grpc.MethodHandler // nil for a stream
	stream         grpc.StreamHandler // nil for a unary method
	client, server bool               // who streams
	keyed          string             // metadata key of the idempotency key
	readTimeout    time.Duration      // of the one message of a method whose client does not stream; 0 for none
	patience       patience
}

// compileGRPC makes what serves the contract over gRPC.
func (h *HTTP) compileGRPC() {
	g := &GRPC{p: &h.path, methods: map[string]*rpcMethod{}, plain: h.plain, largest: policy.DefaultMaxBody}
	for _, m := range h.all {
		if m.GRPC == nil {
			continue
		}
		if g.methods[m.GRPC.Method] != nil {
			h.errs = append(h.errs, fmt.Errorf("gRPC method %s is in the contract twice", m.GRPC.Method))
		}
		r := g.newMethod(m, m.GRPC.Method)
		r.client, r.server = m.GRPC.ClientStream, m.GRPC.ServerStream
		g.methods[r.name], g.order = r, append(g.order, r)
		g.largest = max(g.largest, m.maxBody)
	}
	g.held = h.compile(policy.Method{Kind: policy.Unary, Access: policy.Public, MaxInFlight: maxHeld})
	g.held.probe = true
	g.unknown = g.newMethod(h.unmatched, "")
	g.unknown.client, g.unknown.server = true, true
	g.unknown.instruments = h.cfg.Telemetry.UnknownRPC(telemetry.GRPC)
	h.rpc = g
}

func (g *GRPC) newMethod(m *method, name string) *rpcMethod {
	r := &rpcMethod{g: g, m: m, name: name, readTimeout: g.p.cfg.ReadTimeout}
	if d := time.Duration(m.Deadline); d > 0 && (r.readTimeout <= 0 || d < r.readTimeout) {
		r.readTimeout = d
	}
	r.patience.most = r.readTimeout
	if m.Idempotency != nil {
		r.keyed = strings.ToLower(m.Idempotency.Header)
	}
	if name != "" {
		r.instruments = g.p.cfg.Telemetry.RPC(telemetry.GRPC, &m.Method, name)
	}
	return r
}

// GRPC returns what serves the contract over gRPC.
func (h *HTTP) GRPC() *GRPC { return h.rpc }

// InFlight returns the number of calls under way over gRPC, streams included.
func (g *GRPC) InFlight() int { return int(g.running.Load()) }

// Methods returns how many methods of the contract are called over gRPC.
func (g *GRPC) Methods() int { return len(g.order) }

// RegisterService takes a generated service (grpc.ServiceRegistrar). Methods
// that the contract does not know, and a second registration, are errors of
// HTTP.Ready.
func (g *GRPC) RegisterService(desc *grpc.ServiceDesc, impl any) {
	if err := g.register(desc, impl, func(name string, _ *grpc.StreamDesc) *rpcMethod { return g.methods[name] }); err != nil {
		g.errs = append(g.errs, err)
	}
}

// register keeps a service for the server, each method wrapped by the one that
// find returns for its full name. Unary methods become streams of one message
// each way, which they are to the server too: so that their reply is sent, and
// counted, within the call.
func (g *GRPC) register(desc *grpc.ServiceDesc, impl any, find func(name string, d *grpc.StreamDesc) *rpcMethod) error {
	for _, s := range g.services {
		if s.desc.ServiceName == desc.ServiceName {
			return fmt.Errorf("gRPC service %s is registered twice", desc.ServiceName)
		}
	}
	if t := reflect.TypeOf(impl); t == nil || desc.HandlerType == nil || !t.Implements(reflect.TypeOf(desc.HandlerType).Elem()) {
		return fmt.Errorf("gRPC service %s is registered with what does not implement it", desc.ServiceName)
	}
	wrapped := &grpc.ServiceDesc{ServiceName: desc.ServiceName, HandlerType: desc.HandlerType, Metadata: desc.Metadata}
	var errs []error
	add := func(name string, d grpc.StreamDesc, unary grpc.MethodHandler) {
		r := find(desc.ServiceName+"/"+name, &d)
		if r == nil {
			errs = append(errs, fmt.Errorf("gRPC method %s/%s is not in the contract", desc.ServiceName, name))
			return
		}
		if r.client != d.ClientStreams || r.server != d.ServerStreams {
			errs = append(errs, fmt.Errorf("gRPC method %s does not stream as the contract says", r.name))
			return
		}
		r.registered, r.unary, r.stream = true, unary, d.Handler
		d.StreamName, d.Handler = name, r.serve
		wrapped.Streams = append(wrapped.Streams, d)
	}
	for _, d := range desc.Methods {
		add(d.MethodName, grpc.StreamDesc{}, d.Handler)
	}
	for _, d := range desc.Streams {
		add(d.StreamName, d, nil)
	}
	keepErrors(impl)
	g.services = append(g.services, rpcService{wrapped, impl})
	return errors.Join(errs...)
}

// ready ends the preparation: it returns what would make a method unreachable or
// unguarded.
func (g *GRPC) ready() []error {
	errs := g.errs
	for _, r := range g.order {
		m := r.m
		if !r.registered {
			errs = append(errs, fmt.Errorf("gRPC method %s of %s.%s is not registered", r.name, m.Service, m.Name))
		}
		if !m.secured {
			continue
		}
		p := m.Method
		p.Requirements = m.GRPC.Requirements
		guard, err := auth.NewGuard(g.p.cfg.Contract.API.Name, &p, g.p.cfg.Contract.Schemes, g.p.cfg.Verifiers)
		switch {
		case err != nil:
			errs = append(errs, err)
		case guard.Open() || guard.Late():
			errs = append(errs, fmt.Errorf("gRPC method %s of %s.%s is secured by nothing in its metadata", r.name, m.Service, m.Name))
		default:
			r.guard = guard
		}
	}
	return errs
}

// keepErrors makes the handlers of a generated service note the errors that
// they return: the statuses that Goa makes of them have lost the field of a
// validation error, and their type.
func keepErrors(impl any) {
	v := reflect.ValueOf(impl)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return
	}
	for i := range v.Elem().NumField() {
		f := v.Elem().Field(i)
		if !f.CanSet() || f.Kind() != reflect.Interface || f.IsNil() {
			continue
		}
		switch h := f.Interface().(type) {
		case goagrpc.UnaryHandler:
			setIf[goagrpc.UnaryHandler](f, unaryNoting{h})
		case goagrpc.StreamHandler:
			setIf[goagrpc.StreamHandler](f, streamNoting{h})
		}
	}
}

// setIf sets a field that has the type T.
func setIf[T any](f reflect.Value, v T) {
	if f.Type() == reflect.TypeFor[T]() {
		f.Set(reflect.ValueOf(v))
	}
}

// domain names who makes the reasons of google.rpc.ErrorInfo.
func (g *GRPC) domain() string { return g.p.cfg.Contract.API.Name }

// reason is the name of an error as google.rpc.ErrorInfo has it.
func reason(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z' || r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, name)
}
