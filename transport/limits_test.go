package transport

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/telemetry"
	"github.com/aguada-dev/aguada/transport/internal/testsvc/gen/shop"
)

func perHour(name string, rate int, p policy.Partition) policy.RateLimit {
	return policy.RateLimit{Name: name, Rate: rate, Per: policy.Duration(time.Hour), Burst: rate, Partition: p}
}

// from sends a request from an address.
func (r *rig) from(addr, verb, target, token string) *httptest.ResponseRecorder {
	req := request(verb, target, token, "")
	req.RemoteAddr = addr + ":4711"
	return r.do(req)
}

// statuses sends the same request a number of times.
func (r *rig) statuses(n int, addr, token string) string {
	var all []string
	for range n {
		all = append(all, strconv.Itoa(r.from(addr, "GET", "/orders/o1", token).Code))
	}
	return strings.Join(all, " ")
}

func TestRateLimitPerPrincipal(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.policyOf("show").RateLimits = []policy.RateLimit{perHour("show", 2, policy.PerPrincipal)}
	})
	for left := 1; left >= 0; left-- {
		w := r.from("192.0.2.1", "GET", "/orders/o1", r.token)
		if w.Code != 200 || w.Header().Get("RateLimit-Policy") != `"show";q=2;w=3600` || !strings.HasPrefix(w.Header().Get("RateLimit"), fmt.Sprintf(`"show";r=%d;t=`, left)) {
			t.Errorf("%d left: %d %v", left, w.Code, w.Header())
		}
	}
	w := r.from("192.0.2.1", "GET", "/orders/o1", r.token)
	wait, err := strconv.Atoi(w.Header().Get("Retry-After"))
	if w.Code != 429 || err != nil || wait < 1 || wait > 1800 || decoded(t, w)["name"] != "rate_limited" || decoded(t, w)["temporary"] != true {
		t.Errorf("over the limit: %d %v %s", w.Code, w.Header(), w.Body)
	}
	if line := r.log.last(t); line["error.type"] != "rate_limited" || line["enduser.id"] != "ann" {
		t.Errorf("log: %v", line)
	}
	if got := r.statuses(3, "192.0.2.1", r.other); got != "200 200 429" {
		t.Errorf("another principal at the same address: %s", got)
	}
	if w := r.do(request("POST", "/orders", r.token, order)); w.Code != 201 || w.Header().Get("RateLimit") != "" {
		t.Errorf("a method without limits: %d %v", w.Code, w.Header())
	}
}

// A call that one limit refuses is charged to no other.
func TestRateLimitsAreDecidedTogether(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.policyOf("show").RateLimits = []policy.RateLimit{perHour("all", 4, policy.Global), perHour("each", 2, policy.PerPrincipal)}
	})
	if got := r.statuses(5, "192.0.2.1", r.token); got != "200 200 429 429 429" {
		t.Errorf("ann: %s", got)
	}
	if got := r.statuses(3, "192.0.2.1", r.other); got != "200 200 429" {
		t.Errorf("eve: %s", got)
	}
	if got := r.statuses(1, "192.0.2.1", r.reader); got != "429" {
		t.Errorf("rob, when all is spent: %s", got)
	}
}

// Whoever is not let in spends what belongs to the address, and nothing that
// others share.
func TestStrangersSpendTheirAddressOnly(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.policyOf("show").RateLimits = []policy.RateLimit{perHour("all", 3, policy.Global), perHour("address", 3, policy.PerClientIP)}
	})
	if got := r.statuses(5, "192.0.2.9", ""); got != "401 401 401 429 429" {
		t.Errorf("without a token: %s", got)
	}
	w := r.from("192.0.2.9", "GET", "/orders/o1", "")
	if w.Header().Get("Www-Authenticate") != "" || w.Header().Get("Retry-After") == "" {
		t.Errorf("429: %v", w.Header())
	}
	if got := r.statuses(1, "192.0.2.9", r.token); got != "429" {
		t.Errorf("ann at that address: %s", got)
	}
	if got := r.statuses(4, "192.0.2.8", r.token); got != "200 200 200 429" {
		t.Errorf("ann elsewhere: %s", got)
	}
}

