package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"goa.design/goa/v3/security"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/basic"
	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/transport/internal/testsvc/gen/feed"
	feedpb "github.com/aguada-dev/aguada/transport/internal/testsvc/gen/grpc/feed/pb"
	feedgrpc "github.com/aguada-dev/aguada/transport/internal/testsvc/gen/grpc/feed/server"
	feedsvr "github.com/aguada-dev/aguada/transport/internal/testsvc/gen/http/feed/server"
)

// feedRig is a generated service behind gRPC and HTTP, with real verifiers.
type feedRig struct {
	*rig
	grpc   GRPCConfig
	feed   *feedService
	server *GRPCServer
	lis    *bufconn.Listener
	conn   *grpc.ClientConn
	client feedpb.FeedClient
}

// feedService is the user's code; tests replace its methods.
type feedService struct {
	put  func(context.Context, *feed.PutPayload) (*feed.Note, error)
	ping func(context.Context) error
	pull func(context.Context, *feed.PullPayload, feed.PullServerStream) error
	push func(context.Context, feed.PushServerStream) error
	chat func(context.Context, feed.ChatServerStream) error
}

var _ feed.Service = (*feedService)(nil)

func (s *feedService) Put(ctx context.Context, p *feed.PutPayload) (*feed.Note, error) {
	if s.put != nil {
		return s.put(ctx, p)
	}
	return &feed.Note{ID: p.ID, Text: p.Text, Size: p.Size}, nil
}

// who names the caller, by the scheme that proved him.
func who(ctx context.Context) string {
	p, ok := auth.FromContext(ctx)
	if !ok {
		return "nobody"
	}
	return p.Scheme + " " + p.Subject
}

func (s *feedService) Either(ctx context.Context, _ *feed.EitherPayload) (string, error) {
	return who(ctx), nil
}
func (s *feedService) Both(ctx context.Context, _ *feed.BothPayload) (string, error) {
	return who(ctx), nil
}
func (s *feedService) Login(ctx context.Context, _ *feed.LoginPayload) (string, error) {
	return who(ctx), nil
}

func (s *feedService) Ping(ctx context.Context) error {
	if s.ping != nil {
		return s.ping(ctx)
	}
	return nil
}

func (s *feedService) Look(_ context.Context, p *feed.LookPayload) (*feed.Page, string, error) {
	view := "default"
	if p.View != nil {
		view = *p.View
	}
	return &feed.Page{ID: "p", Text: p.ID}, view, nil
}

func (s *feedService) Pull(ctx context.Context, p *feed.PullPayload, stream feed.PullServerStream) error {
	if s.pull != nil {
		return s.pull(ctx, p, stream)
	}
	for range p.Count {
		if err := stream.Send(&feed.Note{ID: "n"}); err != nil {
			return err
		}
	}
	return nil
}

func (s *feedService) Push(ctx context.Context, _ *feed.PushPayload, stream feed.PushServerStream) error {
	if s.push != nil {
		return s.push(ctx, stream)
	}
	for n := 0; ; n++ {
		_, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(n)
		}
		if err != nil {
			return err
		}
	}
}

func (s *feedService) Chat(ctx context.Context, _ *feed.ChatPayload, stream feed.ChatServerStream) error {
	if s.chat != nil {
		return s.chat(ctx, stream)
	}
	return echoNotes(stream)
}

func (s *feedService) Talk(_ context.Context, _ *feed.TalkPayload, stream feed.TalkServerStream) error {
	return echoNotes(stream)
}

func (s *feedService) Open(_ context.Context, stream feed.OpenServerStream) error {
	return echoNotes(stream)
}

func (s *feedService) Browse(_ context.Context, stream feed.BrowseServerStream) error {
	stream.SetView("tiny")
	return stream.Send(&feed.Page{ID: "p"})
}

// echoNotes sends back what it gets.
func echoNotes(stream interface {
	Recv() (*feed.Note, error)
	Send(*feed.Note) error
}) error {
	for {
		n, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = stream.Send(n)
		}
		if err != nil {
			return err
		}
	}
}

