package otlp

import "github.com/aguada-dev/aguada/console/store"

// Decode reads a request into a store.
func Decode(sig store.Signal, b []byte, st *store.Store) (rejected int64, err error) {
	r := &Receiver{store: st, decoding: make(chan *decoder, 1)}
	r.decoding <- &decoder{}
	rejected, _, err = r.take(sig, b)
	return rejected, err
}

// FromJSON turns OTLP's JSON into protocol buffers.
func FromJSON(sig store.Signal, b []byte) ([]byte, error) { return fromJSON(sig, b) }
