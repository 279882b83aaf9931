package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aguada-dev/aguada/examples/orders/internal/pgtest"
)

func TestOpenPostgresRefuses(t *testing.T) {
	t.Setenv("PGSSLMODE", "")
	for _, c := range []struct{ name, url, want string }{
		{"another machine", "postgres://shop:hunter2@db.example/shop", "sslmode=verify-full"},
		{"one of them another machine", "postgres://shop:hunter2@127.0.0.1,db.example/shop", "sslmode=verify-full"},
		{"a raw password", "postgres://shop:hunter2%@db/shop", "%25"},
		{"a raw port", "postgres://shop:a/hunter2@db/shop", "want"},
		{"no host", "postgresql:hunter2", "want"},
		{"parameters", "postgres://shop:hunter2@localhost/shop?a=%zz", "parameters"},
		{"a pool without connections", "postgres://shop:hunter2@localhost/shop?pool_max_conns=0", "setting"},
		{"an unknown mode", "postgres://shop:hunter2@localhost/shop?sslmode=hunter2", "setting"},
		{"a missing certificate", "postgres://shop:hunter2@localhost/shop?sslmode=verify-full&sslrootcert=/none/hunter2", "file"},
		{"nobody there", "postgres://shop:hunter2@127.0.0.1:1/shop", ErrUnavailable.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Open(t.Context(), c.url, Config{})
			if err == nil {
				t.Fatal("opened", s.Close())
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %q, want it to say %q", err, c.want)
			}
		})
	}
	u, password := parsed(t, pgtest.URL(t)), "hunter2"
	u.User = url.UserPassword("shop", password)
	if s, err := Open(t.Context(), u.String(), Config{}); err == nil || strings.Contains(err.Error(), password) || strings.Contains(err.Error(), u.String()) {
		t.Errorf("with a wrong password: %v, %v", s, err)
	}
}