func TestRateLimitPerAddress(t *testing.T) {
	limited := func(r *rig) {
		r.policyOf("find").RateLimits = []policy.RateLimit{perHour("find", 1, policy.PerClientIP)}
	}
	r := newRig(t, limited)
	for _, c := range []struct {
		addr string
		want int
	}{
		{"192.0.2.1", 200}, {"192.0.2.1", 429}, {"192.0.2.2", 200},
		{"[2001:db8::1]", 200}, {"[2001:db8::2]", 429}, {"[2001:db8:0:1::1]", 200},
	} {
		if w := r.from(c.addr, "GET", "/find", ""); w.Code != c.want {
			t.Errorf("%s: %d, want %d", c.addr, w.Code, c.want)
		}
	}
	r = newRig(t, func(r *rig) { limited(r); r.cfg.OneAddress = true })
	for range 3 {
		if w := r.from("192.0.2.1", "GET", "/find", ""); w.Code != 200 || w.Header().Get("RateLimit-Policy") != "" {
			t.Errorf("behind a proxy: %d %v", w.Code, w.Header())
		}
	}
}

// Subjects of two issuers are two principals, and so are two keys of one owner
// where credentials are counted.
func TestWhoIsCounted(t *testing.T) {
	a := &auth.Principal{Subject: "ann", Issuer: "https://a.example", CredentialID: "1"}
	for _, p := range []*auth.Principal{
		{Subject: "ann", Issuer: "https://b.example", CredentialID: "1"}, {Subject: "ann", CredentialID: "1"}, {Subject: "bob", Issuer: "https://a.example", CredentialID: "1"},
		{Subject: "https://a.example\x00ann", CredentialID: "1"}, {Subject: "17:https://a.exampleann", CredentialID: "1"}, {Subject: "ann\x001", Issuer: "https://a.example"},
		{Subject: "nn", Issuer: "https://a.examplea", CredentialID: "1"},
	} {
		if principalName(a) == principalName(p) || credentialName(a) == credentialName(p) {
			t.Errorf("%+v is counted with %+v", p, a)
		}
	}
	b := *a
	b.CredentialID = "2"
	if principalName(a) != principalName(&b) || credentialName(a) == credentialName(&b) {
		t.Error("two keys of one owner")
	}
}

// A credential in the body is known late, and counts all the same.
func TestRateLimitOfLateCredentials(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.policyOf("login").RateLimits = []policy.RateLimit{perHour("login", 1, policy.PerPrincipal)}
	})
	for _, want := range []int{http.StatusOK, http.StatusTooManyRequests} {
		if w := r.do(request("POST", "/login", "", `{"secret":"`+r.key+`"}`)); w.Code != want {
			t.Errorf("%d %s, want %d", w.Code, w.Body, want)
		}
	}
}

// Nobody knows the principal of a service that authenticates by itself.
func TestRateLimitNeedsItsPrincipal(t *testing.T) {
	r := newRig(t, nil)
	r.policyOf("show").RateLimits = []policy.RateLimit{perHour("show", 1, policy.PerPrincipal)}
	h := must(New(r.cfg))(t)
	h.OwnAuther("shop")
	if err := h.Ready(); err == nil || !strings.Contains(err.Error(), "show is limited per principal") {
		t.Errorf("got %v", err)
	}
}

