package sqlkeys_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/apikey"
	"github.com/aguada-dev/aguada/auth/apikey/apikeytest"
)

func pepper() string { return apikeytest.Pepper }

func verifier(t testing.TB, s apikey.Store) *apikey.Verifier {
	t.Helper()
	v, err := apikey.New(s, apikey.Peppers{Current: pepper}, apikey.Config{Scheme: "key"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

// verify returns the subject that a key proves, or the reason why not.
func verify(t testing.TB, v *apikey.Verifier, key string) string {
	p, err := v.Verify(t.Context(), auth.Credential{Token: key})
	if e, ok := errors.AsType[*auth.Error](err); ok {
		return string(e.Reason)
	}
	return p.Subject
}

// Two replicas, each with connections of its own and calls all the time: a
// revocation by a third process is seen by both within the limit.
func TestRevocationByReplicas(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as a revocation")
	}
	each(t, func(t *testing.T, d database) {
		url := d.url(t)
		command, _ := d.open(t, url)
		g := apikey.NewRegistry(command, pepper)
		key, r, err := g.Create(t.Context(), apikey.Request{Owner: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		stay, _, err := g.Create(t.Context(), apikey.Request{Owner: "bob"})
		if err != nil {
			t.Fatal(err)
		}
		var revoked atomic.Pointer[time.Time]
		var seen [2]time.Duration
		var wg sync.WaitGroup
		for n := range seen {
			s, _ := d.open(t, url)
			v := verifier(t, s)
			if got := verify(t, v, key); got != "ann" {
				t.Fatal(got)
			}
			wg.Go(func() {
				for {
					at := revoked.Load()
					got, other := verify(t, v, key), verify(t, v, stay)
					if other != "bob" {
						t.Errorf("the other key: %s", other)
						return
					}
					if got != "ann" {
						if at = revoked.Load(); at == nil || got != "expired" {
							t.Errorf("replica %d: %s", n, got)
							return
						}
						seen[n] = time.Since(*at)
						return
					}
					if at != nil && time.Since(*at) > 2*apikey.Limit {
						t.Errorf("replica %d still accepts it", n)
						return
					}
					time.Sleep(time.Millisecond)
				}
			})
		}
		before := time.Now()
		if _, err := g.Revoke(t.Context(), r.ID); err != nil {
			t.Fatal(err)
		}
		revoked.Store(&before)
		wg.Wait()
		t.Logf("seen after %s and %s", seen[0].Round(time.Millisecond), seen[1].Round(time.Millisecond))
		for n, after := range seen {
			if after > apikey.Limit {
				t.Errorf("replica %d saw it after %s, want at most %s", n, after, apikey.Limit)
			}
		}
	})
}

// Keys are rotated by one process while two replicas verify them: nobody is
// refused, neither with the old key nor, from its first moment, with the new.
func TestRotationByReplicas(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		url := d.url(t)
		command, _ := d.open(t, url)
		g := apikey.NewRegistry(command, pepper)
		key, r, err := g.Create(t.Context(), apikey.Request{Owner: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		var current atomic.Pointer[[]string]
		current.Store(&[]string{key})
		stop := make(chan struct{})
		var calls [2]atomic.Int64
		var wg sync.WaitGroup
		for n := range calls {
			s, _ := d.open(t, url)
			v := verifier(t, s)
			for range 2 {
				wg.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						for _, key := range *current.Load() {
							if got := verify(t, v, key); got != "ann" {
								t.Errorf("replica %d: %s", n, got)
								return
							}
						}
						calls[n].Add(1)
					}
				})
			}
		}
		for range 15 {
			next, made, _, err := g.Rotate(t.Context(), r.ID, apikey.Rotation{Grace: time.Hour})
			if err != nil {
				t.Error(err)
				break
			}
			both := append((*current.Load())[:len(*current.Load()):len(*current.Load())], next)
			current.Store(&both)
			r = made
			for a, b := calls[0].Load(), calls[1].Load(); (calls[0].Load() < a+20 || calls[1].Load() < b+20) && !t.Failed(); {
				time.Sleep(time.Millisecond)
			}
		}
		close(stop)
		wg.Wait()
	})
}

// What two replicas note of one key, and what Close writes.
func TestLastUseByReplicas(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		url := d.url(t)
		command, _ := d.open(t, url)
		g := apikey.NewRegistry(command, pepper)
		var keys []string
		for i := range 20 {
			key, _, err := g.Create(t.Context(), apikey.Request{Owner: fmt.Sprint("owner", i)})
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, key)
		}
		start := time.Now().Truncate(time.Millisecond)
		var wg sync.WaitGroup
		for range 3 {
			s, _ := d.open(t, url)
			v := verifier(t, s)
			wg.Go(func() {
				for i, key := range keys[1:] {
					if got, want := verify(t, v, key), fmt.Sprint("owner", i+1); got != want {
						t.Errorf("got %s, want %s", got, want)
					}
				}
				if err := v.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		all, err := g.List(t.Context(), apikey.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range all {
			used := !r.LastUsedAt.IsZero()
			if used != (r.Owner != "owner0") || (used && r.LastUsedAt.Before(start)) {
				t.Errorf("%s was last used at %s", r.Owner, r.LastUsedAt)
			}
		}
	})
}

// A database that is gone is Unavailable, not unknown: nobody should drop a key
// for it.
func TestDatabaseGone(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		s, db := d.open(t, d.url(t))
		g := apikey.NewRegistry(s, pepper)
		key, r, err := g.Create(t.Context(), apikey.Request{Owner: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		v := verifier(t, s)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if got := verify(t, v, key); got != "unavailable" {
			t.Errorf("got %s, want unavailable", got)
		}
		if _, err := g.Revoke(t.Context(), r.ID); err == nil || errors.Is(err, apikey.ErrNotFound) {
			t.Errorf("revoke: %v", err)
		}
	})
}

// A row that somebody wrote by hand and wrongly accepts nobody.
func TestBrokenRow(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		s, db := d.open(t, d.url(t))
		g := apikey.NewRegistry(s, pepper)
		key, _, err := g.Create(t.Context(), apikey.Request{Owner: "ann", Scopes: []string{"a"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, set := range []string{"hmac = ''", "hmac = 'zz'", "owner = ''", "scopes = 'a  b'", "scopes = 'a' || chr(9)"} {
			if d.name == "SQLite" && set == "scopes = 'a' || chr(9)" {
				set = "scopes = 'a' || char(9)"
			}
			if _, err := db.ExecContext(t.Context(), "UPDATE aguada_api_keys SET "+set); err != nil {
				t.Fatal(err)
			}
			if got := verify(t, verifier(t, s), key); got != "unavailable" {
				t.Errorf("%s: got %s, want unavailable", set, got)
			}
		}
	})
}

// What a lookup costs, and so a key's first use.
func BenchmarkLookup(b *testing.B) {
	for _, d := range databases {
		b.Run(d.name, func(b *testing.B) {
			s, _ := d.open(b, d.url(b))
			_, r, err := apikey.NewRegistry(s, pepper).Create(b.Context(), apikey.Request{Owner: "ann"})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := s.Lookup(b.Context(), r.ID); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
