package transport

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	goapb "goa.design/goa/v3/grpc/pb"
	goa "goa.design/goa/v3/pkg"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/transport/internal/testsvc/gen/feed"
	feedpb "github.com/aguada-dev/aguada/transport/internal/testsvc/gen/grpc/feed/pb"
)

// rawCodec sends bytes as they are.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// raw calls a method with a message of any bytes.
func (r *feedRig) raw(ctx context.Context, method string, message []byte, options ...grpc.CallOption) error {
	var reply []byte
	return r.conn.Invoke(ctx, method, message, &reply, append(options, grpc.ForceCodecV2(rawCodec{}))...)
}

// info returns the ErrorInfo and the RetryInfo of a status.
func info(t *testing.T, st *status.Status) (*errdetails.ErrorInfo, *errdetails.RetryInfo) {
	t.Helper()
	var info *errdetails.ErrorInfo
	var retry *errdetails.RetryInfo
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			info = d
		case *errdetails.RetryInfo:
			retry = d
		}
	}
	if info == nil || info.GetDomain() != "shop" {
		t.Errorf("%v: ErrorInfo is %v", st.Code(), info)
		return &errdetails.ErrorInfo{}, retry
	}
	return info, retry
}

func TestRPC(t *testing.T) {
	r := newFeedRig(t, nil)
	var head metadata.MD
	reply, err := r.client.Put(with(t, r.token, "x-request-id", "r-1", "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
		&feedpb.PutRequest{Id: "abc"}, grpc.Header(&head))
	if err != nil || reply.GetId() != "abc" || head.Get("x-request-id")[0] != "r-1" {
		t.Errorf("%v, %v, header %v", reply, err, head)
	}
	line := r.log.last(t)
	for key, want := range map[string]any{
		"request_id": "r-1", "service": "feed", "method": "put", "rpc.system.name": "grpc", "rpc.method": "feed.Feed/Put", "rpc.response.status_code": "OK",
		"rpc.request.size": 5.0, "rpc.response.size": 5.0, "enduser.id": "ann", "auth.scheme": "jwt",
	} {
		if line[key] != want {
			t.Errorf("%s is %v, want %v", key, line[key], want)
		}
	}
	if _, err = r.client.Ping(with(t, "", "x-request-id", "not sane"), &feedpb.PingRequest{}, grpc.Header(&head)); err != nil || !saneID(head.Get("x-request-id")[0]) {
		t.Errorf("%v, header %v", err, head)
	}
	// What Goa puts into the header stands beside what the chassis does.
	view := "tiny"
	page, err := r.client.Look(t.Context(), &feedpb.LookRequest{View: &view}, grpc.Header(&head))
	if err != nil || page.GetId() != "p" || head.Get("goa-view")[0] != "tiny" || len(head.Get("x-request-id")) != 1 {
		t.Errorf("%v, %v, header %v", page, err, head)
	}
	err = r.raw(t.Context(), "/feed.Feed/None", nil)
	reason, _ := info(t, r.wantCode(t, err, codes.Unimplemented))
	if line := r.log.last(t); reason.GetReason() != "NOT_FOUND" || line["rpc.method"] != "_OTHER" || line["rpc.method_original"] != "/feed.Feed/None" || line["level"] != "INFO" {
		t.Errorf("reason %s, line %v", reason.GetReason(), line)
	}
	if err = r.raw(t.Context(), "/none", nil); status.Code(err) != codes.Unimplemented {
		t.Error(err)
	}
}

func TestRPCCredentials(t *testing.T) {
	r := newFeedRig(t, nil)
	put := func(ctx context.Context) error {
		_, err := r.client.Put(ctx, &feedpb.PutRequest{Id: "abc"})
		return err
	}
	answered := func(who string, f func(context.Context) (interface{ GetField() string }, error)) func(context.Context) error {
		return func(ctx context.Context) error {
			reply, err := f(ctx)
			if err == nil && reply.GetField() != who {
				return fmt.Errorf("the caller is %q, want %q", reply.GetField(), who)
			}
			return err
		}
	}
	either := func(who string) func(context.Context) error {
		return answered(who, func(ctx context.Context) (interface{ GetField() string }, error) {
			return r.client.Either(ctx, &feedpb.EitherRequest{})
		})
	}
	both := answered("jwt ann", func(ctx context.Context) (interface{ GetField() string }, error) {
		return r.client.Both(ctx, &feedpb.BothRequest{})
	})
	login := answered("basic ann", func(ctx context.Context) (interface{ GetField() string }, error) {
		return r.client.Login(ctx, &feedpb.LoginRequest{})
	})
	bearer := "Bearer " + r.token
	for _, test := range []struct {
		name   string
		call   func(context.Context) error
		pairs  []string
		code   codes.Code
		reason string // of the log
	}{
		{"bearer", put, []string{"authorization", bearer}, codes.OK, ""},
		{"nothing", put, nil, codes.Unauthenticated, "missing"},
		{"twice", put, []string{"authorization", bearer, "authorization", bearer}, codes.Unauthenticated, "duplicate"},
		{"bare, as Goa's clients send it", put, []string{"authorization", r.token}, codes.OK, ""},
		{"bare and forged", put, []string{"authorization", r.token + "x"}, codes.Unauthenticated, ""},
		{"bare nothing", put, []string{"authorization", ""}, codes.Unauthenticated, "missing"},
		{"scheme alone", put, []string{"authorization", "Bearer"}, codes.Unauthenticated, ""},
		{"another scheme", put, []string{"authorization", "Digest " + r.token}, codes.Unauthenticated, "missing"},
		{"either by bare token", either("jwt ann"), []string{"authorization", r.token}, codes.OK, ""},
		{"forged", put, []string{"authorization", bearer + "x"}, codes.Unauthenticated, "malformed"},
		{"scope", put, []string{"authorization", "Bearer " + r.reader}, codes.PermissionDenied, "insufficient_scope"},
		{"another key", put, []string{"x-authorization", bearer}, codes.Unauthenticated, "missing"},
		{"either by token", either("jwt ann"), []string{"authorization", bearer}, codes.OK, ""},
		{"either by key", either("key kim"), []string{"authorization", r.key}, codes.OK, ""},
		{"either by named key", either("key kim"), []string{"authorization", "ApiKey " + r.key}, codes.OK, ""},
		{"either by neither", either(""), []string{"authorization", "Basic YTpi"}, codes.Unauthenticated, "missing"},
		{"both", both, []string{"authorization", bearer, "x-api-key", r.key}, codes.OK, ""},
		{"one of both", both, []string{"authorization", bearer}, codes.Unauthenticated, "missing"},
		{"the wrong one of both", both, []string{"authorization", bearer, "x-api-key", r.key + "x"}, codes.Unauthenticated, ""},
		{"password", login, []string{"user", "ann", "pass", password}, codes.OK, ""},
		{"wrong password", login, []string{"user", "ann", "pass", "wrong"}, codes.Unauthenticated, "unknown"},
		{"password alone", login, []string{"pass", password}, codes.Unauthenticated, "malformed"},
		{"name alone", login, []string{"user", "ann"}, codes.Unauthenticated, "malformed"},
		{"two names", login, []string{"user", "ann", "user", "eve", "pass", password}, codes.Unauthenticated, "duplicate"},
		{"two passwords", login, []string{"user", "ann", "pass", password, "pass", "x"}, codes.Unauthenticated, "duplicate"},
		{"basic elsewhere", login, []string{"authorization", "Basic YW5uOng="}, codes.Unauthenticated, "missing"},
		{"colon", login, []string{"user", "ann:correct", "pass", "horse"}, codes.Unauthenticated, "malformed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r.log.reset()
			st := r.wantCode(t, test.call(with(t, "", test.pairs...)), test.code)
			if line := r.log.last(t); test.reason != "" && line["error.type"] != test.reason {
				t.Errorf("the log says %v, want %s", line["error.type"], test.reason)
			}
			if text := st.Message() + r.log.String(); strings.Contains(text, r.token) || strings.Contains(text, password) || strings.Contains(text, r.key) {
				t.Error("a credential is in the answer or the log")
			}
			if test.code != codes.OK {
				if reason, _ := info(t, st); reason.GetReason() != map[codes.Code]string{codes.Unauthenticated: "UNAUTHORIZED", codes.PermissionDenied: "FORBIDDEN"}[test.code] {
					t.Errorf("reason %s", reason.GetReason())
				}
			}
		})
	}
}

