package otlp

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unsafe"

	"github.com/aguada-dev/aguada/console/store"
)

// maxDepth is how deep arrays and maps in values may be nested; what is deeper
// is left out.
const maxDepth = 16

// decoder turns encoded requests into a batch, without the detour of generated
// types: most of what they would allocate is thrown away at once. What the batch
// holds points into the request.
type decoder struct {
	batch    store.Batch
	attrs    []store.Attr // of everything in the batch
	weight   int          // about what the batch takes, in bytes
	rejected int64        // items that the batch lacks
	reason   string       // of the last of them
}

// reset forgets the batch, and keeps its memory unless that is much.
func (d *decoder) reset() {
	const most = 1 << 16
	if cap(d.attrs) > 16*most || cap(d.batch.Spans) > most || cap(d.batch.Logs) > most || cap(d.batch.Points) > most {
		*d = decoder{}
		return
	}
	b := &d.batch
	// Whatever still pointed into a request would keep it.
	clear(d.attrs)
	clear(b.Sources)
	clear(b.Spans)
	clear(b.Logs)
	clear(b.Points)
	*d = decoder{
		batch: store.Batch{Sources: b.Sources[:0], Spans: b.Spans[:0], Logs: b.Logs[:0], Points: b.Points[:0]},
		attrs: d.attrs[:0],
	}
}

// errWeight reports a request that would take much more memory than it has
// bytes.
var errWeight = errors.New("the request holds too many small items: send fewer at once")

// maxWeight bounds what a request takes while it is read, in bytes.
const maxWeight = 24 << 20

// charge accounts for n items of a size.
func (d *decoder) charge(n int, size uintptr) error {
	if d.weight += n * int(size); d.weight > maxWeight {
		return errWeight
	}
	return nil
}

// reject leaves an item out.
func (d *decoder) reject(reason string) {
	d.rejected++
	d.reason = reason
}

// request reads an ExportTraceServiceRequest, or that of another signal: they
// differ in what their scopes hold, which item reads.
func (d *decoder) request(b []byte, item func(source int, b []byte) error) error {
	return each(b, func(c *cursor) error {
		if c.num != 1 {
			return nil
		}
		return d.resource(c.bytes(), item)
	})
}

// resource reads ResourceSpans, ResourceLogs or ResourceMetrics, whose resource
// need not come first.
func (d *decoder) resource(b []byte, item func(int, []byte) error) error {
	begin := len(d.attrs)
	err := each(b, func(c *cursor) error {
		if c.num != 1 {
			return nil
		}
		return each(c.bytes(), func(c *cursor) error {
			if c.num != 1 {
				return nil
			}
			return d.attr(c.bytes())
		})
	})
	if err != nil {
		return err
	}
	from := store.Source{Resource: d.since(begin)}
	return each(b, func(c *cursor) error {
		if c.num != 2 {
			return nil
		}
		return d.scope(c.bytes(), from, item)
	})
}

