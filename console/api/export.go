package api

import (
	"bufio"
	"context"
	"encoding/json"
	"io"

	"github.com/aguada-dev/aguada/console/gen/console"
	"github.com/aguada-dev/aguada/console/store"
)

// ndjson is the media type of exports.
const ndjson = "application/x-ndjson"

// lines writes JSON objects, one a line, as they are read: nothing is gathered.
type lines struct {
	ctx  context.Context
	each func(write func(any) bool)
}

// Read is not used, since WriteTo is.
func (*lines) Read([]byte) (int, error) { return 0, io.EOF }

// Close implements io.Closer.
func (*lines) Close() error { return nil }

// WriteTo implements io.WriterTo. It stops when the reader is gone.
func (l *lines) WriteTo(w io.Writer) (int64, error) {
	count := &counter{w: w}
	out := bufio.NewWriterSize(count, 64<<10)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	var err error
	l.each(func(v any) bool {
		if err = l.ctx.Err(); err == nil {
			err = enc.Encode(v)
		}
		return err == nil
	})
	if err != nil {
		return count.n, err
	}
	err = out.Flush()
	return count.n, err
}

// counter counts what is written.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// walk writes up to limit of what a filter matches.
func (s *Service) walk(ctx context.Context, sig store.Signal, f *store.Filter, limit int, convert func(store.Ref) any) io.ReadCloser {
	return &lines{ctx, func(write func(any) bool) {
		n := 0
		s.store.Walk(sig, f, func(r store.Ref) bool {
			n++
			return n <= limit && write(convert(r))
		})
	}}
}

// spanLine is a span in an export.
type spanLine struct {
	TraceID       string         `json:"trace_id"`
	SpanID        string         `json:"span_id"`
	ParentID      *string        `json:"parent_id,omitempty"`
	Service       string         `json:"service"`
	Scope         *string        `json:"scope,omitempty"`
	Name          string         `json:"name"`
	Kind          string         `json:"kind"`
	Start         string         `json:"start"`
	DurationNS    int64          `json:"duration_ns"`
	Status        string         `json:"status"`
	StatusMessage *string        `json:"status_message,omitempty"`
	Attributes    map[string]any `json:"attributes,omitempty"`
	Resource      map[string]any `json:"resource,omitempty"`
}

// ExportSpans implements console.Service.
func (s *Service) ExportSpans(ctx context.Context, p *console.ExportSpansPayload) (*console.ExportSpansResult, io.ReadCloser, error) {
	f, err := s.spanFilter(&console.TracesPayload{
		Since: p.Since, Until: p.Until, Service: p.Service, Q: p.Q, Attr: p.Attr, Method: p.Method, Status: p.Status, Min: p.Min, Max: p.Max, Trace: p.Trace, Kind: p.Kind,
	})
	if err != nil {
		return nil, nil, err
	}
	return &console.ExportSpansResult{Type: ndjson}, s.walk(ctx, store.Traces, f, p.Limit, func(r store.Ref) any {
		v := r.Span()
		o := span(r, &v, v.Start)
		return spanLine{
			o.TraceID, o.SpanID, o.ParentID, o.Service, o.Scope, o.Name, o.Kind, o.Start, o.DurationNs, o.Status, o.StatusMessage, o.Attributes, o.Resource,
		}
	}), nil
}

// logLine is a log record in an export.
type logLine struct {
	Time       string         `json:"time"`
	Level      string         `json:"level"`
	Severity   int            `json:"severity"`
	Service    string         `json:"service"`
	Scope      *string        `json:"scope,omitempty"`
	Event      *string        `json:"event,omitempty"`
	Body       any            `json:"body"`
	Attributes map[string]any `json:"attributes,omitempty"`
	TraceID    *string        `json:"trace_id,omitempty"`
	SpanID     *string        `json:"span_id,omitempty"`
}

// ExportLogs implements console.Service.
func (s *Service) ExportLogs(ctx context.Context, p *console.ExportLogsPayload) (*console.ExportLogsResult, io.ReadCloser, error) {
	f, err := s.logFilter((*console.LogsPayload)(p))
	if err != nil {
		return nil, nil, err
	}
	return &console.ExportLogsResult{Type: ndjson}, s.walk(ctx, store.Logs, f, p.Limit, func(r store.Ref) any {
		o := record(r)
		return logLine{o.Time, o.Level, o.Severity, o.Service, o.Scope, o.Event, o.Body, o.Attributes, o.TraceID, o.SpanID}
	}), nil
}

// pointLine is a point in an export.
type pointLine struct {
	Time        string         `json:"time"`
	Start       string         `json:"start,omitempty"`
	Service     string         `json:"service"`
	Instance    string         `json:"instance,omitempty"`
	Name        string         `json:"name"`
	Unit        string         `json:"unit"`
	Type        string         `json:"type"`
	Temporality string         `json:"temporality,omitempty"`
	Attributes  map[string]any `json:"attributes,omitempty"`
	Value       any            `json:"value"` // of histograms: the sum
	Count       *uint64        `json:"count,omitempty"`
	Bounds      []float64      `json:"bounds,omitempty"`
	Counts      []uint64       `json:"counts,omitempty"`
	Scale       *int32         `json:"scale,omitempty"`
	Zero        *uint64        `json:"zero,omitempty"`
	Positive    *store.Buckets `json:"positive,omitempty"`
	Negative    *store.Buckets `json:"negative,omitempty"`
}

// ExportPoints implements console.Service.
func (s *Service) ExportPoints(ctx context.Context, p *console.ExportPointsPayload) (*console.ExportPointsResult, io.ReadCloser, error) {
	f, err := s.filter(p.Since, p.Until, p.Service, nil, p.Attr)
	if err != nil {
		return nil, nil, err
	}
	f.Metric = text(p.Name)
	return &console.ExportPointsResult{Type: ndjson}, s.walk(ctx, store.Metrics, f, 1_000_000, func(r store.Ref) any {
		v, of := r.Point(), r.Series()
		line := pointLine{
			Time: stamp(v.Time), Service: of.Service, Instance: of.Instance, Name: valid(of.Name), Unit: valid(of.Unit), Type: typeNames[of.Type],
			Temporality: temporalities[of.Temporality], Attributes: attributes(of.Attrs), Value: number(v.Value), Bounds: v.Bounds, Counts: v.Counts,
		}
		if v.Start > 0 {
			line.Start = stamp(v.Start)
		}
		if of.Type >= store.Histogram {
			line.Count = &v.Count
		}
		if of.Type == store.ExponentialHistogram {
			line.Scale, line.Zero, line.Positive, line.Negative = &v.Scale, &v.Zero, &v.Positive, &v.Negative
		}
		return line
	}), nil
}
