package carriers

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/idp"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/rpc"
	"github.com/aguada-dev/aguada/prove/target"
	"github.com/aguada-dev/aguada/prove/wallet"
)

func rpcTime() []probe.Probe { return []probe.Probe{rpcDeadline, rpcOwnDeadline, rpcRate, rpcExpiry} }

// header is metadata as HTTP has it.
func header(md metadata.MD) http.Header {
	h := http.Header{}
	for k, v := range md {
		h[http.CanonicalHeaderKey(k)] = v
	}
	return h
}

// stalled begins a call of the method whose message never comes, and says when and
// how the service ends it. A call that the service was too busy for is made again.
func stalled(ctx context.Context, t *probe.Try, m method, timeout time.Duration) (codes.Code, time.Duration, error) {
	for {
		code, took, err := stall(ctx, t, m, timeout)
		if err != nil || code != codes.Unavailable || !lab.Pause(ctx, 300*time.Millisecond) {
			return code, took, err
		}
	}
}

func stall(ctx context.Context, t *probe.Try, m method, timeout time.Duration) (codes.Code, time.Duration, error) {
	c, err := rpc.Over(t.Lab, t.Main, t.Client)
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	md, err := rpc.Sign(t.Lab, m, lab.Good)
	if err != nil {
		return 0, 0, err
	}
	h := header(md)
	if timeout > 0 {
		h.Set("Grpc-Timeout", rpc.Timeout(timeout))
	}
	body, end := io.Pipe()
	defer func() { _ = end.Close() }()
	began := time.Now()
	r := c.Raw(ctx, m.GRPC.Method, h, body)
	defer r.Close()
	code, err := r.End()
	return code, time.Since(began), err
}

var rpcDeadline = probe.Probe{
	Probe: describe(finding.Resilience, "grpc.deadline", "Does the service itself end a call when its caller's deadline has passed?",
		"The caller is gone, and the service works on for nobody: under load that is what keeps it from those who still wait.",
		"Use the context of the call everywhere; gRPC sets the caller's deadline on it.",
		"gRPC over HTTP/2: Timeout", "gRPC deadlines"),
	Omit: withGRPC,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		m := simple(t, unary)
		if m == nil {
			return probe.Skip("the service has no unary method over gRPC")
		}
		const timeout = 300 * time.Millisecond
		ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
		defer cancel()
		code, took, err := stalled(ctx, t, m, timeout)
		switch {
		case ctx.Err() != nil:
			return probe.Fail(nil, "%s: %s after a deadline of %s the call is still open", m.ID(), took.Round(time.Millisecond), timeout)
		case err != nil: // the stream was reset, which ends it as well
			return probe.Pass("the stream was reset after %s: %v", took.Round(time.Millisecond), err)
		case code != codes.DeadlineExceeded && code != codes.Canceled:
			return probe.Fail(nil, "%s ends with %s, not DEADLINE_EXCEEDED", m.ID(), rpc.Name(code))
		}
		return probe.Pass("%s after %s, of %s", rpc.Name(code), took.Round(time.Millisecond), timeout)
	},
}

// longest is the longest deadline of a method that is waited for.
const longest = 10 * time.Second

// bounded chooses the unary methods whose own deadline can be waited for.
func bounded(m method) bool {
	return unary(m) && m.Deadline > 0 && time.Duration(m.Deadline) <= longest
}

var rpcOwnDeadline = probe.Probe{
	Probe: describe(finding.Resilience, "grpc.own-deadline", "Does the method's own deadline hold over gRPC, for a caller who has none?",
		"A client that sends the beginning of a call and no more costs a goroutine each time, for ever.",
		"Bound every call, whatever the caller says: the design's Deadline, with a context that has a deadline.",
		"gRPC deadlines", "CWE-400"),
	Omit: func(l *lab.Lab) string {
		if !slices.ContainsFunc(l.Service.Methods, bounded) {
			return "no method over gRPC has a deadline of at most 10s"
		}
		return ""
	},
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		m := simple(t, bounded)
		if m == nil {
			return probe.Skip("each of them needs something that has to be made before")
		}
		most := time.Duration(m.Deadline) + 3*time.Second
		ctx, cancel := context.WithTimeout(ctx, most)
		defer cancel()
		code, took, err := stalled(ctx, t, m, 0)
		switch {
		case ctx.Err() != nil:
			return probe.Fail(nil, "%s: after %s the call is still open; its deadline is %s", m.ID(), took.Round(time.Millisecond), time.Duration(m.Deadline))
		case err != nil:
			return probe.Pass("the stream was reset after %s: %v", took.Round(time.Millisecond), err)
		case code != codes.DeadlineExceeded:
			return probe.Fail(nil, "%s ends with %s, not DEADLINE_EXCEEDED", m.ID(), rpc.Name(code))
		}
		return probe.Pass("DEADLINE_EXCEEDED after %s, of %s", took.Round(time.Millisecond), time.Duration(m.Deadline))
	},
}

// paced chooses the streams on which what clients send is bounded.
func paced(m method) bool { return called(m) && m.GRPC.ClientStream && m.MessageRate != nil }

