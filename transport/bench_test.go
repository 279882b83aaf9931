package transport

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	goahttp "goa.design/goa/v3/http"
	"goa.design/goa/v3/security"

	"github.com/aguada-dev/aguada/telemetry"
	shopsvr "github.com/aguada-dev/aguada/transport/internal/testsvc/gen/http/shop/server"
	"github.com/aguada-dev/aguada/transport/internal/testsvc/gen/shop"
)

// discard is a response writer that is as cheap as one can be.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }

// open is the auther of bare Goa: it lets everybody in.
type open struct{}

func (open) JWTAuth(ctx context.Context, _ string, _ *security.JWTScheme) (context.Context, error) {
	return ctx, nil
}

func (open) APIKeyAuth(ctx context.Context, _ string, _ *security.APIKeyScheme) (context.Context, error) {
	return ctx, nil
}

// bareGoa is the same service as Goa serves it, without any production concern.
func bareGoa() http.Handler {
	mux := goahttp.NewMuxer()
	e := shop.NewEndpoints(struct {
		shop.Service
		shop.Auther
	}{&shopService{}, open{}})
	shopsvr.Mount(mux, shopsvr.New(e, mux, goahttp.RequestDecoder, goahttp.ResponseEncoder, nil, nil, nil, nil, nil, nil))
	return mux
}

// replay is a request that is sent again and again, with a body that costs
// nothing to rewind.
type replay struct {
	r    *http.Request
	body strings.Reader
	text string
}

func newReplay(verb, path, token, body string) *replay {
	p := &replay{text: body}
	p.r = &http.Request{
		Method: verb, URL: &url.URL{Path: path}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: "shop.test",
		Header: http.Header{"Authorization": {"Bearer " + token}, "Accept": {"*/*"}}, Body: http.NoBody, RemoteAddr: "127.0.0.1:4711",
	}
	if body != "" {
		p.r.Header["Content-Type"] = []string{"application/json"}
		p.r.ContentLength = int64(len(body))
		p.r.Body = io.NopCloser(&p.body)
	}
	return p
}

func (p *replay) serve(h http.Handler, w *discard) {
	clear(w.header)
	w.status = 0
	p.body.Reset(p.text)
	h.ServeHTTP(w, p.r)
}

// What transport adds to bare Goa is at most six allocations; now it is fewer
// than none, since Goa's own muxer and decoder are gone.
func TestAllocations(t *testing.T) {
	r := newRig(t, func(r *rig) { r.cfg.Logger = slog.New(telemetry.NewHandler(io.Discard, telemetry.JSON, nil)) })
	goas := bareGoa()
	for name, p := range map[string]*replay{
		"POST": newReplay("POST", "/orders", r.token, order), "GET": newReplay("GET", "/orders/o1", r.token, ""),
	} {
		w := &discard{header: http.Header{}}
		before := testing.AllocsPerRun(200, func() { p.serve(goas, w) })
		after := testing.AllocsPerRun(200, func() { p.serve(r.h, w) })
		if after > before+6 {
			t.Errorf("%s: %v allocations, bare Goa %v", name, after, before)
		}
	}
}

// BenchmarkRequest compares all that transport does, with a warm token cache
// and the log line written, with Goa's muxer and no production concern at all.
func BenchmarkRequest(b *testing.B) {
	r := newRig(b, func(r *rig) { r.cfg.Logger = slog.New(telemetry.NewHandler(io.Discard, telemetry.JSON, nil)) })
	for _, handler := range []struct {
		name string
		h    http.Handler
	}{{"goa", bareGoa()}, {"aguada", r.h}} {
		for _, request := range []struct {
			name   string
			p      *replay
			status int
		}{
			{"POST", newReplay("POST", "/orders", r.token, order), http.StatusCreated},
			{"GET", newReplay("GET", "/orders/o1", r.token, ""), http.StatusOK},
		} {
			b.Run("impl="+handler.name+"/request="+request.name, func(b *testing.B) {
				w := &discard{header: http.Header{}}
				if request.p.serve(handler.h, w); w.status != request.status {
					b.Fatalf("status %d", w.status)
				}
				b.ReportAllocs()
				for b.Loop() {
					request.p.serve(handler.h, w)
				}
			})
		}
	}
}
