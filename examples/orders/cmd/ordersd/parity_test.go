package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	goahttp "goa.design/goa/v3/http"
	goa "goa.design/goa/v3/pkg"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	genaccounts "github.com/aguada-dev/aguada/examples/orders/gen/accounts"
	accountsgrpc "github.com/aguada-dev/aguada/examples/orders/gen/grpc/accounts/client"
	ordersgrpc "github.com/aguada-dev/aguada/examples/orders/gen/grpc/orders/client"
	reportsgrpc "github.com/aguada-dev/aguada/examples/orders/gen/grpc/reports/client"
	usersgrpc "github.com/aguada-dev/aguada/examples/orders/gen/grpc/users/client"
	accountshttp "github.com/aguada-dev/aguada/examples/orders/gen/http/accounts/client"
	ordershttp "github.com/aguada-dev/aguada/examples/orders/gen/http/orders/client"
	reportshttp "github.com/aguada-dev/aguada/examples/orders/gen/http/reports/client"
	usershttp "github.com/aguada-dev/aguada/examples/orders/gen/http/users/client"
	genorders "github.com/aguada-dev/aguada/examples/orders/gen/orders"
	genreports "github.com/aguada-dev/aguada/examples/orders/gen/reports"
	genusers "github.com/aguada-dev/aguada/examples/orders/gen/users"
	"github.com/aguada-dev/aguada/examples/orders/internal/pgtest"
)

// clients are those that Goa generates, for both transports, and what the last
// answer of each was.
type clients struct {
	http, grpc map[string]goa.Endpoint // by service and method
	conn       *grpc.ClientConn

	status int // of HTTP
	body   []byte
	err    error // of gRPC
}

func (r *running) clients() *clients {
	r.t.Helper()
	c := &clients{}
	conn, err := grpc.NewClient(r.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			c.err = invoke(ctx, method, req, reply, cc, opts...)
			return c.err
		}))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	c.conn = conn
	enc, dec := goahttp.RequestEncoder, goahttp.ResponseDecoder
	oh := ordershttp.NewClient("http", r.addr, c, enc, dec, false, nil, nil)
	uh := usershttp.NewClient("http", r.addr, c, enc, dec, false)
	ah := accountshttp.NewClient("http", r.addr, c, enc, dec, false)
	rh := reportshttp.NewClient("http", r.addr, c, enc, dec, false)
	c.http = map[string]goa.Endpoint{
		"orders.create": oh.Create(), "orders.get": oh.Get(), "orders.list": oh.List(), "orders.cancel": oh.Cancel(),
		"users.list": uh.List(), "users.admin": uh.Admin(), "users.about": uh.About(), "accounts.me": ah.Me(), "reports.sales": rh.Sales(),
	}
	og, ug, ag, rg := ordersgrpc.NewClient(conn), usersgrpc.NewClient(conn), accountsgrpc.NewClient(conn), reportsgrpc.NewClient(conn)
	c.grpc = map[string]goa.Endpoint{
		"orders.create": og.Create(), "orders.get": og.Get(), "orders.list": og.List(), "orders.cancel": og.Cancel(),
		"users.list": ug.List(), "users.admin": ug.Admin(), "users.about": ug.About(), "accounts.me": ag.Me(), "reports.sales": rg.Sales(),
	}
	return c
}

// Do implements goahttp.Doer.
func (c *clients) Do(req *http.Request) (*http.Response, error) {
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	c.status = res.StatusCode
	if c.body, err = io.ReadAll(res.Body); err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(c.body))
	return res, nil
}

// parity is a call that is made over both transports.
type parity struct {
	method  string
	payload any
	status  int        // of HTTP; below 300, both results are equal
	code    codes.Code // of gRPC
	name    string     // of the error
}

