package idempotency

import (
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"slices"
)

// Reply is what a call was answered, as its transport wrote it.
type Reply struct {
	// Status is the status code of the transport; not negative.
	Status int
	// Header and Trailer are those that belong to the result. Those that
	// belong to one call or one connection (its request id, limits, Date) are
	// not to be stored.
	Header, Trailer map[string][]string
	// Body is opaque.
	Body []byte
}

// The first byte of an encoded reply.
const (
	formatReply = 1
	formatSpent = 2 // done, without a reply
)

// spent returns what is stored of a call whose reply is not.
func spent() []byte { return []byte{formatSpent} }

// encodeReply is the reverse of decodeReply.
func encodeReply(form string, r *Reply) []byte {
	b := appendText([]byte{formatReply}, form)
	b = binary.AppendUvarint(b, uint64(max(r.Status, 0)))
	for _, fields := range []map[string][]string{r.Header, r.Trailer} {
		b = binary.AppendUvarint(b, uint64(len(fields)))
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			b = appendText(b, name)
			b = binary.AppendUvarint(b, uint64(len(fields[name])))
			for _, value := range fields[name] {
				b = appendText(b, value)
			}
		}
	}
	return append(b, r.Body...)
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

var errReply = errors.New("the stored reply cannot be read")

// decodeReply returns a reply and its form; nil where there is none. The reply
// refers to b.
func decodeReply(b []byte) (*Reply, string, error) {
	if len(b) == 1 && b[0] == formatSpent {
		return nil, "", nil
	}
	if len(b) == 0 || b[0] != formatReply {
		return nil, "", errReply
	}
	d := decoder{rest: b[1:]}
	r := &Reply{}
	form := d.text()
	r.Status = d.number(math.MaxInt32)
	r.Header = d.fields()
	r.Trailer = d.fields()
	if d.failed {
		return nil, "", errReply
	}
	r.Body = d.rest
	return r, form, nil
}

// decoder reads an encoded reply.
type decoder struct {
	rest   []byte
	failed bool
}

// number reads one that is at most limit.
func (d *decoder) number(limit int) int {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 || n > uint64(limit) {
		d.failed, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[size:]
	return int(n)
}

func (d *decoder) text() string {
	n := d.number(len(d.rest))
	if n > len(d.rest) {
		d.failed, d.rest = true, nil
		return ""
	}
	text := string(d.rest[:n])
	d.rest = d.rest[n:]
	return text
}

// fields reads headers. What is not there yet takes no memory.
func (d *decoder) fields() map[string][]string {
	n := d.number(len(d.rest))
	if n == 0 {
		return nil
	}
	fields := make(map[string][]string)
	for range n {
		name := d.text()
		values := []string{}
		for range d.number(len(d.rest)) {
			values = append(values, d.text())
			if d.failed {
				return nil
			}
		}
		if d.failed {
			return nil
		}
		fields[name] = values
	}
	return fields
}