// Who sends a body that no credential is found in has spent what belongs to his
// address all the same, and then his body is not read.
func TestRateLimitBeforeLateCredentials(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.policyOf("login").RateLimits = []policy.RateLimit{perHour("each", 1, policy.PerPrincipal), perHour("address", 3, policy.PerClientIP)}
		r.cfg.Telemetry = must(telemetry.New(t.Context(), telemetry.Config{Service: "shop"}))(t)
	})
	login := func(addr, body string) *httptest.ResponseRecorder {
		req := request("POST", "/login", "", body)
		req.RemoteAddr = addr + ":4711"
		return r.do(req)
	}
	for _, c := range []struct {
		body string
		want int
	}{{`{"secret":`, 400}, {`{"secret":"wrong"}`, 401}, {`{"secret":7}`, 400}} {
		if w := login("192.0.2.1", c.body); w.Code != c.want || !strings.HasPrefix(w.Header().Get("RateLimit"), `"address";r=`) {
			t.Errorf("%s: %d %v, want %d", c.body, w.Code, w.Header(), c.want)
		}
	}
	t.Cleanup(func() { _ = r.cfg.Telemetry.Shutdown(context.Background()) })
	body := &failing{t: t}
	req := request("POST", "/login", "", "{}")
	req.Body, req.RemoteAddr = body, "192.0.2.1:4711"
	if w := r.do(req); w.Code != 429 || w.Header().Get("Retry-After") == "" || decoded(t, w)["name"] != "rate_limited" {
		t.Errorf("over the address's limit: %d %v %s", w.Code, w.Header(), w.Body)
	}
	right := `{"secret":"` + r.key + `"}`
	if w := login("192.0.2.2", right); w.Code != 200 || len(w.Header()["Ratelimit"]) != 2 ||
		!regexp.MustCompile(`^"address";r=2;t=\d+, "each";r=0;t=\d+$`).MatchString(strings.Join(w.Header()["Ratelimit"], ", ")) ||
		w.Header().Get("RateLimit-Policy") != `"each";q=1;w=3600, "address";q=3;w=3600` {
		t.Errorf("elsewhere: %d %v", w.Code, w.Header())
	}
	if w := login("192.0.2.2", right); w.Code != 429 {
		t.Errorf("over the principal's limit: %d %v", w.Code, w.Header())
	}
	if line := r.log.last(t); line["error.type"] != "rate_limited" {
		t.Errorf("log: %v", line)
	}
	w := httptest.NewRecorder()
	r.cfg.Telemetry.Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, line := range []string{`cause="unauthorized"} 1`, `cause="rate_limit_client_ip"} 1`, `cause="rate_limit_principal"} 1`} {
		if !strings.Contains(w.Body.String(), "\naguada_requests_refused_total{"+line+"\n") {
			t.Errorf("no %s in the metrics", line)
		}
	}
}

// failing is a body that must not be read.
type failing struct{ t *testing.T }

func (f *failing) Read([]byte) (int, error) {
	f.t.Error("the body was read")
	return 0, io.EOF
}

func (*failing) Close() error { return nil }

// All routes of a method share its limits, HEAD of a file server and streams
// included; what does not get to a method is not charged to it.
func TestRateLimitsOfOtherKinds(t *testing.T) {
	r := newRig(t, func(r *rig) {
		for _, name := range []string{"files", "old", "watch", "echo", "find", "show"} {
			m := r.policyOf(name)
			m.RateLimits = []policy.RateLimit{perHour(name, 2, policy.PerClientIP)}
			m.CORS = &policy.CORS{Origins: []string{"https://page.example"}}
		}
		r.policyOf("show").MaxInFlight = 1
	})
	r.shop.watch = func(context.Context, shop.WatchServerStream) error { return nil }
	r.shop.echo = func(_ context.Context, stream shop.EchoServerStream) error {
		_, err := stream.Recv()
		return err
	}
	r.shop.show = func(context.Context, *shop.ShowPayload) (*shop.Order, error) { // while it runs, no other may
		if w := r.from("192.0.2.1", "GET", "/orders/o1", r.token); w.Code != 503 || w.Header().Get("RateLimit") != "" {
			t.Errorf("too many in flight: %d %v", w.Code, w.Header())
		}
		return stored, nil
	}
	preflight := func(path string) *http.Request {
		q := request("OPTIONS", path, "", "")
		q.Header.Set("Origin", "https://page.example")
		q.Header.Set("Access-Control-Request-Method", "GET")
		return q
	}
	for _, c := range []struct {
		req  *http.Request
		want int
	}{
		{request("GET", "/files/none", "", ""), 404}, {request("HEAD", "/files/none", "", ""), 404}, {request("GET", "/files/set", "", ""), 429}, {request("HEAD", "/files/", "", ""), 429},
		{request("HEAD", "/old", "", ""), 301}, {request("GET", "/old", "", ""), 301}, {request("GET", "/old", "", ""), 429},
		{request("GET", "/watch", "", ""), 200}, {request("GET", "/watch", "", ""), 200}, {request("GET", "/watch", "", ""), 429},
		{request("GET", "/echo", r.token, ""), 400}, {request("GET", "/echo", "", ""), 401}, {request("GET", "/echo", r.token, ""), 429},
		{preflight("/find"), 204}, {preflight("/find"), 204}, {preflight("/find"), 204}, {request("POST", "/find", "", ""), 405}, {request("HEAD", "/find", "", ""), 405},
		{request("GET", "/find", "", ""), 200}, {request("GET", "/find", "", ""), 200}, {request("GET", "/find", "", ""), 429}, {preflight("/find"), 204},
		{request("GET", "/orders/o1", r.token, ""), 200}, {request("GET", "/orders/o1", r.token, ""), 200}, {request("GET", "/orders/o1", r.token, ""), 429},
	} {
		c.req.RemoteAddr = "192.0.2.1:4711"
		if w := r.do(c.req); w.Code != c.want {
			t.Errorf("%s %s: %d %v, want %d", c.req.Method, c.req.URL, w.Code, w.Header(), c.want)
		}
	}
}

