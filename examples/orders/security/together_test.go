package security

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"testing"
)

// togetherAttacks are about failures that are counted over all transports.
func togetherAttacks() []attack {
	over := func(name, call string) attack {
		return attack{name: name, defence: "failures over any transport count together", run: func(t *testing.T, s *shop) { s.spread(t, call) }}
	}
	return []attack{
		over("together_grpc", "grpc"), over("together_watch", "watch"), over("together_live", "live"), over("together_sse", "sse"), over("together_websocket", "websocket"),
		{name: "together_mixed", defence: "failures over all transports count together", run: func(t *testing.T, s *shop) {
			const from = "198.51.100.90"
			for i := range 10 {
				s.attack(t, s.wrong(i%(len(carriers)+1), from), bad("bad_signature"))
			}
			for i := range len(carriers) + 1 {
				s.isLocked(t, s.wrong(i, from), "jwt")
			}
		}},
		{name: "together_logins", defence: "guesses of passwords count, over gRPC too", run: func(t *testing.T, s *shop) {
			const from = "198.51.100.91"
			for range 10 {
				r := me(user("carol"+rand.Text()), pass("a password like any"))
				r.from = from
				s.attack(t, r, badLogin("unknown"))
			}
			r := account(login("carol", "a password like any"))
			r.from = from
			s.isLocked(t, r, "basic")
			r = me(user("carol"), pass("a password like any"))
			r.from = from
			a := s.isLocked(t, r, "basic")
			if a.code != "RESOURCE_EXHAUSTED" || a.Header.Get("Retry-After") == "" {
				t.Errorf("%s %v", a.code, a.Header)
			}
		}},
		{name: "together_right", defence: "a lock lets nobody in, whatever they know, over any transport; who was there before is let in", run: rightWhileLocked},
		{name: "together_ipv6", defence: "an IPv6 network of 64 bits is one client, over gRPC too", run: func(t *testing.T, s *shop) {
			for i := range 10 {
				s.attack(t, s.wrong(1, fmt.Sprintf("2001:db8:2:2::%x", i+1)), bad("bad_signature"))
			}
			s.isLocked(t, s.wrong(1, "2001:db8:2:2:ffff::1"), "jwt")
			s.attack(t, s.wrong(1, "2001:db8:2:3::1"), bad("bad_signature"))
		}},
		{name: "together_success_resets_nothing", defence: "a good credential does not buy guesses, over gRPC either", run: func(t *testing.T, s *shop) {
			const from = "198.51.100.93"
			for i := range 10 {
				s.attack(t, s.wrong(1, from), bad("bad_signature"))
				if i < 9 {
					s.attack(t, s.right(1, from), refusal{status: 200})
				}
			}
			s.isLocked(t, s.wrong(1, from), "jwt")
		}},
		{name: "together_forged_address", defence: "X-Forwarded-For of strangers is not believed, over gRPC either", run: forgedMetadata},
		{name: "together_appended_address", defence: "what stands before a trusted proxy's entry is not believed, over gRPC either", run: func(t *testing.T, s *shop) {
			for i := range 11 {
				a := s.send(t, request{call: calls["/users"], from: fmt.Sprintf("203.0.113.%d, 198.51.100.92", i), header: [][2]string{{"X-API-Key", forge(s.keys["good"])}}})
				want := http.StatusUnauthorized
				if i == 10 {
					want = http.StatusTooManyRequests
				}
				if a.StatusCode != want || a.log.text("client.address") != "198.51.100.92" {
					t.Errorf("guess %d: %d from %s", i+1, a.StatusCode, a.log.text("client.address"))
				}
			}
		}},
	}
}

// wrong returns a wrong token over HTTP, or over one of the carriers.
func (s *shop) wrong(i int, from string) request {
	r := bearing("/orders", token{by: s.stranger})
	if i > 0 {
		r, _ = carriers[i-1].carry(r)
	}
	r.from = from
	return r
}

// right returns a good token as wrong returns a bad one.
func (s *shop) right(i int, from string) request {
	r := bearing("/orders", token{by: s.rsa})
	if i > 0 {
		r, _ = carriers[i-1].carry(r)
	}
	r.from = from
	return r
}

// rightWhileLocked presents what is right from an address that is locked out.
func rightWhileLocked(t *testing.T, s *shop) {
	const from = "198.51.100.94"
	known := request{call: calls["/users"], header: keyed(s.keys["known"]).header, from: from}
	s.attack(t, known, refusal{status: 200})
	for range 10 {
		s.attack(t, s.wrong(1, from), bad("bad_signature"))
	}
	stays := func() bool { // for more than a second: a guess after a lock begins one of twice the time
		wait, _ := strconv.Atoi(s.send(t, s.wrong(1, from)).Header.Get("Retry-After"))
		return wait > 1
	}
	for i := range len(carriers) + 1 {
		until(t, "the lock stays", stays)
		s.attack(t, s.right(i, from), locked("jwt"))
	}
	until(t, "the lock stays", stays)
	s.attack(t, known, refusal{status: 200}) // was verified there before
	s.attack(t, request{call: "users.Users/About", from: from}, refusal{status: 200})
	s.attack(t, s.right(1, "198.51.100.95"), refusal{status: 200})
	if !slices.ContainsFunc(s.events(t, from+"/32"), func(e event) bool { return e.Action == "lockout" && e.Outcome == "denied" }) {
		t.Errorf("the lock-out is not audited:\n%s", s.operate(t, "/audit"))
	}
}

// spread guesses over one transport, and is locked out of HTTP, and then the
// other way round.
func (s *shop) spread(t *testing.T, name string) {
	t.Helper()
	at := 0
	for i, c := range carriers {
		if c.name == name {
			at = i + 1
		}
	}
	for i, way := range [][2]int{{at, 0}, {0, at}} {
		from := fmt.Sprintf("198.51.100.%d", 100+10*at+i)
		for range 10 {
			s.attack(t, s.wrong(way[0], from), bad("bad_signature"))
		}
		s.isLocked(t, s.wrong(way[1], from), "jwt")
	}
}

// forgedMetadata guesses from an address that is no trusted proxy's.
func forgedMetadata(t *testing.T, s *shop) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: only Linux has more than one loopback address")
	}
	const peer = "127.0.0.67"
	dial := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(peer)}}
	usual := s.rpc
	s.rpc = speaking(nil)
	s.rpc.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return dial.DialContext(ctx, network, addr)
	}
	defer func() { s.rpc.CloseIdleConnections(); s.rpc = usual }()
	for i := range 11 {
		a := s.send(t, request{call: calls["/users"], from: fmt.Sprintf("192.0.2.%d", i), header: [][2]string{{"X-API-Key", forge(s.keys["good"])}}})
		want := http.StatusUnauthorized
		if i == 10 {
			want = http.StatusTooManyRequests
		}
		if a.StatusCode != want || a.log.text("client.address") != peer {
			t.Errorf("guess %d: %d from %s, want %d", i+1, a.StatusCode, a.log.text("client.address"), want)
		}
	}
}