// BasicAuth is what Aguada generates.
func (confirming) BasicAuth(ctx context.Context, _, _ string, _ *security.BasicScheme) (context.Context, error) {
	return ctx, Confirm(ctx)
}

// feedContract is what Aguada generates from the design.
func feedContract() *policy.Contract {
	use := func(scheme string, in policy.In, name string) policy.Use {
		return policy.Use{Scheme: scheme, In: in, Name: name}
	}
	one := func(u policy.Use, scopes ...string) policy.Requirement {
		return policy.Requirement{Schemes: []policy.Use{u}, Scopes: scopes}
	}
	bearer, key := use("jwt", policy.InMetadata, "authorization"), use("key", policy.InMetadata, "authorization")
	login := use("basic", policy.InMetadata, "user")
	login.Password = "pass"
	m := func(name, full string, kind policy.Kind, access policy.Access, grpc ...policy.Requirement) policy.Method {
		p := policy.Method{Service: "feed", Name: name, Kind: kind, Access: access, MaxBody: 64 << 10, HasResult: kind == policy.Unary,
			GRPC: &policy.GRPC{Method: "feed.Feed/" + full, Requirements: grpc}}
		if kind == policy.Unary {
			p.Deadline = policy.DefaultDeadline
		}
		return p
	}
	put := m("put", "Put", policy.Unary, policy.Secured, one(bearer, "api:write"))
	put.Routes, put.Requirements = []policy.Route{{Verb: "POST", Pattern: "/feed"}}, []policy.Requirement{one(use("jwt", policy.InHeader, "Authorization"), "api:write")}
	put.HasBody, put.Consumes, put.Produces = true, []string{"application/json"}, []string{"application/json"}
	either := m("either", "Either", policy.Unary, policy.Secured, one(bearer, "api:read"), one(key))
	either.Routes = []policy.Route{{Verb: "GET", Pattern: "/feed/{id}/either"}}
	either.Requirements = []policy.Requirement{one(use("jwt", policy.InHeader, "Authorization"), "api:read"), one(use("key", policy.InHeader, "X-Key"))}
	logins := m("login", "Login", policy.Unary, policy.Secured, one(login))
	logins.Routes, logins.Requirements = []policy.Route{{Verb: "POST", Pattern: "/feed/login"}}, []policy.Requirement{one(use("basic", policy.InHeader, "Authorization"))}
	both := m("both", "Both", policy.Unary, policy.Secured, policy.Requirement{Schemes: []policy.Use{bearer, use("key", policy.InMetadata, "x-api-key")}})
	ping, look := m("ping", "Ping", policy.Unary, policy.Public), m("look", "Look", policy.Unary, policy.Undeclared)
	ping.HasResult = false
	pull, push := m("pull", "Pull", policy.Stream, policy.Secured, one(bearer, "api:read")), m("push", "Push", policy.Stream, policy.Secured, one(bearer, "api:write"))
	chat, talk := m("chat", "Chat", policy.Stream, policy.Secured, one(bearer)), m("talk", "Talk", policy.Stream, policy.Secured, one(bearer))
	open, browse := m("open", "Open", policy.Stream, policy.Public), m("browse", "Browse", policy.Stream, policy.Undeclared)
	pull.GRPC.ServerStream, push.GRPC.ClientStream, browse.GRPC.ServerStream = true, true, true
	for _, p := range []*policy.Method{&chat, &talk, &open} {
		p.GRPC.ClientStream, p.GRPC.ServerStream = true, true
	}
	return &policy.Contract{
		API: policy.API{Name: "shop"},
		Schemes: []policy.Scheme{{Name: "jwt", Kind: policy.JWT, Scopes: []string{"api:read", "api:write"}}, {Name: "key", Kind: policy.APIKey},
			{Name: "basic", Kind: policy.Basic}},
		Services: []policy.Service{{Name: "feed", Methods: []policy.Method{put, either, both, logins, ping, look, pull, push, chat, talk, open, browse}}},
	}
}