func (c *clients) check(t *testing.T, p parity) (result any) {
	t.Helper()
	result, httpErr := c.http[p.method](t.Context(), p.payload)
	other, grpcErr := c.grpc[p.method](t.Context(), p.payload)
	if c.status != p.status || status.Code(c.err) != p.code {
		t.Errorf("%s answers %d %s (%v) over HTTP and %v over gRPC, want %d and %v", p.method, c.status, c.body, httpErr, c.err, p.status, p.code)
		return result
	}
	if p.status < 300 {
		if httpErr != nil || grpcErr != nil {
			t.Errorf("%s: %v over HTTP, %v over gRPC", p.method, httpErr, grpcErr)
		}
		// What is new by each call is not compared.
		if d := cmp.Diff(result, other, cmpopts.IgnoreFields(genorders.Order{}, "ID", "PlacedAt", "ShipsAt")); p.method == "orders.create" && d != "" {
			t.Errorf("%s: %s", p.method, d)
		}
		if d := cmp.Diff(result, other); p.method != "orders.create" && d != "" {
			t.Errorf("%s: %s", p.method, d)
		}
		return result
	}
	var answer struct{ Name, Message string }
	if err := json.Unmarshal(c.body, &answer); err != nil || answer.Name != p.name {
		t.Errorf("%s fails over HTTP with %s (%v), want %s", p.method, c.body, err, p.name)
	}
	st := status.Convert(c.err)
	reason := ""
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			reason = info.GetReason()
		}
	}
	// Goa calls what holds a field body in the one, and message in the other.
	said, want := strings.ReplaceAll(st.Message(), "message.", ""), strings.ReplaceAll(answer.Message, "body.", "")
	if !strings.EqualFold(reason, p.name) || said != want {
		t.Errorf("%s fails over gRPC with %s %q, want %s %q", p.method, reason, said, p.name, want)
	}
	return nil
}

// Every method says the same over both transports, whatever it is asked.
func TestTransportsAgree(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { start(t).transportsAgree() })
	t.Run("postgres", func(t *testing.T) { start(t, "DATABASE_URL="+pgtest.URL(t)).transportsAgree() })
}