// A caller without a credential is answered before it has sent its message.
func TestRPCAuthenticatesBeforeReading(t *testing.T) {
	r := newFeedRig(t, nil)
	var head metadata.MD
	s, err := r.conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, "/feed.Feed/Put", grpc.Header(&head))
	if err != nil {
		t.Fatal(err)
	}
	err = s.RecvMsg(&feedpb.PutResponse{})
	r.wantCode(t, err, codes.Unauthenticated)
	if head, _ = s.Header(); len(head.Get("www-authenticate")) != 1 || len(head.Get("x-request-id")) != 1 {
		t.Errorf("header %v", head)
	}
}

func TestRPCErrors(t *testing.T) {
	const secret = "4111111111111111"
	r := newFeedRig(t, nil)
	for _, test := range []struct {
		name         string
		err          error
		code         codes.Code
		reason, text string
		hidden       bool
	}{
		{"declared", feed.MakeConflict(errors.New("taken")), codes.AlreadyExists, "CONFLICT", "taken", false},
		{"declared, no text", feed.MakeConflict(errors.New("a\xffb")), codes.AlreadyExists, "CONFLICT", "a\ufffdb", false},
		{"temporary", feed.MakeBusy(errors.New("later")), codes.ResourceExhausted, "BUSY", "later", false},
		{"fault", feed.MakeBroken(errors.New(secret)), codes.Internal, "BROKEN", "internal error", true},
		{"own type", &feed.Gone{Name: "gone", ID: "o7"}, codes.NotFound, "GONE", "", false},
		{"own type, another name", &feed.Gone{Name: "other", ID: secret}, codes.Internal, "FAULT", "internal error", false},
		{"undeclared", errors.New(secret), codes.Internal, "FAULT", "internal error", true},
		{"undeclared of Goa", goa.PermanentError("odd_one", "told"), codes.InvalidArgument, "ODD_ONE", "told", false},
		{"wrapped", fmt.Errorf("query %s: %w", secret, feed.MakeConflict(errors.New("taken"))), codes.AlreadyExists, "CONFLICT", "taken", true},
		{"status", status.Error(codes.NotFound, secret), codes.Internal, "FAULT", "internal error", true},
		{"deadline", fmt.Errorf("%s: %w", secret, context.DeadlineExceeded), codes.DeadlineExceeded, "DEADLINE_EXCEEDED", "the call took too long", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			r.log.reset()
			r.feed.put = func(context.Context, *feed.PutPayload) (*feed.Note, error) { return nil, test.err }
			_, err := r.client.Put(with(t, r.token), &feedpb.PutRequest{Id: "abc"})
			st := r.wantCode(t, err, test.code)
			if reason, _ := info(t, st); reason.GetReason() != test.reason || st.Message() != test.text {
				t.Errorf("reason %s, message %q", reason.GetReason(), st.Message())
			}
			if strings.Contains(fmt.Sprint(st.Proto()), secret) {
				t.Errorf("the client learns %v", st.Proto())
			}
			if test.hidden && !strings.Contains(fmt.Sprint(r.log.last(t)["error"]), secret) {
				t.Errorf("the log does not have the text: %v", r.log.last(t))
			}
			switch body := st.Details()[0].(type) {
			case *goapb.ErrorResponse:
				if strings.ToUpper(body.GetName()) != test.reason || body.GetMsg() != test.text || body.GetId() == "" {
					t.Errorf("body %v", body)
				}
			case *feedpb.PutGoneError:
				if body.GetId() != "o7" || test.name != "own type" {
					t.Errorf("body %v", body)
				}
			default:
				t.Errorf("body %T", body)
			}
		})
	}
	r.feed.put = func(context.Context, *feed.PutPayload) (*feed.Note, error) { panic(secret) }
	_, err := r.client.Put(with(t, r.token), &feedpb.PutRequest{Id: "abc"})
	st := r.wantCode(t, err, codes.Internal)
	if line := r.log.last(t); strings.Contains(fmt.Sprint(st.Proto()), secret) || line["error"] != secret || line["error.type"] != "panic" || line["exception.stacktrace"] == nil ||
		line["error.id"] != st.Details()[0].(*goapb.ErrorResponse).GetId() {
		t.Errorf("a panic is answered %v, and logged %v", st.Proto(), line)
	}
	r.feed.put = func(context.Context, *feed.PutPayload) (*feed.Note, error) { return nil, nil }
	_, err = r.client.Put(with(t, r.token), &feedpb.PutRequest{Id: "abc"})
	r.wantCode(t, err, codes.Internal)
	r.feed.put = func(context.Context, *feed.PutPayload) (*feed.Note, error) { return &feed.Note{ID: "\xff"}, nil }
	_, err = r.client.Put(with(t, r.token), &feedpb.PutRequest{Id: "abc"})
	if st := r.wantCode(t, err, codes.Internal); st.Message() != "internal error" {
		t.Errorf("a reply that cannot be encoded is answered %q", st.Message())
	}
}