// The settings that bound what the server does are in force, and the URL's win.
func TestPostgresSettings(t *testing.T) {
	text := pgtest.URL(t)
	s := open(t, text)
	for name, want := range map[string]string{
		"statement_timeout": "10s", "idle_in_transaction_session_timeout": "30s",
		"application_name": "shop", "default_transaction_isolation": "read committed",
	} {
		if got := scalar(t, s, "SHOW "+name); got != want {
			t.Errorf("%s = %s, want %s", name, got, want)
		}
	}
	s = open(t, text+"&statement_timeout=70&pool_max_conns=2")
	if got := scalar(t, s, "SHOW statement_timeout"); got != "70ms" {
		t.Errorf("statement_timeout = %s", got)
	}
	release := s.blockUsers(t)
	begun := time.Now()
	if err := s.Insert(t.Context(), sample("alice")); !errors.Is(err, ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a statement that takes too long: %v", err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	release()
	consistent(t, s, 0)
	insert(t, s, sample("alice"))
}

// blockUsers keeps everybody from counting an order.
func (s *Store) blockUsers(t *testing.T) (release func()) {
	t.Helper()
	tx, err := s.write.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("LOCK TABLE users IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	release = sync.OnceFunc(func() {
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(release)
	return release
}

// However many call, the server sees no more connections than the pool's.
func TestPoolIsBounded(t *testing.T) {
	s := open(t, pgtest.URL(t))
	most := 0
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range 4 * maxConns {
		wg.Go(func() {
			if err := s.Insert(t.Context(), sample(fmt.Sprint("user", i))); err != nil {
				t.Error(err)
			}
			var n int
			if err := s.read.QueryRow("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'").Scan(&n); err != nil {
				t.Error(err)
			}
			mu.Lock()
			most = max(most, n)
			mu.Unlock()
		})
	}
	wg.Wait()
	if most > maxConns {
		t.Errorf("%d connections, want %d at most", most, maxConns)
	}
	consistent(t, s, 4*maxConns)
}

// A call whose context ends while the server works ends at once, and so does
// the server's work.
func TestCancelledQuery(t *testing.T) {
	s := open(t, pgtest.URL(t))
	s.blockUsers(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begun := time.Now()
	if err := s.Insert(ctx, sample("alice")); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrUnavailable) {
		t.Errorf("error %v", err)
	}
	if _, err := s.Users(ctx, "", 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if took := time.Since(begun); took > commitTimeout/2 {
		t.Errorf("took %v", took)
	}
	eventually(t, func() bool {
		return scalar(t, s, "SELECT count(*) FROM pg_locks WHERE NOT granted") == "0"
	})
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not happen")
		}
	}
}

// Connections that the server ends, between calls and within them, cost no
// order and no error.
func TestEndedConnections(t *testing.T) {
	text := pgtest.URL(t)
	s, killer := open(t, text), open(t, text)
	kill := func() {
		if _, err := killer.write.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid()`); err != nil {
			t.Error(err)
		}
	}
	for range 10 {
		insert(t, s, sample("alice"))
		kill()
	}
	// One that is in the middle of its transaction.
	release := killer.blockUsers(t)
	done := make(chan error, 1)
	go func() { done <- s.Insert(t.Context(), sample("alice")) }()
	eventually(t, func() bool {
		return scalar(t, killer, "SELECT count(*) FROM pg_locks WHERE NOT granted") == "1"
	})
	if _, err := killer.write.Exec(`SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted`); err != nil {
		t.Fatal(err)
	}
	release()
	if err := <-done; err != nil {
		t.Error(err)
	}
	consistent(t, s, 11)
}

// A connection that breaks when the server has committed, and before it has said
// so, makes neither an error nor a second order.
func TestLostCommit(t *testing.T) {
	text := pgtest.URL(t)
	p := newProxy(t, text)
	s, direct := open(t, p.url), open(t, text)
	o := sample("alice")
	p.cutCommits.Store(1)
	insert(t, s, o)
	if p.cutCommits.Load() != 0 {
		t.Fatal("no commit was cut: the test does not test it")
	}
	got, err := direct.Order(t.Context(), Reach{Owner: "alice"}, o.ID)
	if d := cmp.Diff(o, got); err != nil || d != "" {
		t.Error(err, d)
	}
	consistent(t, direct, 1)
	p.cutCommits.Store(1)
	c, err := s.Cancel(t.Context(), Reach{Owner: "alice"}, o.ID, o.PlacedAt)
	if err != nil || !c.CancelledAt.Equal(o.PlacedAt) {
		t.Errorf("%+v, %v", c, err)
	}
	consistent(t, direct, 1)
	if got := scalar(t, direct, "SELECT cancelled FROM users"); got != "1" {
		t.Errorf("counted %s cancellations", got)
	}
	// The same identifier by somebody else is still an error.
	if err := s.Insert(t.Context(), o); !errors.Is(err, ErrExists) {
		t.Errorf("twice: %v", err)
	}
	p.cutCommits.Store(attempts)
	if err := s.Insert(t.Context(), sample("alice")); err != nil && !errors.Is(err, ErrUnavailable) {
		t.Errorf("every commit cut: %v", err)
	}
	p.close()
	if err := s.Insert(t.Context(), sample("alice")); !errors.Is(err, ErrUnavailable) {
		t.Errorf("no server: %v", err)
	}
	if _, err := s.Order(t.Context(), Reach{All: true}, o.ID); !errors.Is(err, ErrUnavailable) {
		t.Errorf("no server: %v", err)
	}
	if err := s.Ping(t.Context()); !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), parsed(t, text).User.String()) {
		t.Errorf("no server: %v", err)
	}
}

// proxy passes bytes to the server. While cutCommits is above 0, it hangs up on
// a client that commits, once the server has answered.
type proxy struct {
	url        string
	cutCommits atomic.Int32
	listener   net.Listener
	mu         sync.Mutex
	conns      []net.Conn
}

func newProxy(t *testing.T, text string) *proxy {
	t.Helper()
	u := parsed(t, text)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l}
	server := u.Host
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", server)
			if err != nil {
				_ = client.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, client, up)
			p.mu.Unlock()
			var cut atomic.Bool
			go func() {
				defer func() { _ = up.Close() }()
				p.pass(up, client, func(b []byte) {
					if bytes.Contains(b, []byte("commit\x00")) && p.cutCommits.Add(-1) >= 0 {
						cut.Store(true)
					}
				})
			}()
			go func() {
				defer func() { _ = client.Close() }()
				buf := make([]byte, 64<<10)
				for {
					n, err := up.Read(buf)
					if err != nil || cut.Load() {
						return
					}
					if _, err := client.Write(buf[:n]); err != nil {
						return
					}
				}
			}()
		}
	}()
	t.Cleanup(p.close)
	u.Host = l.Addr().String()
	p.url = u.String()
	return p
}

func (p *proxy) pass(to io.Writer, from io.Reader, look func([]byte)) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		look(buf[:n])
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
}

// Where transactions are serializable, those that conflict are tried again.
func TestSerializable(t *testing.T) {
	s := open(t, pgtest.URL(t)+"&default_transaction_isolation=repeatable%20read")
	if got := scalar(t, s, "SHOW default_transaction_isolation"); got != "repeatable read" {
		t.Fatal(got)
	}
	var failures atomic.Int32
	var stored atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10 {
				err := s.Insert(t.Context(), sample("alice"))
				switch {
				case err == nil:
					stored.Add(1)
				case errors.Is(err, ErrUnavailable):
					failures.Add(1)
				default:
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d stored, %d gave up", stored.Load(), failures.Load())
	consistent(t, s, int(stored.Load()))
	if stored.Load() < 20 {
		t.Error("most gave up")
	}
}

// The indexes serve the queries that pages and reports ask, on many orders.
func TestPostgresPlans(t *testing.T) {
	s := open(t, pgtest.URL(t))
	if _, err := s.write.Exec(`INSERT INTO orders (id, created_by, customer_id, currency, total_cents, placed_at, ships_at)
		SELECT 'ord_' || i, 'user' || i % 100, 'c', 'EUR', 1, i::bigint * 86400000, 0 FROM generate_series(1, 20000) AS i`); err != nil {
		t.Fatal(err)
	}
	if _, err := s.write.Exec("VACUUM ANALYZE orders"); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{
		strings.NewReplacer("$1", "'user7'", "$2", "9000", "$3", "20").Replace(selectOwn.text):         "orders_of_creator",
		strings.NewReplacer("$1", "86400000", "$2", "864000000").Replace(selectSales.text):             "Index Only Scan using orders_sold",
		strings.NewReplacer("$1", "'ord_9'", "$2", "'user9'", "$3", "false").Replace(selectOrder.text): "orders_id_key",
		strings.NewReplacer("$1", "9000", "$2", "20").Replace(selectAll.text):                          "orders_pkey",
	} {
		rows, err := s.read.Query("EXPLAIN " + query)
		if err != nil {
			t.Fatal(err)
		}
		var plan strings.Builder
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				t.Fatal(err)
			}
			plan.WriteString(line + "\n")
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(plan.String(), want) || strings.Contains(plan.String(), "Seq Scan") {
			t.Errorf("%s:\n%s, want %s", query, plan.String(), want)
		}
	}
}

func parsed(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
