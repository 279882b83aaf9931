package apikey_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/apikey"
	"github.com/aguada-dev/aguada/auth/basic"
	"github.com/aguada-dev/aguada/policy"
)

func TestWarmCheckAllocates(t *testing.T) {
	dir := t.TempDir()
	hash, err := basic.HashPassword("x")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "users"), "ann:"+hash)
	u, err := basic.Open(filepath.Join(dir, "users"), basic.Config{Scheme: "basic", Interval: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	key, k := keyFile(t, apikey.Config{Scheme: "key", Interval: time.Hour})
	m := &apikey.Memory{}
	stored, _ := create(t, m, apikey.Request{})
	for _, tt := range []struct {
		scheme     string
		kind       policy.SchemeKind
		v          auth.Verifier
		credential auth.Credential
	}{
		{"basic", policy.Basic, u, auth.Credential{Username: "ann", Password: "x"}},
		{"key", policy.APIKey, k, auth.Credential{Token: key}},
		{"key", policy.APIKey, replica(t, m, apikey.Config{}), auth.Credential{Token: stored}},
	} {
		m := &policy.Method{Access: policy.Secured, Requirements: []policy.Requirement{
			{Schemes: []policy.Use{{Scheme: tt.scheme, In: policy.InHeader, Name: "Authorization"}}},
		}}
		g, err := auth.NewGuard("shop", m, []policy.Scheme{{Name: tt.scheme, Kind: tt.kind}}, auth.Verifiers{tt.scheme: tt.v})
		if err != nil {
			t.Fatal(err)
		}
		src := &presented{tt.credential}
		ctx := t.Context()
		n := testing.AllocsPerRun(100, func() {
			if _, err := g.Check(ctx, src); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations, want 0", tt.scheme, n)
		}
	}
}

// presented is a Source of one credential.
type presented struct{ c auth.Credential }

func (f *presented) Credential(*policy.Use, policy.SchemeKind) (auth.Credential, error) {
	return f.c, nil
}
