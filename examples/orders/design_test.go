package orders

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	goahttp "goa.design/goa/v3/http"
	"goa.design/goa/v3/security"

	genorderssvr "github.com/aguada-dev/aguada/examples/orders/gen/http/orders/server"
	genreportssvr "github.com/aguada-dev/aguada/examples/orders/gen/http/reports/server"
	genuserssvr "github.com/aguada-dev/aguada/examples/orders/gen/http/users/server"
	genorders "github.com/aguada-dev/aguada/examples/orders/gen/orders"
	genreports "github.com/aguada-dev/aguada/examples/orders/gen/reports"
	genusers "github.com/aguada-dev/aguada/examples/orders/gen/users"
)

// anyone lets every call in that a test has given a principal: these tests look
// at what the design makes of requests, behind authentication.
type anyone struct{}

func (anyone) JWTAuth(ctx context.Context, _ string, _ *security.JWTScheme) (context.Context, error) {
	return ctx, nil
}

func (anyone) APIKeyAuth(ctx context.Context, _ string, _ *security.APIKeyScheme) (context.Context, error) {
	return ctx, nil
}

func (anyone) OAuth2Auth(ctx context.Context, _ string, _ *security.OAuth2Scheme) (context.Context, error) {
	return ctx, nil
}

// face serves the generated servers as Goa makes them.
func face(t *testing.T, cfg Config) http.Handler {
	t.Helper()
	db, mux := database(t), goahttp.NewMuxer()
	dec, enc := goahttp.RequestDecoder, goahttp.ResponseEncoder
	genorderssvr.Mount(mux, genorderssvr.New(genorders.NewEndpoints(struct {
		genorders.Service
		anyone
	}{newOrders(t, db, cfg), anyone{}}), mux, dec, enc, nil, nil, nil, nil))
	genuserssvr.Mount(mux, genuserssvr.New(genusers.NewEndpoints(struct {
		genusers.Service
		anyone
	}{NewUsers(db, cfg), anyone{}}), mux, dec, enc, nil, nil))
	genreportssvr.Mount(mux, genreportssvr.New(genreports.NewEndpoints(struct {
		genreports.Service
		anyone
	}{NewReports(db), anyone{}}), mux, dec, enc, nil, nil))
	return mux
}

// call sends a request as alice and returns the status and the decoded answer.
func call(t *testing.T, h http.Handler, verb, path, body string) (int, map[string]any) {
	t.Helper()
	r := httptest.NewRequestWithContext(as(t, "alice"), verb, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer x")
	r.Header.Set("X-API-Key", "x")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var answer map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatalf("%s %s answers %d %q: %v", verb, path, w.Code, w.Body, err)
	}
	return w.Code, answer
}

// example returns the body that the design gives as an example of create.
func example(t *testing.T) map[string]any {
	t.Helper()
	data, err := os.ReadFile("gen/http/openapi3.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]struct {
			RequestBody struct {
				Content map[string]struct{ Example map[string]any }
			}
		}
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	body := doc.Paths["/orders"]["post"].RequestBody.Content["application/json"].Example
	if len(body) == 0 {
		t.Fatal("the design has no example for POST /orders")
	}
	return body
}

// The example is what people paste first: it is answered 201 as it is.
func TestExampleIsAnOrder(t *testing.T) {
	h := face(t, Config{ShipAfter: time.Hour})
	body, err := json.Marshal(example(t))
	if err != nil {
		t.Fatal(err)
	}
	status, created := call(t, h, "POST", "/orders", string(body))
	if status != http.StatusCreated || created["total_cents"] != 7400.0 || created["card_last4"] != "4242" {
		t.Fatalf("%d %v", status, created)
	}
	if _, has := created["card"]; has || strings.Contains(fmt.Sprint(created), "4242424242424242") {
		t.Errorf("the answer holds the card: %v", created)
	}
	path := "/orders/" + created["id"].(string)
	if status, got := call(t, h, "GET", path, ""); status != 200 || fmt.Sprint(got) != fmt.Sprint(created) {
		t.Errorf("%d %v, want %v", status, got, created)
	}
	if status, list := call(t, h, "GET", "/orders?limit=1", ""); status != 200 || len(list["orders"].([]any)) != 1 {
		t.Errorf("%d %v", status, list)
	}
	for range 2 {
		if status, got := call(t, h, "POST", path+"/cancel", ""); status != 200 || got["status"] != "cancelled" {
			t.Errorf("%d %v", status, got)
		}
	}
	if status, list := call(t, h, "GET", "/users", ""); status != 200 || len(list["users"].([]any)) != 1 {
		t.Errorf("%d %v", status, list)
	}
	if status, sales := call(t, h, "GET", "/reports/sales", ""); status != 200 || len(sales["sales"].([]any)) != 0 {
		t.Errorf("%d %v", status, sales)
	}
}

func TestEveryPublishedCurrencyIsAccepted(t *testing.T) {
	h := face(t, Config{})
	_, public := call(t, h, "GET", "/users/public", "")
	list, _ := public["currencies"].([]any)
	if len(list) == 0 {
		t.Fatal(public)
	}
	for _, currency := range list {
		body := example(t)
		body["currency"] = currency
		data, _ := json.Marshal(body)
		if status, answer := call(t, h, "POST", "/orders", string(data)); status != 201 {
			t.Errorf("%v: %d %v", currency, status, answer)
		}
	}
}

