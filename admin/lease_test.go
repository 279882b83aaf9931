package admin

import (
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/aguada-dev/aguada/policy"
)

var jsonType = []string{"Content-Type", "application/json"}

func TestLeases(t *testing.T) {
	g := newRig(t, nil)
	a := g.do("POST", "/debug/leases", `{"kind":"payloads","service":"orders","method":"create","scheme":"jwt","principal":"ann","duration":"10m","reason":"ticket 42"}`, jsonType...)
	var l Lease
	a.into(t, &l)
	if a.status != 201 || a.header.Get("Location") != "/debug/leases/"+l.ID || l.Expires.Sub(l.Opened) != 10*time.Minute || l.OpenedBy != "local 127.0.0.1" {
		t.Errorf("%d %+v", a.status, l)
	}
	var list struct{ Leases []Lease }
	g.get("/debug/leases?format=json").into(t, &list)
	if diff := cmp.Diff([]Lease{l}, list.Leases); diff != "" {
		t.Errorf("leases (-want +got):\n%s", diff)
	}
	if text := g.get("/debug/leases").body; !strings.Contains(text, "ticket 42") || !strings.Contains(text, "jwt     ann") || !strings.Contains(text, "leases/"+l.ID+"' -X DELETE") {
		t.Errorf("leases:\n%s", text)
	}
	if a := g.do("DELETE", "/debug/leases/"+l.ID, ""); a.status != 200 || !strings.Contains(a.body, l.ID) {
		t.Errorf("end: %d %s", a.status, a.body)
	}
	for _, path := range []string{"/debug/leases/" + l.ID, "/debug/leases/nope", "/debug/leases/"} {
		if a := g.do("DELETE", path, ""); a.status != 404 {
			t.Errorf("end %s: %d", path, a.status)
		}
	}
	if a := g.do("DELETE", "/debug/leases", ""); a.status != 405 {
		t.Errorf("end all: %d", a.status)
	}
	for range 4 {
		a = g.do("POST", "/debug/leases", `{"kind":"log-level","level":"debug","duration":"1h","reason":"load"}`, jsonType...)
	}
	if a.status != 409 || !strings.Contains(a.body, "too many leases") {
		t.Errorf("a refused lease: %d %s", a.status, a.body)
	}
	const by = " local 127.0.0.1"
	want := "lease.opened success" + by + "\nlease.ended success" + by + strings.Repeat("\nlease.opened success"+by, 3) + "\nlease.opened failure" + by
	if diff := cmp.Diff(want, g.actions()); diff != "" {
		t.Errorf("audited (-want +got):\n%s", diff)
	}
	if !strings.Contains(g.log.String(), `"msg":"audit","action":"lease.opened","enduser.id":"local 127.0.0.1"`) {
		t.Errorf("log:\n%s", g.log)
	}
}