func TestRPCValidation(t *testing.T) {
	const secret = "S3CRET_S3CRET_S3CRET_S3CRET"
	r := newFeedRig(t, nil)
	text, size := secret, int32(101)
	_, err := r.client.Put(with(t, r.token), &feedpb.PutRequest{Id: secret, Text: &text, Size: &size})
	st := r.wantCode(t, err, codes.InvalidArgument)
	body, ok := st.Details()[0].(*goapb.ErrorResponse)
	if !ok || len(body.GetHistory()) != 3 || strings.Contains(fmt.Sprint(st.Proto()), secret) || strings.Contains(r.log.String(), secret) {
		t.Fatalf("answer %v", st.Proto())
	}
	for i, field := range []string{"message.id", "message.text", "message.size"} {
		if h := body.GetHistory()[i]; h.GetField() != field || !strings.Contains(h.GetMsg(), field) || !strings.Contains(st.Message(), h.GetMsg()) {
			t.Errorf("constraint %d is %v", i, h)
		}
	}
	_, err = r.client.Put(with(t, r.token), &feedpb.PutRequest{Id: "ABC"})
	if st := r.wantCode(t, err, codes.InvalidArgument); st.Message() != "message.id must match the regexp \"^[a-z]{1,12}$\"" {
		t.Errorf("message %q", st.Message())
	}
	err = r.raw(with(t, r.token), "/feed.Feed/Put", []byte("\xff\xff\xff"))
	st = r.wantCode(t, err, codes.InvalidArgument)
	if reason, _ := info(t, st); reason.GetReason() != "DECODE_PAYLOAD" || strings.Contains(st.Message(), "proto:") {
		t.Errorf("a malformed message is answered %v", st.Proto())
	}
}