func TestBadOrders(t *testing.T) {
	h := face(t, Config{})
	item := map[string]any{"sku": "TEA", "quantity": 1, "unit_price_cents": 1}
	with := func(m map[string]any, key string, value any) map[string]any {
		m = maps.Clone(m)
		m[key] = value
		return m
	}
	items := func(n int, it any) []any {
		list := make([]any, n)
		for i := range list {
			list[i] = it
		}
		return list
	}
	address := example(t)["shipping_address"].(map[string]any)
	for _, c := range []struct {
		key    string
		values []any
	}{
		{"customer_id", []any{nil, "", " ", "a b", "-x", "x\n", "<script>", strings.Repeat("x", 65), 7, []any{}, map[string]any{}}},
		{"currency", []any{nil, "", "eur", "EURO", "XXX", "€", 978, true}},
		{"items", []any{
			nil, []any{}, items(51, item), "TEA", map[string]any{}, []any{nil}, []any{item, nil}, []any{1}, []any{map[string]any{}},
			[]any{with(item, "sku", "")}, []any{with(item, "sku", "a/b")}, []any{with(item, "sku", strings.Repeat("x", 65))}, []any{with(item, "sku", nil)},
			[]any{with(item, "quantity", 0)}, []any{with(item, "quantity", -1)}, []any{with(item, "quantity", 10_001)}, []any{with(item, "quantity", 1.5)}, []any{with(item, "quantity", "1")},
			[]any{with(item, "unit_price_cents", -1)}, []any{with(item, "unit_price_cents", 1_000_000_001)}, []any{with(item, "unit_price_cents", json.Number("9223372036854775808"))},
			items(50, with(with(item, "quantity", 10_000), "unit_price_cents", 1_000_000_000)),
		}},
		{"note", []any{strings.Repeat("ñ", 501), 7}},
		{"card", []any{"", "4242", "4242 4242 4242 4242", strings.Repeat("4", 20), "４２４２４２４２４２４２４２４２", 4242424242424242, "4242424242424242\n"}},
		{"shipping_address", []any{
			"x", map[string]any{}, with(address, "country", "gb"), with(address, "country", "GBR"), with(address, "name", ""), with(address, "street", "a\nb"),
			with(address, "city", nil), with(address, "postal_code", strings.Repeat("1", 17)), with(address, "name", strings.Repeat("x", 101)), with(address, "name", "a\x00b"),
		}},
	} {
		for _, v := range c.values {
			data, err := json.Marshal(with(example(t), c.key, v))
			if err != nil {
				t.Fatal(err)
			}
			if status, answer := call(t, h, "POST", "/orders", string(data)); status != 400 {
				t.Errorf("%s = %.60v: %d %v", c.key, v, status, answer)
			}
		}
	}
	for _, body := range []string{"", "{", "null", "[]", "7", `"x"`, `{"items":`, "{}\x00", strings.Repeat("[", 20_000)} {
		if status, answer := call(t, h, "POST", "/orders", body); status != 400 {
			t.Errorf("body %.20q: %d %v", body, status, answer)
		}
	}
	if status, list := call(t, h, "GET", "/orders", ""); status != 200 || len(list["orders"].([]any)) != 0 {
		t.Errorf("something was stored: %d %v", status, list)
	}
}

// What is just allowed is allowed.
func TestOrdersAtTheLimits(t *testing.T) {
	h := face(t, Config{})
	item := map[string]any{"sku": strings.Repeat("x", 64), "quantity": 10, "unit_price_cents": 20_000_000}
	list := make([]any, 50)
	for i := range list {
		list[i] = item
	}
	body := example(t)
	body["items"], body["note"], body["customer_id"] = list, strings.Repeat("ñ", 500), strings.Repeat("c", 64)
	data, _ := json.Marshal(body)
	status, answer := call(t, h, "POST", "/orders", string(data))
	if status != 201 || int64(answer["total_cents"].(float64)) != maxTotal {
		t.Errorf("%d %v", status, answer)
	}
	for _, key := range []string{"note", "card", "shipping_address"} {
		body := example(t)
		delete(body, key)
		data, _ := json.Marshal(body)
		if status, answer := call(t, h, "POST", "/orders", string(data)); status != 201 {
			t.Errorf("without %s: %d %v", key, status, answer)
		}
	}
}

func TestStatuses(t *testing.T) {
	h := face(t, Config{}) // ships at once
	data, _ := json.Marshal(example(t))
	_, o := call(t, h, "POST", "/orders", string(data))
	for _, c := range []struct {
		verb, path string
		status     int
		name       string
	}{
		{"POST", "/orders/" + o["id"].(string) + "/cancel", 409, "conflict"},
		{"GET", "/orders/" + newID(), 404, "not_found"},
		{"POST", "/orders/" + newID() + "/cancel", 404, "not_found"},
		{"GET", "/orders/1", 400, "invalid_pattern"},
		{"GET", "/orders/%27%20OR%201=1", 400, "invalid_pattern"},
		{"GET", "/orders?cursor=abc", 400, "bad_request"},
		{"GET", "/orders?cursor=" + strings.Repeat("a", 129), 400, "invalid_length"},
		{"GET", "/orders?limit=0", 400, "invalid_range"},
		{"GET", "/orders?limit=101", 400, "invalid_range"},
		{"GET", "/orders?limit=ten", 400, "invalid_field_type"},
		{"GET", "/users?limit=-1", 400, "invalid_range"},
		{"GET", "/users/admin?after=" + strings.Repeat("a", 257), 400, "invalid_length"},
		{"GET", "/reports/sales?from=yesterday", 400, "invalid_format"},
		{"GET", "/reports/sales?from=2026-02-30", 400, "invalid_format"},
		{"GET", "/reports/sales?from=2026-02-02&to=2026-02-01", 400, "bad_request"},
	} {
		if status, answer := call(t, h, c.verb, c.path, ""); status != c.status || answer["name"] != c.name {
			t.Errorf("%s %.60s: %d %v, want %d %s", c.verb, c.path, status, answer, c.status, c.name)
		}
	}
}
