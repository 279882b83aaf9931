package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aguada-dev/aguada/console/gen/console"
	"github.com/aguada-dev/aguada/console/target"
)

// target returns a service that is known.
func (s *Service) target(name string) (*target.Target, error) {
	t, ok := s.cfg.Targets.Find(name)
	if !ok {
		return nil, console.MakeNotFound(fmt.Errorf("the console does not know the private port of %s: start it with aguada run, or the console with --admin %s=http://127.0.0.1:8082", valid([]byte(name)), valid([]byte(name))))
	}
	return t, nil
}

// told turns an error of a private port into one of the API.
func told(err error) error {
	var why *target.Error
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &why):
		return err
	case why.Status == http.StatusBadRequest || why.Status == http.StatusConflict:
		return console.MakeBadRequest(why)
	case why.Status == http.StatusNotFound:
		return console.MakeNotFound(why)
	}
	return console.MakeUnreachable(why)
}

// Runtime implements console.Service.
func (s *Service) Runtime(ctx context.Context, p *console.RuntimePayload) (*console.Runtime2, error) {
	t, err := s.target(p.Service)
	if err != nil {
		return nil, err
	}
	state, err := t.State(ctx)
	if err != nil {
		return nil, told(err)
	}
	out := &console.Runtime2{
		Service: p.Service, Admin: t.Admin, State: state.State, UptimeS: &state.Uptime, Checks: checks(state.Checks),
		Settings: []*console.Setting{}, Leases: []*console.Lease{}, GoaServices: []string{},
	}
	settings, err := t.Settings(ctx)
	if err != nil {
		return nil, told(err)
	}
	for _, v := range settings {
		out.Settings = append(out.Settings, &console.Setting{Name: v.Name, Value: v.Value, Source: v.Source, Default: v.Default, Type: v.Type, Meaning: v.Meaning})
	}
	leases, err := t.Leases(ctx)
	if err != nil {
		return nil, told(err)
	}
	for i := range leases {
		out.Leases = append(out.Leases, lease(&leases[i]))
	}
	if out.Build, err = t.Build(ctx); err != nil {
		return nil, told(err)
	}
	if contract, _, err := t.Contract(ctx); err == nil {
		for _, svc := range contract.Services {
			out.GoaServices = append(out.GoaServices, svc.Name)
		}
	}
	return out, nil
}

// health says in one word how a service is.
func health(s *target.State) string {
	switch {
	case s.State == "draining" || s.State == "stopping":
		return "draining"
	case s.State != "ready":
		return "unready"
	case s.Status == "ok":
		return "ready"
	}
	return "degraded"
}

func checks(all []target.Check) []*console.Check {
	out := []*console.Check{}
	for i := range all {
		c := &all[i]
		v := &console.Check{Name: c.Name, Status: c.Status, DurationMs: &c.DurationMS}
		if c.Status != "ok" { // the last error of a check stays when it passes again
			v.Error = optional(c.Error)
		}
		if !c.Since.IsZero() {
			at := stamp(c.Since.UnixNano())
			v.Since = &at
		}
		out = append(out, v)
	}
	return out
}

func lease(l *target.Lease) *console.Lease {
	return &console.Lease{
		ID: l.ID, Kind: l.Kind, Level: optional(l.Level), GoaService: optional(l.Service), Method: optional(l.Method), Scheme: optional(l.Scheme),
		Principal: optional(l.Principal), Reason: l.Reason, OpenedBy: l.OpenedBy, Opened: stamp(l.Opened.UnixNano()), Expires: stamp(l.Expires.UnixNano()),
	}
}

// Profile implements console.Service.
func (s *Service) Profile(ctx context.Context, p *console.ProfilePayload) (*console.Profile2, error) {
	t, err := s.target(p.Service)
	if err != nil {
		return nil, err
	}
	v, err := t.Profile(ctx, p.Kind, p.Seconds)
	if err != nil {
		return nil, told(err)
	}
	lasted := int64(v.Duration)
	out := &console.Profile2{
		Service: p.Service, Kind: v.Kind, Unit: v.Unit, Taken: stamp(v.Taken.UnixNano()), DurationNs: &lasted, Total: v.Total,
		Frames: make([]*console.Frame, 0, len(v.Frames)), Top: make([]*console.Top, 0, len(v.Top)),
	}
	for i := range v.Frames {
		f := &v.Frames[i]
		out.Frames = append(out.Frames, &console.Frame{Parent: f.Parent, Name: valid([]byte(f.Name)), File: optional(valid([]byte(f.File))), Value: f.Value, Self: f.Self})
	}
	for _, f := range v.Top {
		out.Top = append(out.Top, &console.Top{Name: valid([]byte(f.Name)), Self: f.Self, Total: f.Total})
	}
	return out, nil
}

// OpenLease implements console.Service. The one that it takes the place of is
// ended last, so that there is no moment without either.
func (s *Service) OpenLease(ctx context.Context, p *console.OpenLeasePayload) (*console.Lease, error) {
	t, err := s.target(p.Service)
	if err != nil {
		return nil, err
	}
	l, err := t.OpenLease(ctx, target.LeaseRequest{
		Kind: p.Kind, Level: text(p.Level), Service: text(p.GoaService), Method: text(p.Method), Scheme: text(p.Scheme),
		Principal: text(p.Principal), Duration: (time.Duration(p.Seconds) * time.Second).String(), Reason: p.Reason,
	})
	if err != nil {
		return nil, told(err)
	}
	if former := text(p.Extends); former != "" {
		var gone *target.Error
		if err := t.EndLease(ctx, former); err != nil && (!errors.As(err, &gone) || gone.Status != http.StatusNotFound) {
			return nil, told(err)
		}
	}
	return lease(l), nil
}

// EndLease implements console.Service.
func (s *Service) EndLease(ctx context.Context, p *console.EndLeasePayload) error {
	t, err := s.target(p.Service)
	if err != nil {
		return err
	}
	return told(t.EndLease(ctx, p.ID))
}

// Contract implements console.Service.
func (s *Service) Contract(ctx context.Context, p *console.ContractPayload) (*console.Contract2, error) {
	t, err := s.target(p.Service)
	if err != nil {
		return nil, err
	}
	_, raw, err := t.Contract(ctx)
	if err != nil {
		return nil, told(err)
	}
	return &console.Contract2{Service: p.Service, Contract: raw, Proof: proof(t.Proof())}, nil
}

// proof converts a report; nil is none.
func proof(p *target.Proof) *console.Proof {
	if p == nil {
		return nil
	}
	out := &console.Proof{Time: stamp(p.Began.UnixNano()), Findings: []*console.Finding{}}
	questions, fixes := make(map[string]string), make(map[string]string)
	for _, q := range p.Probes {
		questions[q.Code], fixes[q.Code] = q.Question, q.Fix
	}
	for i := range p.Findings {
		f := &p.Findings[i]
		verdict := f.Outcome()
		switch verdict {
		case "pass":
			out.Passed++
		case "waived":
			out.Waived++
		case "skip":
			out.Skipped++
		default:
			out.Failed++
		}
		out.Findings = append(out.Findings, &console.Finding{
			Code: f.Code, Target: optional(f.Method), Verdict: verdict, Question: questions[f.Code], Detail: optional(f.Detail), Fix: optional(fixes[f.Code]),
		})
	}
	return out
}
