package store

import (
	"encoding/binary"
	"math"
)

// What has no column of its own is packed into a segment's data: numbers as
// varints, strings by their id in the segment's dictionary.

// value appends a value.
func (s *segment) value(b []byte, v Value) []byte {
	b = append(b, byte(v.Kind))
	switch v.Kind {
	case String, Binary, JSON:
		return binary.AppendUvarint(b, uint64(s.dict.id(v.Bytes)))
	case Int:
		return binary.AppendVarint(b, int64(v.Num))
	case Double:
		return binary.LittleEndian.AppendUint64(b, v.Num)
	case Bool:
		return append(b, byte(v.Num))
	}
	return b
}

// attrs appends attributes.
func (s *segment) attrs(b []byte, attrs []Attr) []byte {
	b = binary.AppendUvarint(b, uint64(len(attrs)))
	for _, a := range attrs {
		b = binary.AppendUvarint(b, uint64(s.dict.id(a.Key)))
		b = s.value(b, a.Value)
	}
	return b
}

func (s *segment) text(b, text []byte) []byte {
	return binary.AppendUvarint(b, uint64(s.dict.id(text)))
}

func appendFloat(b []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
}

// unpacker reads what was packed. It trusts what it reads: the store wrote it,
// and checks what it loads from a file.
type unpacker struct {
	dict *dict
	b    []byte
}

func (u *unpacker) uint() uint64 {
	if c := u.b[0]; c < 0x80 {
		u.b = u.b[1:]
		return uint64(c)
	}
	v, n := binary.Uvarint(u.b)
	u.b = u.b[n:]
	return v
}

func (u *unpacker) int() int64 {
	v, n := binary.Varint(u.b)
	u.b = u.b[n:]
	return v
}

func (u *unpacker) byte() byte {
	v := u.b[0]
	u.b = u.b[1:]
	return v
}

func (u *unpacker) float() float64 { return math.Float64frombits(u.fixed64()) }

func (u *unpacker) take(to []byte) {
	copy(to, u.b[:len(to)])
	u.b = u.b[len(to):]
}

// len reads how many there are of something that takes a byte at least, or
// panics, rather than have that many made.
func (u *unpacker) len() int {
	n := u.uint()
	if n > uint64(len(u.b)) {
		panic("more items than bytes")
	}
	return int(n)
}

func (u *unpacker) fixed32() uint32 {
	v := binary.LittleEndian.Uint32(u.b)
	u.b = u.b[4:]
	return v
}

func (u *unpacker) fixed64() uint64 {
	v := binary.LittleEndian.Uint64(u.b)
	u.b = u.b[8:]
	return v
}

func (u *unpacker) bytes() []byte {
	n := u.len()
	v := u.b[:n:n]
	u.b = u.b[n:]
	return v
}

func (u *unpacker) id() uint32 { return uint32(u.uint()) }

func (u *unpacker) text() []byte { return u.dict.get(u.id()) }

// value reads a value; of strings, the id too.
func (u *unpacker) value() (v Value, id uint32) {
	v.Kind = ValueKind(u.byte())
	switch v.Kind {
	case String, Binary, JSON:
		id = u.id()
		v.Bytes = u.dict.get(id)
	case Int:
		v.Num = uint64(u.int())
	case Double:
		v.Num = binary.LittleEndian.Uint64(u.b)
		u.b = u.b[8:]
	case Bool:
		v.Num = uint64(u.byte())
	}
	return v, id
}

// skip leaves a value out, and returns its id if it has one, which is never 0
// for a text that is not empty.
func (u *unpacker) skip() (id uint32) {
	switch ValueKind(u.byte()) {
	case String, Binary, JSON:
		return u.id()
	case Int:
		u.uint()
	case Double:
		u.b = u.b[8:]
	case Bool:
		u.b = u.b[1:]
	}
	return 0
}

// attrs reads attributes. They point into the segment.
func (u *unpacker) attrs() []Attr {
	n := u.len()
	if n == 0 {
		return nil
	}
	all := make([]Attr, n)
	for i := range all {
		all[i].Key = u.text()
		all[i].Value, _ = u.value()
	}
	return all
}
