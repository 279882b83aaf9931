package transport

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/transport/internal/testsvc/gen/feed"
	feedpb "github.com/aguada-dev/aguada/transport/internal/testsvc/gen/grpc/feed/pb"
)

// change finds a method of the contract by name.
func (r *feedRig) change(name string) *policy.Method {
	methods := r.contract.Services[0].Methods
	for i := range methods {
		if methods[i].Name == name {
			return &methods[i]
		}
	}
	panic(name)
}

func TestRPCStreams(t *testing.T) {
	r := newFeedRig(t, nil)
	ctx := with(t, r.token)
	pull := must(r.client.Pull(ctx, &feedpb.PullRequest{Count: 3}))(t)
	n := 0
	for ; ; n++ {
		if _, err := pull.Recv(); err != nil {
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			break
		}
	}
	head, _ := pull.Header()
	if n != 3 || len(head.Get("x-request-id")) != 1 {
		t.Errorf("%d messages, header %v", n, head)
	}
	push := must(r.client.Push(ctx))(t)
	for range 4 {
		if err := push.Send(&feedpb.PushStreamingRequest{Id: "abc"}); err != nil {
			t.Fatal(err)
		}
	}
	if reply, err := push.CloseAndRecv(); err != nil || reply.GetField() != 4 {
		t.Errorf("%v, %v", reply, err)
	}
	r.idle(t)
	if line := r.log.last(t); line["rpc.request.size"] != 20.0 || line["rpc.response.status_code"] != "OK" || line["enduser.id"] != "ann" {
		t.Errorf("line %v", line)
	}
	chat := must(r.client.Chat(ctx))(t)
	for range 3 {
		if err := chat.Send(&feedpb.ChatStreamingRequest{Id: "abc"}); err != nil {
			t.Fatal(err)
		}
		if reply, err := chat.Recv(); err != nil || reply.GetId() != "abc" {
			t.Errorf("%v, %v", reply, err)
		}
	}
	// A message that breaks a constraint ends the stream of a method that gives up.
	_ = chat.Send(&feedpb.ChatStreamingRequest{Id: "S3CRET"})
	_, err := chat.Recv()
	r.idle(t)
	if st := r.wantCode(t, err, codes.InvalidArgument); strings.Contains(st.Message()+r.log.String(), "S3CRET") {
		t.Errorf("message %q", st.Message())
	}
	talk := must(r.client.Talk(ctx))(t)
	_ = talk.Send(&feedpb.TalkStreamingRequest{Body: &feedpb.TalkStreamingRequest_InitialPayload{InitialPayload: &feedpb.TalkRequest{Room: "r"}}})
	_ = talk.Send(&feedpb.TalkStreamingRequest{Body: &feedpb.TalkStreamingRequest_StreamItem{StreamItem: &feedpb.TalkStreamItem{Id: "abc"}}})
	if reply, err := talk.Recv(); err != nil || reply.GetId() != "abc" {
		t.Errorf("%v, %v", reply, err)
	}
	_ = talk.CloseSend()
	browse := must(r.client.Browse(t.Context(), &feedpb.BrowseRequest{}))(t)
	if page, err := browse.Recv(); err != nil || page.GetId() != "p" {
		t.Errorf("%v, %v", page, err)
	}
	if _, err := must(r.client.Pull(t.Context(), &feedpb.PullRequest{Count: 3}))(t).Recv(); status.Code(err) != codes.Unauthenticated {
		t.Error(err)
	}
	if _, err := must(r.client.Chat(t.Context()))(t).Recv(); status.Code(err) != codes.Unauthenticated {
		t.Error(err)
	}
}

