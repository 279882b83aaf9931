package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strconv"
	"sync"

	goahttp "goa.design/goa/v3/http"

	"github.com/aguada-dev/aguada/transport/internal/media"
)

// jsonBuffer is a buffer with the encoder that fills it.
type jsonBuffer struct {
	bytes.Buffer
	enc *json.Encoder
}

var jsonBuffers = sync.Pool{New: func() any {
	b := &jsonBuffer{}
	b.enc = json.NewEncoder(&b.Buffer)
	return b
}}

// counted is the size from which net/http would send an answer in chunks
// rather than count it itself.
const counted = 2 << 10

// Encoder returns the encoder of an answer: of the type that the design names
// for the response, else the one of the method's types that Accept prefers,
// JSON by default. The answer is encoded whole before its first byte is
// written, so that a failure becomes a fault and not half an answer.
func (h *HTTP) Encoder(ctx context.Context, w http.ResponseWriter) goahttp.Encoder {
	c, direct := w.(*call)
	if !direct {
		if c = callOf(ctx); c == nil {
			return goahttp.ResponseEncoder(ctx, w)
		}
	}
	c.chooseType(ctx)
	if !direct { // a middleware of the user's is in between
		return goahttp.EncodingFunc(func(v any) error { return c.encode(w, v) })
	}
	return (*encoder)(c)
}

// chooseType sets the answer's content type.
func (c *call) chooseType(ctx context.Context) {
	if c.sealed {
		return
	}
	header := c.w.Header()
	if explicit, _ := ctx.Value(goahttp.ContentTypeKey).(string); explicit != "" {
		c.explicit, c.outType = true, explicit
		name, _, err := mime.ParseMediaType(explicit)
		c.out = media.KindOf(name)
		if err != nil {
			c.out = media.JSON
		}
		goahttp.SetContentType(c.w, explicit)
		return
	}
	if len(c.m.offers) > 1 {
		media.Vary(header)
	}
	o := media.Negotiate(c.m.offers, c.req.Header["Accept"])
	c.explicit, c.out, c.outType = false, o.Kind, o.Media
	if len(header["Content-Type"]) == 0 {
		header["Content-Type"] = o.Header[:1:1]
	} else {
		goahttp.SetContentType(c.w, o.Media)
	}
}

// encoder is the call as the encoder of its answer.
type encoder call

// Encode writes the answer's body.
func (e *encoder) Encode(v any) error { return (*call)(e).encode((*call)(e), v) }

func (c *call) encode(w http.ResponseWriter, v any) error {
	if c.sealed {
		return nil
	}
	kind := c.out
	if isError(v) {
		if c.begun {
			return errBegun
		}
		media.Vary(w.Header()) // it may be a problem document
	}
	switch body := v.(type) {
	case *declared:
		v = body.body
	case *answer:
		if c.outType == "text/plain" || c.explicit {
			kind = c.asJSON(w)
		}
	case *problem:
		if c.status != 0 {
			body.Status, body.Title = c.status, http.StatusText(c.status)
		}
		kind = media.JSON
		w.Header()["Content-Type"] = []string{media.TypeProblem}
	}
	if kind == media.Other && c.outType == "text/plain" && !isText(v) {
		kind = c.asJSON(w)
	}
	if kind != media.JSON {
		return c.encodeOther(w, v)
	}
	b := jsonBuffers.Get().(*jsonBuffer)
	b.Reset()
	err := b.enc.Encode(v)
	if err == nil {
		err = c.send(w, b.Bytes())
		if b.Cap() <= maxScratch {
			jsonBuffers.Put(b)
		}
	}
	return err // an encoder keeps its error: it is not for reuse
}

// errBegun is what becomes of an error that comes after the answer began, as a
// stream's may: it is for the log alone.
var errBegun = errors.New("the answer has begun")

func isError(v any) bool {
	switch v.(type) {
	case *answer, *problem, *declared:
		return true
	}
	return false
}

// asJSON makes an answer JSON whose type has no form for it.
func (c *call) asJSON(w http.ResponseWriter) media.Kind {
	w.Header()["Content-Type"] = []string{media.TypeJSON}
	return media.JSON
}

// isText reports whether Goa's text encoder takes a value.
func isText(v any) bool {
	switch v.(type) {
	case string, *string, []byte:
		return true
	}
	return false
}

// send writes an encoded body with its length.
func (c *call) send(w http.ResponseWriter, body []byte) error {
	if c.claim != nil && !c.begun && !c.keep(body) {
		return nil
	}
	if len(body) >= counted && !c.begun && len(w.Header()["Content-Length"]) == 0 && w == http.ResponseWriter(c) {
		w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	_, err := w.Write(body)
	return err
}

// buffered collects what one of Goa's encoders writes.
type buffered struct {
	bytes.Buffer
	header http.Header
}

// Header returns a header that is thrown away: the type is chosen already.
func (b *buffered) Header() http.Header { return b.header }

// WriteHeader does nothing.
func (b *buffered) WriteHeader(int) {}

// encodeOther encodes by Goa's encoders.
func (c *call) encodeOther(w http.ResponseWriter, v any) error {
	b := &buffered{header: http.Header{}}
	key := any(goahttp.AcceptTypeKey)
	if c.explicit {
		key = goahttp.ContentTypeKey
	}
	if err := goahttp.ResponseEncoder(context.WithValue(context.Background(), key, c.outType), b).Encode(v); err != nil {
		return err
	}
	return c.send(w, b.Bytes())
}
