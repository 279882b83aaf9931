package carriers

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/model"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/rpc"
)

func rpcGuards() []probe.Probe { return []probe.Probe{rpcLimit, rpcKey} }

var rpcLimit = probe.Probe{
	Probe: describe(finding.Resilience, "grpc.limit", "Is a caller over gRPC who is too fast told so, and when to come back?",
		"A limit that holds over HTTP only is none: the same method is called as often as anybody likes by the other way.",
		"Charge calls over gRPC to the same limits, and answer RESOURCE_EXHAUSTED with google.rpc.RetryInfo.",
		"gRPC status codes", "google.rpc.RetryInfo", "CWE-770", "OWASP API4:2023"),
	Needs: lab.Process,
	Each:  func(m method) bool { return unary(m) && guarded(m) && !m.Changes() && m.Reachable() != nil },
	Limit: 40 * time.Second,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		limit := t.Method.Reachable()
		p, err := own(ctx, t, nil)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer p.Close()
		defer p.rpc.Close()
		message, err := p.rpc.Valid(ctx, t.Method)
		if err != nil {
			return probe.Skip("%v", err)
		}
		md, err := rpc.Sign(t.Lab, t.Method, lab.Good)
		if err != nil {
			return probe.Skip("%v", err)
		}
		served, refusal := hurry(ctx, p.rpc, t.Method, md, rpc.Encode(message), limit)
		if refusal == nil {
			return probe.Fail(nil, "%d calls were served at once, of %d per %s with a burst of %d", served, limit.Rate, time.Duration(limit.Per), limit.Burst)
		}
		for _, d := range refusal.Status.Details() {
			if info, ok := d.(*errdetails.RetryInfo); ok && info.GetRetryDelay().AsDuration() > 0 {
				return probe.Pass("%d served, then RESOURCE_EXHAUSTED, to be tried again after %s", served, info.GetRetryDelay().AsDuration())
			}
		}
		return probe.Fail(p.rpc.Show(t.Method.GRPC.Method, md, rpc.Encode(message), refusal), "RESOURCE_EXHAUSTED does not say when to come back (google.rpc.RetryInfo)")
	},
}

// hurry calls until a call is refused, or far more were served than the limit
// allows; it returns how many were served, and the refusal.
func hurry(ctx context.Context, c *rpc.Client, m method, md metadata.MD, message []byte, l *policy.RateLimit) (served int, refusal *rpc.Reply) {
	var mu sync.Mutex
	var callers sync.WaitGroup
	began := time.Now()
	for range 8 {
		callers.Go(func() {
			for ctx.Err() == nil {
				r := c.Call(ctx, m, md, message)
				mu.Lock()
				if r.Status.Code() == codes.ResourceExhausted {
					refusal = r
				} else {
					served++
				}
				over := refusal != nil || model.Beyond(l, served, time.Since(began))
				mu.Unlock()
				if over {
					return
				}
			}
		})
	}
	callers.Wait()
	return served, refusal
}

var rpcKey = probe.Probe{
	Probe: describe(finding.Resilience, "grpc.key", "Does the same call over gRPC under the same key happen once, and never without a credential?",
		"A client that got no answer has to ask again, by whichever way it calls; and a key is no proof of who it is.",
		"Read the idempotency key from metadata, after authentication, and give the stored answer again.",
		"draft-ietf-httpapi-idempotency-key-header-07 §2", "CWE-306"),
	Each: func(m method) bool { return unary(m) && guarded(m) && m.Idempotency != nil },
	Run: with(func(ctx context.Context, k *call) finding.Outcome {
		signed := k.md.Copy()
		key := strings.ToLower(k.t.Method.Idempotency.Header)
		k.md.Set(key, "prover-"+lab.NewTrace())
		first, second := k.send(ctx), k.send(ctx)
		switch {
		case !first.OK() || len(first.Messages) == 0:
			return k.fail(first, "the first call ends with %s", first)
		case !second.OK() || len(second.Messages) == 0 || !bytes.Equal(first.Messages[0], second.Messages[0]):
			return k.fail(second, "the second call is answered otherwise: %s", second)
		}
		for name := range signed {
			k.md.Delete(name)
		}
		if o := k.refused(ctx, codes.Unauthenticated); o.Verdict != finding.Pass {
			o.Detail = "under the key, without a credential: " + o.Detail
			return o
		}
		return probe.Pass("%s twice, the same answer; UNAUTHENTICATED without a credential", first)
	}),
}
