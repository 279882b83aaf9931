package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/idempotency"
	"github.com/aguada-dev/aguada/idempotency/idempotencytest"
	"github.com/aguada-dev/aguada/idempotency/sqlstore"
)

// shop is a service with orders, on connections of its own.
type shop struct {
	t  *testing.T
	d  database
	db *sql.DB
	k  *idempotency.Keeper
}

func newShop(t *testing.T, d database, url string, cfg idempotency.Config) *shop {
	t.Helper()
	s, db := d.open(t, url)
	cfg.Secrets.Current = idempotencytest.Secret
	if cfg.Timeout == 0 {
		cfg.Timeout = 20 * time.Second
	}
	k, err := idempotency.New(s, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE IF NOT EXISTS orders (key TEXT NOT NULL, body TEXT NOT NULL)"); err != nil {
		t.Fatal(err)
	}
	return &shop{t, d, db, k}
}

func eachShop(t *testing.T, test func(*testing.T, *shop)) {
	each(t, func(t *testing.T, d database) { test(t, newShop(t, d, d.url(t), idempotency.Config{})) })
}

func callOf(key string) idempotency.Call {
	return idempotency.Call{
		Subject: "ann", Method: "orders.create", Key: key, Form: "http", Fingerprint: [32]byte{1}, Keep: time.Hour,
	}
}

// begin claims a key that is free.
func (s *shop) begin(key string) (*idempotency.Claim, context.Context) {
	s.t.Helper()
	claim, reply, err := s.k.Begin(s.t.Context(), callOf(key))
	if err != nil || claim == nil {
		s.t.Fatalf("begin: claim %v, reply %v, error %v", claim != nil, reply, err)
	}
	return claim, claim.Context(s.t.Context())
}

// replayed returns the stored reply.
func (s *shop) replayed(key string) string {
	s.t.Helper()
	claim, reply, err := s.k.Begin(s.t.Context(), callOf(key))
	if err != nil || reply == nil {
		s.t.Fatalf("begin: claim %v, reply %v, error %v", claim != nil, reply, err)
	}
	return string(reply.Body)
}

const insertOrder = "INSERT INTO orders (key, body) VALUES ($1, $2)"

func insert(ctx context.Context, tx *sql.Tx, key, body string) error {
	_, err := tx.ExecContext(ctx, insertOrder, key, body)
	return err
}

// order writes in the transaction of the call.
func (s *shop) order(ctx context.Context, key, body string) *sql.Tx {
	s.t.Helper()
	tx, err := sqlstore.Tx(ctx)
	if err == nil {
		err = insert(ctx, tx, key, body)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return tx
}

func (s *shop) orders(want int) {
	s.t.Helper()
	if n := count(s.t, s.db, "orders"); n != want {
		s.t.Fatalf("%d orders, want %d", n, want)
	}
}

func body(text string) idempotency.Reply { return idempotency.Reply{Status: 201, Body: []byte(text)} }

func is(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: got error %v, want %v", what, err, want)
	}
}

func TestCommittedTogether(t *testing.T) {
	eachShop(t, func(t *testing.T, s *shop) {
		claim, ctx := s.begin("k")
		tx := s.order(ctx, "k", "order 1")
		if again := s.order(ctx, "k", "a second row"); again != tx {
			t.Error("a call has two transactions")
		}
		if s.d.conns > 1 {
			s.orders(0) // nobody sees it before the reply is stored
		}
		if err := claim.Complete(ctx, body("order 1")); err != nil {
			t.Fatal(err)
		}
		s.orders(2)
		if got := s.replayed("k"); got != "order 1" {
			t.Errorf("replayed %q", got)
		}
		_, err := sqlstore.Tx(ctx)
		is(t, "a transaction after the end", err, idempotency.ErrEnded)
	})
}

func TestFailureRollsBack(t *testing.T) {
	eachShop(t, func(t *testing.T, s *shop) {
		claim, ctx := s.begin("k")
		s.order(ctx, "k", "order 1")
		for range 2 {
			if err := claim.Release(ctx); err != nil {
				t.Fatal(err)
			}
		}
		is(t, "complete after release", claim.Complete(ctx, body("order 1")), idempotency.ErrEnded)
		s.orders(0)
		claim, ctx = s.begin("k")
		s.order(ctx, "k", "order 2")
		if err := claim.Complete(ctx, body("order 2")); err != nil {
			t.Fatal(err)
		}
		if err := claim.Release(ctx); err != nil { // a deferred one
			t.Fatal(err)
		}
		s.orders(1)
		if got := s.replayed("k"); got != "order 2" {
			t.Errorf("replayed %q", got)
		}
	})
}

