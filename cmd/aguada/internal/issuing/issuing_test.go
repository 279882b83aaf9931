package issuing_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aguada-dev/aguada/auth/issuer"
	"github.com/aguada-dev/aguada/auth/issuer/state"
	"github.com/aguada-dev/aguada/cmd/aguada/internal/issuing"
	"github.com/aguada-dev/aguada/policy"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func start(t *testing.T, file, addr string) *issuing.Server {
	t.Helper()
	s, err := issuing.Start(context.Background(), file, issuing.Config{Addr: addr, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func stop(t *testing.T, s *issuing.Server) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func status(t *testing.T, url string) int {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// An address that another program has is replaced, and the new one remembered.
func TestStartRemembersItsAddress(t *testing.T) {
	file := filepath.Join(t.TempDir(), "issuer.db")
	s := start(t, file, "127.0.0.1:0")
	first := s.URL()
	if status(t, first+"/jwks.json") != http.StatusServiceUnavailable {
		t.Error("it answers before it knows its service")
	}
	if err := s.Use(issuer.Config{URL: first, Audience: []string{"shop"}, Logger: quiet()}); err != nil {
		t.Fatal(err)
	}
	if status(t, first+"/jwks.json") != http.StatusOK {
		t.Error("it does not answer")
	}
	stop(t, s)
	s = start(t, file, "")
	if s.URL() != first {
		t.Errorf("the second time at %s, the first at %s", s.URL(), first)
	}
	stop(t, s)
	taken, err := net.Listen("tcp", strings.TrimPrefix(first, "http://"))
	if err != nil {
		t.Skip(err)
	}
	defer func() { _ = taken.Close() }()
	go func() { _ = http.Serve(taken, http.NotFoundHandler()) }()
	s = start(t, file, "")
	second := s.URL()
	stop(t, s)
	if second == first {
		t.Fatal("two programs at one address")
	}
	s = start(t, file, "")
	if s.URL() != second {
		t.Errorf("remembered %s, not %s", s.URL(), second)
	}
	stop(t, s)
	if _, err := issuing.Start(context.Background(), file, issuing.Config{Addr: strings.TrimPrefix(first, "http://")}); err == nil ||
		!strings.Contains(err.Error(), "another program") {
		t.Errorf("a taken address that was asked for: %v", err)
	}
}

// The issuer of a project runs once.
func TestStartFindsTheRunningOne(t *testing.T) {
	file := filepath.Join(t.TempDir(), "issuer.db")
	s := start(t, file, "127.0.0.1:0")
	defer stop(t, s)
	if err := s.Use(issuer.Config{URL: s.URL(), Audience: []string{"shop"}, Logger: quiet()}); err != nil {
		t.Fatal(err)
	}
	other := start(t, file, "")
	if !other.Elsewhere() || other.URL() != s.URL() {
		t.Errorf("a second one at %s", other.URL())
	}
	stop(t, other)
	if _, err := issuing.Start(context.Background(), file, issuing.Config{Addr: strings.TrimPrefix(s.URL(), "http://")}); err == nil ||
		!strings.Contains(err.Error(), "already") {
		t.Errorf("asked for: %v", err)
	}
	if status(t, s.URL()+"/jwks.json") != http.StatusOK {
		t.Error("the first one has ended")
	}
}

// When the process that serves the project ends, the one that stands by serves:
// nobody else gets the address that services trust.
func TestStandBy(t *testing.T) {
	file := filepath.Join(t.TempDir(), "issuer.db")
	first := start(t, file, "127.0.0.1:0")
	second := start(t, file, "")
	defer stop(t, second)
	for _, s := range []*issuing.Server{first, second} {
		if err := s.Use(issuer.Config{URL: first.URL(), Audience: []string{"shop"}, Logger: quiet()}); err != nil {
			t.Fatal(err)
		}
	}
	if !second.Elsewhere() {
		t.Fatal("both serve")
	}
	stop(t, first)
	eventually(t, func() bool { return !second.Elsewhere() })
	eventually(t, func() bool {
		res, err := http.Get(first.URL() + "/jwks.json")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// A stranger that was faster ends it.
func TestStandByBehindAStranger(t *testing.T) {
	file := filepath.Join(t.TempDir(), "issuer.db")
	first := start(t, file, "127.0.0.1:0")
	second := start(t, file, "")
	defer func() { _ = second.Close() }()
	stop(t, first)
	stranger, err := net.Listen("tcp", strings.TrimPrefix(first.URL(), "http://"))
	if err != nil {
		t.Skip(err)
	}
	defer func() { _ = stranger.Close() }()
	go func() { _ = http.Serve(stranger, http.NotFoundHandler()) }()
	if err := <-second.Done(); err == nil || !strings.Contains(err.Error(), "another program has its port") {
		t.Errorf("behind a stranger: %v", err)
	}
}

// eventually waits for what another goroutine does.
func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	clock := time.NewTicker(10 * time.Millisecond)
	defer clock.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			t.Fatal("it never happened")
		case <-clock.C:
		}
	}
}

// A program that took the port and publishes what the project's issuer
// published is not the project's issuer: it would sign what the service trusts.
func TestStartTrustsNoCopy(t *testing.T) {
	file := filepath.Join(t.TempDir(), "issuer.db")
	s := start(t, file, "127.0.0.1:0")
	if err := s.Use(issuer.Config{URL: s.URL(), Audience: []string{"shop"}, Logger: quiet()}); err != nil {
		t.Fatal(err)
	}
	answers := map[string][]byte{}
	for _, path := range []string{"/jwks.json", "/.well-known/openid-configuration", "/.aguada/proof?challenge=once"} {
		res, err := http.Get(s.URL() + path)
		if err != nil {
			t.Fatal(err)
		}
		answers[strings.Split(path, "?")[0]], _ = io.ReadAll(res.Body)
		_ = res.Body.Close()
	}
	first := s.URL()
	stop(t, s)
	taken, err := net.Listen("tcp", strings.TrimPrefix(first, "http://"))
	if err != nil {
		t.Skip(err)
	}
	defer func() { _ = taken.Close() }()
	go func() {
		_ = http.Serve(taken, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(answers[r.URL.Path]) }))
	}()
	s = start(t, file, "")
	defer stop(t, s)
	if s.Elsewhere() || s.URL() == first {
		t.Errorf("the thief at %s is trusted", first)
	}
}

// Who deletes the file is told so, and gets no signature from keys that nobody
// can look up.
func TestGone(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("an open file cannot be deleted")
	}
	file := filepath.Join(t.TempDir(), "issuer.db")
	s := start(t, file, "127.0.0.1:0")
	defer stop(t, s)
	if err := s.Use(issuer.Config{URL: s.URL(), Audience: []string{"shop"}, Logger: quiet()}); err != nil {
		t.Fatal(err)
	}
	if err := s.Gone(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := s.Gone(); !errors.Is(err, state.ErrGone) {
		t.Errorf("a deleted file: %v", err)
	}
	if got := status(t, s.URL()+"/jwks.json"); got != http.StatusInternalServerError {
		t.Errorf("keys of a deleted file: %d", got)
	}
}

func TestStartRefusesTheNetwork(t *testing.T) {
	file := filepath.Join(t.TempDir(), "issuer.db")
	for _, addr := range []string{"0.0.0.0:0", ":0", "nonsense"} {
		if s, err := issuing.Start(context.Background(), file, issuing.Config{Addr: addr}); err == nil {
			stop(t, s)
			t.Errorf("%s was bound", addr)
		}
	}
}

// Scopes of several schemes come once each, described where one of them does.
func TestSettings(t *testing.T) {
	flow := policy.Flow{Type: "authorization_code", AuthorizationURL: "/authorize", TokenURL: "/token"}
	c := &policy.Contract{API: policy.API{Name: "shop", Title: "Shop"}, Schemes: []policy.Scheme{
		{Name: "jwt", Kind: policy.JWT, Scopes: []string{"write", "read"}, ScopeDescriptions: map[string]string{"write": "Write"}},
		{Name: "oauth2", Kind: policy.OAuth2, Scopes: []string{"read"}, ScopeDescriptions: map[string]string{"read": "Read"}, Flows: []policy.Flow{flow}},
	}}
	got := issuing.Settings(c, "http://127.0.0.1:1", []string{"shop"}, nil)
	want := issuer.Config{
		URL: "http://127.0.0.1:1", Audience: []string{"shop"}, Service: "Shop", Flows: []policy.Flow{flow},
		Scopes: []issuer.Scope{{Name: "read", Description: "Read"}, {Name: "write", Description: "Write"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}
