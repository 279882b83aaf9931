package transport

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// inbound is a message to be read. What is wrong with it is kept for the call:
// an error of the codec would be answered by the server itself, in the words of
// the decoder.
type inbound struct {
	m        any
	max      int64
	n        int64 // bytes, uncompressed
	tooLarge bool
	err      error
}

// outbound is a message to be sent, encoded.
type outbound struct{ data mem.BufferSlice }

// codec reads and writes the messages of calls. All others are Protocol
// Buffers, whatever the content type says.
type codec struct{ encoding.CodecV2 }

// protobuf encodes messages.
var protobuf = codec{encoding.GetCodecV2(proto.Name)}

// Marshal implements encoding.CodecV2.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if out, ok := v.(*outbound); ok {
		return out.data, nil
	}
	return c.CodecV2.Marshal(v)
}

// Unmarshal implements encoding.CodecV2. A message that is too large for its
// method is not decoded.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	in, ok := v.(*inbound)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	in.n, in.err = int64(data.Len()), nil
	if in.tooLarge = in.n > in.max; !in.tooLarge {
		in.err = c.CodecV2.Unmarshal(data, in.m)
	}
	return nil
}
