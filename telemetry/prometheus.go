package telemetry

import (
	"bytes"
	"context"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/otlptranslator"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// exposition writes metrics in Prometheus' text format, or in OpenMetrics. It
// is our own because Prometheus' client library links expvar, which publishes
// the command line on the DefaultServeMux of whoever imports it. Names follow
// OpenTelemetry's rules for Prometheus.
type exposition struct {
	reader *sdkmetric.ManualReader
	logger *slog.Logger
	mu     sync.Mutex // one collection at a time
}

// The content types of what is served.
const (
	textFormat  = "text/plain; version=0.0.4; charset=utf-8"
	openMetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8"
)

// collectTimeout bounds the callbacks of one collection.
const collectTimeout = 5 * time.Second

// ServeHTTP implements http.Handler.
func (e *exposition) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		return
	}
	p := &page{open: strings.Contains(strings.Join(r.Header["Accept"], ","), "application/openmetrics-text")}
	if e.reader != nil {
		ctx, cancel := context.WithTimeout(r.Context(), collectTimeout)
		defer cancel()
		var rm metricdata.ResourceMetrics
		e.mu.Lock()
		err := e.reader.Collect(ctx, &rm)
		e.mu.Unlock()
		if err != nil { // of one instrument: the others are worth showing
			e.logger.Warn("metrics are not complete", slog.Any("error", err))
		}
		p.add(&rm)
	}
	contentType := textFormat
	if p.open {
		contentType = openMetrics
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(p.text())
}

// page is one answer.
type page struct {
	open     bool
	families map[string]*family
}

// family is all series of one name.
type family struct {
	name, kind, help string
	seen             map[string]bool // series that are written
	b                bytes.Buffer
}

func (p *page) add(rm *metricdata.ResourceMetrics) {
	p.families = map[string]*family{}
	if rm.Resource != nil {
		if f := p.family("target_info", "gauge", "Who is speaking."); f != nil {
			p.sample(f, "target_info", p.labels(*rm.Resource.Set()), "", "1", nil)
		}
	}
	for _, scope := range rm.ScopeMetrics {
		for i := range scope.Metrics {
			p.metric(&scope.Metrics[i])
		}
	}
}

// family finds or makes one; nil when the name is taken by another kind.
func (p *page) family(name, kind, help string) *family {
	f := p.families[name]
	if f == nil {
		f = &family{name: name, kind: kind, help: help, seen: map[string]bool{}}
		p.families[name] = f
	}
	if f.kind != kind {
		return nil
	}
	return f
}

func (p *page) text() []byte {
	names := make([]string, 0, len(p.families))
	for name := range p.families {
		names = append(names, name)
	}
	slices.Sort(names)
	var b bytes.Buffer
	for _, name := range names {
		f := p.families[name]
		if p.open && f.kind == "counter" {
			name = strings.TrimSuffix(name, "_total")
		}
		b.WriteString("# HELP " + name + " " + escapeHelp(f.help, p.open) + "\n# TYPE " + name + " " + f.kind + "\n")
		b.Write(f.b.Bytes())
	}
	if p.open {
		b.WriteString("# EOF\n")
	}
	return b.Bytes()
}

func escapeHelp(s string, quotes bool) string {
	s = strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(strings.ToValidUTF8(s, "\ufffd"))
	if quotes {
		s = strings.ReplaceAll(s, `"`, `\"`)
	}
	return s
}

// metric writes the series of one instrument.
func (p *page) metric(m *metricdata.Metrics) {
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		points(p, m, sumKind(data.IsMonotonic), data.DataPoints)
	case metricdata.Sum[float64]:
		points(p, m, sumKind(data.IsMonotonic), data.DataPoints)
	case metricdata.Gauge[int64]:
		points(p, m, otlptranslator.MetricTypeGauge, data.DataPoints)
	case metricdata.Gauge[float64]:
		points(p, m, otlptranslator.MetricTypeGauge, data.DataPoints)
	case metricdata.Histogram[int64]:
		histograms(p, m, data.DataPoints)
	case metricdata.Histogram[float64]:
		histograms(p, m, data.DataPoints)
	}
}

func sumKind(monotonic bool) otlptranslator.MetricType {
	if monotonic {
		return otlptranslator.MetricTypeMonotonicCounter
	}
	return otlptranslator.MetricTypeNonMonotonicCounter
}

// reserved takes away the endings that belong to histograms: go.goroutine.count
// is go_goroutine here.
var reserved = strings.NewReplacer("_count\n", "", "_sum\n", "", "_bucket\n", "", "\n", "")

// start finds the family of an instrument.
func (p *page) start(m *metricdata.Metrics, kind otlptranslator.MetricType) *family {
	namer := otlptranslator.MetricNamer{WithMetricSuffixes: true}
	name, err := namer.Build(otlptranslator.Metric{Name: m.Name, Unit: m.Unit, Type: kind})
	if err != nil {
		return nil
	}
	text := "gauge"
	if kind != otlptranslator.MetricTypeHistogram {
		name = reserved.Replace(name + "\n")
	}
	switch kind {
	case otlptranslator.MetricTypeMonotonicCounter:
		text = "counter"
	case otlptranslator.MetricTypeHistogram:
		text = "histogram"
	}
	return p.family(name, text, m.Description)
}

