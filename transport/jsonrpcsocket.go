package transport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"unicode/utf8"

	"github.com/gorilla/websocket"
	goa "goa.design/goa/v3/pkg"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/transport/internal/jsonscan"
)

// Ended says how the stream of a WebSocket has ended: err is what the service's
// HandleStream returned, which generated code drops. The connection is closed
// with a code as those of streams over HTTP are.
//
//	func(ctx context.Context, stream chat.Stream) error { return rpc.Ended(ctx, service.HandleStream(ctx, stream)) }
func (j *JSONRPC) Ended(ctx context.Context, err error) error {
	c := callOf(ctx)
	if c == nil {
		return err
	}
	if r := c.ending.Load(); r != nil {
		err = r
	} else if err != nil {
		err = c.socketError(err)
	}
	if err == nil {
		c.closeStream(websocket.CloseNormalClosure, "")
		return nil
	}
	a := c.describe(c.methodError(err))
	c.closeStream(closeCode(a), a.Name)
	return err
}

// message serves a call that came over a WebSocket, once generated code has read
// and decoded it. It answers a refusal itself where it finds where to.
func (c *call) message(ctx context.Context, m *method, endpoint goa.Endpoint, req any) (any, error) {
	order := c.m.front.order
	i := slices.IndexFunc(order, func(p *procedure) bool { return p.m == m && p.Kind == policy.WebSocket })
	if i < 0 {
		return nil, goa.Fault("endpoint %s.%s called outside of a request for it", m.Service, m.Name)
	}
	e := newEntry(ctx, c, c.params, false)
	c.params = nil
	e.envelope.method = m.JSONRPC.Method
	e.ref = requestIDOf(req)
	e.is(order[i])
	var res any
	var failed error
	answer := e.conclude(func() error {
		if r := e.admit(); r != nil {
			failed = e.refused(r)
			return failed
		}
		res, failed = e.invoke(ctx, endpoint, req)
		return failed
	})
	switch {
	case e.code == "":
		return res, nil
	case answer != nil && c.conn != nil:
		if err := c.conn.WriteMessage(websocket.TextMessage, answer); err != nil {
			return nil, err
		}
		return nil, nil
	}
	return nil, errors.New(e.failure.kind) // generated code tells its client so
}

// requestIDOf returns the id of the call whose stream the endpoint is given; nil
// where there is none. Generated code keeps it in a field of its own.
func requestIDOf(input any) []byte {
	v := reflect.ValueOf(input)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return nil
	}
	stream := v.Elem().FieldByName("Stream")
	if !stream.IsValid() || stream.Kind() != reflect.Interface || stream.Elem().Kind() != reflect.Pointer || stream.Elem().Elem().Kind() != reflect.Struct {
		return nil
	}
	id := stream.Elem().Elem().FieldByName("requestID")
	if id.Kind() != reflect.Interface || id.IsNil() {
		return nil
	}
	var b []byte
	switch id = id.Elem(); id.Kind() {
	case reflect.String:
		b, _ = json.Marshal(id.String())
	case reflect.Float64:
		b, _ = json.Marshal(id.Float())
	}
	if len(b) > maxCallID {
		return nil
	}
	return b
}

// decodeMessage reads the params of a call that came over a WebSocket, whose
// method is not known yet. It has a bound of its own, which message looks at.
func (c *call) decodeMessage(r *http.Request, v any) error {
	params, err := io.ReadAll(r.Body) // of a message, which has a bound
	switch {
	case err != nil:
		return fmt.Errorf("read params: %w", err)
	case !utf8.Valid(params):
		return undecodable("the message is not UTF-8")
	case jsonscan.TooDeep(params):
		return undecodable("the message is nested too deeply")
	}
	c.params = params
	return decodeParams(c.m, params, v)
}
