package sink

import (
	"strconv"
	"strings"
	"time"
)

// Attribute is a key and its value: a string, bool, int64, float64, []byte,
// []any of such, Attributes, or nil where the sender left it empty.
type Attribute struct {
	Key   string
	Value any
}

// Attributes are in the order in which they came; keys that came twice, which
// OpenTelemetry forbids, are here twice.
type Attributes []Attribute

// Get returns the value of a key, nil where there is none.
func (a Attributes) Get(key string) any {
	for i := range a {
		if a[i].Key == key {
			return a[i].Value
		}
	}
	return nil
}

// Text returns the value of a key as text, as String writes it; empty where
// there is none.
func (a Attributes) Text(key string) string { return String(a.Get(key)) }

// Map returns the attributes as texts. Of a key that came twice, the last counts.
func (a Attributes) Map() map[string]string {
	m := make(map[string]string, len(a))
	for i := range a {
		m[a[i].Key] = String(a[i].Value)
	}
	return m
}

// String writes a value of an attribute: numbers in decimal, bytes as they are,
// members of lists with commas between, those of maps as key=value.
func String(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []byte:
		return string(v)
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = String(v[i])
		}
		return strings.Join(parts, ",")
	case Attributes:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = v[i].Key + "=" + String(v[i].Value)
		}
		return strings.Join(parts, ",")
	}
	return ""
}

// Origin is who sent: a resource, and the part of its program that measured.
// All that came from it share one.
type Origin struct {
	Resource Attributes
	// Scope is the name of the instrumentation scope.
	Scope, Version  string
	ScopeAttributes Attributes

	key        string
	size, refs int
}

// Kind is what a span is about.
type Kind string

// The kinds of spans; empty is unspecified.
const (
	Internal Kind = "internal"
	Server   Kind = "server"
	Client   Kind = "client"
	Producer Kind = "producer"
	Consumer Kind = "consumer"
)

// Status says how a span ended.
type Status string

// The statuses of spans; empty is unset.
const (
	OK     Status = "ok"
	Failed Status = "error"
)

// Span is one finished span. Ids are in lower-case hex.
type Span struct {
	// TraceID has 32 digits, SpanID 16, and Parent 16 or none.
	TraceID, SpanID, Parent string
	Name                    string
	Kind                    Kind
	Status                  Status
	// Message is the status's.
	Message string
	// Flags are the W3C trace flags and, above them, whether the parent is
	// remote (SpanFlags of OTLP).
	Flags      uint32
	TraceState string
	Start, End time.Time
	Attributes Attributes
	Events     []Event
	Links      []Link
	Origin     *Origin

	seq  uint64
	size int
}

// Event is what happened within a span.
type Event struct {
	Time       time.Time
	Name       string
	Attributes Attributes
}

// Link points to another span.
type Link struct {
	TraceID, SpanID, TraceState string
	Attributes                  Attributes
}

// Record is one log record.
type Record struct {
	// Time is when it happened, or else when it was observed.
	Time time.Time
	// Severity is 1 to 24, 0 where unspecified: from 9 info, from 17 error.
	Severity     int
	SeverityText string
	// Body is a value as of an Attribute; String writes it.
	Body       any
	Event      string
	Attributes Attributes
	// TraceID and SpanID are empty where the record is about no span.
	TraceID, SpanID string
	Origin          *Origin

	seq  uint64
	size int
}

// Instrument is what a metric counts with.
type Instrument string

// The instruments.
const (
	Gauge                Instrument = "gauge"
	Sum                  Instrument = "sum"
	Histogram            Instrument = "histogram"
	ExponentialHistogram Instrument = "exponential_histogram"
	Summary              Instrument = "summary"
)

// Point is the latest point of a series: of a metric, its attributes and its
// origin.
type Point struct {
	Name, Unit, Description string
	Instrument              Instrument
	// Monotonic says of a sum that it never falls.
	Monotonic bool
	// Delta says of sums and histograms that the values are those of the last
	// interval, not since the start.
	Delta bool
	// Absent says that the sender had no value to tell.
	Absent      bool
	Attributes  Attributes
	Start, Time time.Time
	// Value is a gauge's or a sum's. Whole numbers beyond 2^53 lose digits.
	Value float64
	// Count and Total are how many values a histogram or summary took, and their
	// sum.
	Count uint64
	Total float64
	// Bounds are a histogram's upper limits, and Buckets the counts, one more.
	Bounds  []float64
	Buckets []uint64
	// Scale, Zero, Positive and Negative are an exponential histogram's.
	Scale              int
	Zero               uint64
	Positive, Negative Exponential
	// Quantiles are a summary's.
	Quantiles []Quantile
	Exemplars []Exemplar
	Origin    *Origin

	labels string // the attributes, to compare
	seq    uint64
	size   int
}

// Exponential is one side of an exponential histogram.
type Exponential struct {
	Offset  int
	Buckets []uint64
}

// Quantile is a quantile (0 to 1) of a summary and its value.
type Quantile struct{ Quantile, Value float64 }

// Exemplar is one of the values behind a point.
type Exemplar struct {
	Time            time.Time
	Value           float64
	TraceID, SpanID string
	Attributes      Attributes
}