func points[N int64 | float64](p *page, m *metricdata.Metrics, kind otlptranslator.MetricType, data []metricdata.DataPoint[N]) {
	f := p.start(m, kind)
	if f == nil {
		return
	}
	for i := range data {
		d := &data[i]
		var x *exemplarOf
		if p.open && f.kind == "counter" && len(d.Exemplars) > 0 {
			x = exemplar(&d.Exemplars[len(d.Exemplars)-1])
		}
		labels := p.labels(d.Attributes)
		if f.first(labels) {
			p.sample(f, f.name, labels, "", formatFloat(float64(d.Value)), x)
		}
	}
}

func histograms[N int64 | float64](p *page, m *metricdata.Metrics, data []metricdata.HistogramDataPoint[N]) {
	f := p.start(m, otlptranslator.MetricTypeHistogram)
	if f == nil {
		return
	}
	for i := range data {
		d := &data[i]
		labels := p.labels(d.Attributes)
		if !f.first(labels) {
			continue
		}
		var sum uint64
		lower := math.Inf(-1)
		for j, n := range d.BucketCounts {
			sum += n
			upper := math.Inf(1)
			if j < len(d.Bounds) {
				upper = d.Bounds[j]
			}
			var x *exemplarOf
			if p.open {
				x = within(d.Exemplars, lower, upper)
			}
			p.sample(f, f.name+"_bucket", labels, formatFloat(upper), strconv.FormatUint(sum, 10), x)
			lower = upper
		}
		p.sample(f, f.name+"_sum", labels, "", formatFloat(float64(d.Sum)), nil)
		p.sample(f, f.name+"_count", labels, "", strconv.FormatUint(d.Count, 10), nil)
	}
}

// first reports whether the series is new: two scopes may have made the same,
// which Prometheus would refuse.
func (f *family) first(labels string) bool {
	if f.seen[labels] {
		return false
	}
	f.seen[labels] = true
	return true
}

// exemplarOf is a measurement that stands for others, with its trace.
type exemplarOf struct {
	value       float64
	at          time.Time
	trace, span []byte
}

func exemplar[N int64 | float64](e *metricdata.Exemplar[N]) *exemplarOf {
	if len(e.TraceID) == 0 {
		return nil
	}
	return &exemplarOf{value: float64(e.Value), at: e.Time, trace: e.TraceID, span: e.SpanID}
}

// within returns the newest exemplar above lower and up to upper.
func within[N int64 | float64](all []metricdata.Exemplar[N], lower, upper float64) *exemplarOf {
	var found *exemplarOf
	for i := range all {
		e := exemplar(&all[i])
		if e != nil && e.value > lower && e.value <= upper && (found == nil || e.at.After(found.at)) {
			found = e
		}
	}
	return found
}

// sample writes one line.
func (p *page) sample(f *family, name, labels, le, value string, x *exemplarOf) {
	b := &f.b
	b.WriteString(name)
	if le != "" {
		if p.open && !strings.ContainsAny(le, ".eI") {
			le += ".0" // OpenMetrics' canonical number
		}
		if labels != "" {
			labels += ","
		}
		labels += `le="` + le + `"`
	}
	if labels != "" {
		b.WriteString("{" + labels + "}")
	}
	b.WriteString(" " + value)
	if x != nil {
		line := append([]byte(` # {trace_id="`), appendHex(nil, x.trace)...)
		line = append(append(line, `",span_id="`...), appendHex(nil, x.span)...)
		b.Write(append(line, `"} `...))
		b.WriteString(formatFloat(x.value) + " " + strconv.FormatFloat(float64(x.at.UnixMilli())/1000, 'f', 3, 64))
	}
	b.WriteByte('\n')
}

// labels writes attributes as label pairs, sorted. Attributes whose names
// become the same share one label, as OpenTelemetry asks for.
func (p *page) labels(set attribute.Set) string {
	namer := otlptranslator.LabelNamer{}
	values := map[string]string{}
	names := make([]string, 0, set.Len())
	for it := set.Iter(); it.Next(); {
		a := it.Attribute()
		name, err := namer.Build(string(a.Key))
		if err != nil {
			continue
		}
		value := strings.ToValidUTF8(a.Value.String(), "\ufffd")
		if before, ok := values[name]; ok {
			values[name] = before + ";" + value
			continue
		}
		values[name] = value
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	escape := strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
	for i, name := range names {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(name + `="` + escape.Replace(values[name]) + `"`)
	}
	return b.String()
}

func formatFloat(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "+Inf"
	case math.IsInf(f, -1):
		return "-Inf"
	case math.IsNaN(f):
		return "NaN"
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}
