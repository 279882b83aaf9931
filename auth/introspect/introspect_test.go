package introspect_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/introspect"
)

const (
	endpoint = "https://issuer.example/introspect"
	issuer   = "https://issuer.example/"
	audience = "orders"
	secret   = "s3cret: ü%+&="
)

type object = map[string]any

func say(text string) func() string { return func() string { return text } }

// server is an introspection endpoint, in memory.
type server struct {
	answer func(w http.ResponseWriter, token string)
	slow   time.Duration
	err    error
	count  atomic.Int64
	now    atomic.Int64 // requests under way
	most   atomic.Int64
}

func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	s.count.Add(1)
	if n := s.now.Add(1); n > s.most.Load() {
		s.most.Store(n)
	}
	defer s.now.Add(-1)
	if s.slow > 0 {
		select {
		case <-time.After(s.slow):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	if s.err != nil {
		return nil, s.err
	}
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	if r.URL.String() == endpoint {
		s.answer(w, r.PostForm.Get("token"))
	} else { // where it was redirected to
		_, _ = io.WriteString(w, active(nil))
	}
	return w.Result(), nil
}

// active is an answer with some members changed; nil removes one.
func active(change object) string {
	m := object{"active": true, "sub": "ann", "aud": audience, "iss": issuer, "token_type": "Bearer"}
	maps.Copy(m, change)
	maps.DeleteFunc(m, func(_ string, v any) bool { return v == nil })
	text, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func always(text string) func(http.ResponseWriter, string) {
	return func(w http.ResponseWriter, _ string) { _, _ = io.WriteString(w, text) }
}

func verifier(t testing.TB, s *server, cfg introspect.Config) *introspect.Verifier {
	t.Helper()
	cfg.Transport = s
	if cfg.Audience == nil && !cfg.AnyAudience {
		cfg.Audience = []string{audience}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	v, err := introspect.New(say(endpoint), say("orders"), say(secret), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// within runs f in a bubble with a verifier.
func within(t *testing.T, s *server, cfg introspect.Config, f func(*testing.T, *introspect.Verifier)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		v := verifier(t, s, cfg)
		defer func() { _ = v.Close() }()
		f(t, v)
	})
}

func reason(p *auth.Principal, err error) string {
	if err == nil {
		return p.Subject
	}
	e, ok := errors.AsType[*auth.Error](err)
	if !ok || p != nil {
		return fmt.Sprintf("principal %v, error %v", p, err)
	}
	return "!" + string(e.Reason)
}

func verify(v auth.Verifier, token string) string {
	return reason(v.Verify(context.Background(), auth.Credential{Token: token}))
}

// Over the network: what is sent, and what comes of it.
func TestIntrospection(t *testing.T) {
	defer goleak.VerifyNone(t)
	exp := time.Now().Add(time.Hour).Unix()
	var got []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		body, _ := io.ReadAll(r.Body)
		got = []string{r.Method, r.URL.Path, user, password, string(body), r.Header.Get("Content-Type"), r.Header.Get("Accept")}
		_, _ = io.WriteString(w, active(object{"scope": "write read read", "client_id": "app", "jti": "1", "exp": exp, "username": "Ann"}))
	}))
	defer s.Close()
	v, err := introspect.New(say(s.URL+"/introspect"), say("or:ders"), say(secret), introspect.Config{
		Scheme: "oauth2", Audience: []string{audience}, Issuers: []string{issuer},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = v.Close() }()
	p, err := v.Verify(t.Context(), auth.Credential{Token: "op+aq/ue=="})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"POST", "/introspect", "or%3Aders", "s3cret%3A+%C3%BC%25%2B%26%3D", "token=op%2Baq%2Fue%3D%3D&token_type_hint=access_token",
		"application/x-www-form-urlencoded", "application/json",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	caller := &auth.Principal{
		Subject: "ann", Scheme: "oauth2", Issuer: issuer, ClientID: "app", CredentialID: "1",
		Scopes: []string{"read", "write"}, ExpiresAt: time.Unix(exp, 0), Claims: p.Claims,
	}
	if diff := cmp.Diff(caller, p); diff != "" || p.Claims["username"] != "Ann" {
		t.Errorf("principal (-want +got):\n%s", diff)
	}
}

func TestFailures(t *testing.T) {
	status := func(code int) *server {
		return &server{answer: func(w http.ResponseWriter, _ string) {
			w.Header().Set("Location", "https://evil.example/")
			w.WriteHeader(code)
			_, _ = io.WriteString(w, active(nil))
		}}
	}
	for name, tt := range map[string]struct {
		s   *server
		log string
	}{
		"client refused":    {status(401), "status 401: the client id or the client secret is not accepted"},
		"client may not":    {status(403), "status 403"},
		"redirect":          {status(302), "status 302"},
		"redirect as it is": {status(307), "status 307"},
		"created":           {status(201), "status 201"},
		"too many requests": {status(429), "status 429"},
		"broken":            {status(500), "status 500"},
		"unreachable":       {&server{err: errors.New("connection refused")}, "connection refused"},
		"slow":              {&server{slow: time.Minute, answer: always(active(nil))}, "deadline exceeded"},
		"a page":            {&server{answer: always("<html>")}, "not one JSON object"},
	} {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			cfg := introspect.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}
			within(t, tt.s, cfg, func(t *testing.T, v *introspect.Verifier) {
				for range 3 {
					if got := verify(v, "very-secret-token"); got != "!unavailable" {
						t.Errorf("got %q, want !unavailable", got)
					}
				}
				if n := strings.Count(log.String(), "tokens cannot be introspected"); n != 1 || !strings.Contains(log.String(), tt.log) {
					t.Errorf("the log says it %d times: %s", n, &log)
				}
				if !strings.Contains(v.Note(), tt.log) || v.Ready(t.Context()) != nil {
					t.Errorf("note %q, ready %v", v.Note(), v.Ready(t.Context()))
				}
				tt.s.slow, tt.s.err, tt.s.answer = 0, nil, always(active(nil))
				if got := verify(v, "very-secret-token"); got != "ann" { // no failure is remembered
					t.Errorf("after it is back: got %q", got)
				}
				if v.Note() != "" || !strings.Contains(log.String(), "introspected again") {
					t.Errorf("note %q, log %s", v.Note(), &log)
				}
				if strings.Contains(log.String(), "very-secret-token") || strings.Contains(log.String(), "s3cret") {
					t.Errorf("the log holds a credential: %s", &log)
				}
			})
		})
	}
}

