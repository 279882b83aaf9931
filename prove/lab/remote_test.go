package lab

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/aguada-dev/aguada/prove/model"
	"github.com/aguada-dev/aguada/prove/target"
	"github.com/aguada-dev/aguada/prove/wallet"
)

// remote is a lab around a server of the test's, whose clients all have one
// address.
func remote(t *testing.T, handler http.HandlerFunc, destructive bool) *Lab {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	l, err := Open(t.Context(), Config{
		Remote:  &Remote{Scheme: "http", Host: strings.TrimPrefix(server.URL, "http://"), Destructive: destructive},
		Secrets: &target.Secrets{},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	l.single = true
	return l
}

func TestChangesAreWithheld(t *testing.T) {
	t.Parallel()
	for _, destructive := range []bool{false, true} {
		came := make(chan string, 9)
		l := remote(t, func(_ http.ResponseWriter, r *http.Request) { came <- r.Method }, destructive)
		ctx, notes := Watch(t.Context())
		c := l.NewClient(l.Main)
		for _, verb := range []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "get", "PROVE"} {
			c.Do(ctx, Request{Verb: verb, Path: "/"})
		}
		close(came)
		var all []string
		for verb := range came {
			all = append(all, verb)
		}
		got, want := strings.Join(all, " "), "GET HEAD OPTIONS"
		if destructive {
			want = "GET HEAD OPTIONS POST PUT PATCH DELETE get PROVE"
		}
		if got != want || (notes.Spoiled() == "") != destructive {
			t.Errorf("destructive: %t: %q came, want %q; notes: %q", destructive, got, want, notes.Spoiled())
		}
	}
}

// Where all callers have one address a 429 may be the doing of another probe.
func TestLimitsAreNoted(t *testing.T) {
	t.Parallel()
	l := remote(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/limited" {
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}, false)
	for path, want := range map[string]bool{"/": false, "/limited": true} {
		ctx, notes := Watch(t.Context())
		l.NewClient(l.Main).Do(ctx, Request{Verb: "GET", Path: path})
		if notes.Limited() != want {
			t.Errorf("%s: limited is %t", path, notes.Limited())
		}
	}
}

func TestNothingIsStarted(t *testing.T) {
	t.Parallel()
	l := remote(t, func(http.ResponseWriter, *http.Request) {}, true)
	for name, start := range map[string]func(context.Context) error{
		"Start":  func(ctx context.Context) error { _, err := l.Start(ctx, nil); return err },
		"Island": func(ctx context.Context) error { _, _, err := l.Island(ctx); return err },
		"Secure": func(ctx context.Context) error { _, err := l.Secure(ctx, nil); return err },
	} {
		ctx, notes := Watch(t.Context())
		if err := start(ctx); err == nil || notes.Spoiled() != "needs control of the process" {
			t.Errorf("%s: %v, notes: %q", name, err, notes.Spoiled())
		}
	}
	if _, err := l.Launch(nil); err == nil {
		t.Error("Launch started something")
	}
	if why := l.Lacks(Process | Floods); why != "needs control of the process" {
		t.Errorf("it lacks %q", why)
	}
	if why := l.Lacks(Floods); why != "" {
		t.Errorf("it lacks %q, with consent", why)
	}
}

// Tokens that the service makes are in its answers, and no business of a report.
func TestMaskTokens(t *testing.T) {
	t.Parallel()
	l := &Lab{Config: Config{Secrets: &target.Secrets{}}}
	l.Secrets.Add("a token", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.known-signature")
	for text, want := range map[string]string{
		`{"jwt":"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"}`: `{"jwt":"‹a token of the service's›"}`,
		`eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.known-signature`:        `‹a token›`,
		`eyJ and orders.list.eyJ`:                                     `eyJ and orders.list.eyJ`,
	} {
		if got := l.Mask(text); got != want {
			t.Errorf("Mask(%q) = %q, want %q", text, got, want)
		}
	}
}

// A service behind TLS is believed by the given certificates alone.
func TestRemoteTLS(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of those who do not believe it
	server.StartTLS()
	t.Cleanup(server.Close)
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	for _, roots := range []*x509.CertPool{pool, nil} {
		l, err := Open(t.Context(), Config{Remote: &Remote{Scheme: "https", Host: server.Listener.Addr().String(), Roots: roots}, Secrets: &target.Secrets{}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(l.Close)
		if a := l.NewClient(l.Main).Do(t.Context(), Request{Verb: "GET", Path: "/"}); (a.Status == http.StatusOK) != (roots != nil) {
			t.Errorf("with roots: %t: %s", roots != nil, a)
		}
	}
}

// What a path names is made by the method whose answer is the id itself, however
// long its number is.
func TestIDsOfWholeAnswers(t *testing.T) {
	t.Parallel()
	const document = `{"openapi":"3.0.3","info":{"title":"x"},"paths":{
		"/things":{"post":{"operationId":"things#add","responses":{"201":{"description":"","content":{"application/json":{"schema":{"type":"%s"}}}}}}},
		"/things/{id}":{"get":{"operationId":"things#show","parameters":[{"in":"path","name":"id","required":true,"schema":{"type":"string"}}],"responses":{"200":{"description":""}}}}}}`
	for kind, answer := range map[string]string{"string": `"a b"`, "integer": `12345678901234567`} {
		service, err := model.Read(nil, fmt.Appendf(nil, document, kind))
		if err != nil {
			t.Fatal(err)
		}
		l := remote(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, answer)
		}, true)
		l.Service = service
		if l.Wallet, err = wallet.New("", service, wallet.Config{}); err != nil {
			t.Fatal(err)
		}
		r, err := l.Valid(t.Context(), l.NewClient(l.Main), service.Method("things.show"))
		if want := "/things/" + url.PathEscape(strings.Trim(answer, `"`)); err != nil || r.Path != want {
			t.Errorf("%s: %q, %v; want %q", kind, r.Path, err, want)
		}
	}
}
