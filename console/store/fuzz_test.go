package store

import (
	"encoding/binary"
	"hash/crc32"
	"testing"
)

// Whatever a file holds, it is read or refused; what was read can be read again.
func FuzzDecode(f *testing.F) {
	s := newSegment(0, true)
	at := s.source(s.origin([]Attr{{Key: []byte("service.name"), Value: Value{Kind: String, Bytes: []byte("shop")}}}))
	s.data = s.attrs(s.data, []Attr{{Key: []byte("a"), Value: Value{Kind: Int, Num: 5}}})
	s.data = s.text(s.data, []byte("message"))
	s.data = append(s.data, 0, 0, 0)
	s.add(row{trace: TraceID{1}, span: SpanID{2}, time: 5, extra: 6, name: s.dict.id([]byte("name")), source: at, data: 1}, 11)
	s.seal(1)
	good := s.encode()
	if _, ok := decode(good, Traces); !ok {
		f.Fatal("a segment is not read")
	}
	f.Add(good[:len(good)-4], int(Traces))
	f.Add([]byte{form, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0}, int(Metrics))
	f.Fuzz(func(t *testing.T, body []byte, sig int) {
		g, ok := decode(binary.LittleEndian.AppendUint32(body[:len(body):len(body)], crc32.ChecksumIEEE(body)), Signal(sig))
		if !ok {
			return
		}
		for i := range g.rows {
			r := Ref{g, i}
			switch Signal(sig) {
			case Traces:
				r.Span()
			case Logs:
				r.Log()
			case Metrics:
				r.Point()
				r.Series()
			}
			r.Source()
		}
	})
}
