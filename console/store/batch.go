package store

// TraceID and SpanID are the ids of W3C Trace Context; all zeros mean none.
type (
	TraceID [16]byte
	SpanID  [8]byte
)

// ValueKind says what a Value is.
type ValueKind uint8

// The kinds of values, those of OTLP's AnyValue.
const (
	Null   ValueKind = iota
	String           // Bytes
	Bool             // Num, 0 or 1
	Int              // Num, as int64
	Double           // Num, as math.Float64bits
	Binary           // Bytes
	JSON             // Bytes: an array or a map as JSON text
)

// Value is the value of an attribute. Its bytes are copied by the store.
type Value struct {
	Kind  ValueKind
	Num   uint64
	Bytes []byte
}

// Attr is an attribute.
type Attr struct {
	Key   []byte
	Value Value
}

// Source is where telemetry comes from.
type Source struct {
	Resource []Attr
	// Scope and Version are those of the instrumentation.
	Scope, Version []byte
}

// Batch is what one export request holds, of any signal. Whatever it points to
// may be reused once it has been added.
type Batch struct {
	Sources []Source
	Spans   []Span
	Logs    []Log
	Points  []Point
}

// Span is a span to be added. Times are nanoseconds since 1970.
type Span struct {
	Source       int // index in Batch.Sources
	Trace        TraceID
	ID, Parent   SpanID
	Name         []byte
	Start, End   int64
	Kind, Status uint8 // numbers of OTLP
	Message      []byte
	Attrs        []Attr
	Events       []Event
	Links        []Link
	Dropped      uint32 // attributes, events and links that the sender left out
}

// Event is an event of a span.
type Event struct {
	Time  int64
	Name  []byte
	Attrs []Attr
}

// Link is a link of a span.
type Link struct {
	Trace TraceID
	Span  SpanID
	Attrs []Attr
}

// Log is a log record to be added.
type Log struct {
	Source   int
	Time     int64
	Severity uint8 // number of OTLP, 0 to 24
	Level    []byte
	Event    []byte
	Body     Value
	Trace    TraceID
	Span     SpanID
	Attrs    []Attr
}

// Type is the type of a metric.
type Type uint8

// The types of metrics.
const (
	Gauge Type = iota + 1
	Sum
	Histogram
	ExponentialHistogram
	Summary
)

// Temporality says what the points of a sum or histogram count from.
type Temporality uint8

// The temporalities, with OTLP's numbers.
const (
	Unspecified Temporality = iota
	Delta                   // from the point before
	Cumulative              // from the start of the process
)

// Metric is what points have in common.
type Metric struct {
	Name, Description, Unit []byte
	Type                    Type
	Temporality             Temporality
	Monotonic               bool
}

// Point is one point of a metric to be added.
type Point struct {
	Source      int
	Metric      *Metric
	Attrs       []Attr
	Start, Time int64
	// Value is that of a gauge or sum; the sum of the others.
	Value float64
	// Count and what follows are those of histograms and summaries.
	Count     uint64
	Min, Max  float64 // NaN where they are not known
	Bounds    []float64
	Counts    []uint64
	Scale     int32 // and what follows, of exponential histograms
	Zero      uint64
	Positive  Buckets
	Negative  Buckets
	Quantiles []float64 // pairs of quantile and value, of a summary
	Exemplars []Exemplar
}

// Buckets are the buckets of one side of an exponential histogram.
type Buckets struct {
	Offset int32
	Counts []uint64
}

// Exemplar is a measurement that a point was made of.
type Exemplar struct {
	Time  int64
	Value float64
	Trace TraceID
	Span  SpanID
	Attrs []Attr
}
