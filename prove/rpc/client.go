// Package rpc calls the methods of a service over gRPC without any code that
// was generated for it: it asks the service for its descriptors, makes messages
// of the JSON that the method takes over HTTP, and sends what it is told to,
// bytes that are no message included.
//
//	c, err := rpc.Dial(l, l.Main)
//	defer c.Close()
//	message, err := c.Valid(ctx, m)
//	md, err := rpc.Sign(l, m, lab.Good)
//	r := c.Call(ctx, m, md, rpc.Encode(message))
//
// Every client has an address of its own. Like the lab, the package judges
// nothing.
package rpc

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/model"
	"github.com/aguada-dev/aguada/prove/target"
)

// Client calls one process of the service. It is safe for concurrent use.
type Client struct {
	// HTTP is a client of the same process from the same address.
	HTTP *lab.Client

	lab    *lab.Lab
	in     *target.Instance
	conn   *grpc.ClientConn
	dialer *net.Dialer
}

// maxReply is the largest message that a client takes, in bytes.
const maxReply = 16 << 20

// Dial returns a client of the process, from an address that no other client
// has. It connects with its first call.
func Dial(l *lab.Lab, in *target.Instance) (*Client, error) { return Over(l, in, l.NewClient(in)) }

// Over is Dial from the address of a client of the same process.
func Over(l *lab.Lab, in *target.Instance, from *lab.Client) (*Client, error) {
	c := &Client{HTTP: from, lab: l, in: in, dialer: &net.Dialer{Timeout: 5 * time.Second}}
	if ip := net.ParseIP(c.HTTP.From); ip != nil {
		c.dialer.LocalAddr = &net.TCPAddr{IP: ip}
	}
	conn, err := grpc.NewClient("passthrough:///"+in.GRPC,
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return c.dialer.DialContext(ctx, "tcp", address)
		}),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(plain{}), grpc.MaxCallRecvMsgSize(maxReply)),
	)
	if err != nil {
		return nil, fmt.Errorf("connect over gRPC: %w", err)
	}
	c.conn = conn
	return c, nil
}

// Close ends the connection, and with it what is open on it.
func (c *Client) Close() { _ = c.conn.Close() }

// plain is a codec that leaves bytes as they are.
type plain struct{}

// Name is that of Protocol Buffers, which the bytes claim to be.
func (plain) Name() string { return "proto" }

// Marshal takes a []byte.
func (plain) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("encode message: a %T is no []byte", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(b)}, nil
}

// Unmarshal fills a *[]byte.
func (plain) Unmarshal(data mem.BufferSlice, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("decode message: a %T is no *[]byte", v)
	}
	*b = data.Materialize()
	return nil
}

// Reply is how a call ended, or how it began where it is a stream.
type Reply struct {
	Status *status.Status
	// Header and Trailer are as they came; Header is nil where none did.
	Header, Trailer metadata.MD
	// Messages are the first that came.
	Messages [][]byte
	// Open says that it is a stream that had not ended when enough was seen.
	Open bool
	// Trace is the trace id that was sent along.
	Trace string
	Took  time.Duration
}

// OK reports whether the method served the call, or serves it still.
func (r *Reply) OK() bool { return r.Open || r.Status.Code() == codes.OK }

// String says in a few words how the call ended.
func (r *Reply) String() string {
	if r.Open {
		return fmt.Sprintf("an open stream after %d messages", len(r.Messages))
	}
	if r.Status.Message() == "" {
		return Name(r.Status.Code())
	}
	return Name(r.Status.Code()) + ": " + r.Status.Message()
}

// Stream is one call that is under way.
type Stream struct {
	grpc.ClientStream

	trace  string
	cancel context.CancelFunc
	began  time.Time
}

