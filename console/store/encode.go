package store

import (
	"encoding/binary"
	"hash/crc32"
	"math"
)

// form is the version of what encode writes.
const form = 1

// encode packs a sealed segment.
func (s *segment) encode() []byte {
	b := make([]byte, 0, s.size()+64)
	b = append(b, form)
	b = binary.AppendUvarint(b, uint64(len(s.rows)))
	for i := range s.rows {
		r := &s.rows[i]
		b = append(append(append(b, r.trace[:]...), r.span[:]...), r.parent[:]...)
		b = binary.LittleEndian.AppendUint64(b, uint64(r.time))
		b = binary.LittleEndian.AppendUint64(b, uint64(r.extra))
		for _, n := range []uint32{r.name, r.source, r.data} {
			b = binary.LittleEndian.AppendUint32(b, n)
		}
		b = append(b, r.kind, r.status)
	}
	b = appendBytes(b, s.data)
	b = appendBytes(b, s.dict.text)
	b = binary.AppendUvarint(b, uint64(len(s.dict.ends)))
	for _, end := range s.dict.ends {
		b = binary.LittleEndian.AppendUint32(b, end)
	}
	b = binary.AppendUvarint(b, uint64(len(s.sources)))
	for i := range s.sources {
		f := &s.sources[i]
		for _, n := range []uint32{f.service, f.instance, f.resource, f.scope, f.version} {
			b = binary.LittleEndian.AppendUint32(b, n)
		}
	}
	return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

func appendBytes(b, v []byte) []byte { return append(binary.AppendUvarint(b, uint64(len(v))), v...) }

// decode unpacks a segment, and reports whether it is one: everything in it has
// been read once when it says so, so that no later reader meets nonsense.
func decode(b []byte, sig Signal) (s *segment, ok bool) {
	defer func() {
		if recover() != nil { // it ends before it should, or refers to what is not there
			s, ok = nil, false
		}
	}()
	if sig < 0 || sig >= signals || len(b) < 5 {
		return nil, false
	}
	body := b[:len(b)-4]
	if crc32.ChecksumIEEE(body) != binary.LittleEndian.Uint32(b[len(b)-4:]) || body[0] != form {
		return nil, false
	}
	u := unpacker{b: body[1:]}
	s = newSegment(0, sig != Metrics)
	rows := make([]row, u.len())
	for i := range rows {
		r := &rows[i]
		u.take(r.trace[:])
		u.take(r.span[:])
		u.take(r.parent[:])
		r.time, r.extra = int64(u.fixed64()), int64(u.fixed64())
		r.name, r.source, r.data = u.fixed32(), u.fixed32(), u.fixed32()
		r.kind, r.status = u.byte(), u.byte()
	}
	s.data = u.bytes()
	s.dict.text = u.bytes()
	s.dict.ends = make([]uint32, u.len())
	for i := range s.dict.ends {
		s.dict.ends[i] = u.fixed32()
	}
	s.sources = make([]source, u.len())
	for i := range s.sources {
		f := &s.sources[i]
		for _, n := range []*uint32{&f.service, &f.instance, &f.resource, &f.scope, &f.version} {
			*n = u.fixed32()
		}
	}
	s.seen = make([]sighting, len(s.sources))
	s.check(rows, sig)
	s.dict.table = nil
	return s, len(u.b) == 0
}

// check reads everything of rows, and adds them. It panics where something is
// wrong.
func (s *segment) check(rows []row, sig Signal) {
	for id := range s.dict.ends {
		s.dict.get(uint32(id))
	}
	for _, from := range s.sources {
		u := unpacker{&s.dict, s.dict.get(from.resource)}
		u.attrs()
		for _, id := range []uint32{from.service, from.instance, from.scope, from.version} {
			s.dict.get(id)
		}
	}
	all := segment{rows: rows, data: s.data, dict: s.dict, sources: s.sources}
	for i := range rows {
		r := Ref{&all, i}
		rows[i].next = 0
		end := rows[i].time
		switch sig {
		case Traces:
			r.Span()
			end += rows[i].extra
		case Logs:
			r.Log()
		case Metrics:
			r.Point()
			r.Series()
		}
		r.Name()
		s.add(rows[i], max(end, math.MinInt64))
	}
}