func TestLeaseRequests(t *testing.T) {
	g := newRig(t, func(c *Config) { c.MaxLease = time.Minute })
	for _, c := range []struct{ body, want string }{
		{`{"kind":"log-level","level":"debug","duration":"1m","reason":"r"}`, ""},
		{`{"kind":"payloads","principal":"ann","duration":"1s","reason":"r"}`, ""},
		{``, "JSON object"},
		{`null`, "kind must"},
		{`[]`, "JSON object"},
		{`"x"`, "JSON object"},
		{`{`, "JSON object"},
		{`{"kind":"log-level","level":"debug","duration":"1m","reason":"r"}{}`, "one JSON object"},
		{`{"kind":"log-level","level":"debug","duration":"1m","reason":"r"}]`, "one JSON object"},
		{`{"kind":"log-level","level":"debug","duration":"1m","reason":"r","by":"root"}`, "JSON object"},
		{`{"kind":"log-level","level":"debug","duration":60,"reason":"r"}`, "JSON object"},
		{`{"kind":"all","duration":"1m","reason":"r"}`, "kind must"},
		{`{"kind":"log-level","duration":"1m","reason":"r"}`, "level must"},
		{`{"kind":"log-level","level":"trace","duration":"1m","reason":"r"}`, "level must"},
		{`{"kind":"payloads","level":"debug","service":"orders","duration":"1m","reason":"r"}`, "only for"},
		{`{"kind":"payloads","duration":"1m","reason":"r"}`, "a service or a principal"},
		{`{"kind":"log-level","level":"debug","reason":"r"}`, "duration must"},
		{`{"kind":"log-level","level":"debug","duration":"0s","reason":"r"}`, "duration must"},
		{`{"kind":"log-level","level":"debug","duration":"-1m","reason":"r"}`, "JSON object"},
		{`{"kind":"log-level","level":"debug","duration":"61s","reason":"r"}`, "at most 1m"},
		{`{"kind":"log-level","level":"debug","duration":"99999999999h","reason":"r"}`, "JSON object"},
		{`{"kind":"log-level","level":"debug","duration":"1m"}`, "reason is missing"},
		{`{"kind":"log-level","level":"debug","duration":"1m","reason":" "}`, "reason is missing"},
		{`{"kind":"log-level","level":"debug","duration":"1m","reason":"a\nb"}`, "control characters"},
		{`{"kind":"log-level","level":"debug","duration":"1m","reason":"r","principal":"\u001b[2J"}`, "control characters"},
		{`{"kind":"log-level","level":"debug","duration":"1m","reason":"` + strings.Repeat("x", MaxText+1) + `"}`, "at most 256"},
		{`{"kind":"log-level","level":"debug","duration":"1m","reason":"r","service":"nope"}`, "no such service"},
		{`{"kind":"log-level","level":"debug","duration":"1m","reason":"r","service":"orders","method":"nope"}`, "no such service or method"},
		{`{"kind":"log-level","level":"debug","duration":"1m","reason":"r","method":"create"}`, "method needs its service"},
		{`{"kind":"log-level","level":"debug","duration":"1m","reason":"r","scheme":"JWT"}`, "no such security scheme; it has: jwt"},
		{`{"kind":"payloads","scheme":"jwt","duration":"1m","reason":"r"}`, "a service or a principal"},
	} {
		a := g.do("POST", "/debug/leases", c.body, jsonType...)
		if c.want == "" && a.status != 201 || c.want != "" && (a.status != 400 || !strings.Contains(a.body, c.want)) {
			t.Errorf("%s: %d %s, want %q", c.body, a.status, a.body, c.want)
		}
	}
	if n := len(g.s.cfg.Leases.List()); n != 2 {
		t.Errorf("%d leases", n)
	}
}

func TestHugeBodies(t *testing.T) {
	g := newRig(t, nil)
	huge := `{"kind":"` + strings.Repeat("x", 1<<20) + `"}`
	if a := g.do("POST", "/debug/leases", huge, jsonType...); a.status != 413 || !strings.Contains(a.body, "larger than") {
		t.Errorf("%d %s", a.status, a.body)
	}
	deep := strings.Repeat(`[`, 4000)
	if a := g.do("POST", "/debug/leases", deep, jsonType...); a.status != 400 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := g.get("/livez", "X-Long", strings.Repeat("x", 64<<10)); a.status != 431 {
		t.Errorf("long header: %d", a.status)
	}
	// A body that nobody reads is answered at once, however much is announced.
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = c.Write([]byte("PUT /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\nx"))
	b := make([]byte, 12)
	if _, err := c.Read(b); err != nil || string(b) != "HTTP/1.1 405" {
		t.Errorf("%s, %v", b, err)
	}
}

func FuzzLeaseRequest(f *testing.F) {
	for _, s := range []string{
		`{"kind":"log-level","level":"debug","duration":"1m","reason":"r"}`, `{"kind":"payloads","service":"orders","method":"create","duration":"1s","reason":"r"}`,
		`{}`, `null`, `[1e999]`, `{"reason":"\ud800"}`, `{"KIND":"level","kind":"payloads"}`, "{\"kind\":\"\xff\"}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := parseLease(body, contract, time.Hour)
		if err != nil {
			if len(err.Error()) > 200 {
				t.Errorf("a long error: %v", err)
			}
			return
		}
		level := r.Kind == LevelLease && r.Level != ""
		payload := r.Kind == PayloadLease && r.Level == "" && (r.Service != "" || r.Principal != "")
		if !level && !payload || r.Duration <= 0 || r.Duration > policy.Duration(time.Hour) || r.By != "" || strings.TrimSpace(r.Reason) == "" {
			t.Errorf("%+v", r)
		}
		if r.Scheme != "" && r.Scheme != "jwt" || r.Service != "" && r.Service != "orders" || r.Method != "" && r.Method != "create" && r.Method != "show" {
			t.Errorf("%+v is about nothing of the contract", r)
		}
		if all := r.Reason + r.Principal; strings.ContainsFunc(all, unicode.IsControl) || len(all) > 2*MaxText {
			t.Errorf("%q", all)
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if r2, err := parseLease(again, contract, time.Hour); err != nil || r2 != r {
			t.Errorf("%+v became %+v, %v", r, r2, err)
		}
	})
}
