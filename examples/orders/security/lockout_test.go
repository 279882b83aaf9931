package security

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"testing"
)

// locked is the refusal of who guessed too often.
func locked(scheme string) refusal {
	return refusal{http.StatusTooManyRequests, "", "too_many_failures", scheme, "locked"}
}

// guess sends wrong keys, from one address or as many as there are guesses.
func (s *shop) guess(t *testing.T, n int, from func(i int) string) {
	t.Helper()
	for i := range n {
		r := keyed(forge(s.keys["good"]))
		r.from = from(i)
		s.attack(t, r, badKey("unknown"))
	}
}

// isLocked sends what is wrong from an address that is locked out. The first
// lock lasts a second, which is short where much else runs: a guess after it
// begins one of twice the time.
func (s *shop) isLocked(t *testing.T, r request, scheme string) *answer {
	t.Helper()
	for range 3 {
		if s.send(t, r).StatusCode == http.StatusTooManyRequests {
			break
		}
	}
	return s.attack(t, r, locked(scheme))
}

func lockoutAttacks() []attack {
	return []attack{
		{name: "lockout", defence: "who guesses has to wait; nobody else has", run: lockOut},
		{name: "lockout_schemes", defence: "guesses by all schemes are counted together", run: func(t *testing.T, s *shop) {
			const from = "198.51.100.20"
			for range 3 {
				for _, r := range []request{keyed(s.keys["absent"]), bearing("/orders", token{by: s.stranger}), sales("inactive.0"), account(login(rand.Text(), "a password like any"))} {
					r.from = from
					s.send(t, r)
				}
			}
			r := bearing("/orders", token{by: s.stranger})
			r.from = from
			s.isLocked(t, r, "jwt")
		}},
		{name: "lockout_ipv6", defence: "an IPv6 network of 64 bits is one client", run: func(t *testing.T, s *shop) {
			s.guess(t, 10, func(i int) string { return fmt.Sprintf("2001:db8:1:2::%x", i+1) })
			r := keyed(forge(s.keys["good"]))
			r.from = "2001:db8:1:2:ffff::1"
			s.isLocked(t, r, "api_key")
			r.from = "2001:db8:1:3::1"
			s.attack(t, r, badKey("unknown"))
		}},
		{name: "lockout_forged_address", defence: "X-Forwarded-For of strangers is not believed", run: forgedAddress},
		{name: "lockout_appended_address", defence: "what stands before a trusted proxy's entry is not believed", run: func(t *testing.T, s *shop) {
			for i := range 10 {
				a := s.send(t, request{path: "/users", from: fmt.Sprintf("203.0.113.%d, 198.51.100.30", i), header: [][2]string{{"X-API-Key", forge(s.keys["good"])}}})
				if a.StatusCode != http.StatusUnauthorized || a.log.text("client.address") != "198.51.100.30" {
					t.Errorf("%d from %s", a.StatusCode, a.log.text("client.address"))
				}
			}
			a := s.send(t, request{path: "/users", from: "203.0.113.99, 198.51.100.30", header: [][2]string{{"X-API-Key", forge(s.keys["good"])}}})
			if a.StatusCode != http.StatusTooManyRequests {
				t.Errorf("%d %s", a.StatusCode, a.text)
			}
		}},
		{name: "lockout_success_resets_nothing", defence: "a good credential does not buy guesses", run: func(t *testing.T, s *shop) {
			const from = "198.51.100.40"
			for i := range 10 {
				s.guess(t, 1, func(int) string { return from })
				if i < 9 {
					r := keyed(s.keys["known"])
					r.from = from
					s.attack(t, r, refusal{status: 200})
				}
			}
			r := keyed(s.keys["absent"])
			r.from = from
			s.attack(t, r, locked("api_key"))
		}},
	}
}

func lockOut(t *testing.T, s *shop) {
	const from = "198.51.100.10"
	known := keyed(s.keys["known"])
	known.from = from
	s.attack(t, known, refusal{status: 200})
	s.attack(t, keyed(s.keys["retiring"]), refusal{status: 200}) // from elsewhere
	before := metric(s.operate(t, "/metrics"), "aguada_auth_lockouts_total")
	s.guess(t, 10, func(int) string { return from })
	r := keyed(forge(s.keys["good"]))
	r.from = from
	a := s.isLocked(t, r, "api_key")
	if wait, err := strconv.Atoi(a.Header.Get("Retry-After")); err != nil || wait < 1 || wait > 900 {
		t.Errorf("Retry-After: %q", a.Header.Get("Retry-After"))
	}
	s.attack(t, known, refusal{status: 200}) // was verified there before
	r = keyed(s.keys["retiring"])
	r.from = from
	s.attack(t, r, locked("api_key")) // a lock that lets in what is right tells what is
	r = get("/users/public")
	r.from = from
	s.attack(t, r, refusal{status: 200})
	s.attack(t, keyed(s.keys["retiring"]), refusal{status: 200}) // another address
	if after := metric(s.operate(t, "/metrics"), "aguada_auth_lockouts_total"); after == before {
		t.Errorf("the lock-out is not counted: %s", after)
	}
	found := false
	for _, e := range s.events(t, from+"/32") {
		found = found || e.Action == "lockout" && e.Outcome == "denied"
	}
	if !found {
		t.Errorf("the lock-out is not audited:\n%s", s.operate(t, "/audit"))
	}
}

// forgedAddress guesses from an address that is no trusted proxy's, each time
// as if for another client.
func forgedAddress(t *testing.T, s *shop) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: only Linux has more than one loopback address")
	}
	const peer = "127.0.0.66"
	dial := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(peer)}}
	client := &http.Client{Timeout: patience, Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return dial.DialContext(ctx, network, addr)
		},
	}}
	usual := s.client
	s.client = client
	defer func() { s.client = usual; client.CloseIdleConnections() }()
	for i := range 11 {
		a := s.send(t, request{path: "/users", from: fmt.Sprintf("192.0.2.%d", i), header: [][2]string{{"X-API-Key", forge(s.keys["good"])}}})
		want := http.StatusUnauthorized
		if i == 10 {
			want = http.StatusTooManyRequests
		}
		if a.StatusCode != want || a.log.text("client.address") != peer {
			t.Errorf("guess %d: %d from %s, want %d", i+1, a.StatusCode, a.log.text("client.address"), want)
		}
	}
}
