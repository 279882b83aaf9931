package basic_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	_ "modernc.org/sqlite"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/basic"
	"github.com/aguada-dev/aguada/auth/basic/basictest"
)

// table is a team's own store, in SQL.
type table struct{ db *sql.DB }

func (s table) Lookup(ctx context.Context, name string) (hash string, ok bool, err error) {
	err = s.db.QueryRowContext(ctx, "SELECT hash FROM users WHERE name = ?", name).Scan(&hash)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	return hash, err == nil, err
}

func (s table) Upgrade(ctx context.Context, name, old, next string) error {
	_, err := s.db.ExecContext(ctx, "UPDATE users SET hash = ? WHERE name = ? AND hash = ?", next, name, old)
	return err
}

func (s table) put(name, hash string) error {
	_, err := s.db.Exec("INSERT INTO users VALUES (?, ?) ON CONFLICT DO UPDATE SET hash = excluded.hash", name, hash)
	return err
}

func (s table) remove(name string) error {
	_, err := s.db.Exec("DELETE FROM users WHERE name = ?", name)
	return err
}

func openTable(t *testing.T) table {
	t.Helper()
	file := url.URL{Scheme: "file", Opaque: filepath.Join(t.TempDir(), "users.db"), RawQuery: "_pragma=busy_timeout(5000)"}
	db, err := sql.Open("sqlite", file.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Exec("CREATE TABLE users (name TEXT PRIMARY KEY, hash TEXT NOT NULL)"); err != nil {
		t.Fatal(err)
	}
	return table{db}
}

func TestStores(t *testing.T) {
	t.Run("file", func(t *testing.T) {
		basictest.Run(t, func(t *testing.T) basictest.Harness {
			path := filepath.Join(t.TempDir(), "users")
			write(t, path, "# the team\n")
			f, err := basic.OpenFile(path, basic.FileConfig{Interval: soon})
			if err != nil {
				t.Fatal(err)
			}
			follow := func(name, hash string, do func(*basic.FileText) error) error {
				err := basic.EditFile(t.Context(), path, do)
				for now := "?"; err == nil && now != hash; {
					now, _, err = f.Lookup(t.Context(), name)
				}
				return err
			}
			return basictest.Harness{
				Store: f,
				Put: func(name, hash string) error {
					return follow(name, hash, func(x *basic.FileText) error { return x.Set(name, hash) })
				},
				Remove: func(name string) error {
					return follow(name, "", func(x *basic.FileText) error { x.Remove(name); return nil })
				},
			}
		})
	})
	t.Run("table", func(t *testing.T) {
		basictest.Run(t, func(t *testing.T) basictest.Harness {
			s := openTable(t)
			return basictest.Harness{Store: s, Put: s.put, Remove: s.remove}
		})
	})
}

// memory is a store without files or sockets, for tests of time.
type memory struct {
	hashes  map[string]string
	lookups atomic.Int64
	err     error
}

func (s *memory) Lookup(_ context.Context, name string) (hash string, ok bool, err error) {
	s.lookups.Add(1)
	hash, ok = s.hashes[name]
	return hash, ok, s.err
}

// A success that is remembered ends within five seconds of a change in a store
// that is not a file; meanwhile the store is asked every four seconds.
func TestStoreIsAskedAgain(t *testing.T) {
	one, two := hashed(t, "one"), hashed(t, "two")
	synctest.Test(t, func(t *testing.T) {
		s := &memory{hashes: map[string]string{"ann": one, "bob": one}}
		u, err := basic.New(s, basic.Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		try := func(user, password, want string) {
			t.Helper()
			if got := reason(u.Verify(t.Context(), auth.Credential{Username: user, Password: password})); got != want {
				t.Errorf("%s %s: got %q, want %q", user, password, got, want)
			}
		}
		for range 60 {
			try("ann", "one", "ann")
			time.Sleep(time.Second)
		}
		if n := s.lookups.Load(); n > 16 {
			t.Errorf("%d lookups in a minute", n)
		}
		try("bob", "one", "bob")
		s.hashes["ann"] = two
		delete(s.hashes, "bob")
		time.Sleep(5 * time.Second)
		try("ann", "one", "!unknown")
		try("bob", "one", "!unknown")
		try("ann", "two", "ann")
		s.hashes["ann"] = strings.Replace(two, "$", "x", 1) // cannot be used
		time.Sleep(5 * time.Second)
		try("ann", "two", "!unknown")
		s.hashes["ann"] = two
		try("ann", "two", "ann")
		s.err = errors.New("gone")
		time.Sleep(4 * time.Second)
		try("ann", "two", "ann") // holds for a second yet
		time.Sleep(time.Second)
		try("ann", "two", "!unavailable")
		try("eve", "two", "!unavailable")
		s.err = nil
		try("ann", "two", "ann")
	})
}

// A store that does not answer holds nobody up for longer than Wait.
func TestStoreHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, err := basic.New(hanging{}, basic.Config{Wait: 3 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		got := reason(u.Verify(t.Context(), auth.Credential{Username: "ann", Password: "x"}))
		if took := time.Since(start); got != "!unavailable" || took != 3*time.Second {
			t.Errorf("got %s after %s", got, took)
		}
	})
}

type hanging struct{}

func (hanging) Lookup(ctx context.Context, _ string) (string, bool, error) {
	<-ctx.Done()
	return "", false, ctx.Err()
}

// A hash of bcrypt is replaced when its user logs in, and all else of the file
// stays.
func TestUpgrade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	old := bcrypted(t, "one")
	write(t, path, "# the team\r\nann:"+strings.Replace(old, "$2a$", "$2y$", 1)+"\r\n\nbob:"+strings.Replace(old, "$2a$", "$2b$", 1)+"\n# end")
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	u, err := basic.Open(path, basic.Config{Interval: soon})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ password, want string }{{"two", "!unknown"}, {"one", "ann"}, {"one", "ann"}, {"two", "!unknown"}} {
		if got := reason(u.Verify(t.Context(), auth.Credential{Username: "ann", Password: tt.password})); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.password, got, tt.want)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	if len(lines) != 5 || lines[0] != "# the team\r\n" || !strings.HasPrefix(lines[1], "ann:$argon2id$v=19$m=19456,t=2,p=1$") ||
		!strings.HasSuffix(lines[1], "\r\n") || lines[2] != "\n" || !strings.HasPrefix(lines[3], "bob:$2b$10$") || lines[4] != "# end" {
		t.Errorf("the file is %q", text)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	again, err := basic.Open(path, basic.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if got := reason(again.Verify(t.Context(), auth.Credential{Username: "ann", Password: "one"})); got != "ann" {
		t.Errorf("by the new hash: %s", got)
	}
}

// Where the store cannot be written, users log in all the same, and one line of
// the log says why nothing is replaced.
func TestUpgradeRefused(t *testing.T) {
	s := openTable(t)
	for _, name := range []string{"ann", "bob"} {
		if err := s.put(name, bcrypted(t, "one")); err != nil {
			t.Fatal(err)
		}
	}
	s.db.SetMaxOpenConns(1)
	if _, err := s.db.Exec("PRAGMA query_only(1)"); err != nil {
		t.Fatal(err)
	}
	var log records
	u, err := basic.New(s, basic.Config{Logger: log.logger(), Cache: -1})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ann", "bob", "ann"} {
		if got := reason(u.Verify(t.Context(), auth.Credential{Username: name, Password: "one"})); got != name {
			t.Errorf("got %s, want %s", got, name)
		}
	}
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "stay as they are") || strings.Contains(log.String(), "$2a$") {
		t.Errorf("the log has %d lines, want one: %s", n, &log)
	}
}

