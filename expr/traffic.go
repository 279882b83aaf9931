package expr

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"

	goaexpr "goa.design/goa/v3/expr"

	"github.com/aguada-dev/aguada/policy"
)

// ServicePriority returns the priority of s, or else of its API; "" for the
// normal one. It holds for file servers, which are no methods.
func (r *RootExpr) ServicePriority(s *goaexpr.ServiceExpr) policy.Priority {
	return nearestPriority([]*PolicyExpr{r.policies[s], r.policies[goaexpr.Root.API]})
}

func nearestPriority(levels []*PolicyExpr) policy.Priority {
	p := nearest(levels, policy.NormalPriority, func(p *PolicyExpr) *Setting[policy.Priority] { return p.ShedPriority })
	if p == policy.NormalPriority {
		return ""
	}
	return p
}

// stream sets what concerns a method that streams alone.
func (e *Effective) stream(m *goaexpr.MethodExpr, levels []*PolicyExpr) {
	if m.IsStreaming() {
		e.StreamIdle = nearest(levels, 0, func(p *PolicyExpr) *Setting[policy.Duration] { return p.StreamIdle })
	}
	if m.IsPayloadStreaming() {
		e.MessageRate = nearest(levels, nil, func(p *PolicyExpr) *Setting[*policy.MessageRate] { return p.MessageRate })
	}
}

// validateTraffic refuses what a method declares for streams that it does not
// have, and idempotency keys that could not be kept.
func (r *RootExpr) validateTraffic() {
	for _, s := range goaexpr.Root.Services {
		for _, m := range s.Methods {
			p := r.policies[m]
			if p == nil {
				continue
			}
			if own := p.StreamIdle; own != nil && !m.IsStreaming() {
				own.Pos.Report("%s in %s: the method streams neither its payload nor its result; remove StreamIdle", own.Text, m.EvalName())
			}
			if own := p.MessageRate; own != nil && !m.IsPayloadStreaming() {
				own.Pos.Report("%s in %s: the method's client sends no stream of messages (StreamingPayload); remove MessageRate, or bound the calls with RateLimit", own.Text, m.EvalName())
			}
			if own := p.Idempotency; own != nil {
				for _, why := range r.refuseKey(m, own.Value) {
					own.Pos.Report("%s in %s: %s", own.Text, m.EvalName(), why)
				}
			}
		}
	}
}

// refuseKey returns why m cannot have an idempotency key.
func (r *RootExpr) refuseKey(m *goaexpr.MethodExpr, key policy.Idempotency) []string {
	var why []string
	if anonymous(m) {
		why = append(why, "anybody may call the method, so one caller could be given the answer of another; declare Security for it, or remove IdempotencyKey")
	}
	if m.IsStreaming() {
		return append(why, "the method streams, and a stream is no answer that can be kept; remove IdempotencyKey")
	}
	if d := r.Method(m).Deadline; d > 0 && key.Wait >= d {
		why = append(why, fmt.Sprintf("a call that waits for another is over at the method's deadline, which is %q; wait for less", text(d)))
	}
	if s := goaexpr.Root.API.HTTP.Service(m.Service.Name); s != nil && s.Endpoint(m.Name) != nil {
		why = append(why, refuseKeyOverHTTP(s.Endpoint(m.Name))...)
	}
	if att, place := readElsewhere(m, key.Header); att != "" {
		why = append(why, fmt.Sprintf("the design reads the %s into attribute %q; remove that, and ask for the key where the method is called, or name another header", place, att))
	}
	return why
}

func refuseKeyOverHTTP(ep *goaexpr.HTTPEndpointExpr) []string {
	var why []string
	if ep.Redirect != nil {
		return append(why, "the method redirects, which is safe to do again as it is; remove IdempotencyKey")
	}
	if ep.SkipRequestBodyEncodeDecode {
		why = append(why, "the method reads the raw body (SkipRequestBodyEncodeDecode), which cannot be compared with that of another call; remove one of them")
	}
	if ep.SkipResponseBodyEncodeDecode {
		why = append(why, "the method writes the raw body of its answer (SkipResponseBodyEncodeDecode), which is not kept; remove one of them")
	}
	if ep.MultipartRequest {
		why = append(why, "the method takes a MultipartRequest, which cannot be compared with that of another call; remove one of them")
	}
	safe := func(route *goaexpr.RouteExpr) bool {
		return slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace}, route.Method)
	}
	if i := slices.IndexFunc(ep.Routes, safe); i >= 0 {
		why = append(why, fmt.Sprintf("%s is safe to call again as it is (RFC 9110, section 9.2.1), and its answers are not kept; remove IdempotencyKey, or change the route", ep.Routes[i].Method))
	}
	return why
}

// readElsewhere returns the attribute into which the design reads a header or
// metadata key itself, and what is read; "" for none.
func readElsewhere(m *goaexpr.MethodExpr, header string) (attribute, place string) {
	look := func(mapped *goaexpr.MappedAttributeExpr, what string) {
		if mapped == nil {
			return
		}
		for _, nat := range *goaexpr.AsObject(mapped.Type) {
			if attribute == "" && http.CanonicalHeaderKey(mapped.ElemName(nat.Name)) == header {
				attribute, place = nat.Name, what+" "+strconv.Quote(mapped.ElemName(nat.Name))
			}
		}
	}
	api := goaexpr.Root.API
	for _, h := range []*goaexpr.HTTPExpr{api.HTTP, &api.JSONRPC.HTTPExpr} {
		if s := h.Service(m.Service.Name); s != nil && s.Endpoint(m.Name) != nil {
			look(s.Endpoint(m.Name).Headers, "header")
		}
	}
	if s := api.GRPC.Service(m.Service.Name); s != nil && s.Endpoint(m.Name) != nil {
		look(s.Endpoint(m.Name).Metadata, "gRPC metadata")
	}
	return attribute, place
}

// text returns d as durations are written.
func text(d policy.Duration) string {
	b, _ := d.MarshalText() // never fails
	return string(b)
}