// Open begins a call of a method of that name, "package.Service/Method", and
// sends nothing but its metadata. The caller closes it.
func (c *Client) Open(ctx context.Context, name string, md metadata.MD, options ...grpc.CallOption) (*Stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &Stream{cancel: cancel, began: time.Now()}
	md = md.Copy()
	if md == nil {
		md = metadata.MD{}
	}
	if len(md.Get("traceparent")) == 0 {
		s.trace = lab.NewTrace()
		md.Set("traceparent", "00-"+s.trace+"-"+s.trace[:16]+"-01")
	}
	var err error
	s.ClientStream, err = c.conn.NewStream(metadata.NewOutgoingContext(ctx, md), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/"+name, options...)
	if err != nil {
		cancel()
		return nil, err
	}
	return s, nil
}

// Close cancels the call, if it has not ended.
func (s *Stream) Close() { s.cancel() }

// Send sends one message.
func (s *Stream) Send(message []byte) error { return s.SendMsg(message) }

// Receive waits for one message.
func (s *Stream) Receive() ([]byte, error) {
	var b []byte
	err := s.RecvMsg(&b)
	return b, err
}

// End reads until the call ends, or has sent as many messages as are enough.
func (s *Stream) End(enough int) *Reply {
	r := &Reply{Trace: s.trace}
	for {
		b, err := s.Receive()
		if err != nil {
			r.Header, _ = s.Header()
			r.Status, r.Trailer, r.Took = statusOf(err), s.Trailer(), time.Since(s.began)
			return r
		}
		if r.Messages = append(r.Messages, b); len(r.Messages) >= enough {
			r.Header, _ = s.Header()
			r.Open, r.Took, r.Status = true, time.Since(s.began), status.New(codes.OK, "")
			return r
		}
	}
}

func statusOf(err error) *status.Status {
	if errors.Is(err, io.EOF) {
		return status.New(codes.OK, "")
	}
	return status.Convert(err)
}

// DefaultTimeout bounds a call whose context has no deadline.
const DefaultTimeout = 10 * time.Second

// Call calls the method with one message and waits for its end. Of a method that
// streams, one message or its header shows that it is served: the stream is then
// canceled. A method whose client streams gets no message where there is none to
// send (nil).
func (c *Client) Call(ctx context.Context, m *model.Method, md metadata.MD, message []byte, options ...grpc.CallOption) *Reply {
	if m.GRPC.ServerStream {
		return c.follow(ctx, m, md, message, 1, options...)
	}
	return c.Invoke(ctx, m.GRPC.Method, md, message, options...)
}

// Refusal is Call for what shall be refused: of a method that streams it waits on
// for a moment, since the service may speak before it reads.
func (c *Client) Refusal(ctx context.Context, m *model.Method, md metadata.MD, message []byte, options ...grpc.CallOption) *Reply {
	if m.GRPC.ServerStream {
		return c.follow(ctx, m, md, message, 1<<20, options...)
	}
	return c.Invoke(ctx, m.GRPC.Method, md, message, options...)
}

// Invoke calls a method of any name with one message, nil for none, and waits
// for its end.
func (c *Client) Invoke(ctx context.Context, name string, md metadata.MD, message []byte, options ...grpc.CallOption) *Reply {
	ctx, cancel := context.WithTimeout(ctx, DefaultTimeout)
	defer cancel()
	s, err := c.Open(ctx, name, md, options...)
	if err != nil {
		return &Reply{Status: statusOf(err)}
	}
	defer s.Close()
	if message != nil {
		_ = s.Send(message) // what went wrong is in the status
	}
	_ = s.CloseSend()
	r := s.End(2)
	if r.Open { // two replies to one call
		r.Open, r.Status = false, status.New(codes.Internal, "a unary method sent two messages")
	}
	return r
}

// settle is how long a stream may say nothing before it counts as served.
const settle = 1500 * time.Millisecond

// follow calls a method that streams, until it has sent as many messages as are
// enough. Its header alone is no proof: it may come before the message is judged.
func (c *Client) follow(ctx context.Context, m *model.Method, md metadata.MD, message []byte, enough int, options ...grpc.CallOption) *Reply {
	s, err := c.Open(ctx, m.GRPC.Method, md, options...)
	if err != nil {
		return &Reply{Status: statusOf(err)}
	}
	defer s.Close()
	if message != nil {
		_ = s.Send(message)
	}
	if !m.GRPC.ClientStream {
		_ = s.CloseSend()
	}
	ended := make(chan *Reply, 1)
	go func() { ended <- s.End(enough) }()
	timer := time.NewTimer(settle)
	defer timer.Stop()
	select {
	case r := <-ended:
		return r
	case <-timer.C:
		s.Close()
		r := <-ended
		r.Open, r.Status = r.Header != nil || r.Open, status.New(codes.OK, "")
		if !r.Open {
			r.Status = status.New(codes.DeadlineExceeded, "neither header nor message came")
		}
		return r
	}
}

// Hex shows the beginning of a message that is not readable.
func Hex(message []byte) string {
	const most = 64
	if len(message) > most {
		return fmt.Sprintf("%s… (%d bytes)", hex.EncodeToString(message[:most]), len(message))
	}
	return hex.EncodeToString(message)
}