const password = "correct horse battery staple"

var hashed = sync.OnceValues(func() (string, error) { return basic.HashPassword(password) })

// newFeedRig makes a rig that is served; change may alter the contract and the
// configuration.
func newFeedRig(tb testing.TB, change func(*feedRig)) *feedRig {
	tb.Helper()
	r := &feedRig{rig: newRig(tb, nil), feed: &feedService{}}
	hash := must(hashed())(tb)
	users := filepath.Join(tb.TempDir(), "users")
	if err := os.WriteFile(users, []byte("ann:"+hash+"\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
	store := must(basic.Open(users, basic.Config{Scheme: "basic"}))(tb)
	r.contract = feedContract()
	r.cfg.Contract, r.cfg.Verifiers["basic"] = r.contract, store
	if change != nil {
		change(r)
	}
	r.h = must(New(r.cfg))(tb)
	r.mountFeed()
	if err := r.h.Ready(); err != nil {
		tb.Fatal(err)
	}
	r.server = must(r.h.GRPC().Server(r.grpc))(tb)
	r.lis = bufconn.Listen(1 << 20)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.server.Serve(r.lis)
	}()
	tb.Cleanup(func() {
		r.server.Stop()
		<-done
	})
	r.conn = r.dial(tb, grpc.WithTransportCredentials(insecure.NewCredentials()))
	r.client = feedpb.NewFeedClient(r.conn)
	return r
}

// mountFeed is what production.go does.
func (r *feedRig) mountFeed() {
	h := r.h
	e := feed.NewEndpoints(struct {
		feed.Service
		feed.Auther
	}{r.feed, confirming{}})
	e.Put, e.Either, e.Both, e.Login = h.Endpoint("feed", "put", e.Put), h.Endpoint("feed", "either", e.Either), h.Endpoint("feed", "both", e.Both), h.Endpoint("feed", "login", e.Login)
	e.Ping, e.Look, e.Pull, e.Push = h.Endpoint("feed", "ping", e.Ping), h.Endpoint("feed", "look", e.Look), h.Endpoint("feed", "pull", e.Pull), h.Endpoint("feed", "push", e.Push)
	e.Chat, e.Talk, e.Open, e.Browse = h.Endpoint("feed", "chat", e.Chat), h.Endpoint("feed", "talk", e.Talk), h.Endpoint("feed", "open", e.Open), h.Endpoint("feed", "browse", e.Browse)
	feedsvr.Mount(h, feedsvr.New(e, h, h.Decoder, h.Encoder, h.ErrorHandler, h.Formatter))
	feedpb.RegisterFeedServer(h.GRPC(), feedgrpc.New(e, nil, nil))
}

// dial opens a connection.
func (r *feedRig) dial(tb testing.TB, options ...grpc.DialOption) *grpc.ClientConn {
	tb.Helper()
	dialer := grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return r.lis.DialContext(ctx) })
	conn := must(grpc.NewClient("passthrough:///feed.test", append(options, dialer)...))(tb)
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// with returns a context with metadata, and with the token as a bearer.
func with(tb testing.TB, token string, pairs ...string) context.Context {
	if token != "" {
		pairs = append(pairs, "authorization", "Bearer "+token)
	}
	return metadata.NewOutgoingContext(tb.Context(), metadata.Pairs(pairs...))
}

// wantCode checks the code of a status, and that what the log says of it agrees.
func (r *feedRig) wantCode(t *testing.T, err error, code codes.Code) *status.Status {
	t.Helper()
	st := status.Convert(err)
	if st.Code() != code {
		t.Errorf("code %v (%s), want %v", st.Code(), st.Message(), code)
	}
	if line := r.log.last(t); line["rpc.response.status_code"] != nameOf(code) {
		t.Errorf("the log has %v, want %s: %v", line["rpc.response.status_code"], nameOf(code), line)
	}
	return st
}