// A client that leaves takes nothing back, whenever it leaves.
func TestClientGone(t *testing.T) {
	eachShop(t, func(t *testing.T, s *shop) {
		claim, ctx := s.begin("k")
		ctx, leave := context.WithCancel(ctx)
		s.order(ctx, "k", "order 1")
		leave()
		if err := claim.Complete(ctx, body("order 1")); err != nil {
			t.Fatal(err)
		}
		s.orders(1)
		if got := s.replayed("k"); got != "order 1" {
			t.Errorf("replayed %q", got)
		}
		claim, ctx = s.begin("k2")
		ctx, leave = context.WithCancel(ctx)
		s.order(ctx, "k2", "order 2")
		leave()
		if err := claim.Release(ctx); err != nil {
			t.Fatal(err)
		}
		s.orders(1)
		if claim, _ = s.begin("k2"); claim.Release(t.Context()) != nil {
			t.Error("the key was not given back")
		}
	})
}

// Whether a method that ends the transaction committed cannot be known: it fails
// loudly, and never runs again under the key.
func TestMethodEndsTransaction(t *testing.T) {
	eachShop(t, func(t *testing.T, s *shop) {
		for key, end := range map[string]func(*sql.Tx) error{"commit": (*sql.Tx).Commit, "rollback": (*sql.Tx).Rollback} {
			claim, ctx := s.begin(key)
			if err := end(s.order(ctx, key, "order")); err != nil {
				t.Fatal(err)
			}
			is(t, key, claim.Complete(ctx, body("order")), idempotency.ErrEnded)
			_, _, err := s.k.Begin(t.Context(), callOf(key))
			is(t, "repetition after "+key, err, idempotency.ErrSpent)
		}
	})
}

// A method that hides an error of its transaction does not get half of it
// stored.
func TestHiddenFailure(t *testing.T) {
	for _, d := range databases[2:] { // in SQLite a failed statement undoes itself alone
		s := newShop(t, d, d.url(t), idempotency.Config{})
		claim, ctx := s.begin("k")
		tx := s.order(ctx, "k", "order 1")
		if _, err := tx.ExecContext(ctx, "INSERT INTO nowhere VALUES (1)"); err == nil {
			t.Fatal("no error")
		}
		is(t, "complete", claim.Complete(ctx, body("order 1")), idempotency.ErrUnavailable)
		s.orders(0)
		claim, _ = s.begin("k")
		claim.Release(t.Context())
	}
}

// The connection breaks under a method, or its server is told to.
func TestConnectionBreaks(t *testing.T) {
	for _, d := range databases[2:] {
		s := newShop(t, d, d.url(t), idempotency.Config{})
		claim, ctx := s.begin("k")
		tx := s.order(ctx, "k", "order 1")
		var pid int
		if err := tx.QueryRowContext(ctx, "SELECT pg_backend_pid()").Scan(&pid); err != nil {
			t.Fatal(err)
		}
		if _, err := s.db.ExecContext(ctx, "SELECT pg_terminate_backend($1, 10000)", pid); err != nil {
			t.Fatal(err)
		}
		is(t, "complete", claim.Complete(ctx, body("order 1")), idempotency.ErrUnavailable)
		s.orders(0)
		claim, ctx = s.begin("k")
		s.order(ctx, "k", "order 2")
		if err := claim.Complete(ctx, body("order 2")); err != nil {
			t.Fatal(err)
		}
		s.orders(1)
	}
}

// expire makes the lease of a key end now, as if its process had been stopped.
func (s *shop) expire() {
	s.t.Helper()
	if _, err := s.db.ExecContext(s.t.Context(), "UPDATE aguada_idempotency SET lease_until = 0 WHERE reply IS NULL"); err != nil {
		s.t.Fatal(err)
	}
}

// A process was stopped while its method ran in the transaction, and goes on
// after another has replaced it: before or after that one is done.
func TestZombie(t *testing.T) {
	for _, d := range databases[2:] { // in SQLite nobody can replace the one who writes
		for _, first := range []bool{true, false} {
			url := d.url(t)
			s, other := newShop(t, d, url, idempotency.Config{}), newShop(t, d, url, idempotency.Config{})
			zombie, ctx := s.begin("k")
			s.order(ctx, "k", "of the zombie")
			other.expire()
			heir, heirs := other.begin("k")
			other.order(heirs, "k", "of the heir")
			if first {
				is(t, "complete by the zombie", zombie.Complete(ctx, body("of the zombie")), idempotency.ErrConflict)
			}
			if err := heir.Complete(heirs, body("of the heir")); err != nil {
				t.Fatal(err)
			}
			if !first {
				is(t, "complete by the zombie", zombie.Complete(ctx, body("of the zombie")), idempotency.ErrConflict)
			}
			s.orders(1)
			if got := s.replayed("k"); got != "of the heir" {
				t.Errorf("replayed %q", got)
			}
		}
	}
}

// One that was replaced before it asks for the transaction cannot write in it,
// or cannot commit.
func TestZombieAsksLate(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		url := d.url(t)
		s, other := newShop(t, d, url, idempotency.Config{}), newShop(t, d, url, idempotency.Config{})
		zombie, ctx := s.begin("k")
		other.expire()
		heir, heirs := other.begin("k")
		other.order(heirs, "k", "of the heir")
		if err := heir.Complete(heirs, body("of the heir")); err != nil {
			t.Fatal(err)
		}
		tx, err := sqlstore.Tx(ctx)
		if err == nil {
			if err := insert(ctx, tx, "k", "of the zombie"); err != nil {
				t.Fatal(err)
			}
			is(t, "complete by the zombie", zombie.Complete(ctx, body("of the zombie")), idempotency.ErrConflict)
		} else {
			is(t, "join by the zombie", err, idempotency.ErrConflict)
			if err := zombie.Release(ctx); err != nil {
				t.Fatal(err)
			}
		}
		s.orders(1)
		if got := s.replayed("k"); got != "of the heir" {
			t.Errorf("replayed %q", got)
		}
	})
}

