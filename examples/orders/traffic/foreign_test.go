//go:build linux

package traffic

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// spoken runs a program that others wrote, and returns what it says.
func spoken(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, program(t, name), args...).CombinedOutput()
	return string(out), err
}

// expect is spoken for what has to succeed.
func expect(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := spoken(t, name, args...)
	if err != nil {
		t.Errorf("%s %q: %v\n%s", name, args[len(args)-1], err, out)
	}
	return out
}

const orderText = `{"customer_id":"c1","currency":"EUR","items":[{"sku":"TEA","quantity":1,"unit_price_cents":5}]}`

// TestGRPCurl uses the service as somebody does who has no code of it: by
// reflection.
func TestGRPCurl(t *testing.T) {
	program(t, "grpcurl")
	w := newWorld(t)
	p := w.replica("GRPC_REFLECTION=true")
	alice, bob := "authorization: "+w.token("alice", "api:read", "api:write"), "authorization: "+w.token("bob", "api:read")
	services := strings.Fields(expect(t, "grpcurl", "-plaintext", p.grpc, "list"))
	for _, want := range []string{"accounts.Accounts", "grpc.health.v1.Health", "orders.Orders", "reports.Reports", "users.Users"} {
		if !slices.Contains(services, want) {
			t.Errorf("list has no %s: %v", want, services)
		}
	}
	methods := strings.Fields(expect(t, "grpcurl", "-plaintext", p.grpc, "list", "orders.Orders"))
	if want := []string{"Cancel", "Create", "Get", "List", "Live", "WatchOrders"}; strings.Join(methods, " ") != "orders.Orders."+strings.Join(want, " orders.Orders.") {
		t.Errorf("the methods are %v", methods)
	}
	out := expect(t, "grpcurl", "-plaintext", p.grpc, "describe", "orders.CreateRequest")
	if !strings.Contains(out, "repeated .orders.OrderItem items = 3;") || strings.Contains(out, "token") {
		t.Errorf("describe: %s", out)
	}
	if out := expect(t, "grpcurl", "-plaintext", p.grpc, "grpc.health.v1.Health/Check"); !strings.Contains(out, `"status": "SERVING"`) {
		t.Errorf("health: %s", out)
	}
	var ids [2]string
	for i := range ids { // the same order again
		out := expect(t, "grpcurl", "-plaintext", "-H", alice, "-H", "idempotency-key: by-hand", "-d", orderText, p.grpc, "orders.Orders/Create")
		var o struct{ ID, Status, TotalCents string }
		if err := json.Unmarshal([]byte(out), &o); err != nil || !strings.HasPrefix(o.ID, "ord_") || o.Status != "placed" || o.TotalCents != "5" {
			t.Errorf("create: %v %s", err, out)
		}
		ids[i] = o.ID
	}
	if ids[0] != ids[1] {
		t.Errorf("one key made the orders %v", ids)
	}
	for name, c := range map[string]struct {
		token, method, code, reason string
	}{
		"no token":      {"x-none: 1", "orders.Orders/Get", "Unauthenticated", "UNAUTHORIZED"},
		"no scope":      {bob, "orders.Orders/Cancel", "PermissionDenied", "FORBIDDEN"},
		"another's":     {bob, "orders.Orders/Get", "NotFound", "NOT_FOUND"},
		"not found":     {alice, "orders.Orders/Guess", "", ""},
		"its own order": {alice, "orders.Orders/Get", "OK", ids[0]},
	} {
		out, err := spoken(t, "grpcurl", "-plaintext", "-H", c.token, "-d", fmt.Sprintf(`{"id":%q}`, ids[0]), p.grpc, c.method)
		if (err == nil) != (c.code == "OK") || c.code != "OK" && c.code != "" && !strings.Contains(out, "Code: "+c.code+"\n") || !strings.Contains(out, c.reason) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	asked := time.Now()
	p.terminate()
	p.stopped(asked, patience)
}

// Without GRPC_REFLECTION the service tells strangers nothing of itself.
func TestGRPCurlWithoutReflection(t *testing.T) {
	program(t, "grpcurl")
	p := newWorld(t).replica()
	if out, err := spoken(t, "grpcurl", "-plaintext", p.grpc, "list"); err == nil || strings.Contains(out, "orders.Orders") || !strings.Contains(out, "does not support the reflection API") {
		t.Errorf("%v %s", err, out)
	}
}

// TestGHZ has another's load generator place and list orders over gRPC: it sees
// no error.
func TestGHZ(t *testing.T) {
	program(t, "ghz")
	w := newWorld(t)
	p, calls := w.replica("GRPC_REFLECTION=true"), scaled(10_000, 1000)
	metadata := fmt.Sprintf(`{"authorization":%q}`, w.token("alice", "api:read", "api:write"))
	for method, data := range map[string]string{"Create": orderText, "List": `{"limit":2}`} {
		out := expect(t, "ghz", "--insecure", "--call", "orders.Orders."+method, "-m", metadata, "-d", data,
			"-n", strconv.Itoa(calls), "-c", "10", "--connections", "2", "-O", "json", p.grpc)
		var report struct {
			Count                  int
			Total                  time.Duration
			RPS                    float64
			StatusCodeDistribution map[string]int
			ErrorDistribution      map[string]int
			LatencyDistribution    []struct {
				Percentage int
				Latency    time.Duration
			}
		}
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if report.StatusCodeDistribution["OK"] != calls || len(report.StatusCodeDistribution) != 1 || len(report.ErrorDistribution) > 0 {
			t.Errorf("%s: %v %v", method, report.StatusCodeDistribution, report.ErrorDistribution)
		}
		t.Logf("ghz %s: %d calls, %.0f a second, %v, latency %v", method, report.Count, report.RPS, report.StatusCodeDistribution, report.LatencyDistribution)
	}
	if n := w.count("SELECT count(*) FROM orders"); n != calls {
		t.Errorf("%d calls placed %d orders", calls, n)
	}
}

// What wrk says of a run, and of what went wrong where something did.
var (
	wrkCount = regexp.MustCompile(`(\d+) requests in [\d.]+`)
	wrkRate  = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)
	wrkWrong = regexp.MustCompile(`(Non-2xx.*|Socket errors.*)`)
)

// TestWrk has another's load generator list orders over HTTP: it sees no error.
func TestWrk(t *testing.T) {
	program(t, "wrk")
	w := newWorld(t)
	p := w.replica()
	// Not for longer: the limit of an address is meant for what comes from one.
	out := expect(t, "wrk", "-t", "1", "-c", "10", "-d", fmt.Sprint(scaled(2, 1), "s"), "--latency",
		"-H", "Authorization: "+w.token("alice", "api:read"), "http://"+p.http+"/orders?limit=2")
	count, rate := wrkCount.FindStringSubmatch(out), wrkRate.FindStringSubmatch(out)
	if count == nil || rate == nil || wrkWrong.MatchString(out) || count[1] == "0" {
		t.Fatal(out)
	}
	t.Logf("wrk: %s requests, %s a second, no error", count[1], rate[1])
}
