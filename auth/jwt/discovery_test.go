package jwt_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/aguada-dev/aguada/auth/jwt"
)

// site is an issuer's server, in memory: what it says at each URL.
type site struct {
	mu    sync.Mutex
	at    map[string]http.HandlerFunc
	asked []string
}

func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	f := s.at[r.URL.String()]
	s.asked = append(s.asked, r.URL.String())
	s.mu.Unlock()
	if f == nil {
		f = http.NotFound
	}
	w := httptest.NewRecorder()
	f(w, r)
	res := w.Result()
	res.Request = r
	return res, r.Context().Err()
}

func (s *site) say(url string, f http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at[url] = f
}

// requests returns what was asked for since it was last called.
func (s *site) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.asked
	s.asked = nil
	return all
}

func text(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
}

func down(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }

func metadata(iss, keys, introspect string) string {
	m := object{"issuer": iss, "jwks_uri": keys, "authorization_endpoint": iss + "/authorize"}
	if introspect != "" {
		m["introspection_endpoint"] = introspect
	}
	data, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(data)
}

const (
	realm      = "https://issuer.example/realms/a"
	byOpenID   = realm + "/.well-known/openid-configuration"
	byRFC8414  = "https://issuer.example/.well-known/oauth-authorization-server/realms/a"
	realmKeys  = "https://keys.example/a"
	realmKeys2 = "https://keys.example/a2"
	realmAsk   = "https://issuer.example/ask"
)

// discovered runs f in a bubble with the key set that a site names.
func discovered(t *testing.T, s *site, f func(*testing.T, *jwt.KeySet, *jwt.Verifier)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ks, err := jwt.NewIssuerKeySet(realm, jwt.KeySetConfig{Transport: s, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = ks.Close() }()
		v, err := jwt.New([]jwt.Issuer{{Name: realm, Keys: ks}}, jwt.Config{Audience: []string{audience}})
		if err != nil {
			t.Fatal(err)
		}
		f(t, ks, v)
	})
}

func TestDiscovery(t *testing.T) {
	s := &site{at: map[string]http.HandlerFunc{byOpenID: text(metadata(realm, realmKeys, realmAsk)), realmKeys: text(set(t, "ec"))}}
	discovered(t, s, func(t *testing.T, ks *jwt.KeySet, v *jwt.Verifier) {
		token := func(kid string) string {
			return by(realm, kid, kid, object{"exp": time.Now().Add(time.Hour).Unix()})
		}
		if got := verify(v, token("ec")); got != "ann" {
			t.Fatalf("got %q", got)
		}
		if got := ks.IntrospectionEndpoint(); got != realmAsk {
			t.Errorf("introspection at %q", got)
		}
		if diff := cmp.Diff([]string{byOpenID, realmKeys}, s.requests()); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
		s.say(byOpenID, text(metadata(realm, realmKeys2, ""))) // the keys move
		s.say(realmKeys, http.NotFound)
		s.say(realmKeys2, text(set(t, "other")))
		time.Sleep(12 * time.Minute)
		if got := [2]string{verify(v, token("other")), verify(v, token("ec"))}; got != [2]string{"ann", "!unknown_key"} {
			t.Errorf("after the keys moved: got %q", got)
		}
		if got := ks.IntrospectionEndpoint(); got != "" {
			t.Errorf("introspection at %q, where the document has none", got)
		}
	})
}

func TestDiscoveryByRFC8414(t *testing.T) {
	s := &site{at: map[string]http.HandlerFunc{byRFC8414: text(metadata(realm, realmKeys, "")), realmKeys: text(set(t, "ec"))}}
	discovered(t, s, func(t *testing.T, _ *jwt.KeySet, v *jwt.Verifier) {
		if got := verify(v, by(realm, "ec", "ec", nil)); got != "ann" {
			t.Errorf("got %q", got)
		}
		if diff := cmp.Diff([]string{byOpenID, byRFC8414, realmKeys}, s.requests()); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
		time.Sleep(12 * time.Minute)
		if diff := cmp.Diff([]string{byRFC8414, realmKeys}, s.requests()); diff != "" {
			t.Errorf("later requests (-want +got):\n%s", diff)
		}
	})
}