// Tokens that no header could hold are not sent.
func TestStrangeTokens(t *testing.T) {
	s := &server{answer: always(active(nil))}
	v := verifier(t, s, introspect.Config{})
	defer func() { _ = v.Close() }()
	for _, token := range []string{"", " ", "a b", "a\nb", "a\x00", "é", "\xff", "a\r\nX-Y: z", strings.Repeat("a", 8<<10+1)} {
		if got := verify(v, token); got != "!malformed" {
			t.Errorf("%.20q: got %q", token, got)
		}
	}
	if n := s.count.Load(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestRemembers(t *testing.T) {
	s := &server{answer: always(active(nil))}
	within(t, s, introspect.Config{}, func(t *testing.T, v *introspect.Verifier) {
		expect := func(token, want string, requests int64) {
			t.Helper()
			if got := verify(v, token); got != want || s.count.Load() != requests {
				t.Errorf("got %q after %d requests, want %q after %d", got, s.count.Load(), want, requests)
			}
		}
		expect("a", "ann", 1)
		s.answer = always(`{"active":false}`) // revoked
		time.Sleep(30*time.Second - 1)
		expect("a", "ann", 1)
		time.Sleep(time.Nanosecond)
		expect("a", "!expired", 2)
		time.Sleep(5*time.Second - 1)
		expect("a", "!expired", 2)
		time.Sleep(time.Nanosecond)
		s.answer = always(active(object{"exp": time.Now().Unix() + 10}))
		expect("a", "ann", 3)
		time.Sleep(10*time.Second - 1)
		expect("a", "ann", 3)
		time.Sleep(time.Nanosecond)
		expect("a", "!expired", 4) // never past its end
		s.slow = 4 * time.Second   // from when it was asked, not from when it was told
		s.answer = always(active(nil))
		expect("b", "ann", 5)
		time.Sleep(26*time.Second - 1)
		expect("b", "ann", 5)
		time.Sleep(time.Nanosecond)
		expect("b", "ann", 6)
	})
}

func TestRemembersNothing(t *testing.T) {
	s := &server{answer: always(active(nil))}
	v := verifier(t, s, introspect.Config{Keep: -1})
	defer func() { _ = v.Close() }()
	for range 3 {
		if got := verify(v, "a"); got != "ann" {
			t.Errorf("got %q", got)
		}
	}
	if n := s.count.Load(); n != 3 {
		t.Errorf("%d requests, want 3", n)
	}
}

func TestSharesRequests(t *testing.T) {
	s := &server{answer: always(active(nil)), slow: time.Second}
	within(t, s, introspect.Config{}, func(t *testing.T, v *introspect.Verifier) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := v.Verify(ctx, auth.Credential{Token: "a"}) // the first one leaves
		if got := reason(nil, err); got != "!unavailable" || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if got := verify(v, "a"); got != "ann" {
					t.Errorf("got %q", got)
				}
			})
		}
		wg.Wait()
		if n := s.count.Load(); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	})
}