// Completion and takeover meet at the same moment: one wins, and only its order
// exists.
func TestCompletionMeetsTakeover(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		url := d.url(t)
		s, other := newShop(t, d, url, idempotency.Config{}), newShop(t, d, url, idempotency.Config{})
		won := map[string]int{}
		for i := range 40 {
			key := time.Duration(i).String()
			first, ctx := s.begin(key)
			other.expire()
			var wg sync.WaitGroup
			write := func() error {
				tx, err := sqlstore.Tx(ctx)
				if err != nil {
					return err
				}
				return insert(ctx, tx, key, "first")
			}
			if i%2 == 1 {
				if err := write(); err != nil {
					t.Fatal(err)
				}
				write = func() error { return nil }
			}
			wg.Go(func() {
				err := write()
				if err == nil {
					err = first.Complete(ctx, body("first"))
				}
				first.Release(ctx)
				if err != nil && !errors.Is(err, idempotency.ErrConflict) {
					t.Error(err)
				}
			})
			wg.Go(func() {
				heir, reply, err := other.k.Begin(t.Context(), callOf(key))
				if err != nil || reply != nil {
					return
				}
				hctx := heir.Context(t.Context())
				tx, err := sqlstore.Tx(hctx)
				if err == nil {
					err = insert(hctx, tx, key, "heir")
				}
				if err == nil {
					err = heir.Complete(hctx, body("heir"))
				}
				if err != nil {
					t.Error(err)
				}
			})
			wg.Wait()
			var text string
			if err := s.db.QueryRowContext(t.Context(), "SELECT body FROM orders WHERE key = $1", key).Scan(&text); err != nil {
				t.Fatal(err)
			}
			if got := s.replayed(key); got != text {
				t.Fatalf("the order is %q, the reply %q", text, got)
			}
			won[text]++
			s.orders(i + 1)
		}
		t.Log(won)
	})
}

// A method that takes longer than the lease keeps its key, with and without a
// transaction.
func TestLongMethod(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		// SQLite waits for its lock as long as it was told, whatever the context.
		url := strings.Replace(d.url(t), "busy_timeout(20000)", "busy_timeout(100)", 1)
		s := newShop(t, d, url, idempotency.Config{Lease: 300 * time.Millisecond})
		other := newShop(t, d, url, idempotency.Config{Timeout: 100 * time.Millisecond})
		for _, key := range []string{"alone", "joined"} {
			claim, ctx := s.begin(key)
			if key == "joined" {
				s.order(ctx, key, "order")
			}
			for begun := time.Now(); time.Since(begun) < time.Second; time.Sleep(20 * time.Millisecond) {
				c, reply, err := other.k.Begin(t.Context(), callOf(key))
				if c != nil || reply != nil || !errors.Is(err, idempotency.ErrConflict) && !errors.Is(err, idempotency.ErrUnavailable) {
					t.Fatalf("after %s: claim %v, reply %v, error %v", time.Since(begun), c != nil, reply, err)
				}
			}
			if err := claim.Complete(ctx, body(key)); err != nil {
				t.Fatal(err)
			}
			if got := other.replayed(key); got != key {
				t.Errorf("replayed %q", got)
			}
		}
	})
}

// A method that reads before it writes is not overtaken by another writer, which
// SQLite would make it fail for.
func TestReadsFirst(t *testing.T) {
	d := databases[1]
	url := strings.Replace(d.url(t), "busy_timeout(20000)", "busy_timeout(50)", 1)
	s, other := newShop(t, d, url, idempotency.Config{}), newShop(t, d, url, idempotency.Config{})
	claim, ctx := s.begin("k")
	tx, err := sqlstore.Tx(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM orders").Scan(&n); err != nil {
		t.Fatal(err)
	}
	if _, err := other.db.ExecContext(ctx, insertOrder, "other", "other"); err == nil {
		t.Error("another writes meanwhile")
	}
	s.order(ctx, "k", "order 1")
	if err := claim.Complete(ctx, body("order 1")); err != nil {
		t.Fatal(err)
	}
	s.orders(1)
}

// Where all connections are taken, asking for the transaction obeys the call's
// deadline.
func TestNoConnection(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		s := newShop(t, d, d.url(t), idempotency.Config{})
		claim, ctx := s.begin("k")
		ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		for range d.conns {
			conn, err := s.db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
		}
		_, err := sqlstore.Tx(ctx)
		is(t, "a transaction without a connection", err, context.DeadlineExceeded)
		s.k.Close()
		_ = claim
	})
}