// Who hangs up has spent his unit: else limits would not hold for those who do
// not wait for the answer.
func TestRateLimitOfCanceledCalls(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.policyOf("show").RateLimits = []policy.RateLimit{perHour("show", 2, policy.PerPrincipal)}
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 {
		r.do(request("GET", "/orders/o1", r.token, "").WithContext(ctx))
	}
	if got := r.statuses(1, "192.0.2.1", r.token); got != "429" {
		t.Errorf("after two canceled calls: %s", got)
	}
}

// A limit that cannot be kept, or whose name is no name, ends the start.
func TestRateLimitsThatCannotBe(t *testing.T) {
	for want, l := range map[string]policy.RateLimit{
		"the name":                  perHour("a\"\r\nSet-Cookie: a=b", 1, policy.Global),
		"the rate is not positive":  perHour("show", 0, policy.Global),
		"declared twice, with diff": perHour("find", 2, policy.Global),
	} {
		r := newRig(t, nil)
		r.policyOf("find").RateLimits = []policy.RateLimit{perHour("find", 1, policy.Global)}
		r.policyOf("show").RateLimits = []policy.RateLimit{l}
		h := must(New(r.cfg))(t)
		if err := h.Ready(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", l, err)
		}
	}
}

// BenchmarkLimits tells what limits cost a GET.
func BenchmarkLimits(b *testing.B) {
	each := func(name string, p policy.Partition) policy.RateLimit {
		return policy.RateLimit{Name: "shop/show:" + name, Rate: 1_000_000, Per: policy.Duration(time.Second), Burst: 1_000_000, Partition: p}
	}
	for _, c := range []struct {
		name   string
		limits []policy.RateLimit
	}{
		{"none", nil},
		{"principal", []policy.RateLimit{each("principal-1s", policy.PerPrincipal)}},
		{"address", []policy.RateLimit{each("client_ip-1s", policy.PerClientIP)}},
		{"both", []policy.RateLimit{each("principal-1s", policy.PerPrincipal), each("client_ip-1s", policy.PerClientIP)}},
	} {
		b.Run("limits="+c.name, func(b *testing.B) {
			r := newRig(b, func(r *rig) {
				r.cfg.Logger = slog.New(telemetry.NewHandler(io.Discard, telemetry.JSON, nil))
				r.policyOf("show").RateLimits = c.limits
			})
			p, w := newReplay("GET", "/orders/o1", r.token, ""), &discard{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				p.serve(r.h, w)
			}
			if w.status != http.StatusOK {
				b.Fatalf("status %d", w.status)
			}
		})
	}
}
