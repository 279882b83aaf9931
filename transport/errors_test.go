package transport

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	goa "goa.design/goa/v3/pkg"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/transport/internal/media"
	"github.com/aguada-dev/aguada/transport/internal/testsvc/gen/shop"
)

func TestPanics(t *testing.T) {
	r := newRig(t, nil)
	r.shop.find = func(context.Context, *shop.FindPayload) (any, error) { panic("secret: 4111") }
	w := r.do(request("GET", "/find", "", ""))
	m := decoded(t, w)
	if w.Code != 500 || m["fault"] != true || strings.Contains(w.Body.String(), "4111") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	line := r.log.last(t)
	if line["error.id"] != m["id"] || line["error.type"] != "panic" || line["error"] != "secret: 4111" || line["level"] != "ERROR" ||
		!strings.Contains(fmt.Sprint(line["exception.stacktrace"]), "serve_test.go") {
		t.Errorf("line = %v", line)
	}
	r.shop.show = func(context.Context, *shop.ShowPayload) (*shop.Order, error) { return nil, nil }
	if w := r.do(request("GET", "/orders/1", r.token, "")); w.Code != 500 || decoded(t, w)["fault"] != true {
		t.Errorf("nil result: %d %s", w.Code, w.Body)
	}
	r.shop.find = func(context.Context, *shop.FindPayload) (any, error) { return nil, nil }
	if w := r.do(request("GET", "/find", "", "")); w.Code != 500 || !strings.Contains(fmt.Sprint(r.log.last(t)["error"]), "neither result nor error") {
		t.Errorf("nil result: %d %s", w.Code, w.Body)
	}
	if n := r.h.InFlight(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

func TestErrorsOfMethods(t *testing.T) {
	r := newRig(t, nil)
	plain := errors.New("dial db.internal:5432: secret")
	tests := []struct {
		name    string
		err     error
		status  int
		errName string
		shown   string
		logged  any
	}{
		{"plain", plain, 500, "fault", policy.InternalFault.Message, plain.Error()},
		{"declared", shop.MakeConflict(errors.New("already shipped")), 409, "conflict", "already shipped", nil},
		{"wrapped", fmt.Errorf("secret: %w", shop.MakeConflict(errors.New("already shipped"))), 409, "conflict", "already shipped", nil},
		{"declared fault", shop.MakeBroken(plain), 502, "broken", policy.InternalFault.Message, plain.Error()},
		{"wrapped fault", fmt.Errorf("outer: %w", shop.MakeBroken(plain)), 502, "broken", policy.InternalFault.Message, "outer: " + plain.Error()},
		{"timeout by Goa's rules", goa.PermanentTimeoutError("slow", "try less"), 408, "slow", "try less", nil},
		{"temporary by Goa's rules", goa.TemporaryError("later", "try later"), 503, "later", "try later", nil},
		{"undeclared fault", goa.Fault("secret"), 500, "fault", policy.InternalFault.Message, "secret"},
		{"validation", goa.InvalidPatternError("x", "secret", "^a$"), 400, "invalid_pattern", `x must match the regexp "^a$"`, nil},
		{"deadline of its own", fmt.Errorf("query: %w", context.DeadlineExceeded), 504, "deadline_exceeded", "", nil},
		{"body too large", &http.MaxBytesError{Limit: 1}, 413, "body_too_large", "", nil},
	}
	for _, test := range tests {
		r.shop.create = func(context.Context, *shop.CreatePayload) (*shop.Order, error) { return nil, test.err }
		for _, accept := range []string{"*/*", "application/problem+json, application/json;q=0.5"} {
			req := request("POST", "/orders", r.token, order)
			req.Header.Set("Accept", accept)
			w := r.do(req)
			m := decoded(t, w)
			message := m["message"]
			if accept != "*/*" {
				message = m["detail"]
				if m["status"] != float64(test.status) || w.Header().Get("Content-Type") != media.TypeProblem {
					t.Errorf("%s: %v %v", test.name, m, w.Header())
				}
			}
			if w.Code != test.status || m["name"] != test.errName || test.shown != "" && message != test.shown || m["id"] == "" {
				t.Errorf("%s: %d %s", test.name, w.Code, w.Body)
			}
			if strings.Contains(w.Body.String(), "secret") {
				t.Errorf("%s: the answer has %s", test.name, w.Body)
			}
			line := r.log.last(t)
			if test.logged != nil && line["error"] != test.logged || line["error.id"] != m["id"] || line["error.type"] != m["name"] {
				t.Errorf("%s: line %v, answer %v", test.name, line, m)
			}
		}
	}
}

func TestErrorsOfOwnTypes(t *testing.T) {
	r := newRig(t, nil)
	r.shop.create = func(context.Context, *shop.CreatePayload) (*shop.Order, error) {
		return nil, &shop.OutOfStock{Name: "out_of_stock", Sku: "AB-1", Left: 2}
	}
	w := r.do(request("POST", "/orders", r.token, order))
	if m := decoded(t, w); w.Code != 422 || m["sku"] != "AB-1" || m["left"] != 2.0 || w.Header().Get("Goa-Error") != "out_of_stock" {
		t.Errorf("custom type: %d %s", w.Code, w.Body)
	}
	if line := r.log.last(t); line["error.type"] != "out_of_stock" {
		t.Errorf("line = %v", line)
	}
	r.shop.show = func(context.Context, *shop.ShowPayload) (*shop.Order, error) {
		return nil, &shop.OutOfStock{Name: "unknown to show", Sku: "secret"}
	}
	if w := r.do(request("GET", "/orders/1", r.token, "")); w.Code != 500 || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("undeclared type: %d %s", w.Code, w.Body)
	}
}

func TestEncodingFails(t *testing.T) {
	r := newRig(t, nil)
	r.shop.find = func(context.Context, *shop.FindPayload) (any, error) { return make(chan int), nil }
	w := r.do(request("GET", "/find", "", ""))
	if w.Code != 500 || decoded(t, w)["fault"] != true {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if line := r.log.last(t); line["error"] != "json: unsupported type: chan int" || line["http.response.status_code"] != 500.0 {
		t.Errorf("line = %v", line)
	}
	r.shop.find = nil
	if w := r.do(request("GET", "/find?limit=1", "", "")); w.Code != 200 || w.Body.String() != "{\"limit\":1}\n" {
		t.Errorf("after a failure: %d %s", w.Code, w.Body)
	}
}
