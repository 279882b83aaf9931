package jwt_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/jwt"
)

func TestParseSet(t *testing.T) {
	jwk := func(change object) object {
		text, err := json.Marshal(jose.JSONWebKey{Key: keys["ec"].Public(), KeyID: "ec"})
		if err != nil {
			t.Fatal(err)
		}
		var k object
		if err := json.Unmarshal(text, &k); err != nil {
			t.Fatal(err)
		}
		for name, v := range change {
			k[name] = v
		}
		return k
	}
	list := func(keys ...any) string {
		text, err := json.Marshal(object{"keys": keys})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	private, err := json.Marshal(jose.JSONWebKey{Key: keys["rsa"], KeyID: "rsa"})
	if err != nil {
		t.Fatal(err)
	}
	many := make([]any, 101)
	for i := range many {
		many[i] = jwk(nil)
	}
	good := jwk(nil)
	for name, tt := range map[string]struct {
		text          string
		used, skipped int
		want          string // error
	}{
		"one key":           {list(good), 1, 0, ""},
		"use sig":           {list(jwk(object{"use": "sig", "alg": "ES256", "key_ops": []string{"verify"}})), 1, 0, ""},
		"x5c is not looked": {list(jwk(object{"x5c": []string{"nonsense"}})), 1, 0, ""},
		"use enc":           {list(good, jwk(object{"use": "enc"})), 1, 1, ""},
		"use null":          {list(good, jwk(object{"use": nil})), 1, 1, ""},
		"key_ops":           {list(good, jwk(object{"key_ops": []string{"sign"}})), 1, 1, ""},
		"another alg":       {list(good, jwk(object{"alg": "ES384"})), 1, 1, ""},
		"alg number":        {list(good, jwk(object{"alg": 1})), 1, 1, ""},
		"kid number":        {list(good, jwk(object{"kid": 1})), 1, 1, ""},
		"unknown type":      {list(good, object{"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"}), 1, 1, ""},
		"point elsewhere":   {list(good, jwk(object{"x": good["y"]})), 1, 1, ""},
		"weak RSA":          {list(good, object{"kty": "RSA", "n": "wcKFdq0", "e": "AQAB"}), 1, 1, ""},
		"huge RSA":          {list(good, object{"kty": "RSA", "n": strings.Repeat("_", 4096), "e": "AQAB"}), 1, 1, ""},
		"short Ed25519":     {list(good, object{"kty": "OKP", "crv": "Ed25519", "x": "AA"}), 1, 1, ""},
		"zero Ed25519":      {list(good, object{"kty": "OKP", "crv": "Ed25519", "x": strings.Repeat("A", 43)}), 1, 1, ""}, // anybody could sign
		"even exponent":     {list(good, object{"kty": "RSA", "n": strings.Repeat("_", 342), "e": "Ag"}), 1, 1, ""},
		"nothing to use":    {list(jwk(object{"use": "enc"})), 0, 0, "no key to use: key 1: its use is not sig"},
		"null":              {`{"keys":null}`, 0, 0, `no list "keys"`},
		"explicitly empty":  {`{"keys":[]}`, 0, 0, ""},
		"private EC":        {list(good, jwk(object{"d": "AA"})), 0, 0, "key 2 is private or symmetric"},
		"private RSA":       {`{"keys":[` + string(private) + `]}`, 0, 0, "key 1 is private or symmetric"},
		"symmetric":         {list(object{"kty": "oct", "k": "AA"}), 0, 0, "key 1 is private or symmetric"},
		"symmetric, hidden": {list(jwk(object{"k": "AA"})), 0, 0, "key 1 is private or symmetric"},
		"too many":          {list(many...), 0, 0, "more than 100 keys"},
		"too large":         {`{"keys":[],"x":"` + strings.Repeat("x", 1<<20) + `"}`, 0, 0, "larger than"},
		"key is text":       {list("x"), 0, 0, "key 1 is not an object"},
		"no keys":           {"{}", 0, 0, `no list "keys"`},
		"a page":            {"<html>", 0, 0, "not one JSON object"},
		"duplicates":        {`{"keys":[],"keys":[]}`, 0, 0, "not one JSON object"},
		"cut":               {list(good)[:80], 0, 0, "not one JSON object"},
	} {
		used, skipped, err := jwt.ParseSet([]byte(tt.text))
		if (err == nil) != (tt.want == "") || (err != nil && !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got error %v, want %q", name, err, tt.want)
		}
		if used != tt.used || skipped != tt.skipped {
			t.Errorf("%s: %d used, %d skipped, want %d and %d", name, used, skipped, tt.used, tt.skipped)
		}
	}
}

func FuzzParseSet(f *testing.F) {
	f.Add([]byte(set(f, "ec", "rsa", "ed")))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"","e":""}]}`))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":1,"y":null}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if used, _, err := jwt.ParseSet(data); err != nil && used != 0 {
			t.Errorf("%d keys beside %v", used, err)
		}
	})
}

func TestFileKeySetRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "jwks.json")
	if _, err := jwt.NewFileKeySet(path, jwt.KeySetConfig{}); err == nil {
		t.Error("a missing file is taken")
	}
	for _, text := range []string{"", "{", `{"keys":[]}`} {
		write(t, path, text)
		if _, err := jwt.NewFileKeySet(path, jwt.KeySetConfig{}); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestFileKeySetReady(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jwks.json")
	write(t, path, set(t, "ec"))
	var log bytes.Buffer
	ks, err := jwt.NewFileKeySet(path, jwt.KeySetConfig{Interval: 1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if err := ks.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	write(t, path, "{")
	if err := ks.Ready(t.Context()); err != nil {
		t.Errorf("the old set should stay: %v", err)
	}
	write(t, path, `{"keys":[]}`)
	if err := ks.Ready(t.Context()); err == nil {
		t.Error("a set without keys is ready")
	}
	if !strings.Contains(log.String(), "key set not reloaded") {
		t.Errorf("the broken file is not logged: %s", &log)
	}
}

func TestURLRefused(t *testing.T) {
	for _, u := range []string{
		"", "jwks.json", "http://issuer.example/jwks", "http://127.0.0.1.example/jwks", "http://localhost.example/", "ftp://localhost/x",
		"https://user:secret@issuer.example/", "https://issuer.example/#x", "https:issuer.example", "file:///etc/passwd", "https://a b/", "https://:443/",
	} {
		ks, err := jwt.NewURLKeySet(u, jwt.KeySetConfig{})
		if err == nil {
			t.Errorf("%q is taken", u)
			_ = ks.Close()
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error holds the password: %v", err)
		}
	}
	if _, err := jwt.NewURLKeySet("https://issuer.example/", jwt.KeySetConfig{Refresh: -1}); err == nil {
		t.Error("a negative duration is taken")
	}
}

// web is an issuer's server, in memory.
type web struct {
	mu     sync.Mutex
	body   string
	status int
	err    error
	slow   time.Duration
	count  atomic.Int64
}

func (w *web) say(status int, body string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status, w.body, w.err = status, body, err
}

func (w *web) RoundTrip(r *http.Request) (*http.Response, error) {
	w.count.Add(1)
	w.mu.Lock()
	status, body, err, slow := w.status, w.body, w.err, w.slow
	w.mu.Unlock()
	if r.URL.String() != address { // where it redirects to: once there, there would be no end
		status = http.StatusOK
	}
	select {
	case <-time.After(slow):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: status, Body: io.NopCloser(strings.NewReader(body)), Request: r,
		Header: http.Header{"Location": {"https://evil.example/"}},
	}, nil
}

const address = "https://issuer.example/jwks.json"

// remote runs f in a bubble with a verifier against a server in memory.
func remote(t *testing.T, cfg jwt.KeySetConfig, w *web, f func(*testing.T, *jwt.KeySet, *jwt.Verifier)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg.Transport = w
		if cfg.Logger == nil {
			cfg.Logger = slog.New(slog.DiscardHandler)
		}
		ks, err := jwt.NewURLKeySet(address, cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = ks.Close() }()
		v, err := jwt.New([]jwt.Issuer{{Name: issuer, Keys: ks}}, jwt.Config{Audience: []string{audience}})
		if err != nil {
			t.Fatal(err)
		}
		f(t, ks, v)
	})
}

func TestURLKeySet(t *testing.T) {
	w := &web{status: 200, body: set(t, "ec"), slow: time.Second}
	remote(t, jwt.KeySetConfig{}, w, func(t *testing.T, ks *jwt.KeySet, v *jwt.Verifier) {
		if err := ks.Ready(t.Context()); err == nil {
			t.Error("ready before the first fetch")
		}
		if got := verify(v, good(nil)); got != "ann" { // waits for it
			t.Errorf("got %q", got)
		}
		if err := ks.Ready(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour)
		if n := w.count.Load(); n < 5 || n > 8 {
			t.Errorf("%d fetches in an hour, want one in about 10 min", n)
		}
	})
}

// A start fetches once, however fast the answer comes.
func TestURLKeySetStartsOnce(t *testing.T) {
	w := &web{status: 200, body: set(t, "ec")}
	for range 20 {
		w.count.Store(0)
		remote(t, jwt.KeySetConfig{}, w, func(t *testing.T, _ *jwt.KeySet, v *jwt.Verifier) {
			if got := verify(v, good(nil)); got != "ann" {
				t.Errorf("got %q", got)
			}
			synctest.Wait()
			if n := w.count.Load(); n != 1 {
				t.Errorf("%d fetches, want 1", n)
			}
		})
	}
}

func TestURLKeySetDown(t *testing.T) {
	for name, say := range map[string]func(*web){
		"status":      func(w *web) { w.say(500, set(t, "ec"), nil) },
		"redirect":    func(w *web) { w.say(302, set(t, "ec"), nil) },
		"no content":  func(w *web) { w.say(204, "", nil) },
		"unreachable": func(w *web) { w.say(0, "", errors.New("connection refused")) },
		"a page":      func(w *web) { w.say(200, "<html>", nil) },
		"too large":   func(w *web) { w.say(200, set(t, "ec")+strings.Repeat(" ", 1<<20), nil) },
		"private key": func(w *web) { w.say(200, `{"keys":[{"kty":"oct","k":"AA"}]}`, nil) },
		"slow":        func(w *web) { w.say(200, set(t, "ec"), nil); w.slow = time.Minute },
	} {
		t.Run(name, func(t *testing.T) {
			w := &web{}
			say(w)
			remote(t, jwt.KeySetConfig{}, w, func(t *testing.T, ks *jwt.KeySet, v *jwt.Verifier) {
				if got := verify(v, good(nil)); got != "!unavailable" {
					t.Errorf("got %q, want !unavailable", got)
				}
				if err := ks.Ready(t.Context()); err == nil {
					t.Error("ready without a key set")
				}
				w.mu.Lock()
				w.slow = 0
				w.mu.Unlock()
				w.say(200, set(t, "ec"), nil)
				time.Sleep(time.Minute)
				if got := verify(v, good(nil)); got != "ann" {
					t.Errorf("after it is back: got %q", got)
				}
			})
		})
	}
}

func TestURLKeySetStale(t *testing.T) {
	w := &web{status: 200, body: set(t, "ec")}
	remote(t, jwt.KeySetConfig{MaxStale: time.Hour}, w, func(t *testing.T, ks *jwt.KeySet, v *jwt.Verifier) {
		token := good(object{"exp": time.Now().Add(24 * time.Hour).Unix()})
		if got := verify(v, token); got != "ann" {
			t.Fatalf("got %q", got)
		}
		w.say(503, "", nil)
		time.Sleep(40 * time.Minute)
		if got := verify(v, token); got != "ann" {
			t.Errorf("within the bound: got %q", got)
		}
		if err := ks.Ready(t.Context()); err != nil {
			t.Errorf("within the bound: %v", err)
		}
		time.Sleep(40 * time.Minute)
		if got := verify(v, token); got != "!unavailable" { // though remembered
			t.Errorf("beyond it: got %q", got)
		}
		if err := ks.Ready(t.Context()); err == nil {
			t.Error("ready with a stale set")
		}
		w.say(200, set(t, "ec"), nil)
		time.Sleep(2 * time.Minute)
		if got := verify(v, token); got != "ann" {
			t.Errorf("after it is back: got %q", got)
		}
	})
}

func TestURLKeySetRotation(t *testing.T) {
	w := &web{status: 200, body: set(t, "ec")}
	fresh := func(kid string) string {
		return sign(kid, "ES256", object{"alg": "ES256", "kid": kid}, with(object{"jti": fmt.Sprint(time.Now().UnixNano())}))
	}
	remote(t, jwt.KeySetConfig{}, w, func(t *testing.T, _ *jwt.KeySet, v *jwt.Verifier) {
		old := fresh("ec")
		if got := verify(v, old); got != "ann" {
			t.Fatalf("got %q", got)
		}
		w.say(200, set(t, "other"), nil)
		if got := verify(v, fresh("other")); got != "!unknown_key" {
			t.Errorf("right after a fetch: got %q, want !unknown_key", got)
		}
		time.Sleep(10 * time.Second)
		w.mu.Lock()
		w.slow = time.Second
		w.mu.Unlock()
		before := w.count.Load()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if got := verify(v, fresh("other")); got != "ann" {
					t.Errorf("the new key: got %q", got)
				}
			})
		}
		wg.Wait()
		if n := w.count.Load() - before; n != 1 {
			t.Errorf("%d fetches for 20 calls, want 1", n)
		}
		if got := verify(v, old); got != "!unknown_key" {
			t.Errorf("the key that left: got %q, want !unknown_key", got)
		}
	})
}

func TestURLKeySetUnknownKeyIsThrottled(t *testing.T) {
	w := &web{status: 200, body: set(t, "ec")}
	remote(t, jwt.KeySetConfig{}, w, func(t *testing.T, _ *jwt.KeySet, v *jwt.Verifier) {
		for i := range 1000 {
			token := sign("ec", "ES256", object{"alg": "ES256", "kid": fmt.Sprint(i)}, with(nil))
			if got := verify(v, token); got != "!unknown_key" {
				t.Fatalf("got %q, want !unknown_key", got)
			}
			time.Sleep(60 * time.Millisecond)
		}
		if n := w.count.Load(); n > 8 {
			t.Errorf("%d fetches in a minute", n)
		}
		w.say(503, "", nil)
		time.Sleep(10 * time.Second)
		token := sign("ec", "ES256", object{"alg": "ES256", "kid": "x"}, with(nil))
		if got := verify(v, token); got != "!unavailable" { // it might be there, where we cannot look
			t.Errorf("issuer down: got %q, want !unavailable", got)
		}
		forged := sign("ec", "ES256", object{"alg": "ES256", "kid": "x"}, with(object{"iss": "https://evil.example/"}))
		before := w.count.Load()
		time.Sleep(10 * time.Second)
		if got := verify(v, forged); got != "!wrong_issuer" {
			t.Errorf("another issuer: got %q", got)
		}
		if n := w.count.Load() - before; n > 3 {
			t.Errorf("%d fetches", n)
		}
	})
}

func TestURLKeySetCallerLeaves(t *testing.T) {
	w := &web{status: 200, body: set(t, "ec"), slow: 4 * time.Second}
	remote(t, jwt.KeySetConfig{}, w, func(t *testing.T, _ *jwt.KeySet, v *jwt.Verifier) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := v.Verify(ctx, auth.Credential{Token: good(nil)})
		if e, ok := errors.AsType[*auth.Error](err); !ok || e.Reason != auth.Unavailable || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want unavailable for the deadline", err)
		}
		if got := verify(v, good(nil)); got != "ann" { // the fetch went on
			t.Errorf("the next one: got %q", got)
		}
		if n := w.count.Load(); n != 1 {
			t.Errorf("%d fetches, want 1", n)
		}
	})
}

func TestURLKeySetClose(t *testing.T) {
	w := &web{status: 200, body: set(t, "ec"), slow: 4 * time.Second}
	var log bytes.Buffer
	cfg := jwt.KeySetConfig{Logger: slog.New(slog.NewTextHandler(&log, nil))}
	remote(t, cfg, w, func(t *testing.T, ks *jwt.KeySet, v *jwt.Verifier) {
		start := time.Now()
		for range 2 {
			if err := ks.Close(); err != nil {
				t.Error(err)
			}
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("it took %s", d)
		}
		if got := verify(v, good(nil)); got != "!unavailable" {
			t.Errorf("after it: got %q", got)
		}
		if log.Len() > 0 {
			t.Errorf("it is logged as a failure: %s", &log)
		}
	})
}

func TestURLKeySetOverTheNetwork(t *testing.T) {
	defer goleak.VerifyNone(t)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/", http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, set(t, "ec"))
	}))
	defer s.Close()
	for path, want := range map[string]string{"/": "ann", "/moved": "!unavailable"} {
		ks, err := jwt.NewURLKeySet(s.URL+path, jwt.KeySetConfig{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		v, err := jwt.New([]jwt.Issuer{{Name: issuer, Keys: ks}}, jwt.Config{Audience: []string{audience}})
		if err != nil {
			t.Fatal(err)
		}
		if got := verify(v, good(nil)); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
		if err := ks.Close(); err != nil {
			t.Error(err)
		}
	}
}
