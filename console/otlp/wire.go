package otlp

import (
	"encoding/binary"
	"errors"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// errMalformed reports bytes that are no message of protocol buffers.
var errMalformed = errors.New("malformed message")

// maxBuckets is how many buckets a histogram may have; SDKs make 160 at most
// unless they are told otherwise.
const maxBuckets = 4096

// cursor walks over the fields of an encoded message. Fields of groups, which
// OTLP has none of, are malformed.
type cursor struct {
	b   []byte
	num protowire.Number
	typ protowire.Type
	v   []byte // of a field of bytes
	n   uint64 // of any other
	err error
}

// next reads the next field, and reports whether there was one.
func (c *cursor) next() bool {
	if len(c.b) == 0 || c.err != nil {
		return false
	}
	tag, n := binary.Uvarint(c.b)
	c.num, c.typ = protowire.Number(tag>>3), protowire.Type(tag&7)
	if n <= 0 || tag>>3 == 0 || tag>>3 > uint64(protowire.MaxValidNumber) {
		return c.fail()
	}
	c.b = c.b[n:]
	switch c.typ {
	case protowire.BytesType:
		size, n := binary.Uvarint(c.b)
		if n <= 0 || size > uint64(len(c.b)-n) {
			return c.fail()
		}
		c.v = c.b[n : n+int(size) : n+int(size)]
		c.b = c.b[n+int(size):]
	case protowire.VarintType:
		v, n := binary.Uvarint(c.b)
		if n <= 0 {
			return c.fail()
		}
		c.n, c.b = v, c.b[n:]
	case protowire.Fixed64Type:
		if len(c.b) < 8 {
			return c.fail()
		}
		c.n, c.b = binary.LittleEndian.Uint64(c.b), c.b[8:]
	case protowire.Fixed32Type:
		if len(c.b) < 4 {
			return c.fail()
		}
		c.n, c.b = uint64(binary.LittleEndian.Uint32(c.b)), c.b[4:]
	default:
		return c.fail()
	}
	return true
}

// each calls f for every field of an encoded message.
func each(b []byte, f func(c *cursor) error) error {
	c := cursor{b: b}
	for c.next() {
		if err := f(&c); err != nil {
			return err
		}
	}
	return c.err
}

func (c *cursor) fail() bool {
	c.err = errMalformed
	return false
}

// bytes returns the value of a field of bytes; of any other type, which a field
// of that number must not have, none.
func (c *cursor) bytes() []byte {
	if c.typ != protowire.BytesType {
		c.err = errMalformed
		return nil
	}
	return c.v
}

// number returns the value of a field that is a number of one size.
func (c *cursor) number(typ protowire.Type) uint64 {
	if c.typ != typ {
		c.err = errMalformed
		return 0
	}
	return c.n
}

func (c *cursor) varint() uint64 { return c.number(protowire.VarintType) }

func (c *cursor) fixed() uint64 { return c.number(protowire.Fixed64Type) }

func (c *cursor) double() float64 { return math.Float64frombits(c.fixed()) }

// time returns a time in nanoseconds; what no int64 holds is the latest.
func (c *cursor) time() int64 { return int64(min(c.fixed(), math.MaxInt64)) }

func (c *cursor) sint32() int32 { return int32(protowire.DecodeZigZag(c.varint())) }

// fixeds appends the values of a repeated fixed64, packed or not.
func (c *cursor) fixeds(to []uint64) []uint64 {
	if c.typ == protowire.Fixed64Type {
		return append(to, c.n)
	}
	b := c.bytes()
	if len(b)%8 != 0 || len(b)/8+len(to) > maxBuckets {
		c.err = errMalformed
		return to
	}
	for ; len(b) > 0; b = b[8:] {
		to = append(to, binary.LittleEndian.Uint64(b))
	}
	return to
}

// varints appends the values of a repeated uint64, packed or not.
func (c *cursor) varints(to []uint64) []uint64 {
	if c.typ == protowire.VarintType {
		return append(to, c.n)
	}
	for b := c.bytes(); len(b) > 0; {
		v, n := binary.Uvarint(b)
		if n <= 0 || len(to) == maxBuckets {
			c.err = errMalformed
			return to
		}
		to, b = append(to, v), b[n:]
	}
	return to
}

// doubles appends the values of a repeated double, packed or not.
func (c *cursor) doubles(to []float64) []float64 {
	for _, v := range c.fixeds(nil) {
		to = append(to, math.Float64frombits(v))
	}
	return to
}
