package security

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// openReplicas starts the service twice, with one Redis.
func openReplicas(t testing.TB) *shop {
	w := newWorld(t)
	addr := startRedis(t, w)
	environ := []string{"REDIS_URL=redis://" + addr, "REDIS_SECRET=" + pepper}
	s := newShop(t, w, mustBuild(t), environ...)
	s.other, s.redis = newShop(t, w, mustBuild(t), environ...), addr
	w.closers = append(w.closers, s.other.stop)
	return s
}

// startRedis starts a Redis that keeps nothing, and waits until it answers.
func startRedis(t testing.TB, w *world) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	_ = free.Close()
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", w.dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.closers = append(w.closers, func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	until(t, "Redis answers", func() bool {
		reply, err := ask(addr, "PING")
		return err == nil && len(reply) == 1
	})
	return addr
}

// ask sends a command to Redis, and returns the strings of its reply.
func ask(addr string, command ...string) (reply []string, err error) {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	text := fmt.Sprintf("*%d\r\n", len(command))
	for _, c := range command {
		text += fmt.Sprintf("$%d\r\n%s\r\n", len(c), c)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		return nil, err
	}
	in := bufio.NewReader(conn)
	for left := 1; left > 0; left-- {
		head, err := in.ReadString('\n')
		if err != nil {
			return nil, err
		}
		head = strings.TrimSuffix(head, "\r\n")
		n, _ := strconv.Atoi(head[1:])
		switch head[0] {
		case '*':
			left += n
		case '$':
			b := make([]byte, max(n, -2)+2)
			if _, err := io.ReadFull(in, b); err != nil {
				return nil, err
			}
			reply = append(reply, strings.TrimSuffix(string(b), "\r\n"))
		case '-':
			return nil, fmt.Errorf("%s: %s", command[0], head)
		default:
			reply = append(reply, head[1:])
		}
	}
	return reply, nil
}

// replicaAttacks are about what replicas tell one another.
func replicaAttacks() []attack {
	return []attack{
		{name: "replicas_lockout", defence: "who is locked out of one replica is locked out of all, over all transports", run: func(t *testing.T, s *shop) {
			s.lockOther(t, "198.51.100.200")
			free := request{path: "/orders", header: [][2]string{bearer(token{by: s.rsa, claims: members{"exp": time.Now().Unix() - 60}})}, from: "198.51.100.201"}
			if a := s.other.send(t, free); a.StatusCode != http.StatusUnauthorized {
				t.Errorf("another address: %d", a.StatusCode)
			}
		}},
		{name: "replicas_secret", defence: "who reads Redis knows no addresses", run: func(t *testing.T, s *shop) {
			const from = "203.0.113.222"
			s.lockOther(t, from)
			raw := netip.MustParseAddr(from).As4()
			keys, err := ask(s.redis, "KEYS", "*")
			if err != nil || len(keys) == 0 {
				t.Fatal(keys, err)
			}
			text := strings.Join(keys, " ")
			for _, key := range keys {
				if members, err := ask(s.redis, "ZRANGE", key, "0", "-1"); err == nil {
					text += strings.Join(members, " ")
				}
			}
			if strings.Contains(text, from) || strings.Contains(text, string(raw[:])) || strings.Contains(text, "mallory") {
				t.Errorf("Redis has %q", text)
			}
			for name, found := range map[string][]string{"Redis": s.leaks(text), "the other's log": s.leaks(s.other.out.String())} {
				if len(found) > 0 {
					t.Errorf("%s has %v", name, found)
				}
			}
		}},
	}
}

// lockOther has an address locked out of one replica, over gRPC, and waits until
// it is so of the other.
func (s *shop) lockOther(t *testing.T, from string) {
	t.Helper()
	wrong := s.wrong(1, from)
	late := bearing("/orders", token{by: s.rsa, claims: members{"exp": time.Now().Unix() - 60}}) // which is no guess
	late.from = from
	for range 10 {
		s.attack(t, wrong, bad("bad_signature"))
	}
	begun := time.Now()
	for n := 0; ; n++ {
		a := s.other.send(t, late)
		if a.StatusCode == http.StatusTooManyRequests && a.Name == "too_many_failures" {
			return
		}
		if time.Since(begun) > patience/2 {
			t.Fatalf("the other answers %d", a.StatusCode)
		}
		s.send(t, wrong) // by which one lock follows on another, each longer
		time.Sleep(20 * time.Millisecond)
	}
}