func TestRPCStreamBounds(t *testing.T) {
	ended := make(chan error, 1)
	r := newFeedRig(t, func(r *feedRig) {
		r.change("chat").MessageRate = &policy.MessageRate{Rate: 1, Per: policy.Duration(time.Hour), Burst: 3}
		r.change("open").StreamIdle = policy.Duration(40 * time.Millisecond)
		r.change("push").Deadline = policy.Duration(40 * time.Millisecond)
		r.cfg.ReadTimeout = 40 * time.Millisecond
		r.feed.chat = func(_ context.Context, stream feed.ChatServerStream) error {
			err := echoNotes(stream)
			_, again := stream.Recv()
			ended <- errors.Join(again, stream.Send(&feed.Note{ID: "abc"}))
			return err
		}
	})
	ctx := with(t, r.token)
	chat := must(r.client.Chat(ctx))(t)
	var err error
	n := 0
	for ; err == nil; n++ {
		_ = chat.Send(&feedpb.ChatStreamingRequest{Id: "abc"})
		_, err = chat.Recv()
	}
	r.idle(t)
	if reason, _ := info(t, r.wantCode(t, err, codes.ResourceExhausted)); reason.GetReason() != "TOO_MANY_MESSAGES" || n != 4 {
		t.Errorf("%s after %d", reason.GetReason(), n)
	}
	if err := <-ended; err == nil || strings.Count(err.Error(), "too many messages") != 2 {
		t.Errorf("the method can go on: %v", err)
	}
	large := must(r.client.Chat(ctx))(t)
	text := strings.Repeat("x", 65<<10)
	_ = large.Send(&feedpb.ChatStreamingRequest{Id: "abc", Text: &text})
	_, err = large.Recv()
	<-ended
	r.idle(t)
	if reason, _ := info(t, r.wantCode(t, err, codes.ResourceExhausted)); reason.GetReason() != "BODY_TOO_LARGE" {
		t.Errorf("reason %s", reason.GetReason())
	}
	idle := must(r.client.Open(t.Context()))(t)
	_, err = idle.Recv()
	r.idle(t)
	if reason, _ := info(t, r.wantCode(t, err, codes.DeadlineExceeded)); reason.GetReason() != "STREAM_IDLE" {
		t.Errorf("reason %s", reason.GetReason())
	}
	push := must(r.client.Push(ctx))(t)
	_, err = push.CloseAndRecv()
	if err != nil {
		t.Error(err)
	}
	push = must(r.client.Push(ctx))(t)
	var reply feedpb.PushResponse
	err = push.RecvMsg(&reply)
	r.idle(t)
	r.wantCode(t, err, codes.DeadlineExceeded)
	// The one message of a client that does not stream has to come as soon as a body.
	slow := must(r.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/feed.Feed/Pull"))(t)
	err = slow.RecvMsg(&feedpb.PullResponse{})
	r.idle(t)
	if reason, _ := info(t, r.wantCode(t, err, codes.DeadlineExceeded)); reason.GetReason() != "BODY_TIMEOUT" {
		t.Errorf("reason %s", reason.GetReason())
	}
}

// Streams end when the server stops, whatever their methods wait for, and their
// clients learn that it was not for good.
func TestRPCCloseStreams(t *testing.T) {
	started := make(chan struct{}, 16)
	r := newFeedRig(t, func(r *feedRig) {
		r.feed.pull = func(ctx context.Context, p *feed.PullPayload, stream feed.PullServerStream) error {
			text := strings.Repeat("x", 32<<10)
			started <- struct{}{}
			for p.Count == 0 { // to a client that does not read
				if err := stream.Send(&feed.Note{ID: "n", Text: &text}); err != nil {
					return err
				}
			}
			<-ctx.Done()
			return nil // as methods do whose client left
		}
		r.feed.push = func(_ context.Context, stream feed.PushServerStream) error {
			started <- struct{}{}
			for {
				if _, err := stream.Recv(); err != nil {
					return stream.SendAndClose(7) // all that came is done
				}
			}
		}
	})
	ctx := with(t, r.token)
	waits := must(r.client.Pull(ctx, &feedpb.PullRequest{Count: 1}))(t)
	stalled := must(r.client.Pull(ctx, &feedpb.PullRequest{}))(t)
	push := must(r.client.Push(ctx))(t)
	chat := must(r.client.Chat(ctx))(t)
	for range 3 {
		<-started
	}
	_ = chat.Send(&feedpb.ChatStreamingRequest{Id: "abc"})
	if _, err := chat.Recv(); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	r.h.CloseStreams()
	for name, recv := range map[string]func() error{
		"waits": func() error { return waits.RecvMsg(&feedpb.PullResponse{}) }, "chat": func() error { return chat.RecvMsg(&feedpb.ChatResponse{}) },
	} {
		if err := recv(); status.Code(err) != codes.Unavailable {
			t.Errorf("%s: %v", name, err)
		} else if reason, retry := info(t, status.Convert(err)); reason.GetReason() != "UNAVAILABLE" || retry == nil {
			t.Errorf("%s: %v, %v", name, reason, retry)
		}
	}
	if err := push.RecvMsg(&feedpb.PushResponse{}); status.Code(err) != codes.Unavailable && err != nil {
		t.Errorf("push: %v", err)
	}
	r.idle(t) // the stalled one too
	if took := time.Since(begun); took > 10*closing {
		t.Errorf("took %v", took)
	}
	_ = stalled.CloseSend()
	if _, err := must(r.client.Chat(ctx))(t).Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("another stream begins: %v", err)
	}
	if _, err := r.client.Put(ctx, &feedpb.PutRequest{Id: "abc"}); err != nil {
		t.Error(err)
	}
	r.server.GracefulStop()
}

