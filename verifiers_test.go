package aguada_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aguada-dev/aguada"
	"github.com/aguada-dev/aguada/auth/jwt"
	"github.com/aguada-dev/aguada/policy"
)

// keySet writes a new key set to a file.
func keySet(t *testing.T) (path string) {
	t.Helper()
	dir := t.TempDir()
	path = filepath.Join(dir, "set")
	key, err := jwt.NewDevelopmentKey()
	if err == nil {
		err = key.Save(filepath.Join(dir, "key"), path)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// A scheme that the team verifies itself is never verified by what the
// environment happens to have: nobody has judged that.
func TestOwnSchemeIsNotTheEnvironments(t *testing.T) {
	handle := func(_ context.Context, _ *aguada.Runtime, h *aguada.HTTP) error {
		h.Handle("GET", "/greet", answer)
		h.Handle("GET", "/whisper", answer)
		return nil
	}
	text := fails(t, own(contract(), handle), "AUTH_ISSUER=https://issuer.example", "AUTH_JWKS_FILE="+keySet(t))
	contains(t, text, "whisper", `scheme "jwt" has no verifier`)
	text = fails(t, own(contract(), func(ctx context.Context, rt *aguada.Runtime, h *aguada.HTTP) error {
		rt.Verify("jwt", nil)
		return handle(ctx, rt, h)
	}))
	contains(t, text, `verifier of scheme "jwt" is nil`)
}

// Whoever guesses has to wait, also where the team's own verifier judges; who
// was let in before passes.
func TestLockoutOfOwnVerifier(t *testing.T) {
	s := run(t, own(contract(), func(_ context.Context, rt *aguada.Runtime, h *aguada.HTTP) error {
		rt.Verify("jwt", nobody{})
		h.Handle("GET", "/greet", answer)
		h.Handle("GET", "/whisper", answer)
		return nil
	}), "AUTH_LOCKOUT_FAILURES=3")
	for _, c := range []struct {
		token string
		want  int
	}{{"friend", 200}, {"foe1", 401}, {"foe2", 401}, {"foe3", 401}, {"foe4", 429}, {"friend", 200}} {
		if got, wait := whisper(t, s, c.token); got != c.want || (got == 429) != (wait != "") {
			t.Errorf("%s: %d, Retry-After %q, want %d", c.token, got, wait, c.want)
		}
	}
	contains(t, s.log.String(), `"action":"lockout"`, `"client.address":"127.0.0.1/32"`)
}

// The secret by which this service asks the first issuer about tokens is not
// told to the second one while the first cannot be reached, nor are its tokens.
func TestIntrospectionAsksTheFirstIssuer(t *testing.T) {
	first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }))
	defer first.Close()
	path := keySet(t)
	var told atomic.Bool
	var second *httptest.Server
	second = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			_ = json.NewEncoder(w).Encode(map[string]string{
				"issuer": second.URL, "jwks_uri": second.URL + "/keys", "introspection_endpoint": second.URL + "/introspect",
			})
		case "/keys":
			http.ServeFile(w, r, path)
		default:
			told.Store(true)
			_, _ = io.WriteString(w, `{"active":true,"sub":"mallory","aud":"hello","exp":4102444800}`)
		}
	}))
	defer second.Close()
	c := contract()
	c.Schemes[0].Kind = policy.OAuth2
	s := run(t, aguada.New(c, func(_ context.Context, _ *aguada.Runtime, h *aguada.HTTP) error {
		h.Handle("GET", "/greet", answer)
		h.Handle("GET", "/whisper", answer)
		return nil
	}), "AUTH_ISSUER="+strings.Join([]string{first.URL, second.URL}, ","), "AUTH_AUDIENCE=hello",
		"AUTH_INTROSPECTION_CLIENT_ID=hello", "AUTH_INTROSPECTION_CLIENT_SECRET=between-hello-and-the-first")
	ready := func() bool { status, _ := get(t, http.DefaultClient, s.url+"/readyz"); return status == 200 }
	for end := time.Now().Add(10 * time.Second); !ready(); {
		if time.Now().After(end) {
			t.Fatal("the second issuer's keys are not there")
		}
	}
	if status, _ := whisper(t, s, "opaque"); status != 503 || told.Load() {
		t.Errorf("%d, the second issuer was told: %t", status, told.Load())
	}
}