// What bcrypt does not look at is never taken for checked.
func TestBcryptLooksAt72Bytes(t *testing.T) {
	seventyTwo := strings.Repeat("é", 36)
	s := &memory{hashes: map[string]string{"ann": bcrypted(t, seventyTwo)}}
	u, err := basic.New(s, basic.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string]string{seventyTwo: "ann", seventyTwo + "x": "!unknown", seventyTwo[:70]: "!unknown"} {
		if got := reason(u.Verify(t.Context(), auth.Credential{Username: "ann", Password: password})); got != want {
			t.Errorf("%d bytes: got %s, want %s", len(password), got, want)
		}
	}
}

// A hash that cannot be used lets nobody in, and is logged without being shown.
func TestBrokenHash(t *testing.T) {
	for _, hash := range []string{"", "hunter2", "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA", "$2y$31$" + strings.Repeat("a", 53)} {
		var log records
		u, err := basic.New(&memory{hashes: map[string]string{"ann": hash}}, basic.Config{Logger: log.logger()})
		if err != nil {
			t.Fatal(err)
		}
		for _, password := range []string{"hunter2", "x"} {
			if got := reason(u.Verify(t.Context(), auth.Credential{Username: "ann", Password: password})); got != "!unknown" {
				t.Errorf("%q: got %s", hash, got)
			}
		}
		if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "user=ann") || strings.Contains(log.String(), "hunter2") {
			t.Errorf("the log has %d lines, want one: %s", n, &log)
		}
	}
}