func FuzzRPCMessage(f *testing.F) {
	r := newFeedRig(f, nil)
	f.Add([]byte{})
	f.Add([]byte("\n\x03abc"))
	f.Add([]byte("\xff\xff"))
	f.Add([]byte("\x12\x01\xff"))
	f.Fuzz(func(t *testing.T, message []byte) {
		err := r.raw(with(t, r.token), "/feed.Feed/Put", message)
		if code := status.Code(err); code != codes.OK && code != codes.InvalidArgument && len(message) <= 64<<10 {
			t.Errorf("%q is answered %v", message, err)
		}
	})
}

func TestRPCSizes(t *testing.T) {
	r := newFeedRig(t, func(r *feedRig) {
		for i := range r.contract.Services[0].Methods {
			if m := &r.contract.Services[0].Methods[i]; m.Name == "look" {
				m.MaxBody = 2 << 20
			}
		}
	})
	called := false
	r.feed.put = func(_ context.Context, p *feed.PutPayload) (*feed.Note, error) {
		called = true
		return &feed.Note{ID: p.ID}, nil
	}
	message := func(n int) *feedpb.PutRequest { return &feedpb.PutRequest{Id: "abc", Data: make([]byte, n)} }
	for _, test := range []struct {
		name   string
		n      int
		zipped bool
		code   codes.Code
	}{
		{"fits", 60 << 10, false, codes.OK},
		{"too large for its method", 64 << 10, false, codes.ResourceExhausted},
		{"too large for any", 3 << 20, false, codes.ResourceExhausted},
		{"fits, zipped", 60 << 10, true, codes.OK},
		{"bomb", 1 << 20, true, codes.ResourceExhausted},
		{"larger bomb", 8 << 20, true, codes.ResourceExhausted},
	} {
		called = false
		var options []grpc.CallOption
		if test.zipped {
			options = append(options, grpc.UseCompressor("gzip"))
		}
		_, err := r.client.Put(with(t, r.token), message(test.n), options...)
		r.wantCode(t, err, test.code)
		if line := r.log.last(t); called != (err == nil) || err != nil && line["error.type"] != "body_too_large" {
			t.Errorf("%s: called %v, log %v", test.name, called, line)
		}
	}
	_, err := r.client.Put(with(t, r.token), message(64<<10))
	if reason, _ := info(t, status.Convert(err)); reason.GetReason() != "BODY_TOO_LARGE" {
		t.Errorf("reason %s", reason.GetReason())
	}
	if _, err := r.client.Put(t.Context(), message(3<<20)); status.Code(err) != codes.Unauthenticated {
		t.Errorf("a stranger's message is judged: %v", err)
	}
}

