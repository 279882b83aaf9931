package store

import (
	"math"
	"strconv"
	"strings"
)

// Filter says what to find. Its zero value finds everything.
type Filter struct {
	// Since and Until bound the time, in nanoseconds since 1970: that of a log
	// record or point, the begin of a span. 0 is no bound.
	Since, Until int64
	// Service is service.name.
	Service string
	// Text is contained in a name, body or value of an attribute, in any case
	// of ASCII letters.
	Text string
	// Attrs must all hold, of the item or of its resource; at most 64.
	Attrs []Match
	// Method is the name of a span, or the Goa service and method of a span or
	// log record, as service.method or as method.
	Method string
	// Trace is the trace that it belongs to.
	Trace TraceID
	// Status is of spans: StatusError, StatusOK for all others, 0 for any.
	Status uint8
	// Kind is of spans; 0 is any.
	Kind uint8
	// MinDuration and MaxDuration bound that of spans; 0 is no bound.
	MinDuration, MaxDuration int64
	// Severity is the least severity of log records.
	Severity uint8
	// Metric is the name of a metric.
	Metric string
}

// Op is how a Match compares.
type Op string

// The operators.
const (
	Exists   Op = ""
	Equal    Op = "="
	NotEqual Op = "!=" // also where there is no such attribute
	More     Op = ">"
	Less     Op = "<"
)

// Match is a condition on an attribute.
type Match struct {
	Key, Value string
	Op         Op
}

// ParseMatch reads name=value, name!=value, name>number, name<number or name.
func ParseMatch(text string) Match {
	i := strings.IndexAny(text, "=!<>")
	if i <= 0 {
		return Match{Key: text}
	}
	for _, op := range []Op{NotEqual, Equal, More, Less} {
		if value, ok := strings.CutPrefix(text[i:], string(op)); ok {
			return Match{Key: text[:i], Op: op, Value: value}
		}
	}
	return Match{Key: text}
}

// matcher is a Filter prepared for one segment.
type matcher struct {
	*Filter
	sig     Signal
	seg     *segment
	sources []fromSource
	attrs   []condition
	text    []bool // of the strings that contain Text
	name    uint32 // Method as the name of a span
	service named  // Method's part before the dot, as an attribute
	method  named
	metric  uint32
	wanted  uint64 // the conditions that must be met: all but those of NotEqual
}

// fromSource is what a source of the segment says to a filter.
type fromSource struct {
	out  bool   // of another service
	met  uint64 // the conditions that its resource meets, by index
	text bool   // the resource contains Text
}

// named is an attribute that Aguada's spans and its log lines have, each under a
// name of its own; ids that the segment lacks are none.
type named struct{ span, line, value uint32 }

// none is the id of what the segment lacks.
const none = math.MaxUint32

// condition is a Match with ids instead of strings.
type condition struct {
	Match
	key     uint32
	value   uint32
	known   bool // the segment has the value as a string
	number  float64
	numeric bool
}

// prepare returns the matcher, or nil if nothing of the segment can match.
func (f *Filter) prepare(sig Signal, s *segment) *matcher {
	if len(s.rows) == 0 || f.Since != 0 && s.newest < f.Since || f.Until != 0 && s.oldest > f.Until {
		return nil
	}
	m := &matcher{Filter: f, sig: sig, seg: s}
	for i, a := range f.Attrs {
		m.attrs = append(m.attrs, m.condition(a))
		if a.Op != NotEqual {
			m.wanted |= 1 << i
		}
	}
	if f.Text != "" {
		m.text = s.dict.containing([]byte(strings.ToLower(f.Text)))
	}
	if f.Method != "" {
		m.name = m.id(f.Method)
		service, method, ok := strings.Cut(f.Method, ".")
		if !ok {
			service, method = "", f.Method
		}
		m.service = named{m.id("goa.service"), m.id("service"), m.id(service)}
		m.method = named{m.id("goa.method"), m.id("method"), m.id(method)}
	}
	if f.Metric != "" {
		id, ok := s.dict.find([]byte(f.Metric))
		if !ok {
			return nil
		}
		m.metric = id
	}
	return m.readSources()
}

// readSources judges the sources; it returns nil if all of them are out.
func (m *matcher) readSources() *matcher {
	m.sources = make([]fromSource, len(m.seg.sources))
	some := false
	for i, from := range m.seg.sources {
		d := &m.seg.dict
		v := &m.sources[i]
		v.out = m.Service != "" && string(d.get(from.service)) != m.Service
		some = some || !v.out
		u := unpacker{d, d.get(from.resource)}
		for n := u.uint(); n > 0; n-- {
			key := u.id()
			value, id := u.value()
			v.met |= m.meets(key, value, id)
			v.text = v.text || m.text != nil && m.text[id]
		}
	}
	if !some {
		return nil
	}
	return m
}