// A stream that is open both ways is whole once its client has ended its side.
// Before, a method that returns because its context ended has not ended it well.
func TestRPCCloseStreamsBothWays(t *testing.T) {
	started := make(chan struct{}, 2)
	r := newFeedRig(t, func(r *feedRig) {
		r.feed.chat = func(ctx context.Context, stream feed.ChatServerStream) error {
			n, err := stream.Recv()
			if err == nil && n.ID == "all" {
				_, err = stream.Recv()
			}
			started <- struct{}{}
			<-ctx.Done()
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	})
	ctx := with(t, r.token)
	whole, half := must(r.client.Chat(ctx))(t), must(r.client.Chat(ctx))(t)
	_, _ = whole.Send(&feedpb.ChatStreamingRequest{Id: "all"}), half.Send(&feedpb.ChatStreamingRequest{Id: "abc"})
	_ = whole.CloseSend()
	<-started
	<-started
	r.h.CloseStreams()
	if _, err := whole.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the whole stream ends with %v", err)
	}
	_, err := half.Recv()
	if reason, retry := info(t, status.Convert(err)); status.Code(err) != codes.Unavailable || reason.GetReason() != "UNAVAILABLE" || retry == nil {
		t.Errorf("the other ends with %v, %v, %v", err, reason, retry)
	}
	r.idle(t)
	seen := map[any]int{} // they end in any order
	for _, line := range r.log.lines(t, "request") {
		seen[line["rpc.response.status_code"]]++
	}
	if seen["OK"] != 1 || seen["UNAVAILABLE"] != 1 {
		t.Errorf("the log has %v", seen)
	}
}

func TestRPCDraining(t *testing.T) {
	r := newFeedRig(t, func(r *feedRig) { r.cfg.Draining = func() bool { return true } })
	ctx := with(t, r.token)
	if _, err := must(r.client.Chat(ctx))(t).Recv(); status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
	if _, err := r.client.Put(ctx, &feedpb.PutRequest{Id: "abc"}); err != nil {
		t.Error(err)
	}
}

// A client that leaves is no error of anybody's.
func TestRPCClientLeaves(t *testing.T) {
	started, left := make(chan struct{}, 2), make(chan error, 2)
	r := newFeedRig(t, func(r *feedRig) {
		r.feed.put = func(ctx context.Context, _ *feed.PutPayload) (*feed.Note, error) {
			started <- struct{}{}
			<-ctx.Done()
			left <- ctx.Err()
			return nil, ctx.Err()
		}
		r.feed.chat = func(_ context.Context, stream feed.ChatServerStream) error {
			started <- struct{}{}
			_, err := stream.Recv()
			left <- err
			return err
		}
	})
	ctx, cancel := context.WithCancel(with(t, r.token))
	go func() {
		<-started
		cancel()
	}()
	if _, err := r.client.Put(ctx, &feedpb.PutRequest{Id: "abc"}); status.Code(err) != codes.Canceled {
		t.Error(err)
	}
	<-left
	ctx, cancel = context.WithCancel(with(t, r.token))
	if _, err := r.client.Chat(ctx); err != nil {
		t.Error(err)
	}
	<-started
	cancel()
	<-left
	r.idle(t)
	for _, line := range r.log.lines(t, "request") {
		if line["rpc.response.status_code"] != "CANCELLED" || line["level"] != "INFO" || line["error.type"] != "canceled" {
			t.Errorf("line %v", line)
		}
	}
}

func TestRPCStreamPanics(t *testing.T) {
	r := newFeedRig(t, func(r *feedRig) {
		r.feed.chat = func(context.Context, feed.ChatServerStream) error { panic("S3CRET") }
	})
	var trailer metadata.MD
	s := must(r.client.Chat(with(t, r.token), grpc.Trailer(&trailer)))(t)
	_, err := s.Recv()
	r.idle(t)
	if st := r.wantCode(t, err, codes.Internal); strings.Contains(st.String(), "S3CRET") || r.log.last(t)["error"] != "S3CRET" {
		t.Errorf("%v, %v", st, r.log.last(t))
	}
}

func BenchmarkRPCStream(b *testing.B) {
	r := fullFeed(b)
	for name, client := range map[string]feedpb.FeedClient{"impl=goa": bareFeed(b), "impl=aguada": r.client} {
		b.Run(name, func(b *testing.B) {
			chat := must(client.Chat(with(b, r.token)))(b)
			b.ReportAllocs()
			for b.Loop() {
				_ = chat.Send(&feedpb.ChatStreamingRequest{Id: "abc"})
				if _, err := chat.Recv(); err != nil {
					b.Fatal(err)
				}
			}
			_ = chat.CloseSend()
		})
	}
}
