package api

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/aguada-dev/aguada/console/gen/console"
	"github.com/aguada-dev/aguada/console/series"
	"github.com/aguada-dev/aguada/console/store"
)

// Bounds of what the security page shows.
const (
	maxEvents   = 200
	maxFailures = 200
)

// Security implements console.Service.
func (s *Service) Security(_ context.Context, p *console.SecurityPayload) (*console.Security2, error) {
	w, err := s.window(p.Since, p.Until, 30)
	if err != nil {
		return nil, err
	}
	service := text(p.Service)
	out := &console.Security2{
		Lockouts: s.counted(w, service, "aguada.auth.lockouts", "auth.scheme"),
		Refusals: s.counted(w, service, "aguada.requests.refused", "cause"),
		Expiries: s.expiries(w, service),
	}
	out.Events, out.Failures = s.refusals(w, service)
	return out, nil
}

// whose are the names of Aguada's errors for callers who were not let in.
var whose = []string{"unauthorized", "forbidden", "too_many_failures", "locked", "certificate_refused", "certificate_withdrawn", "cross_origin"}

// refusals returns audit events and calls of those who were not let in, and
// counts the latter. Services that are not Aguada's are judged by their statuses.
func (s *Service) refusals(w series.Window, service string) ([]*console.LogRecord, []*console.Failure) {
	type who struct{ service, scheme, reason, client string }
	events := []*console.LogRecord{}
	found := make(map[who]*console.Failure)
	s.store.Walk(store.Logs, &store.Filter{Since: w.Since, Service: service}, func(r store.Ref) bool {
		audit := isAudit(r)
		reason := reasonOf(r)
		if !audit && reason == "" {
			return true
		}
		if len(events) < maxEvents {
			events = append(events, record(r))
		}
		if audit { // the line of the call says the same
			return true
		}
		k := who{r.Service(), r.Text("auth.scheme"), reason, cmp.Or(r.Text("client.address"), r.Text("client.socket.address"))}
		f := found[k]
		if f == nil {
			f = &console.Failure{Service: k.service, Scheme: optional(k.scheme), Reason: optional(k.reason), Client: optional(k.client)}
			found[k] = f
		}
		f.Count++
		if last := stamp(r.Time()); last > f.Last {
			f.Last = last
		}
		return true
	})
	all := slices.SortedFunc(maps.Values(found), func(a, b *console.Failure) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(b.Last, a.Last), cmp.Compare(text(a.Client), text(b.Client)))
	})
	if all == nil {
		all = []*console.Failure{}
	}
	return events, all[:min(len(all), maxFailures)]
}

// isAudit reports whether a record is an audit event of Aguada's.
func isAudit(r store.Ref) bool {
	if string(r.Name()) == "audit" {
		return true
	}
	_, outcome := r.Attr("outcome")
	return outcome && string(r.Log().Body.Bytes) == "audit"
}

// reasonOf says why a caller was not let in; "" if he was.
func reasonOf(r store.Ref) string {
	why := r.Text("error.type")
	if slices.Contains(whose, why) {
		return why
	}
	status, ok := r.Attr("http.response.status_code")
	if !ok {
		return ""
	}
	switch status.Text() {
	case "401":
		return cmp.Or(why, "unauthorized")
	case "403":
		return cmp.Or(why, "forbidden")
	}
	return ""
}

// counted counts what a metric counts, by one of its attributes.
func (s *Service) counted(w series.Window, service, metric, by string) []*console.Count {
	out := []*console.Count{}
	lines := series.Lines(s.store, &store.Filter{Metric: metric, Service: service}, w, func(v *store.Series) (string, bool) {
		return cmp.Or(v.Attr(by), "all"), true
	})
	for key, l := range lines {
		var n float64
		for _, v := range l.Values {
			n += v
		}
		if whole(n) > 0 {
			out = append(out, &console.Count{Name: key, Count: whole(n)})
		}
	}
	slices.SortFunc(out, func(a, b *console.Count) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// expiries returns what ends or is renewed, by Aguada's metrics.
func (s *Service) expiries(w series.Window, service string) []*console.Expiry {
	out := []*console.Expiry{}
	for _, l := range s.latest(w, service, "aguada.tls.certificate.not_after", "") {
		if l.value > 0 {
			at := stamp(int64(l.value) * 1e9)
			out = append(out, &console.Expiry{Service: l.service, What: "certificate", Name: "server", Expires: &at})
		}
	}
	for _, l := range s.latest(w, service, "aguada.auth.keyset.age", "keyset") {
		age := l.value
		out = append(out, &console.Expiry{Service: l.service, What: "key set", Name: l.name, AgeS: &age})
	}
	slices.SortStableFunc(out, func(a, b *console.Expiry) int {
		if (a.Expires == nil) != (b.Expires == nil) {
			return cmp.Compare(text(b.Expires), text(a.Expires)) // what ends comes first
		}
		return cmp.Or(cmp.Compare(text(a.Expires), text(b.Expires)), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// last is the last value of a gauge.
type last struct {
	service, name string
	value         float64
}

// latest returns the last values of a gauge for each service and value of an
// attribute; of several instances, the one that was sent last.
func (s *Service) latest(w series.Window, service, metric, by string) []last {
	var all []last
	seen := make(map[[2]string]bool)
	s.store.Walk(store.Metrics, &store.Filter{Since: w.Since, Metric: metric, Service: service}, func(r store.Ref) bool {
		of := r.Series()
		key := [2]string{of.Service, of.Attr(by)}
		if !seen[key] {
			seen[key] = true
			all = append(all, last{of.Service, key[1], r.Point().Value})
		}
		return true
	})
	return all
}
