package issuing_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aguada-dev/aguada/auth/issuer"
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
