package jwt_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/jwt"
)

func TestDevelopmentKey(t *testing.T) {
	dir := t.TempDir()
	private, public := filepath.Join(dir, "signing-key.json"), filepath.Join(dir, "jwks.json")
	made, err := jwt.NewDevelopmentKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := made.Save(private, public); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(private)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the private key: %v, %v", info.Mode(), err)
	}
	text, err := os.ReadFile(public)
	if err != nil || strings.Contains(string(text), `"d"`) {
		t.Errorf("public set: %s, %v", text, err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 2 {
		t.Errorf("%d files are left, want 2", len(files))
	}
	key, err := jwt.LoadDevelopmentKey(private)
	if err != nil {
		t.Fatal(err)
	}
	ks, err := jwt.NewFileKeySet(public, jwt.KeySetConfig{})
	if err != nil {
		t.Fatal(err)
	}
	v, err := jwt.New([]jwt.Issuer{{Name: issuer, Keys: ks}}, jwt.Config{Audience: []string{audience}})
	if err != nil {
		t.Fatal(err)
	}
	token, err := key.Mint(jwt.Claims{
		Issuer: issuer, Subject: "ann", Audience: []string{"x", audience}, Scopes: []string{"api:read", "api:write"}, Lifetime: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	p, err := v.Verify(t.Context(), auth.Credential{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	if p.Subject != "ann" || p.CredentialID == "" || time.Until(p.ExpiresAt) > time.Minute {
		t.Errorf("principal %+v", p)
	}
	if diff := cmp.Diff([]string{"api:read", "api:write"}, p.Scopes); diff != "" {
		t.Errorf("scopes (-want +got):\n%s", diff)
	}
}

func TestDevelopmentKeyRefuses(t *testing.T) {
	dir := t.TempDir()
	key, err := jwt.NewDevelopmentKey()
	if err != nil {
		t.Fatal(err)
	}
	private, public := filepath.Join(dir, "k"), filepath.Join(dir, "s")
	if err := key.Save(private, public); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(private, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := jwt.LoadDevelopmentKey(private); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that others may read: %v", err)
	}
	for _, text := range []string{"", "{}", set(t, "ec"), `{"kty":"oct","k":"c2VjcmV0"}`} {
		write(t, private, text)
		if _, err := jwt.LoadDevelopmentKey(private); err == nil || strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, c := range []jwt.Claims{{}, {Issuer: issuer}, {Subject: "ann"}, {Issuer: issuer, Subject: "ann", Lifetime: -1}} {
		if token, err := key.Mint(c); err == nil || token != "" {
			t.Errorf("%+v: got %q, %v", c, token, err)
		}
	}
	if err := key.Save(filepath.Join(dir, "none", "k"), public); err == nil {
		t.Error("a key is saved nowhere")
	}
}
