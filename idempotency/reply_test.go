package idempotency

import (
	"bytes"
	"reflect"
	"testing"
)

// What is stored comes back; what cannot have been stored is an error, and takes
// no more memory than it has bytes.
func FuzzDecodeReply(f *testing.F) {
	f.Add(encodeReply("http", &Reply{}))
	f.Add(encodeReply("http", &Reply{Status: 201, Header: map[string][]string{"A": {"1", "2"}, "B": {}}, Trailer: map[string][]string{"C": {""}}, Body: []byte("body")}))
	f.Add(spent())
	f.Add([]byte{})
	f.Add([]byte{1, 0, 0, 255, 255, 255, 255, 127})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, form, err := decodeReply(b)
		if err != nil || r == nil {
			if err == nil && !bytes.Equal(b, spent()) {
				t.Fatalf("%q is spent", b)
			}
			return
		}
		again, of, err := decodeReply(encodeReply(form, r))
		if err != nil || of != form || !reflect.DeepEqual(again, r) {
			t.Fatalf("%+v of %q becomes %+v of %q, %v", r, form, again, of, err)
		}
	})
}
