package transport

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/aguada-dev/aguada/transport/internal/streamsvc/gen/tape"
)

// A stream of events that panics is not whole for its client, and one that
// returns is; a client that leaves cancels the method's context.
func TestEventsOnTheirOwnConnection(t *testing.T) {
	r := newTape(t, nil)
	left := make(chan error, 1)
	method := func(context.Context) {}
	r.svc.ticks = func(ctx context.Context, _ *tape.TicksPayload, s tape.TicksServerStream) error {
		_ = s.Send(&tape.Tick{Text: "x"})
		method(ctx)
		return nil
	}
	addr := r.listen(t)
	get := func(ctx context.Context) *http.Response {
		req, _ := http.NewRequestWithContext(ctx, "GET", "http://"+addr+"/ticks", nil)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	resp := get(t.Context())
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "data: x\n\n" || !resp.Close || resp.Header.Get("Date") == "" {
		t.Errorf("%q %v %v", body, err, resp.Header)
	}
	method = func(context.Context) { panic("secret") }
	resp = get(t.Context())
	if body, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) || string(body) != "data: x\n\n" {
		t.Errorf("%q %v", body, err)
	}
	if line := r.last(t); line["error.type"] != "panic" {
		t.Errorf("%v", line)
	}
	method = func(ctx context.Context) { left <- until(ctx) }
	ctx, cancel := context.WithCancel(t.Context())
	_ = get(ctx)
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("left with %v", err)
	}
	r.ended(t)
}
