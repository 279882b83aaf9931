package transport

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/policy"
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