// scope reads ScopeSpans, ScopeLogs or ScopeMetrics.
func (d *decoder) scope(b []byte, from store.Source, item func(int, []byte) error) error {
	err := each(b, func(c *cursor) error {
		if c.num != 1 {
			return nil
		}
		return each(c.bytes(), func(c *cursor) error {
			switch c.num {
			case 1:
				from.Scope = c.bytes()
			case 2:
				from.Version = c.bytes()
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	if err := d.charge(1, unsafe.Sizeof(from)); err != nil {
		return err
	}
	d.batch.Sources = append(d.batch.Sources, from)
	source := len(d.batch.Sources) - 1
	return each(b, func(c *cursor) error {
		if c.num != 2 {
			return nil
		}
		return item(source, c.bytes())
	})
}

// since returns the attributes that were read since begin.
func (d *decoder) since(begin int) []store.Attr {
	if begin == len(d.attrs) {
		return nil
	}
	return d.attrs[begin:len(d.attrs):len(d.attrs)]
}

// attr reads a KeyValue.
func (d *decoder) attr(b []byte) error {
	var a store.Attr
	c := cursor{b: b}
	for c.next() {
		switch c.num {
		case 1:
			a.Key = c.bytes()
		case 2:
			v, err := value(c.bytes())
			if err != nil {
				return err
			}
			a.Value = v
		}
	}
	d.attrs = append(d.attrs, a)
	if c.err != nil {
		return c.err
	}
	return d.charge(1, unsafe.Sizeof(a))
}

// value reads an AnyValue.
func value(b []byte) (v store.Value, err error) {
	c := cursor{b: b}
	for c.next() {
		switch c.num {
		case 1:
			v = store.Value{Kind: store.String, Bytes: c.bytes()}
		case 2:
			v = store.Value{Kind: store.Bool, Num: min(c.varint(), 1)}
		case 3:
			v = store.Value{Kind: store.Int, Num: c.varint()}
		case 4:
			v = store.Value{Kind: store.Double, Num: c.fixed()}
		case 5, 6:
			text, err := appendJSON(nil, b, 0)
			if err != nil {
				return v, err
			}
			v = store.Value{Kind: store.JSON, Bytes: text}
		case 7:
			v = store.Value{Kind: store.Binary, Bytes: c.bytes()}
		}
	}
	return v, c.err
}

// appendJSON appends an AnyValue as JSON.
func appendJSON(to, b []byte, depth int) ([]byte, error) {
	if depth > maxDepth {
		return append(to, `"…"`...), nil
	}
	c, begin := cursor{b: b}, len(to)
	for c.next() {
		to = to[:begin] // of several, the last one counts
		switch c.num {
		case 1:
			to = appendText(to, c.bytes())
		case 2:
			to = strconv.AppendBool(to, c.varint() != 0)
		case 3:
			to = strconv.AppendInt(to, int64(c.varint()), 10)
		case 4:
			to = appendNumber(to, c.double())
		case 5, 6:
			var err error
			if to, err = appendItems(to, c.bytes(), c.num == 6, depth); err != nil {
				return to, err
			}
		case 7:
			to = append(base64.StdEncoding.AppendEncode(append(to, '"'), c.bytes()), '"')
		}
	}
	if len(to) == begin {
		to = append(to, "null"...)
	}
	return to, c.err
}

// appendItems appends an ArrayValue, or a KeyValueList.
func appendItems(to, b []byte, object bool, depth int) ([]byte, error) {
	open, end := byte('['), byte(']')
	if object {
		open, end = '{', '}'
	}
	to = append(to, open)
	begin := len(to)
	c := cursor{b: b}
	for c.next() {
		if c.num != 1 {
			continue
		}
		if len(to) > begin {
			to = append(to, ',')
		}
		item := c.bytes()
		if object {
			kv := cursor{b: item}
			var key []byte
			item = nil
			for kv.next() {
				switch kv.num {
				case 1:
					key = kv.bytes()
				case 2:
					item = kv.bytes()
				}
			}
			if kv.err != nil {
				return to, kv.err
			}
			to = append(appendText(to, key), ':')
		}
		var err error
		if to, err = appendJSON(to, item, depth+1); err != nil {
			return to, err
		}
	}
	return append(to, end), c.err
}

func appendText(to, text []byte) []byte {
	b, err := json.Marshal(string(text))
	if err != nil {
		return append(to, `""`...)
	}
	return append(to, b...)
}

// appendNumber appends a number; those that JSON lacks as a string.
func appendNumber(to []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return fmt.Appendf(to, "%q", strconv.FormatFloat(f, 'g', -1, 64))
	}
	return strconv.AppendFloat(to, f, 'g', -1, 64)
}

// id copies an id and reports whether it has the right length and is not zero.
func id(to, from []byte) bool {
	if len(from) != len(to) {
		clear(to)
		return false
	}
	var any byte
	for i, b := range from {
		to[i] = b
		any |= b
	}
	return any != 0
}