// A method has its limits whatever it is called by.
func TestRPCSharesLimits(t *testing.T) {
	inside, leave := make(chan struct{}), make(chan struct{})
	r := newFeedRig(t, func(r *feedRig) {
		put := &r.contract.Services[0].Methods[0]
		put.MaxInFlight = 1
		put.RateLimits = []policy.RateLimit{{Name: "put", Rate: 1, Per: policy.Duration(time.Hour), Burst: 3, Partition: policy.PerPrincipal}}
		put.Audit = true
		r.feed.put = func(_ context.Context, p *feed.PutPayload) (*feed.Note, error) {
			inside <- struct{}{}
			<-leave
			return &feed.Note{ID: p.ID}, nil
		}
	})
	done := make(chan int)
	go func() {
		w := httptest.NewRecorder()
		r.h.ServeHTTP(w, request("POST", "/feed", r.token, `{"id":"abc"}`))
		done <- w.Code
	}()
	<-inside
	_, err := r.client.Put(with(t, r.token), &feedpb.PutRequest{Id: "abc"})
	reason, retry := info(t, r.wantCode(t, err, codes.Unavailable))
	if reason.GetReason() != "TOO_MANY_IN_FLIGHT" || retry.GetRetryDelay().AsDuration() != time.Second {
		t.Errorf("%v, %v", reason, retry)
	}
	leave <- struct{}{}
	if code := <-done; code != http.StatusOK {
		t.Errorf("HTTP status %d", code)
	}
	go func() {
		for range 2 {
			<-inside
			leave <- struct{}{}
		}
	}()
	var head metadata.MD
	for left := range 2 {
		if _, err := r.client.Put(with(t, r.token), &feedpb.PutRequest{Id: "abc"}, grpc.Header(&head)); err != nil {
			t.Errorf("%d: %v", left, err)
		}
	}
	if len(head.Get("ratelimit")) != 1 || len(head.Get("ratelimit-policy")) != 1 {
		t.Errorf("header %v", head)
	}
	_, err = r.client.Put(with(t, r.token), &feedpb.PutRequest{Id: "abc"}, grpc.Header(&head))
	reason, retry = info(t, r.wantCode(t, err, codes.ResourceExhausted))
	if reason.GetReason() != "RATE_LIMITED" || retry.GetRetryDelay().AsDuration() < time.Minute || len(head.Get("retry-after")) != 1 {
		t.Errorf("%v, %v, header %v", reason, retry, head)
	}
	w := httptest.NewRecorder()
	r.h.ServeHTTP(w, request("POST", "/feed", r.token, `{"id":"abc"}`))
	if w.Code != http.StatusTooManyRequests {
		t.Errorf("HTTP status %d", w.Code)
	}
	outcomes := map[any]int{}
	for _, e := range r.log.lines(t, "audit") {
		outcomes[e["outcome"]]++
	}
	if outcomes["success"] != 3 || outcomes["failure"] != 3 {
		t.Errorf("audited %v", outcomes)
	}
}

func TestRPCDeadlines(t *testing.T) {
	r := newFeedRig(t, func(r *feedRig) {
		r.contract.Services[0].Methods[0].Deadline = policy.Duration(30 * time.Millisecond)
		r.cfg.ReadTimeout = 30 * time.Millisecond
		r.feed.put = func(ctx context.Context, _ *feed.PutPayload) (*feed.Note, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		r.feed.ping = func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}
	})
	_, err := r.client.Put(with(t, r.token), &feedpb.PutRequest{Id: "abc"})
	if reason, _ := info(t, r.wantCode(t, err, codes.DeadlineExceeded)); reason.GetReason() != "DEADLINE_EXCEEDED" {
		t.Errorf("reason %s", reason.GetReason())
	}
	// The message that never comes.
	s, err := r.conn.NewStream(with(t, r.token), &grpc.StreamDesc{ClientStreams: true}, "/feed.Feed/Put")
	if err != nil {
		t.Fatal(err)
	}
	r.wantCode(t, s.RecvMsg(&feedpb.PutResponse{}), codes.DeadlineExceeded)
	if line := r.log.last(t); line["error.type"] != "body_timeout" && line["error.type"] != "deadline_exceeded" { // both are 30 ms
		t.Errorf("the log says %v", line["error.type"])
	}
	// What its caller does not wait for any longer.
	r.log.reset()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := r.client.Ping(ctx, &feedpb.PingRequest{}); status.Code(err) != codes.DeadlineExceeded {
		t.Error(err)
	}
	r.idle(t)
	if line := r.log.last(t); line["rpc.response.status_code"] != "DEADLINE_EXCEEDED" && line["rpc.response.status_code"] != "CANCELLED" {
		t.Errorf("line %v", line)
	}
}

// idle waits until no call is under way.
func (r *feedRig) idle(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); r.h.InFlight() > 0; {
		if time.Now().After(end) {
			t.Fatal("calls are still under way")
		}
		time.Sleep(time.Millisecond)
	}
}