// id returns the id of a string, or none.
func (m *matcher) id(text string) uint32 {
	if id, ok := m.seg.dict.find([]byte(text)); ok {
		return id
	}
	return none
}

func (m *matcher) condition(a Match) condition {
	c := condition{Match: a, key: m.id(a.Key)}
	c.value, c.known = m.seg.dict.find([]byte(a.Value))
	number, err := strconv.ParseFloat(a.Value, 64)
	c.number, c.numeric = number, err == nil
	return c
}

// meets returns which conditions an attribute meets. Of a NotEqual the bit says
// that the value is there, which is what it must not be.
func (m *matcher) meets(key uint32, v Value, id uint32) (met uint64) {
	for i := range m.attrs {
		if c := &m.attrs[i]; key == c.key && c.holds(v, id) {
			met |= 1 << i
		}
	}
	return met
}

func (c *condition) holds(v Value, id uint32) bool {
	switch c.Op {
	case Exists:
		return true
	case Equal, NotEqual:
		switch v.Kind {
		case String, JSON:
			return c.known && id == c.value
		case Bool:
			return c.Value == strconv.FormatBool(v.Num == 1)
		}
		n, ok := v.number()
		return ok && c.numeric && n == c.number
	}
	n, ok := v.number()
	return ok && c.numeric && (c.Op == More && n > c.number || c.Op == Less && n < c.number)
}

// number returns a value that is a number, or the text of one.
func (v Value) number() (float64, bool) {
	switch v.Kind {
	case Int:
		return float64(int64(v.Num)), true
	case Double:
		return math.Float64frombits(v.Num), true
	case String:
		n, err := strconv.ParseFloat(string(v.Bytes), 64)
		return n, err == nil
	}
	return 0, false
}

// row reports whether a row matches; of a point, but for its series.
func (m *matcher) row(r *row) bool {
	if m.Since != 0 && r.time < m.Since || m.Until != 0 && r.time > m.Until || m.sources[r.source].out ||
		m.Trace != (TraceID{}) && r.trace != m.Trace {
		return false
	}
	switch m.sig {
	case Traces:
		return (m.Kind == 0 || r.kind == m.Kind) && (m.Status == 0 || (r.status == StatusError) == (m.Status == StatusError)) &&
			r.extra >= m.MinDuration && (m.MaxDuration == 0 || r.extra <= m.MaxDuration) && m.content(r)
	case Logs:
		return r.kind >= m.Severity && m.content(r)
	}
	return true
}

// content judges what is packed.
func (m *matcher) content(r *row) bool {
	from := &m.sources[r.source]
	met := from.met
	text := m.text == nil || from.text || m.text[r.name]
	method := m.Method == "" || r.name == m.name
	if text && method && len(m.attrs) == 0 {
		return true
	}
	service := m.service.value == 0
	is := false
	u := unpacker{&m.seg.dict, m.seg.data[r.data:]}
	for n := u.uint(); n > 0; n-- {
		key := u.id()
		var id uint32
		if len(m.attrs) > 0 && m.asked(key) {
			var v Value
			v, id = u.value()
			met |= m.meets(key, v, id)
		} else {
			id = u.skip()
		}
		text = text || m.text[id]
		service = service || id == m.service.value && (key == m.service.span || key == m.service.line)
		is = is || id == m.method.value && (key == m.method.span || key == m.method.line)
	}
	return (text || m.rest(&u)) && (method || service && is) && met == m.wanted
}

// asked reports whether a condition is about the attribute.
func (m *matcher) asked(key uint32) bool {
	for i := range m.attrs {
		if m.attrs[i].key == key {
			return true
		}
	}
	return false
}

// rest reports whether the body of a log record, or the message of a span's
// status, contains the text.
func (m *matcher) rest(u *unpacker) bool {
	if m.sig == Logs {
		_, id := u.value()
		return m.text[id]
	}
	return m.text[u.id()]
}

// series returns the series of the segment whose points match.
func (m *matcher) series() map[uint32]bool {
	found := make(map[uint32]bool)
	for i := range m.seg.rows {
		id := m.seg.rows[i].name
		if _, ok := found[id]; ok {
			continue
		}
		u := unpacker{&m.seg.dict, m.seg.dict.get(id)}
		from := &m.sources[u.uint()]
		name := u.id()
		if m.Metric != "" && name != m.metric || from.out {
			found[id] = false
			continue
		}
		u.id()
		u.id()
		u.b = u.b[3:]
		met := from.met
		for n := u.uint(); n > 0; n-- {
			key := u.id()
			v, id := u.value()
			met |= m.meets(key, v, id)
		}
		found[id] = met == m.wanted
	}
	return found
}
