package carriers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/rpc"
)

// call is what a probe sends: a valid message with good credentials, to be
// tampered with.
type call struct {
	*rpc.Client

	t       *probe.Try
	md      metadata.MD
	message []byte
}

// begin makes a valid call of the run's method. The caller closes it.
func begin(ctx context.Context, t *probe.Try) (*call, error) {
	c, err := rpc.Over(t.Lab, t.Main, t.Client)
	if err != nil {
		return nil, err
	}
	k := &call{Client: c, t: t}
	message, err := c.Valid(ctx, t.Method)
	if err == nil {
		k.message = rpc.Encode(message)
		k.md, err = rpc.Sign(t.Lab, t.Method, lab.Good)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	if t.Method.GRPC.ClientStream && t.Method.GRPC.ServerStream {
		k.message = nil // such a stream begins without one
	}
	return k, nil
}

// send calls the method.
func (k *call) send(ctx context.Context) *rpc.Reply {
	return patiently(ctx, func() *rpc.Reply { return k.Call(ctx, k.t.Method, k.md, k.message) })
}

// refusal calls the method with what shall be refused.
func (k *call) refusal(ctx context.Context, md metadata.MD, message []byte, options ...grpc.CallOption) *rpc.Reply {
	return patiently(ctx, func() *rpc.Reply { return k.Refusal(ctx, k.t.Method, md, message, options...) })
}

// patiently makes a call again that the service was too busy for, as UNAVAILABLE
// asks of clients: other probes keep it busy.
func patiently(ctx context.Context, call func() *rpc.Reply) *rpc.Reply {
	r := call()
	for range 5 {
		if r.Open || r.Status.Code() != codes.Unavailable || !lab.Pause(ctx, 300*time.Millisecond) {
			break
		}
		r = call()
	}
	return r
}

// fail shows the call.
func (k *call) fail(r *rpc.Reply, format string, args ...any) finding.Outcome {
	return probe.Fail(k.Show(k.t.Method.GRPC.Method, k.md, k.message, r), format, args...)
}

// refused calls the method, which has to end with one of the codes.
func (k *call) refused(ctx context.Context, want ...codes.Code) finding.Outcome {
	r := k.refusal(ctx, k.md, k.message)
	if r.Open || !slices.Contains(want, r.Status.Code()) {
		return k.fail(r, "the call ends with %s, not %s", r, rpc.Name(want[0]))
	}
	return probe.Pass("%s", r)
}

// each returns a Run that tampers with a valid call and wants the codes.
func each(tamper func(k *call), want ...codes.Code) func(context.Context, *probe.Try) finding.Outcome {
	return with(func(ctx context.Context, k *call) finding.Outcome {
		tamper(k)
		return k.refused(ctx, want...)
	})
}

// with returns a Run that is given a valid call.
func with(run func(context.Context, *call) finding.Outcome) func(context.Context, *probe.Try) finding.Outcome {
	return func(ctx context.Context, t *probe.Try) finding.Outcome {
		k, err := begin(ctx, t)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer k.Close()
		return run(ctx, k)
	}
}

// elsewhere returns the same call from an address that has not failed yet. The
// caller closes it.
func (k *call) elsewhere() (*call, error) {
	c, err := rpc.Dial(k.t.Lab, k.t.Main)
	if err != nil {
		return nil, err
	}
	other := *k
	other.Client, other.md = c, k.md.Copy()
	return &other, nil
}

// strangers tries calls that differ from the valid one, few of them from one
// address, so that none is refused for those before it. All have to end with the
// code.
func (k *call) strangers(ctx context.Context, want codes.Code, tries []func(*call) string) finding.Outcome {
	const together = 4 // less than any lock-out takes
	for some := range slices.Chunk(tries, together) {
		other, err := k.elsewhere()
		if err != nil {
			return probe.Skip("%v", err)
		}
		for _, tamper := range some {
			other.md = k.md.Copy()
			name := tamper(other)
			if o := other.refused(ctx, want); o.Verdict != finding.Pass {
				o.Detail = name + ": " + o.Detail
				other.Close()
				return o
			}
		}
		other.Close()
	}
	return probe.Pass("%d kinds, each %s", len(tries), rpc.Name(want))
}

// tells are words that only a program's own text has: of the decoder, of Go, of
// gRPC's library.
var tells = []string{"proto:", "protobuf", "unmarshal", "goroutine", ".go:", "runtime error", "panic", "strconv", "json:", "rpc error", "reflect.", "nil pointer", "sql:", "context canceled", "0xc0"}

// untold returns which tell the text has, "" for none.
func untold(text string) string {
	lower := strings.ToLower(text)
	for _, tell := range tells {
		if strings.Contains(lower, tell) {
			return tell
		}
	}
	return ""
}

// own starts a process for the probe, with a client. The caller closes both.
func own(ctx context.Context, t *probe.Try, env map[string]string) (*process, error) {
	in, err := t.Start(ctx, env)
	if err != nil {
		return nil, err
	}
	c, err := rpc.Dial(t.Lab, in)
	if err != nil {
		in.Close()
		return nil, fmt.Errorf("connect: %w", err)
	}
	return &process{Instance: in, rpc: c}, nil
}