func (r *running) transportsAgree() {
	t, c := r.t, r.clients()
	at := time.Now()
	bearer := func(scopes ...string) string { return r.token("alice", scopes...) }
	write, read, admin := bearer("api:write"), bearer("api:read"), bearer("api:admin")
	order := func(token string, change func(*genorders.CreateOrder)) *genorders.CreateOrder {
		note, card, postal := "ring twice", "4242424242424242", "SW1Y 4JH"
		o := &genorders.CreateOrder{
			Token: token, CustomerID: "cust_1", Currency: "EUR", Note: &note, Card: &card,
			Items:           []*genorders.OrderItem{{Sku: "TEA", Quantity: 2, UnitPriceCents: 1250}, {Sku: "POT", Quantity: 1}},
			ShippingAddress: &genorders.Address{Name: "Ada", Street: "12 Crown Street", City: "London", PostalCode: &postal, Country: "GB"},
		}
		if change != nil {
			change(o)
		}
		return o
	}
	ref := func(token, id string) *genorders.OrderRef { return &genorders.OrderRef{Token: token, ID: id} }
	ptr := func(s string) *string { return &s }
	two, none := 2, 0
	unknown := "ord_" + strings.Repeat("a", 26)
	asked := map[string]bool{}
	check := func(method string, payload any, status int, code codes.Code, name string) any {
		t.Helper()
		asked[method] = true
		return c.check(t, parity{method, payload, status, code, name})
	}
	placed, ok := check("orders.create", order(write, nil), 201, codes.OK, "").(*genorders.Order)
	if !ok {
		t.FailNow()
	}
	for _, p := range []parity{
		{"orders.create", order(write, func(o *genorders.CreateOrder) { o.Note, o.Card, o.ShippingAddress = nil, nil, nil }), 201, codes.OK, ""},
		{"orders.create", order(write, func(o *genorders.CreateOrder) {
			o.Items = []*genorders.OrderItem{{Sku: "TEA", Quantity: 10_000, UnitPriceCents: 1_000_000_000}}
		}), 400, codes.InvalidArgument, "bad_request"},
		{"orders.create", order(write, func(o *genorders.CreateOrder) { o.Currency = "XXX" }), 400, codes.InvalidArgument, "invalid_enum_value"},
		{"orders.create", order(write, func(o *genorders.CreateOrder) { o.Items = slices.Repeat(o.Items, 26) }), 400, codes.InvalidArgument, "invalid_length"},
		{"orders.create", order(write, func(o *genorders.CreateOrder) { o.CustomerID = "a b" }), 400, codes.InvalidArgument, "invalid_pattern"},
		{"orders.create", order(read, nil), 403, codes.PermissionDenied, "forbidden"},
		{"orders.create", order("Bearer x", nil), 401, codes.Unauthenticated, "unauthorized"},
		{"orders.get", ref(read, placed.ID), 200, codes.OK, ""},
		{"orders.get", ref(read, unknown), 404, codes.NotFound, "not_found"},
		{"orders.get", ref(read, "1"), 400, codes.InvalidArgument, "invalid_pattern"},
		{"orders.get", ref(write, placed.ID), 403, codes.PermissionDenied, "forbidden"},
		{"orders.list", &genorders.ListPayload{Token: read}, 200, codes.OK, ""},
		{"orders.list", &genorders.ListPayload{Token: read, Limit: &two}, 200, codes.OK, ""},
		{"orders.list", &genorders.ListPayload{Token: read, Limit: &none}, 400, codes.InvalidArgument, "invalid_range"},
		{"orders.list", &genorders.ListPayload{Token: read, Cursor: ptr("abc")}, 400, codes.InvalidArgument, "bad_request"},
		{"orders.cancel", ref(write, placed.ID), 200, codes.OK, ""},
		{"orders.cancel", ref(write, unknown), 404, codes.NotFound, "not_found"},
		{"users.list", &genusers.ListPayload{Key: r.apiKey}, 200, codes.OK, ""},
		{"users.list", &genusers.ListPayload{Key: r.apiKey[:len(r.apiKey)-1]}, 401, codes.Unauthenticated, "unauthorized"},
		{"users.admin", &genusers.AdminPayload{Token: admin, Limit: &two}, 200, codes.OK, ""},
		{"users.admin", &genusers.AdminPayload{Token: read}, 403, codes.PermissionDenied, "forbidden"},
		{"users.about", nil, 200, codes.OK, ""},
		{"accounts.me", &genaccounts.MePayload{Username: "carol", Password: password}, 200, codes.OK, ""},
		{"accounts.me", &genaccounts.MePayload{Username: "carol", Password: "x"}, 401, codes.Unauthenticated, "unauthorized"},
		{"reports.sales", &genreports.SalesPayload{Token: read}, 200, codes.OK, ""},
		{"reports.sales", &genreports.SalesPayload{Token: read, From: ptr("2026-02-02"), To: ptr("2026-02-01")}, 400, codes.InvalidArgument, "bad_request"},
		{"reports.sales", &genreports.SalesPayload{Token: read, From: ptr("yesterday")}, 400, codes.InvalidArgument, "invalid_format"},
	} {
		check(p.method, p.payload, p.status, p.code, p.name)
	}
	for _, m := range methods(t) {
		if !asked[m.Service+"."+m.Name] {
			t.Errorf("%s.%s is not compared", m.Service, m.Name)
		}
	}
	t.Logf("%d methods compared in %v", len(asked), time.Since(at))
}

// What has shipped cannot be cancelled over either.
func TestTransportsAgreeOnConflicts(t *testing.T) {
	r := start(t, "SHIP_AFTER=0s")
	c := r.clients()
	token := r.token("alice", "api:write")
	placed := c.check(t, parity{"orders.create", &genorders.CreateOrder{
		Token: token, CustomerID: "c", Currency: "EUR", Items: []*genorders.OrderItem{{Sku: "TEA", Quantity: 1}},
	}, 201, codes.OK, ""})
	c.check(t, parity{"orders.cancel", &genorders.OrderRef{Token: token, ID: placed.(*genorders.Order).ID}, 409, codes.FailedPrecondition, "conflict"})
}