func TestDiscoveryFails(t *testing.T) {
	for name, f := range map[string]http.HandlerFunc{
		"nowhere":            http.NotFound,
		"down":               down,
		"moved":              func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, byRFC8414, http.StatusFound) },
		"another's":          text(metadata("https://evil.example", realmKeys, "")),
		"with a slash":       text(metadata(realm+"/", realmKeys, "")),
		"plain HTTP keys":    text(metadata(realm, "http://keys.example/", "")),
		"keys on loopback":   text(metadata(realm, "http://127.0.0.1/keys", "")),
		"keys of a file":     text(metadata(realm, "file:///etc/passwd", "")),
		"plain HTTP to ask":  text(metadata(realm, realmKeys, "http://issuer.example/ask")),
		"no keys":            text(`{"issuer":"` + realm + `"}`),
		"a page":             text("<html>"),
		"two issuers":        text(`{"issuer":"` + realm + `","issuer":"https://evil.example","jwks_uri":"` + realmKeys + `"}`),
		"too large":          text(metadata(realm, realmKeys, "") + strings.Repeat(" ", 256<<10)),
		"keys out of bounds": text(metadata(realm, "https://keys.example/none", "")),
	} {
		t.Run(name, func(t *testing.T) {
			s := &site{at: map[string]http.HandlerFunc{
				byOpenID: f, realmKeys: text(set(t, "ec")), "http://127.0.0.1/keys": text(set(t, "ec")), "http://keys.example/": text(set(t, "ec")),
			}}
			discovered(t, s, func(t *testing.T, ks *jwt.KeySet, v *jwt.Verifier) {
				if got := verify(v, by(realm, "ec", "ec", nil)); got != "!unavailable" {
					t.Errorf("got %q, want !unavailable", got)
				}
				if err := ks.Ready(t.Context()); err == nil {
					t.Error("ready without a key set")
				}
				if note := ks.Status().Note(); !strings.Contains(note, "not fetched yet") {
					t.Errorf("note %q", note)
				}
				s.say(byOpenID, text(metadata(realm, realmKeys, "")))
				time.Sleep(time.Minute)
				if got := verify(v, by(realm, "ec", "ec", nil)); got != "ann" {
					t.Errorf("after it is back: got %q", got)
				}
			})
		})
	}
}

// A document that fails, or turned into another's, leaves the keys in force
// until they are stale.
func TestDiscoveryOutage(t *testing.T) {
	for name, f := range map[string]http.HandlerFunc{"down": down, "another's": text(metadata("https://evil.example", realmKeys2, ""))} {
		t.Run(name, func(t *testing.T) {
			s := &site{at: map[string]http.HandlerFunc{
				byOpenID: text(metadata(realm, realmKeys, "")), realmKeys: text(set(t, "ec")), realmKeys2: text(set(t, "other")),
			}}
			discovered(t, s, func(t *testing.T, ks *jwt.KeySet, v *jwt.Verifier) {
				token := by(realm, "ec", "ec", object{"exp": time.Now().Add(48 * time.Hour).Unix()})
				if got := verify(v, token); got != "ann" {
					t.Fatalf("got %q", got)
				}
				first := ks.Status()
				if first.Note() != "" || first.Keys != 1 || first.Source != realm || !first.Since.IsZero() {
					t.Errorf("status %+v", first)
				}
				s.say(byOpenID, f)
				time.Sleep(time.Hour)
				if got := verify(v, token); got != "ann" {
					t.Errorf("within the bound: got %q", got)
				}
				if got := verify(v, by(realm, "other", "other", nil)); got == "ann" {
					t.Error("the other's key is believed")
				}
				now := ks.Status()
				if err := ks.Ready(t.Context()); err != nil || now.Err == nil || now.Keys != 1 {
					t.Errorf("ready: %v, status %+v", err, now)
				}
				if wait := now.Since.Sub(now.Fetched); wait < 9*time.Minute || wait > 11*time.Minute {
					t.Errorf("failing since %s after the last success, want the next refresh", wait)
				}
				if left := now.Until.Sub(now.Fetched); left != 6*time.Hour {
					t.Errorf("in use for %s after the last success", left)
				}
				if !strings.Contains(now.Note(), "in use until "+now.Until.UTC().Format(time.RFC3339)) {
					t.Errorf("note %q", now.Note())
				}
				time.Sleep(6 * time.Hour)
				if got := verify(v, token); got != "!unavailable" {
					t.Errorf("beyond it: got %q", got)
				}
				if err := ks.Ready(t.Context()); err == nil {
					t.Error("ready with a stale set")
				}
			})
		})
	}
}

func TestNewIssuerKeySetRefuses(t *testing.T) {
	for _, u := range []string{
		"", "issuer", "http://issuer.example", "https://issuer.example/?a", "https://issuer.example/?", "https://issuer.example/#",
		"https://user:secret@issuer.example/", "https:issuer.example", "ftp://issuer.example",
	} {
		if ks, err := jwt.NewIssuerKeySet(u, jwt.KeySetConfig{}); err == nil {
			t.Errorf("%q is taken", u)
			_ = ks.Close()
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error holds the password: %v", err)
		}
	}
	if _, err := jwt.NewIssuerKeySet("https://issuer.example", jwt.KeySetConfig{Refresh: -1}); err == nil {
		t.Error("a negative duration is taken")
	}
}

// Over the network, an issuer on loopback may do without TLS.
func TestDiscoveryOverTheNetwork(t *testing.T) {
	defer goleak.VerifyNone(t)
	var url string
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, metadata(url, url+"/keys", url+"/ask"))
	})
	mux.HandleFunc("GET /keys", text(set(t, "ec")))
	server := httptest.NewServer(mux)
	defer server.Close()
	url = server.URL
	ks, err := jwt.NewIssuerKeySet(url, jwt.KeySetConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ks.Close() }()
	v, err := jwt.New([]jwt.Issuer{{Name: url, Keys: ks}}, jwt.Config{Audience: []string{audience}})
	if err != nil {
		t.Fatal(err)
	}
	if got := verify(v, by(url, "ec", "ec", nil)); got != "ann" {
		t.Errorf("got %q", got)
	}
	if got := ks.IntrospectionEndpoint(); got != url+"/ask" {
		t.Errorf("introspection at %q", got)
	}
}