func TestBoundsRequests(t *testing.T) {
	s := &server{answer: always(active(nil)), slow: time.Second}
	within(t, s, introspect.Config{Requests: 2}, func(t *testing.T, v *introspect.Verifier) {
		var wg sync.WaitGroup
		results := make([]string, 100)
		var told atomic.Int64
		for i := range results {
			wg.Go(func() {
				results[i] = verify(v, fmt.Sprint(i))
				told.Add(1)
			})
		}
		synctest.Wait() // what is too much is told at once
		if n := told.Load(); n != 90 {
			t.Errorf("%d were told at once, want 90", n)
		}
		wg.Wait()
		count := map[string]int{}
		for _, r := range results {
			count[r]++
		}
		if diff := cmp.Diff(map[string]int{"ann": 10, "!unavailable": 90}, count); diff != "" { // 2 under way, 8 waiting
			t.Errorf("(-want +got):\n%s", diff)
		}
		if n := s.most.Load(); n != 2 {
			t.Errorf("%d requests at once, want 2", n)
		}
		s.slow = 3 * time.Second // so that the last ones wait longer than 5 s
		start := time.Now()
		for i := range results {
			wg.Go(func() { results[i] = verify(v, fmt.Sprint("x", i)) })
		}
		wg.Wait()
		if d := time.Since(start); d != 5*time.Second {
			t.Errorf("it took %s, want 5 s", d)
		}
		if got := verify(v, "y"); got != "ann" {
			t.Errorf("after the flood: got %q", got)
		}
	})
}

func TestClose(t *testing.T) {
	s := &server{answer: always(active(nil))}
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		v := verifier(t, s, introspect.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if got := verify(v, "a"); got != "ann" {
			t.Errorf("got %q", got)
		}
		s.slow = time.Second
		var wg sync.WaitGroup
		wg.Go(func() {
			if got := verify(v, "b"); got != "!unavailable" {
				t.Errorf("under way: got %q", got)
			}
		})
		synctest.Wait()
		for range 2 {
			if err := v.Close(); err != nil {
				t.Error(err)
			}
		}
		wg.Wait()
		if got := [2]string{verify(v, "a"), verify(v, "c")}; got != [2]string{"ann", "!unavailable"} {
			t.Errorf("after it: got %q", got)
		}
		if log.Len() > 0 {
			t.Errorf("it is logged as a failure: %s", &log)
		}
	})
}