var rpcRate = probe.Probe{
	Probe: describe(finding.Resilience, "grpc.message-rate", "Is a stream ended with RESOURCE_EXHAUSTED whose client sends faster than the design allows?",
		"A stream is one call for every rate limit: what comes on it has to be counted by itself.",
		"Count the messages of a stream as they are read.",
		"gRPC status codes", "CWE-770", "OWASP API4:2023"),
	Each: paced,
	Run: with(func(ctx context.Context, k *call) finding.Outcome {
		s, err := k.Open(ctx, k.t.Method.GRPC.Method, k.md)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer s.Close()
		ended := make(chan *rpc.Reply, 1)
		go func() { ended <- s.End(1 << 20) }()
		rate := k.t.Method.MessageRate
		total := 4 * (rate.Burst + rate.Rate)
		for range total {
			if errors.Is(s.Send([]byte{}), io.EOF) {
				break // it has ended
			}
		}
		timer := time.NewTimer(3 * time.Second)
		defer timer.Stop()
		select {
		case r := <-ended:
			if r.Open || r.Status.Code() != codes.ResourceExhausted {
				return k.fail(r, "after %d messages at once the stream ends with %s, not RESOURCE_EXHAUSTED", total, r)
			}
			return probe.Pass("RESOURCE_EXHAUSTED after %d messages", len(r.Messages))
		case <-timer.C:
			s.Close()
			<-ended
			return probe.Fail(nil, "%d messages at once, of %d allowed, and the stream goes on", total, rate.Burst)
		}
	}),
}

// strictKey is the lab's key of a process that forgives no clock.
type strictKey struct{}

// strict returns a process that takes the expiry of tokens to the second, which
// the probes of expiry share. It is closed with the lab.
func strict(ctx context.Context, t *probe.Try) (*target.Instance, error) {
	v, err := t.Keep(strictKey{}, func() (any, error) { return t.Start(ctx, map[string]string{"AUTH_LEEWAY": "0s"}) })
	if err != nil {
		return nil, err
	}
	in, _ := v.(*target.Instance)
	return in, nil
}

// shortLived returns credentials of a lifetime of two seconds.
func shortLived(t *probe.Try, m method, u policy.Use, scopes []string) (wallet.Credential, error) {
	token, err := t.Issuer.Sign(idp.Claims{Scopes: scopes, Lifetime: lifetime})
	t.Secrets.Add("a token that expires soon", token)
	return wallet.Credential{Kind: m.SchemeKind(u), Token: token}, err
}

const (
	lifetime = 2 * time.Second
	outlived = 3 * time.Second // how much later a stream has to be over
)

// expires omits the probes of expiry where tokens cannot be made short.
func expires(l *lab.Lab) string {
	switch {
	case !l.Service.Contracted:
		return "the prover does not know how this service is told to forgive no clock"
	case l.Issuer == nil:
		return "the service takes no tokens"
	}
	return ""
}

var rpcExpiry = probe.Probe{
	Probe: describe(finding.Security, "grpc.expiry", "Does a stream end when the token that opened it expires?",
		"A stream may last for days: whoever was let in once stays, though the token was for minutes.",
		"End streams with UNAUTHENTICATED at the expiry of their credential.",
		"RFC 9700 §2.2", "CWE-613"),
	Each: func(m method) bool {
		return guarded(m) && m.GRPC.ServerStream && len(rpc.Uses(m)) == 1 && m.TakesToken(rpc.Uses(m)[0])
	},
	Omit: expires,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		in, err := strict(ctx, t)
		if err != nil {
			return probe.Skip("%v", err)
		}
		c, err := rpc.Dial(t.Lab, in)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer c.Close()
		m := t.Method
		cred, err := shortLived(t, m, rpc.Uses(m)[0], rpc.Scopes(m))
		if err != nil {
			return probe.Skip("%v", err)
		}
		message, err := c.Valid(ctx, m)
		if err != nil {
			return probe.Skip("%v", err)
		}
		ctx, cancel := context.WithTimeout(ctx, lifetime+outlived)
		defer cancel()
		md := rpc.Attach(m, map[string]wallet.Credential{rpc.Uses(m)[0].Scheme: cred})
		s, err := c.Open(ctx, m.GRPC.Method, md)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer s.Close()
		if !m.GRPC.ClientStream {
			_ = s.Send(rpc.Encode(message)) // what went wrong is in the status
			_ = s.CloseSend()
		}
		r := s.End(1 << 20)
		switch {
		case ctx.Err() != nil:
			return probe.Fail(c.Show(m.GRPC.Method, md, nil, nil), "%s after its token has expired the stream is still open", outlived)
		case len(r.Messages) == 0 && r.Took < lifetime/2:
			return probe.Skip("the stream did not open: %s", r)
		case r.Status.Code() != codes.Unauthenticated:
			return probe.Fail(c.Show(m.GRPC.Method, md, nil, r), "the stream ends with %s, not UNAUTHENTICATED", r)
		}
		return probe.Pass("UNAUTHENTICATED after %s, of %s", r.Took.Round(time.Millisecond), lifetime)
	},
}
