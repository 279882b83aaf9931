package api

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"slices"

	"github.com/aguada-dev/aguada/console/gen/console"
	"github.com/aguada-dev/aguada/console/store"
	"github.com/aguada-dev/aguada/console/traces"
)

// Traces implements console.Service.
func (s *Service) Traces(_ context.Context, p *console.TracesPayload) (*console.TraceList, error) {
	f, err := s.spanFilter(p)
	if err != nil {
		return nil, err
	}
	order := store.Latest
	if p.Order == "slowest" {
		order = store.Slowest
	}
	hits, all, scanned := s.store.Found(f, order, p.Limit)
	out := &console.TraceList{Traces: []*console.TraceSummary{}, Matched: scanned.Matched, Scanned: scanned.Looked, More: all > len(hits)}
	for _, h := range hits {
		refs, evicted := s.store.Of(store.Traces, h.Trace)
		if len(refs) == 0 { // it gave way meanwhile
			continue
		}
		out.Traces = append(out.Traces, summary(traces.New(refs, evicted), h.Trace, h.Matched))
	}
	return out, nil
}

// maxInside bounds the log records of one trace that are shown.
const maxInside = 2000

// Trace implements console.Service.
func (s *Service) Trace(_ context.Context, p *console.TracePayload) (*console.Trace2, error) {
	id, err := traceID(&p.ID)
	if err != nil {
		return nil, err
	}
	refs, evicted := s.store.Of(store.Traces, id)
	logs, _ := s.store.Of(store.Logs, id)
	if len(refs) == 0 && len(logs) == 0 {
		return nil, console.MakeNotFound(errors.New("no span of this trace is here: it was not sampled, has not arrived yet, or gave way to newer ones"))
	}
	t := traces.New(refs, evicted)
	if len(refs) == 0 {
		t.Start = logs[0].Time()
	}
	out := &console.Trace2{
		ID: p.ID, Start: stamp(t.Start), DurationNs: t.Duration(), Spans: make([]*console.Span, 0, len(t.Spans)), Logs: []*console.LogRecord{},
		CriticalPath: []*console.Segment{}, Partial: t.Partial(), Evicted: t.Evicted, Orphans: t.Orphans,
	}
	for i := range t.Spans {
		out.Spans = append(out.Spans, span(t.Spans[i].Ref, &t.Spans[i].Span, t.Start))
	}
	for _, part := range t.CriticalPath() {
		out.CriticalPath = append(out.CriticalPath, &console.Segment{
			SpanID: spanID(t.Spans[part.Span].ID), OffsetNs: part.Start - t.Start, DurationNs: part.End - part.Start,
		})
	}
	slices.SortStableFunc(logs, func(a, b store.Ref) int { return cmp.Compare(a.Time(), b.Time()) })
	for _, r := range logs[:min(len(logs), maxInside)] {
		out.Logs = append(out.Logs, record(r))
	}
	return out, nil
}

// Map implements console.Service.
func (s *Service) Map(_ context.Context, p *console.MapPayload) (*console.Graph, error) {
	w, err := s.window(p.Since, p.Until, 1)
	if err != nil {
		return nil, err
	}
	return s.graph(w), nil
}

// hexTrace writes a trace id.
func hexTrace(t store.TraceID) string { return hex.EncodeToString(t[:]) }
