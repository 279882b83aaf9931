package setup

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/wallet"
)

// openapi is of a service of Goa's kind with a scheme of each kind.
const openapi = `{"openapi":"3.0.3","info":{"title":"shop"},
	"components":{"securitySchemes":{
		"basic_header_Authorization":{"type":"http","scheme":"basic"},
		"jwt_header_X-Authorization":{"type":"http","scheme":"bearer"},
		"api_key_query_k":{"type":"apiKey","in":"query","name":"k"}}},
	"paths":{
		"/in":{"post":{"operationId":"shop#signin","security":[{"basic_header_Authorization":[]}],"responses":{"200":{"description":""}}}},
		"/list":{"get":{"operationId":"shop#list","tags":["shop"],"security":[{"jwt_header_X-Authorization":[],"api_key_query_k":[]}],"responses":{"200":{"description":""}}}}}}`

// folder returns a folder with files.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestBadFiles(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"biuld: ./cmd/x":                      "field biuld not found",
		"credentials: {tokens: {}}":           "field tokens not found",
		"build: [a]":                          "cannot unmarshal",
		"patience: soon":                      "cannot unmarshal",
		"env: [A]":                            "cannot unmarshal",
		"parameters: {\"*\": id}":             "cannot unmarshal",
		"credentials: {token: {secret: rsa}}": `credentials.token.secret is "rsa": want hmac`,
		"credentials: {token: {value: x}}":    "want secret: hmac",
		"\t":                                  "prove.yaml",
		"scopes: {shop.gone: [a]}":            `scopes: the design has no method "shop.gone"`,
		"openapi: none.json":                  "none.json: no such file",
		"contract: /none/contract.json":       "no such file",
		"openapi: prove.yaml":                 "read OpenAPI document",
	} {
		dir := folder(t, map[string]string{"prove.yaml": text, "gen/http/openapi3.json": openapi})
		s, err := New(Config{Dir: dir, Path: "none"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
		if err == nil {
			s.Close()
		}
	}
	if _, err := New(Config{Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "neither gen/production/contract.json nor gen/http/openapi3.json") {
		t.Errorf("an empty folder: %v", err)
	}
}

// What prove.yaml says of a service that does not use Aguada is what it is
// started and called with, and nothing of Aguada's is added.
func TestForeignService(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"gen/http/openapi3.json": openapi, "prove.yaml": `
env: {ADDR: "${http}", SECRET: "${hmac_secret}"}
args: [-v]
credentials:
  basic: {ann: correct-horse}
  api_keys: [a-key-of-the-shop]
  token: {secret: hmac, value: the-built-in-secret, issuer: https://issuer.example, scopes: scopes, list: true}
scopes: {shop.list: [read, write]}
`})
	s, err := New(Config{Dir: dir, Path: "shop", Args: []string{"more"}, Env: map[string]string{"SECRET": "other"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	r := s.Lab.Recipe
	if len(r.Env) != 2 || r.Env["ADDR"] != "${http}" || r.Env["SECRET"] != "other" || !slices.Equal(r.Args, []string{"-v", "more"}) || !r.Answers {
		t.Errorf("%+v", r)
	}
	list := s.Lab.Service.Method("shop.list")
	creds, err := s.Lab.Wallet.Credentials(list, 0, lab.Good)
	if err != nil {
		t.Fatal(err)
	}
	if key := creds["api_key_query_k"]; key.Token != "a-key-of-the-shop" {
		t.Error("the API key is another one")
	}
	claims := decode(t, creds["jwt_header_X-Authorization"].Token)
	if claims["iss"] != "https://issuer.example" || !slices.Equal(words(claims["scopes"]), []string{"read", "write"}) || claims["scope"] != nil {
		t.Errorf("the token holds %v", claims)
	}
	less, err := s.Lab.Wallet.Credentials(list, 0, wallet.Holder{Without: "read"})
	if err != nil {
		t.Fatal(err)
	}
	if got := words(decode(t, less["jwt_header_X-Authorization"].Token)["scopes"]); !slices.Equal(got, []string{"write"}) {
		t.Errorf("without read the token has %q", got)
	}
	for _, secret := range []string{"the-built-in-secret", "correct-horse", "a-key-of-the-shop"} {
		if s.Lab.Secrets.Find("x "+secret+" y") == "" {
			t.Errorf("%s would be shown", secret)
		}
	}
}

// A service that runs already is called with what was given, and has neither
// issuer nor receiver, unless the secret of its tokens is known.
func TestRemoteService(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"gen/http/openapi3.json": openapi})
	far := &lab.Remote{Scheme: "http", Host: "127.0.0.1:1"}
	given := Given{Token: "a-token-that-was-given", Basic: "ann:correct:horse", APIKey: "a-key-that-was-given"}
	s, err := New(Config{Dir: dir, Remote: far, Given: given})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if s.Lab.Issuer != nil || s.Lab.Sink != nil || s.Lab.NewIssuer != nil || s.dir != "" {
		t.Error("something was started for it")
	}
	in, err := s.Lab.Wallet.Credentials(s.Lab.Service.Method("shop.signin"), 0, lab.Good)
	if err != nil || in["basic_header_Authorization"].User != "ann" || in["basic_header_Authorization"].Password != "correct:horse" {
		t.Errorf("%v", err)
	}
	list, err := s.Lab.Wallet.Credentials(s.Lab.Service.Method("shop.list"), 0, lab.Good)
	if err != nil || list["jwt_header_X-Authorization"].Token != given.Token || list["api_key_query_k"].Token != given.APIKey {
		t.Errorf("%v", err)
	}
	for _, secret := range []string{given.Token, given.APIKey, "correct:horse", given.Basic} {
		if s.Lab.Secrets.Find(secret) == "" {
			t.Errorf("%s would be shown", secret)
		}
	}

	known, err := New(Config{Dir: dir, Remote: far, Given: Given{HMACSecret: "the secret of the tokens"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(known.Close)
	if known.Lab.Issuer == nil || known.Lab.NewIssuer != nil {
		t.Error("tokens could be forged, and are not")
	}
	if _, err := known.Lab.Wallet.Credentials(known.Lab.Service.Method("shop.signin"), 0, lab.Good); err == nil {
		t.Error("a user was made up")
	}
	for _, bad := range []string{"ann", ":x", "ann:"} {
		if _, err := New(Config{Dir: dir, Remote: far, Given: Given{Basic: bad}}); err == nil || strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
