package api

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/aguada-dev/aguada/console/gen/console"
	"github.com/aguada-dev/aguada/console/series"
	"github.com/aguada-dev/aguada/console/store"
	"github.com/aguada-dev/aguada/console/target"
)

// sparks is the number of steps in small charts.
const sparks = 30

// silentAfter is how long after its last item a service is called silent:
// metrics are sent once a minute by default.
const silentAfter = 2 * time.Minute

// Overview implements console.Service.
func (s *Service) Overview(ctx context.Context, p *console.OverviewPayload) (*console.Overview2, error) {
	w, err := s.window(p.Since, p.Until, sparks)
	if err != nil {
		return nil, err
	}
	states := make(map[string]*console.ServiceState)
	seen := make(map[string]int64)
	for _, from := range s.store.Senders(w.Since) {
		v := states[from.Service]
		if v == nil {
			v = &console.ServiceState{Name: from.Service}
			states[from.Service] = v
		}
		v.Instances++
		if from.Last >= seen[from.Service] {
			seen[from.Service] = from.Last
			v.Version, v.Language = optional(resource(from, "service.version")), optional(resource(from, "telemetry.sdk.language"))
			at := stamp(from.Last)
			v.LastSeen = &at
		}
	}
	for _, t := range s.cfg.Targets.All() {
		if states[t.Service] == nil {
			states[t.Service] = &console.ServiceState{Name: t.Service}
		}
	}
	s.describe(ctx, states, seen, w)
	out := &console.Overview2{Services: slices.SortedFunc(maps.Values(states), func(a, b *console.ServiceState) int {
		return cmp.Compare(a.Name, b.Name)
	}), Console: s.state()}
	if out.Services == nil {
		out.Services = []*console.ServiceState{}
	}
	return out, nil
}

// describe completes what is said of services.
func (s *Service) describe(ctx context.Context, states map[string]*console.ServiceState, seen map[string]int64, w series.Window) {
	sums := make(map[string]*calls)
	for m, c := range s.calls(w, "") {
		if sums[m.app] == nil {
			sums[m.app] = newCalls(w.Steps, c.from)
		}
		sums[m.app].merge(c)
	}
	for _, l := range s.latest(w, "", "aguada.tls.certificate.not_after", "") {
		if v := states[l.service]; v != nil && l.value > 0 {
			at := stamp(int64(l.value) * 1e9)
			v.CertificateExpires = &at
		}
	}
	for _, l := range s.latest(w, "", "aguada.auth.keyset.age", "keyset") {
		if v := states[l.service]; v != nil && (v.KeysetAgeS == nil || *v.KeysetAgeS < l.value) {
			v.KeysetAgeS = &l.value
		}
	}
	var wg sync.WaitGroup
	for name, v := range states {
		v.Rates = rates(sums[name], w)
		v.Health = "silent"
		if s.now().Sub(time.Unix(0, seen[name])) < silentAfter {
			v.Health = "sending"
		}
		if t, ok := s.cfg.Targets.Find(name); ok {
			wg.Go(func() { ask(ctx, t, v) })
		}
	}
	wg.Wait()
}

// ask has the private port say how the service is.
func ask(ctx context.Context, t *target.Target, v *console.ServiceState) {
	v.Admin = t.Admin != ""
	_, _, err := t.Contract(ctx)
	v.Known = err == nil
	if !v.Admin {
		return
	}
	state, err := t.State(ctx)
	if err != nil {
		v.Health = "unreachable"
		return
	}
	v.Checks = checks(state.Checks)
	v.Health = health(state)
}

func resource(from *store.Sender, key string) string {
	for _, a := range from.Resource {
		if string(a.Key) == key {
			return valid([]byte(a.Value.Text()))
		}
	}
	return ""
}

// state tells of the console itself.
func (s *Service) state() *console.ConsoleState {
	held, budget := s.store.Bytes()
	return &console.ConsoleState{
		Version: s.cfg.Version, Started: stamp(s.started.UnixNano()), Grpc: s.cfg.Receiver.GRPC(), HTTP: s.cfg.Receiver.HTTP(),
		Authenticated: s.cfg.Authenticated, Bytes: held, Budget: budget, File: optional(s.cfg.File),
		Spans: s.kept(store.Traces), Logs: s.kept(store.Logs), Points: s.kept(store.Metrics),
	}
}

func (s *Service) kept(sig store.Signal) *console.Kept {
	c := s.store.Counts(sig)
	out := &console.Kept{Received: c.Received, Kept: c.Kept, Evicted: c.Evicted, Rejected: s.cfg.Receiver.Rejected(sig)}
	if c.Oldest > 0 {
		at := stamp(c.Oldest)
		out.Oldest = &at
	}
	return out
}
