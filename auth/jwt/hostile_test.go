package jwt_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/jwt"
	"github.com/aguada-dev/aguada/auth/lockout"
)

// madeUp is a token of a key that nobody has.
func madeUp(n int) string {
	return sign("ec", "ES256", object{"alg": "ES256", "kid": fmt.Sprint("made up ", n)}, with(nil))
}

// Whoever makes up key ids neither keeps a new key from being seen for longer
// than the throttle, nor has the clients that use it taken for guessers.
func TestMadeUpKeyIDsDelayNoRotation(t *testing.T) {
	w := &web{status: 200, body: set(t, "ec")}
	remote(t, jwt.KeySetConfig{}, w, func(t *testing.T, _ *jwt.KeySet, v *jwt.Verifier) {
		time.Sleep(time.Second)
		stop := make(chan struct{})
		var attacker sync.WaitGroup
		attacker.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				case <-time.After(50 * time.Millisecond):
					verify(v, madeUp(n))
				}
			}
		})
		defer attacker.Wait()
		defer close(stop)
		for round := range 10 {
			time.Sleep(time.Duration(round) * 1300 * time.Millisecond)
			kid := []string{"other", "ec"}[round%2]
			w.say(200, set(t, kid), nil)
			rotated := time.Now()
			for {
				_, err := v.Verify(t.Context(), auth.Credential{Token: sign(kid, "ES256", object{"alg": "ES256", "kid": kid}, with(nil))})
				if err == nil {
					break
				}
				if got := reason(nil, err); got != "!unknown_key" || lockout.Counts(auth.Reason(got[1:])) {
					t.Fatalf("a token of the new key: got %q, which counts as a guess", got)
				}
				time.Sleep(100 * time.Millisecond)
			}
			if d := time.Since(rotated); d > 10200*time.Millisecond {
				t.Errorf("the new key was seen after %s", d)
			}
		}
	})
}

// While an issuer is slow, tokens that nobody issued hold few calls.
func TestMadeUpKeyIDsHoldFewCalls(t *testing.T) {
	const most = 256
	w := &web{status: 200, body: set(t, "ec")}
	remote(t, jwt.KeySetConfig{}, w, func(t *testing.T, _ *jwt.KeySet, v *jwt.Verifier) {
		if got := verify(v, good(nil)); got != "ann" {
			t.Fatalf("got %q", got)
		}
		time.Sleep(11 * time.Second)
		w.mu.Lock()
		w.slow = time.Minute
		w.mu.Unlock()
		before := w.count.Load()
		var calls sync.WaitGroup
		var mu sync.Mutex
		told := map[string]int{}
		for i := range 4 * most {
			calls.Go(func() {
				got := verify(v, madeUp(i))
				mu.Lock()
				defer mu.Unlock()
				told[got]++
			})
		}
		synctest.Wait()
		mu.Lock()
		if told["!unavailable"] != 3*most || len(told) != 1 {
			t.Errorf("told at once: %v, want %d unavailable", told, 3*most)
		}
		mu.Unlock()
		if got := verify(v, good(nil)); got != "ann" { // which none of it concerns
			t.Errorf("meanwhile: got %q", got)
		}
		calls.Wait()
		if n := w.count.Load() - before; n != 1 {
			t.Errorf("%d fetches, want 1", n)
		}
	})
}

// What a server says of its answer is sent back to it only if it can be: else
// there would never be another answer.
func TestStrangeETag(t *testing.T) {
	for _, etag := range []string{"\x01", "\"a\nb\"", "\"é\x7f\"", strings.Repeat("x", 300), "a b"} {
		s := &site{at: map[string]http.HandlerFunc{address: func(w http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get("If-None-Match"); got != "" {
				t.Errorf("%.20q is sent back as %.20q", etag, got)
			}
			w.Header().Set("ETag", etag)
			_, _ = io.WriteString(w, set(t, "ec"))
		}}}
		synctest.Test(t, func(t *testing.T) {
			ks, err := jwt.NewURLKeySet(address, jwt.KeySetConfig{Transport: s, MaxStale: time.Hour, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = ks.Close() }()
			time.Sleep(12 * time.Hour)
			if err := ks.Ready(t.Context()); err != nil {
				t.Errorf("%.20q: %v", etag, err)
			}
		})
	}
}

// However long the names are that an issuer makes up, those in our log and in
// what readiness tells are not.
func TestIssuerDoesNotFillTheLog(t *testing.T) {
	long := strings.Repeat("x", 200<<10)
	curve, err := json.Marshal(object{"keys": []object{{"kty": "EC", "crv": long, "x": "AA", "y": "AA"}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]map[string]http.HandlerFunc{
		"address of the keys": {byOpenID: text(metadata(realm, "https://keys.example/"+long, ""))},
		"address to ask":      {byOpenID: text(metadata(realm, realmKeys, "https://keys.example/"+long)), realmKeys: text(set(t, "ec"))},
		"a curve":             {byOpenID: text(metadata(realm, realmKeys, "")), realmKeys: text(string(curve))},
	} {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			synctest.Test(t, func(t *testing.T) {
				ks, err := jwt.NewIssuerKeySet(realm, jwt.KeySetConfig{Transport: &site{at: at}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = ks.Close() }()
				time.Sleep(time.Minute)
				if note := ks.Status().Note(); note == "" || len(note) > 1<<10 {
					t.Errorf("a note of %d bytes", len(note))
				}
			})
			if n := log.Len(); n == 0 || n > 1<<10 {
				t.Errorf("%d bytes of log", n)
			}
		})
	}
}

// Tokens that come and go do not make the cache grow, though they all are good.
func TestCacheDoesNotGrow(t *testing.T) {
	n := 1_000_000
	if testing.Short() {
		n = 200_000
	}
	ks, _ := fileSet(t, "ec")
	v, err := jwt.New([]jwt.Issuer{{Name: issuer, Keys: ks}}, jwt.Config{Audience: []string{audience}})
	if err != nil {
		t.Fatal(err)
	}
	before := heap()
	jwt.Churn(v, 0, 20_000)
	full := heap() - before
	jwt.Churn(v, 20_000, n)
	if grown := heap() - before; grown > full+full/4 {
		t.Errorf("%d tokens left %d bytes, of which %d were there after 20,000", n, grown, full)
	}
	if n := jwt.CacheLen(v); n < 5_000 || n > 10_000 {
		t.Errorf("%d tokens are remembered", n)
	}
}

// A pipe in place of a file keeps nobody who asks how the set is doing.
func TestStatusOfNoFile(t *testing.T) {
	ks, path := fileSet(t, "ec")
	for name, replace := range map[string]func(string) error{"a folder": folder, "a pipe": pipe} {
		other := filepath.Join(t.TempDir(), "other")
		if err := replace(other); err != nil {
			t.Skipf("%s: %v", name, err)
		}
		if err := swap(other, path); err != nil {
			t.Fatal(err)
		}
		done := make(chan jwt.Status, 1)
		go func() { done <- ks.Status() }()
		select {
		case s := <-done:
			if s.Err == nil || s.Keys != 1 {
				t.Errorf("%s: status %+v", name, s)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: it hangs", name)
		}
	}
}
