package api

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/console/gen/console"
	"github.com/aguada-dev/aguada/policy"
)

// Methods implements console.Service.
func (s *Service) Methods(ctx context.Context, p *console.MethodsPayload) ([]*console.MethodState, error) {
	w, err := s.window(p.Since, p.Until, sparks)
	if err != nil {
		return nil, err
	}
	happened := s.calls(w, text(p.Service))
	out := []*console.MethodState{}
	for _, t := range s.cfg.Targets.All() {
		if text(p.Service) != "" && t.Service != *p.Service {
			continue
		}
		contract, _, err := t.Contract(ctx)
		if err != nil {
			continue // the overview says so
		}
		verdicts := t.Verdicts()
		for _, svc := range contract.Services {
			for i := range svc.Methods {
				m := &svc.Methods[i]
				key := method{t.Service, m.Service, m.Name}
				v := promised(t.Service, m)
				v.Rates, v.Refusals = rates(happened[key], w), refusals(happened[key])
				v.Verdicts = counts(verdicts[m.Service+"."+m.Name])
				out = append(out, v)
				delete(happened, key)
			}
		}
	}
	for key, c := range happened { // what no contract declares
		out = append(out, &console.MethodState{
			App: key.app, Service: key.service, Method: key.name, Kind: "unknown", Routes: []string{}, Access: "unknown",
			Rates: rates(c, w), Refusals: refusals(c),
		})
	}
	slices.SortFunc(out, func(a, b *console.MethodState) int {
		return cmp.Or(cmp.Compare(a.App, b.App), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Method, b.Method))
	})
	return out, nil
}

// promised describes a method of a contract.
func promised(app string, m *policy.Method) *console.MethodState {
	v := &console.MethodState{
		App: app, Service: m.Service, Method: m.Name, Kind: string(m.Kind), Routes: []string{}, Access: string(m.Access), Promised: true,
	}
	for _, r := range m.Routes {
		v.Routes = append(v.Routes, r.Verb+" "+r.Pattern)
	}
	if m.GRPC != nil {
		v.Routes = append(v.Routes, "gRPC "+m.GRPC.Method)
	}
	if m.JSONRPC != nil {
		v.Routes = append(v.Routes, "JSON-RPC "+m.JSONRPC.Method)
	}
	for _, r := range m.Requirements {
		v.Requirements = append(v.Requirements, requirement(&r))
	}
	for _, l := range m.RateLimits {
		v.RateLimits = append(v.RateLimits, fmt.Sprintf("%d each %s per %s, burst %d", l.Rate, time.Duration(l.Per), l.Partition, l.Burst))
	}
	deadline, body := int64(m.Deadline), m.MaxBody
	v.DeadlineNs, v.MaxBody, v.Audit = &deadline, &body, &m.Audit
	if m.MaxInFlight > 0 {
		v.MaxInFlight = &m.MaxInFlight
	}
	if m.Idempotency != nil {
		v.Idempotency = optional(m.Idempotency.Header)
	}
	return v
}

// requirement writes what must be met together.
func requirement(r *policy.Requirement) string {
	var names []string
	for _, u := range r.Schemes {
		names = append(names, u.Scheme)
	}
	text := strings.Join(names, " and ")
	if len(r.Scopes) > 0 {
		text += " (" + strings.Join(r.Scopes, " ") + ")"
	}
	return text
}

// refusals counts what was not served, by cause.
func refusals(c *calls) []*console.Count {
	if c == nil {
		return []*console.Count{}
	}
	return counts(c.causes)
}

// counts converts numbers by name, the largest first.
func counts[N int | float64](all map[string]N) []*console.Count {
	out := []*console.Count{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if n := whole(float64(all[name])); n > 0 {
			out = append(out, &console.Count{Name: name, Count: n})
		}
	}
	slices.SortStableFunc(out, func(a, b *console.Count) int { return cmp.Compare(b.Count, a.Count) })
	return out
}
