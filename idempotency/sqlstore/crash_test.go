package sqlstore_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/idempotency"
	"github.com/aguada-dev/aguada/idempotency/idempotencytest"
	"github.com/aguada-dev/aguada/idempotency/sqlstore"
	"github.com/aguada-dev/aguada/internal/pgtest"
)

const (
	replicaDriver  = "AGUADA_TEST_REPLICA_DRIVER"
	replicaDialect = "AGUADA_TEST_REPLICA_DIALECT"
	replicaURL     = "AGUADA_TEST_REPLICA_URL"
)

func TestMain(m *testing.M) {
	if driver := os.Getenv(replicaDriver); driver != "" {
		if err := serve(driver, sqlstore.Dialect(os.Getenv(replicaDialect)), os.Getenv(replicaURL)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(pgtest.Run(m))
}

// serve is a replica: for each key that it reads, it makes one attempt and writes
// the key and what became of it.
func serve(driver string, d sqlstore.Dialect, url string) error {
	db, err := sql.Open(driver, url)
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(8)
	s, err := sqlstore.New(db, d)
	if err != nil {
		return err
	}
	k, err := idempotency.New(s, idempotency.Config{
		Secrets: idempotency.Secrets{Current: idempotencytest.Secret}, Lease: time.Second, Timeout: 10 * time.Second,
	})
	if err != nil {
		return err
	}
	var out sync.Mutex
	var wg sync.WaitGroup
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		key := in.Text()
		wg.Go(func() {
			text, err := create(k, db, key)
			if err != nil {
				text = "error " + strings.ReplaceAll(err.Error(), "\n", ", ")
			}
			out.Lock()
			defer out.Unlock()
			fmt.Println(key, text)
		})
	}
	wg.Wait()
	return errors.Join(k.Close(), db.Close())
}

// create is a call as a transport and a service serve it.
func create(k *idempotency.Keeper, db *sql.DB, key string) (string, error) {
	ctx := context.Background()
	claim, reply, err := k.Begin(ctx, callOf(key))
	if err != nil {
		return "", err
	}
	if reply != nil {
		return string(reply.Body), nil
	}
	defer claim.Release(ctx)
	text := fmt.Sprintf("order-%d", rand.Int64())
	err = sqlstore.InTx(claim.Context(ctx), db, func(tx *sql.Tx) error { return insert(ctx, tx, key, text) })
	if err == nil {
		err = claim.Complete(ctx, body(text))
	}
	return text, err
}

// replica is a process that serves.
type replica struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	got chan string // lines; closed when the process has ended
}

func startReplica(t *testing.T, d database, url string) *replica {
	t.Helper()
	r := &replica{cmd: exec.Command(os.Args[0]), got: make(chan string, 1000)}
	r.cmd.Env = append(os.Environ(), replicaDriver+"="+d.driver, replicaDialect+"="+string(d.dialect), replicaURL+"="+url)
	r.cmd.Stderr = os.Stderr
	in, err := r.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.in = in
	go func() {
		defer close(r.got)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			r.got <- lines.Text()
		}
		_ = r.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		for range r.got {
		}
	})
	return r
}

// client sends every key to one replica until each has an answer; when that one
// dies, to the other. It returns the answers.
func client(t *testing.T, keys []string, replicas ...*replica) map[string]string {
	answers := map[string]string{}
	for _, r := range replicas {
		send := func(key string) { _, _ = io.WriteString(r.in, key+"\n") } // to a dead one, in vain
		left := 0
		for _, key := range keys {
			if answers[key] == "" {
				send(key)
				left++
			}
		}
		for left > 0 {
			line, ok := <-r.got
			if !ok {
				break
			}
			key, text, _ := strings.Cut(line, " ")
			switch {
			case strings.HasPrefix(text, "order-"):
				answers[key] = text
				left--
			case strings.Contains(text, idempotency.ErrConflict.Error()), strings.Contains(text, idempotency.ErrUnavailable.Error()):
				time.AfterFunc(20*time.Millisecond, func() { send(key) })
			default:
				t.Errorf("%s: %s", key, text)
				left--
			}
		}
	}
	return answers
}

// Clients send every key to both of two replicas, of which one is killed by
// SIGKILL half way: there is one order for each key, and every client gets it.
func TestKill(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		if d.name == "SQLite" {
			t.Skip("the processes here have many connections")
		}
		url := d.url(t)
		s := newShop(t, d, url, idempotency.Config{})
		keys := make([]string, 600)
		for i := range keys {
			keys[i] = fmt.Sprint("key-", i)
		}
		doomed, other, spare := startReplica(t, d, url), startReplica(t, d, url), startReplica(t, d, url)
		var wg sync.WaitGroup
		answers := make([]map[string]string, 2)
		wg.Go(func() { answers[0] = client(t, keys, doomed, spare) })
		wg.Go(func() { answers[1] = client(t, keys, other) })
		for n := 0; n < len(keys)/2; {
			if err := s.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM orders").Scan(&n); err != nil {
				t.Fatal(err)
			}
		}
		_ = doomed.cmd.Process.Kill()
		wg.Wait()
		s.orders(len(keys))
		rows, err := s.db.QueryContext(t.Context(), "SELECT key, body FROM orders")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var key, text string
			if err := rows.Scan(&key, &text); err != nil {
				t.Fatal(err)
			}
			for c := range answers {
				if answers[c][key] != text {
					t.Errorf("%s: the order is %q, client %d got %q", key, text, c, answers[c][key])
				}
			}
		}
	})
}