// The endpoint, the client and its secret are read anew for each request.
func TestConfigurationMoves(t *testing.T) {
	s := &server{answer: always(active(nil))}
	at, id := "", "orders"
	v, err := introspect.New(func() string { return at }, func() string { return id }, say(secret), introspect.Config{
		Audience: []string{audience}, Transport: s, Keep: -1, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = v.Close() }()
	for _, tt := range []struct{ at, id, want string }{
		{"", "orders", "!unavailable"}, {endpoint, "orders", "ann"}, {endpoint, "", "!unavailable"},
		{"http://issuer.example/", "orders", "!unavailable"}, {endpoint, "orders", "ann"},
	} {
		at, id = tt.at, tt.id
		if got := verify(v, "a"); got != tt.want {
			t.Errorf("%q as %q: got %q, want %q", at, id, got, tt.want)
		}
		if err := v.Ready(t.Context()); (err == nil) != (tt.want == "ann") {
			t.Errorf("%q as %q: ready %v", at, id, err)
		}
	}
	if n := s.count.Load(); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
}

func TestNewRefuses(t *testing.T) {
	ok := introspect.Config{Audience: []string{audience}}
	with := func(f func(*introspect.Config)) introspect.Config { c := ok; f(&c); return c }
	for name, tt := range map[string]struct {
		at  func() string
		cfg introspect.Config
	}{
		"no endpoint":          {nil, ok},
		"plain HTTP":           {say("http://issuer.example/"), ok},
		"a user":               {say("https://a:secret@issuer.example/"), ok},
		"no audience":          {say(endpoint), introspect.Config{}},
		"audience and any":     {say(endpoint), with(func(c *introspect.Config) { c.AnyAudience = true })},
		"empty audience":       {say(endpoint), with(func(c *introspect.Config) { c.Audience = []string{""} })},
		"empty issuer":         {say(endpoint), with(func(c *introspect.Config) { c.Issuers = []string{""} })},
		"remembers too long":   {say(endpoint), with(func(c *introspect.Config) { c.Keep = 31 * time.Second })},
		"endless leeway":       {say(endpoint), with(func(c *introspect.Config) { c.Leeway = time.Hour })},
		"negative leeway":      {say(endpoint), with(func(c *introspect.Config) { c.Leeway = -1 })},
		"negative timeout":     {say(endpoint), with(func(c *introspect.Config) { c.Timeout = -1 })},
		"negative requests":    {say(endpoint), with(func(c *introspect.Config) { c.Requests = -1 })},
		"negative cache":       {say(endpoint), with(func(c *introspect.Config) { c.Cache = -1 })},
		"negative maximum age": {say(endpoint), with(func(c *introspect.Config) { c.MaxAge = -1 })},
	} {
		if v, err := introspect.New(tt.at, say("orders"), say(secret), tt.cfg); err == nil || v != nil {
			t.Errorf("%s: got %v, %v", name, v, err)
		} else if strings.Contains(err.Error(), "secret@") {
			t.Errorf("the error holds the password: %v", err)
		}
	}
}

// Strangers' tokens leave a bounded memory behind.
func TestBadTokensAreBounded(t *testing.T) {
	const bound = 4 << 20
	n := 50_000 // five times what is remembered: more makes no difference
	if testing.Short() {
		n = 20_000
	}
	s := &server{answer: func(w http.ResponseWriter, token string) {
		if token == "good" {
			_, _ = io.WriteString(w, active(nil))
			return
		}
		_, _ = io.WriteString(w, `{"active":false}`)
	}}
	v := verifier(t, s, introspect.Config{})
	defer func() { _ = v.Close() }()
	if got := verify(v, "good"); got != "ann" {
		t.Fatalf("got %q", got)
	}
	before := heap()
	for i := range n {
		if got := verify(v, fmt.Sprint("bad", i)); got != "!unknown" {
			t.Fatalf("token %d: got %q", i, got)
		}
	}
	grown := heap() - before
	t.Logf("%d bytes for %d bad tokens", grown, n)
	if grown > bound {
		t.Errorf("%d bad tokens left %d bytes, want at most %d", n, grown, bound)
	}
	if a, r := introspect.Remembered(v); a != 1 || r > 10_000 {
		t.Errorf("%d active and %d refused tokens are remembered", a, r)
	}
	for i := range 10_001 { // good ones are bounded too
		s.answer = always(active(object{"jti": fmt.Sprint(i)}))
		if got := verify(v, fmt.Sprint("good", i)); got != "ann" {
			t.Fatalf("got %q", got)
		}
	}
	if a, _ := introspect.Remembered(v); a < 5_000 || a > 10_000 {
		t.Errorf("%d active tokens are remembered", a)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
