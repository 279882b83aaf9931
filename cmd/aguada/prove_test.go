package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/aguada-dev/aguada/cmd/aguada/internal/terminal"
)

// Whatever is not a yes is a no.
func TestYes(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]bool{"y\n": true, "Yes\n": true, " y ": true, "\n": false, "": false, "n\n": false, "yeah\n": false, "\ny\n": false} {
		if got, err := yes(t.Context(), strings.NewReader(said)); got != want || err != nil {
			t.Errorf("%q: %t, %v", said, got, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	silent, w := io.Pipe()
	t.Cleanup(func() { _ = w.Close() })
	if got, err := yes(ctx, silent); got || !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %t, %v", got, err)
	}
}

// Where nobody can answer nothing is asked, and nothing is allowed.
func TestConsentNeedsSomebody(t *testing.T) {
	t.Parallel()
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	for _, in := range []io.Reader{strings.NewReader("y\n"), file} {
		var b bytes.Buffer
		p := &prover{out: terminal.New(&b, os.LookupEnv), target: "http://127.0.0.1:1"}
		if ok, err := p.consent(t.Context(), in, []string{"till.take (POST /till)"}); ok || err != nil || b.Len() > 0 {
			t.Errorf("%t, %v, asked %q", ok, err, b.String())
		}
	}
}

func TestRemoteCredentials(t *testing.T) {
	dir := t.TempDir()
	token := dir + "/token"
	if err := os.WriteFile(token, []byte("of-the-file\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AGUADA_PROVE_TOKEN", "of-the-environment")
	t.Setenv("AGUADA_PROVE_BASIC", "ann:secret")
	r := &remoteFlags{tokenFile: token}
	g, err := r.given()
	if err != nil || g.Token != "of-the-file" || g.Basic != "ann:secret" || g.APIKey != "" {
		t.Errorf("%+v, %v", g, err)
	}
	if err := os.WriteFile(token, []byte("two\nlines"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.given(); err == nil || strings.Contains(err.Error(), "lines") && strings.Contains(err.Error(), "two") {
		t.Errorf("%v", err)
	}
}

// What is taken away is named with its URL, or by a variable of the prover's own
// environment; no error repeats what may hold a password.
func TestDependencies(t *testing.T) {
	t.Parallel()
	lookup := func(name string) (string, bool) {
		v, ok := map[string]string{"DATABASE_URL": "postgres://shop:correct-horse@db/proof", "FILE": "correct-horse"}[name]
		return v, ok
	}
	all, err := dependencies([]string{"DATABASE_URL", "CACHE=redis://127.0.0.1:1/0?x=y"}, lookup)
	if err != nil || len(all) != 2 || all["DATABASE_URL"] != "postgres://shop:correct-horse@db/proof" || all["CACHE"] != "redis://127.0.0.1:1/0?x=y" {
		t.Errorf("%v, %v", all, err)
	}
	for _, bad := range []string{"", "=redis://cache", "GONE", "FILE", "CACHE=", "CACHE=correct-horse", "CACHE=sqlite:correct-horse"} {
		var usage usageError
		if _, err := dependencies([]string{bad}, lookup); !errors.As(err, &usage) || strings.Contains(err.Error(), "correct-horse") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
