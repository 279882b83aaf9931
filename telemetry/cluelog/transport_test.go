package cluelog_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"goa.design/clue/log"
	goahttp "goa.design/goa/v3/http"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/telemetry"
	"github.com/aguada-dev/aguada/telemetry/cluelog"
	"github.com/aguada-dev/aguada/transport"
)

// The request path as services have it: the request's own context holds the
// state, the method fails or does not, a lease lowers the level.
func TestOnTheRequestPath(t *testing.T) {
	j := newRig(cluelog.Config{})
	h, err := transport.New(transport.Config{
		Contract: &policy.Contract{API: policy.API{Name: "shop"}, Services: []policy.Service{{Name: "orders", Methods: []policy.Method{{
			Service: "orders", Name: "show", Kind: policy.Unary, Access: policy.Public,
			Routes: []policy.Route{{Verb: "GET", Pattern: "/orders/{id}"}}, Produces: []string{"application/json"},
		}}}}},
		Logger: slog.New(telemetry.NewHandler(j, telemetry.JSON, &j.level)), Leases: j.leases, Context: j.clue.Context,
	})
	if err != nil {
		t.Fatal(err)
	}
	endpoint := h.Endpoint("orders", "show", func(ctx context.Context, req any) (any, error) {
		log.Debugf(ctx, "debug")
		child := log.With(ctx, log.KV{K: "id", V: req})
		log.Infof(child, "info")
		log.Print(child, log.KV{K: "msg", V: "print"})
		if req == "bad" {
			return nil, errors.New("broken")
		}
		return "ok", nil
	})
	h.Handle("GET", "/orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		if _, err := endpoint(r.Context(), h.Vars(r)["id"]); err != nil {
			_ = goahttp.ErrorEncoder(h.Encoder, h.Formatter)(r.Context(), w, err)
		}
	})
	if err := h.Ready(); err != nil {
		t.Fatal(err)
	}
	get := func(id string) []string {
		j.mu.Lock()
		j.buf.Reset()
		j.mu.Unlock()
		r := httptest.NewRequestWithContext(j.base, http.MethodGet, "/orders/"+id, nil)
		r.Header.Set("X-Request-Id", "id-"+id)
		h.ServeHTTP(httptest.NewRecorder(), r)
		for _, line := range j.lines(t) {
			if line["request_id"] != "id-"+id || line["service"] != "orders" || line["method"] != "show" {
				t.Errorf("a line is not of its request: %v", line)
			}
		}
		return j.messages(t)
	}
	for _, test := range []struct {
		id   string
		want []string
	}{
		{"good", []string{"print", "request"}},
		{"bad", []string{"print", "info", "request"}},
	} {
		if diff := cmp.Diff(test.want, get(test.id)); diff != "" {
			t.Errorf("%s: %s", test.id, diff)
		}
	}
	for _, kind := range []telemetry.LeaseKind{telemetry.LogLevel, telemetry.Payloads} {
		if _, err := j.leases.Open(telemetry.Lease{Kind: kind, Level: slog.LevelDebug, Service: "orders", OpenedBy: "op"}, 0); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"payload", "debug", "info", "print", "payload", "request"}, get("leased")); diff != "" {
		t.Error(diff)
	}
	j.leases.Close("op")
	if diff := cmp.Diff([]string{"print", "request"}, get("later")); diff != "" {
		t.Error(diff)
	}
}
