//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aguada-dev/aguada"
	"github.com/aguada-dev/aguada/auth/apikey"
	"github.com/aguada-dev/aguada/examples/orders/internal/pgtest"
)

// aguadaBinary builds the command line once, in a folder that TestMain removes.
var aguadaBinary = sync.OnceValues(func() (string, error) {
	shop, err := binary()
	if err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(shop), "aguada")
	build := exec.Command("go", "build", "-o", path, "./cmd/aguada")
	build.Dir = "../../../.."
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// operator is somebody with a shell and the command line.
type operator struct {
	t       *testing.T
	environ []string
}

// keys runs aguada keys, and returns what it prints.
func (o *operator) keys(args ...string) string {
	o.t.Helper()
	path, err := aguadaBinary()
	if err != nil {
		o.t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{"keys"}, args...)...)
	cmd.Env = append(os.Environ(), o.environ...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		o.t.Fatalf("aguada keys %v: %v\n%s", args, err, errs.String())
	}
	return strings.TrimSpace(out.String())
}

// status says how a key is received.
func (p *process) status(key string) int {
	p.t.Helper()
	res, _ := p.call(http.MethodGet, "/users", "X-API-Key", key, nil)
	return res.StatusCode
}

// without returns an environment without some variables.
func without(environ []string, names ...string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(s string) bool {
		name, _, _ := strings.Cut(s, "=")
		return slices.Contains(names, name)
	})
}

// keysInDatabase runs a test on a shop that keeps its keys in each database,
// for an operator who has the same settings.
func keysInDatabase(t *testing.T, test func(t *testing.T, w *world, o *operator)) {
	for name, url := range map[string]func(*testing.T) string{
		"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "shop.db") },
		"postgres": func(t *testing.T) string { return pgtest.URL(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			database := "DATABASE_URL=" + url(t)
			w.environ = append(without(w.environ, "AUTH_API_KEYS_FILE", "DATABASE_URL"), database)
			test(t, w, &operator{t, []string{database, "AUTH_API_KEYS_PEPPER=" + pepper}})
		})
	}
}

// An operator makes a key on the command line; every replica accepts it at
// once, also while it runs, and refuses it within 10 s of its revocation. When
// it was last used is written before the database closes.
func TestKeysInTheDatabase(t *testing.T) {
	keysInDatabase(t, func(t *testing.T, w *world, o *operator) {
		replicas := []*process{spawn(t, w), spawn(t, w)}
		key, other := o.keys("create", "--owner", "partner"), o.keys("create", "--owner", "other")
		id, err := apikey.ID(key)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range replicas {
			if got := p.status(key); got != http.StatusOK {
				t.Fatalf("replica %d: %d for a new key", i, got)
			}
			if got := p.status(w.apiKey); got != http.StatusUnauthorized {
				t.Errorf("replica %d: %d for a key that is in no database", i, got)
			}
		}
		o.keys("revoke", id)
		revoked := time.Now()
		var wg sync.WaitGroup
		for i, p := range replicas {
			wg.Go(func() {
				for p.status(key) == http.StatusOK {
					if time.Since(revoked) > apikey.Limit {
						t.Errorf("replica %d accepts the key %s after its revocation", i, apikey.Limit)
						return
					}
					time.Sleep(10 * time.Millisecond)
				}
				t.Logf("replica %d refuses the key %s after its revocation", i, time.Since(revoked).Round(time.Millisecond))
			})
		}
		wg.Wait()
		for i, p := range replicas {
			if a, b := p.status(key), p.status(other); a != http.StatusUnauthorized || b != http.StatusOK {
				t.Errorf("replica %d: %d for the revoked key, %d for the other", i, a, b)
			}
			if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if code := p.exit(); code != 0 {
				t.Errorf("replica %d: exit %d\n%s", i, code, p.stderr.String())
			}
		}
		var shown struct {
			LastUsedAt time.Time `json:"last_used_at"`
		}
		if err := json.Unmarshal([]byte(o.keys("show", "--json", id)), &shown); err != nil {
			t.Fatal(err)
		}
		if ago := revoked.Sub(shown.LastUsedAt); ago > time.Minute || ago < -apikey.Limit {
			t.Errorf("last used at %s, which is %s before the revocation", shown.LastUsedAt, ago)
		}
	})
}

// Without a pepper no key could be verified: the shop does not start, wherever
// its keys are.
func TestKeysNeedThePepper(t *testing.T) {
	for _, missing := range [][]string{{"AUTH_API_KEYS_PEPPER"}, {"AUTH_API_KEYS_PEPPER", "AUTH_API_KEYS_FILE"}} {
		err := shop().Run(t.Context(), t.Context(), aguada.Process{Environ: without(newWorld(t).environ, missing...)})
		if err == nil || !strings.Contains(err.Error(), "AUTH_API_KEYS_PEPPER is not set") {
			t.Errorf("without %s: %v", missing, err)
		}
	}
}
