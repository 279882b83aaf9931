package transport

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"reflect"
	"strconv"
	"sync"
	"unicode/utf8"

	goahttp "goa.design/goa/v3/http"
	goa "goa.design/goa/v3/pkg"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/transport/internal/jsonscan"
	"github.com/aguada-dev/aguada/transport/internal/media"
	"github.com/aguada-dev/aguada/transport/internal/strict"
	"github.com/aguada-dev/aguada/transport/internal/validation"
)

// maxScratch is the largest buffer that is kept for reuse.
const maxScratch = 128 << 10

var buffers = sync.Pool{New: func() any { return bytes.NewBuffer(make([]byte, 0, 2048)) }}

func release(b *bytes.Buffer) {
	if b.Cap() <= maxScratch {
		b.Reset()
		buffers.Put(b)
	}
}

// Decoder returns the decoder of a request's body. JSON must be one value in
// UTF-8, nested no deeper than 200 levels. Under StrictBody a member that the
// design does not name exactly, or that is there twice, is refused; without it
// the former is ignored, and of the latter the last counts, as always in
// encoding/json. Other types, where the design
// consumes them, are decoded by Goa. Errors name the field, the expected type
// and the place in the body, never a value. No body at all is io.EOF.
func (h *HTTP) Decoder(r *http.Request) goahttp.Decoder {
	c := callOf(r.Context())
	if c == nil {
		return goahttp.RequestDecoder(r)
	}
	if c.media != media.JSON {
		return goahttp.EncodingFunc(func(v any) error { return c.decodeOther(r, v) })
	}
	c.in = r.Body
	return (*decoder)(c)
}

// decoder is the call as the decoder of its body.
type decoder call

// Decode reads the body into v.
func (d *decoder) Decode(v any) error {
	if d.in == nil {
		return io.EOF
	}
	b := buffers.Get().(*bytes.Buffer)
	defer release(b)
	if n := d.req.ContentLength; n > 0 {
		b.Grow(int(min(n, maxScratch)) + bytes.MinRead)
	}
	if _, err := b.ReadFrom(d.in); err != nil {
		return unreadable((*call)(d), err)
	}
	data := b.Bytes()
	if len(bytes.TrimLeft(data, " \t\r\n")) == 0 {
		return io.EOF
	}
	if !utf8.Valid(data) {
		return undecodable("the body is not UTF-8")
	}
	if jsonscan.TooDeep(data) {
		return undecodable("the body is nested too deeply")
	}
	if err := json.Unmarshal(data, v); err != nil {
		return explain(err)
	}
	if d.m.StrictBody {
		if r := strictly(data, v); r != nil {
			return service(r)
		}
	}
	return nil
}

// decodeOther leaves the body to Goa's decoders.
func (c *call) decodeOther(r *http.Request, v any) error {
	err := goahttp.RequestDecoder(r).Decode(v)
	switch {
	case err == nil || errors.Is(err, io.EOF) && c.bodyIn.Load() == 0:
		return err
	case c.bodyErr != nil && !errors.Is(c.bodyErr, io.EOF):
		return unreadable(c, c.bodyErr)
	}
	if e, ok := errors.AsType[*goa.ServiceError](err); ok && e.Name == goa.UnsupportedMediaType {
		return e // the design consumes what Goa has no decoder for
	}
	return undecodable("the body cannot be decoded")
}

// unreadable maps what reading a body returned.
func unreadable(c *call, err error) error {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return service(refuse(&policy.BodyTooLarge))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return service(refuse(&policy.BodyTimeout))
	}
	c.failure.gone = c.parent.Err() != nil
	return undecodable("the body is not complete")
}

// malformed is the answer to a body that cannot be decoded.
var malformed = policy.Answer{Name: goa.DecodePayload, HTTP: http.StatusBadRequest, GRPC: "INVALID_ARGUMENT", JSONRPC: -32602}

// undecodable is a 400 whose text is ours and may be shown.
func undecodable(text string) error {
	return service(refuse(&malformed).saying(text))
}

// service wraps a refusal so that generated decoders hand it on unchanged.
func service(r *refused) error {
	e := goa.NewServiceError(r, r.Name, r.Timeout, r.Temporary, r.Fault)
	r.id = e.ID
	return e
}

// strictly refuses a body that holds more than v, which it was decoded into, or a
// member twice.
func strictly(data []byte, v any) *refused {
	found := strict.Check(data, v)
	if found == nil {
		return nil
	}
	return refuse(&policy.Answer{Name: found.Name, HTTP: http.StatusBadRequest, GRPC: "INVALID_ARGUMENT", JSONRPC: -32602, Message: found.Message})
}

// explain says what is wrong with a JSON body without quoting it.
func explain(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return undecodable("the body is not valid JSON (at byte " + strconv.FormatInt(syntax.Offset, 10) + ")")
	}
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) {
		subject := "the body"
		if mismatch.Field != "" {
			subject = mismatch.Field
		}
		return undecodable(subject + " must be " + jsonType(mismatch.Type) + " (at byte " + strconv.FormatInt(mismatch.Offset, 10) + ")")
	}
	var own *goa.ServiceError
	if errors.As(err, &own) && validation.Known(own.Name) {
		return own // of a generated UnmarshalJSON; the formatter rebuilds it
	}
	return undecodable("the body has a value of the wrong form")
}

// jsonType names what a Go type is in JSON.
func jsonType(t reflect.Type) string {
	if t == nil {
		return "another type"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "a boolean"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "an integer in range"
	case reflect.Float32, reflect.Float64:
		return "a number in range"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	default:
		return "another type"
	}
}