// A server that knows ETags is not made to send what did not change, and a
// 304 confirms the set.
func TestKeySetIsConditional(t *testing.T) {
	bodies := 0
	s := &site{at: map[string]http.HandlerFunc{address: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		if r.Header.Get("If-None-Match") == `"1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		bodies++
		_, _ = io.WriteString(w, set(t, "ec"))
	}}}
	synctest.Test(t, func(t *testing.T) {
		ks, err := jwt.NewURLKeySet(address, jwt.KeySetConfig{Transport: s, MaxStale: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = ks.Close() }()
		time.Sleep(24 * time.Hour)
		if err := ks.Ready(t.Context()); err != nil || bodies != 1 || len(s.requests()) < 100 {
			t.Errorf("ready: %v, %d bodies", err, bodies)
		}
		s.say(address, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) })
		time.Sleep(time.Hour)
		if err := ks.Ready(t.Context()); err != nil {
			t.Errorf("304 without an ETag of its own: %v", err)
		}
	})
	vague := &site{at: map[string]http.HandlerFunc{address: text(set(t, "ec"))}} // knows no ETags
	synctest.Test(t, func(t *testing.T) {
		ks, err := jwt.NewURLKeySet(address, jwt.KeySetConfig{Transport: vague, MaxStale: time.Hour, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = ks.Close() }()
		time.Sleep(time.Minute)
		vague.say(address, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) })
		time.Sleep(2 * time.Hour)
		if err := ks.Ready(t.Context()); err == nil {
			t.Error("304 that nobody asked for confirms a key set")
		}
	})
	empty := &site{at: map[string]http.HandlerFunc{address: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) }}}
	synctest.Test(t, func(t *testing.T) {
		ks, err := jwt.NewURLKeySet(address, jwt.KeySetConfig{Transport: empty, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = ks.Close() }()
		time.Sleep(time.Hour)
		if err := ks.Ready(t.Context()); err == nil {
			t.Error("304 that nobody asked for is taken for a key set")
		}
	})
}

func TestKeySetCacheControl(t *testing.T) {
	for header, want := range map[string][2]int{ // fetches in an hour
		"":                         {6, 7},
		"max-age=120":              {27, 33},
		"public, Max-Age=\"120\"":  {27, 33},
		"max-age=1":                {54, 67}, // not below a minute
		"max-age=0":                {6, 7},
		"no-store":                 {6, 7},
		"max-age=86400":            {6, 7}, // never later
		"max-age=99999999999":      {6, 7},
		"max-age=-5":               {6, 7},
		"s-maxage=60, max-age=120": {27, 33},
	} {
		s := &site{at: map[string]http.HandlerFunc{address: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", header)
			_, _ = io.WriteString(w, set(t, "ec"))
		}}}
		synctest.Test(t, func(t *testing.T) {
			ks, err := jwt.NewURLKeySet(address, jwt.KeySetConfig{Transport: s})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = ks.Close() }()
			time.Sleep(time.Hour)
			if n := len(s.requests()); n < want[0] || n > want[1] {
				t.Errorf("%q: %d fetches, want %v", header, n, want)
			}
		})
	}
}

func TestFileKeySetStatus(t *testing.T) {
	ks, path := fileSet(t, "ec", "rsa")
	if s := ks.Status(); s.Keys != 2 || s.Source != path || s.Note() != "" {
		t.Errorf("status %+v", s)
	}
	good := set(t, "ec", "rsa")
	write(t, path, "{")
	if s := ks.Status(); s.Keys != 2 || s.Err == nil || !strings.Contains(s.Note(), "the last good version is in use") {
		t.Errorf("status of a broken file %+v", s)
	}
	write(t, path, good)
	if s := ks.Status(); s.Note() != "" {
		t.Errorf("status of the mended file %+v", s)
	}
}

func FuzzParseDocument(f *testing.F) {
	f.Add([]byte(metadata(realm, realmKeys, realmAsk)))
	f.Add([]byte(metadata(realm, "https://[::1]:x", "//y")))
	f.Add([]byte(`{"issuer":"` + realm + `","jwks_uri":"https://a\u0000b/"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, ask, err := jwt.ParseDocument(data, realm)
		if err != nil {
			if keys != "" || ask != "" {
				t.Errorf("%q and %q beside %v", keys, ask, err)
			}
			return
		}
		for _, u := range []string{keys, ask} {
			if u == "" && u != keys {
				continue
			}
			if req, err := http.NewRequest(http.MethodGet, u, nil); err != nil || req.URL.Scheme != "https" || req.URL.Host == "" || req.URL.User != nil {
				t.Errorf("it names %q (%v)", u, err)
			}
		}
	})
}
