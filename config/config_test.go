package config_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aguada-dev/aguada/config"
)

var all = config.Needs{Basic: true, APIKey: true, Token: true, Database: true}

// write returns the path of a file with the text.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// problems loads and returns what is wrong, by variable.
func problems(t *testing.T, environ []string, needs config.Needs, extra ...any) map[string]string {
	t.Helper()
	cfg, err := config.Load(environ, needs, extra...)
	if err == nil {
		return nil
	}
	if cfg != nil {
		t.Error("Load returned a configuration and an error")
	}
	var e *config.Error
	if !errors.As(err, &e) {
		t.Fatalf("Load: %T", err)
	}
	got := make(map[string]string)
	for _, p := range e.Problems {
		if p.Wrong == "" || p.Fix == "" || strings.Contains(p.String(), "\n") {
			t.Errorf("not a full line: %q", p)
		}
		if got[p.Variable] != "" {
			t.Errorf("two problems of %s", p.Variable)
		}
		got[p.Variable] = p.Wrong + ": " + p.Fix
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != len(e.Problems) {
		t.Errorf("%d lines for %d problems", n, len(e.Problems))
	}
	return got
}

func TestDefaults(t *testing.T) {
	cfg, err := config.Load([]string{"HTTP_ADDR=127.0.0.1:8080", "LOG_LEVEL="}, config.Needs{})
	if err != nil {
		t.Fatal(err)
	}
	want := &config.Config{
		HTTPAddr:          "127.0.0.1:8080",
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    1 << 20,
		LogFormat:         "auto",
		ShutdownTimeout:   30 * time.Second,
		AuthAlgorithms:    []string{"RS256", "ES256", "EdDSA"},
		AuthLeeway:        30 * time.Second,
	}
	if diff := cmp.Diff(want, cfg); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEverythingSet(t *testing.T) {
	cert, key := pair(t)
	users, keys, jwks := write(t, "a:b"), write(t, "{}"), write(t, "{}")
	cfg, err := config.Load([]string{
		"HTTP_ADDR=[::]:443", "READ_HEADER_TIMEOUT=1s", "READ_TIMEOUT=2s", "WRITE_TIMEOUT=3s", "IDLE_TIMEOUT=4s",
		"MAX_HEADER_BYTES=65536", "TLS_CERT_FILE=" + cert, "TLS_KEY_FILE=" + key, "TLS_CLIENT_CA_FILE=" + cert,
		"LOG_LEVEL=WARN", "LOG_FORMAT=json", "DATABASE_URL=postgres://u:p@h/d", "SHUTDOWN_TIMEOUT=5s",
		"AUTH_USERS_FILE=" + users, "AUTH_API_KEYS_FILE=" + keys, "AUTH_API_KEYS_PEPPER=0123456789abcdef",
		"AUTH_ISSUER=https://id.example", "AUTH_AUDIENCE=shop", "AUTH_JWKS_FILE=" + jwks,
		"AUTH_ALGORITHMS=ES256, PS512", "AUTH_LEEWAY=0s",
	}, all)
	if err != nil {
		t.Fatal(err)
	}
	want := &config.Config{
		HTTPAddr: "[::]:443", ReadHeaderTimeout: time.Second, ReadTimeout: 2 * time.Second, WriteTimeout: 3 * time.Second,
		IdleTimeout: 4 * time.Second, MaxHeaderBytes: 65536, TLSCertFile: cert, TLSKeyFile: key, TLSClientCAFile: cert,
		LogLevel: slog.LevelWarn, LogFormat: "json", DatabaseURL: config.NewSecret("postgres://u:p@h/d"),
		ShutdownTimeout: 5 * time.Second, AuthUsersFile: users, AuthAPIKeysFile: keys,
		AuthAPIKeysPepper: config.NewSecret("0123456789abcdef"), AuthIssuer: "https://id.example", AuthAudience: "shop",
		AuthJWKSFile: jwks, AuthAlgorithms: []string{"ES256", "PS512"},
	}
	if diff := cmp.Diff(want, cfg); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if c, err := cfg.TLS(); err != nil || c == nil || c.ClientCAs == nil || len(c.Certificates) != 1 {
		t.Errorf("TLS: %v, %v", c, err)
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if _, err := cfg.TLS(); err == nil {
		t.Error("TLS works without the key")
	}
}

// TestValidation has each rule's good and bad values.
func TestValidation(t *testing.T) {
	cert, key := pair(t)
	_, otherKey := pair(t)
	dir, file := t.TempDir(), write(t, "x")
	local := "HTTP_ADDR=localhost:1"
	for _, test := range []struct {
		env  string // separated by blanks; local is added unless HTTP_ADDR is set
		want string // variable: a part of what is said; empty for valid
	}{
		{"HTTP_ADDR=127.0.0.1:0", ""},
		{"HTTP_ADDR=[::1]:65535", ""},
		{"HTTP_ADDR=127.9.9.9:80", ""},
		{"HTTP_ADDR=", "HTTP_ADDR: is set to nothing"},
		{"HTTP_ADDR=8080", "HTTP_ADDR: is not an address"},
		{"HTTP_ADDR=:65536", "HTTP_ADDR: is not an address"},
		{"HTTP_ADDR=:-1", "HTTP_ADDR: is not an address"},
		{"HTTP_ADDR=:http", "HTTP_ADDR: is not an address"},
		{"HTTP_ADDR=127.0.0.1:", "HTTP_ADDR: is not an address"},
		{"HTTP_ADDR=::1:80", "HTTP_ADDR: is not an address"},
		{"HTTP_ADDR=300.0.0.1:80", "HTTP_ADDR: is not an address"},
		{"HTTP_ADDR=http://localhost:80", "HTTP_ADDR: is not an address"},
		{"HTTP_ADDR=a_b:80 TLS_MODE=upstream", "HTTP_ADDR: is not an address"},
		{"HTTP_ADDR=shop.example:80 TLS_MODE=upstream", ""},
		{"HTTP_ADDR=:8080", "HTTP_ADDR: would serve plain HTTP"},
		{"HTTP_ADDR=:8080", "HTTP_ADDR: set TLS_CERT_FILE and TLS_KEY_FILE, or TLS_MODE=upstream"},
		{"HTTP_ADDR=0.0.0.0:8080", "HTTP_ADDR: would serve plain HTTP"},
		{"HTTP_ADDR=localhost.example:80", "HTTP_ADDR: would serve plain HTTP"},
		{"HTTP_ADDR=:8080 TLS_MODE=upstream", ""},
		{"HTTP_ADDR=:8080 TLS_CERT_FILE=" + cert + " TLS_KEY_FILE=" + key, ""},
		{"TLS_MODE=off", "TLS_MODE: is not a mode"},
		{"TLS_MODE=upstream TLS_CERT_FILE=" + cert + " TLS_KEY_FILE=" + key, "TLS_MODE: is upstream, and"},
		{"TLS_CERT_FILE=" + cert, "TLS_KEY_FILE: is not set"},
		{"TLS_KEY_FILE=" + key, "TLS_CERT_FILE: is not set"},
		{"TLS_CERT_FILE=" + cert + " TLS_KEY_FILE=" + otherKey, "TLS_CERT_FILE: do not belong together"},
		{"TLS_CERT_FILE=" + file + " TLS_KEY_FILE=" + key, "TLS_CERT_FILE: are not a certificate"},
		{"TLS_CERT_FILE=" + cert + " TLS_KEY_FILE=/absent", "TLS_KEY_FILE: does not exist"},
		{"TLS_CERT_FILE=" + cert + " TLS_KEY_FILE=" + key + " TLS_CLIENT_CA_FILE=" + file, "TLS_CLIENT_CA_FILE: without a PEM"},
		{"TLS_CLIENT_CA_FILE=" + cert, "TLS_CLIENT_CA_FILE: is set, and TLS_CERT_FILE is not"},
		{"READ_TIMEOUT=0s", "READ_TIMEOUT: is not more than 0"},
		{"WRITE_TIMEOUT=-1s", "WRITE_TIMEOUT: is not more than 0"},
		{"IDLE_TIMEOUT=30", "IDLE_TIMEOUT: is not a duration"},
		{"READ_HEADER_TIMEOUT=1y", "READ_HEADER_TIMEOUT: is not a duration"},
		{"SHUTDOWN_TIMEOUT=0", "SHUTDOWN_TIMEOUT: is not more than 0"},
		{"MAX_HEADER_BYTES=512KiB", ""},
		{"MAX_HEADER_BYTES=0", "MAX_HEADER_BYTES: is not between"},
		{"MAX_HEADER_BYTES=2GiB", "MAX_HEADER_BYTES: is not between"},
		{"MAX_HEADER_BYTES=-1", "MAX_HEADER_BYTES: is not a size"},
		{"MAX_HEADER_BYTES=1mib", "MAX_HEADER_BYTES: is not a size"},
		{"MAX_HEADER_BYTES=99999999999GiB", "MAX_HEADER_BYTES: is not a size"},
		{"LOG_LEVEL=Debug", ""},
		{"LOG_LEVEL=trace", "LOG_LEVEL: is not a level"},
		{"LOG_LEVEL=info+4", "LOG_LEVEL: is not a level"},
		{"LOG_FORMAT=text", "LOG_FORMAT: is not a format"},
		{"AUTH_USERS_FILE=" + dir, "AUTH_USERS_FILE: does not name a regular file"},
		{"AUTH_API_KEYS_FILE=/absent", "AUTH_API_KEYS_FILE: does not exist"},
		{"AUTH_API_KEYS_PEPPER=0123456789abcde", "AUTH_API_KEYS_PEPPER: is shorter than 16"},
		{"AUTH_API_KEYS_PEPPER=0123456789abcdef", ""},
		{"AUTH_JWKS_URL=https://id.example/keys", ""},
		{"AUTH_JWKS_URL=http://127.0.0.1:9/keys", ""},
		{"AUTH_JWKS_URL=http://id.example/keys", "AUTH_JWKS_URL: is not the https URL"},
		{"AUTH_JWKS_URL=https://u:p@id.example/keys", "AUTH_JWKS_URL: is not the https URL"},
		{"AUTH_JWKS_URL=file:///keys", "AUTH_JWKS_URL: is not the https URL"},
		{"AUTH_JWKS_URL=https://id.example/keys AUTH_JWKS_FILE=" + file, "AUTH_JWKS_FILE: unset one of them"},
		{"AUTH_ALGORITHMS=HS256", "AUTH_ALGORITHMS: not an asymmetric"},
		{"AUTH_ALGORITHMS=RS256,none", "AUTH_ALGORITHMS: not an asymmetric"},
		{"AUTH_ALGORITHMS=RS256,,ES256", "AUTH_ALGORITHMS: not an asymmetric"},
		{"AUTH_ALGORITHMS=rs256", "AUTH_ALGORITHMS: not an asymmetric"},
		{"AUTH_LEEWAY=5m", ""},
		{"AUTH_LEEWAY=5m1s", "AUTH_LEEWAY: is not between"},
		{"AUTH_LEEWAY=-1s", "AUTH_LEEWAY: is not between"},
		{"HTTP_ADR=:1", ""}, // not ours: not judged
	} {
		environ := strings.Split(test.env, " ")
		if !strings.HasPrefix(test.env, "HTTP_ADDR") {
			environ = append(environ, local)
		}
		got := problems(t, environ, config.Needs{})
		name, part, _ := strings.Cut(test.want, ": ")
		switch {
		case test.want == "" && got != nil:
			t.Errorf("%s: refused: %v", test.env, got)
		case test.want != "" && (len(got) != 1 || !strings.Contains(got[name], part)):
			t.Errorf("%s: got %v, want %s", test.env, got, test.want)
		}
	}
	for _, v := range []string{"LOG_FORMAT=json ", "AUTH_ISSUER=a\nb"} {
		if got := problems(t, []string{local, v}, config.Needs{}); len(got) != 1 {
			t.Errorf("%q: %v", v, got)
		}
	}
}

func TestNeeds(t *testing.T) {
	local := []string{"HTTP_ADDR=localhost:1"}
	for _, test := range []struct {
		needs config.Needs
		want  []string
	}{
		{config.Needs{}, nil},
		{config.Needs{Basic: true}, []string{"AUTH_USERS_FILE"}},
		{config.Needs{APIKey: true}, []string{"AUTH_API_KEYS_FILE", "AUTH_API_KEYS_PEPPER"}},
		{config.Needs{Token: true}, []string{"AUTH_ISSUER", "AUTH_AUDIENCE", "AUTH_JWKS_URL"}},
		{config.Needs{Database: true}, []string{"DATABASE_URL"}},
		{all, []string{"DATABASE_URL", "AUTH_USERS_FILE", "AUTH_API_KEYS_FILE", "AUTH_API_KEYS_PEPPER", "AUTH_ISSUER", "AUTH_AUDIENCE", "AUTH_JWKS_URL"}},
	} {
		_, err := config.Load(local, test.needs)
		var got []string
		var e *config.Error
		if errors.As(err, &e) {
			for _, p := range e.Problems {
				got = append(got, p.Variable)
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", test.needs, diff)
		}
	}
}

// Every variable wrong at once, each with a value that looks like a secret:
// every one is named, and no part of a value is said.
func TestErrorsHoldNoValue(t *testing.T) {
	const secret = "hunter2-s3cr3t"
	own := struct {
		Port    int               `env:"OWN_PORT"`
		Weird   weird             `env:"OWN_WEIRD"`
		Labels  map[string]string `env:"OWN_LABELS"`
		List    []int             `env:"OWN_LIST"`
		File    string            `env:"OWN_FILE,file"`
		When    time.Duration     `env:"OWN_WHEN"`
		Nothing chan int          `env:"OWN_CHAN"`
		Nested  struct {
			Flag bool `env:"FLAG"`
		} `envPrefix:"OWN_"`
		Needed string `env:"OWN_NEEDED,required"`
		Full   string `env:"OWN_FULL,notEmpty"`
		Old    string `env:"OWN_OLD" required:"true"`
	}{}
	environ := []string{"OWN_FULL=", "DATABASE_URL_FILE=/" + secret, "AUTH_API_KEYS_PEPPER=" + secret}
	for f := range reflect.TypeFor[config.Config]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("env"), ",")
		switch name {
		case "DATABASE_URL", "AUTH_API_KEYS_PEPPER":
		case "AUTH_ISSUER", "AUTH_AUDIENCE":
			environ = append(environ, name+"= "+secret)
		default:
			environ = append(environ, name+"="+secret)
		}
	}
	for _, name := range []string{"PORT", "WEIRD", "LABELS", "LIST", "FILE", "WHEN", "CHAN", "FLAG"} {
		environ = append(environ, "OWN_"+name+"="+secret)
	}
	got := problems(t, environ, all, &own)
	for _, f := range config.Reference(environ, all, &own) {
		switch f.Name {
		case "DATABASE_URL":
			if got["DATABASE_URL_FILE"] == "" {
				t.Error("DATABASE_URL_FILE is not refused")
			}
		default:
			if got[f.Name] == "" {
				t.Errorf("%s is not refused", f.Name)
			}
		}
		if s := fmt.Sprint(f); strings.Contains(s, "hunter2") || strings.Contains(s, "s3cr3t") {
			t.Errorf("the reference shows the value of %s: %s", f.Name, s)
		}
	}
	_, err := config.Load(environ, all, &own)
	if s := err.Error(); strings.Contains(s, "hunter2") || strings.Contains(s, "s3cr3t") {
		t.Errorf("a value is in the error:\n%s", s)
	}
	t.Logf("\n%v", err)
}

// weird refuses everything, and says what.
type weird struct{}

func (*weird) UnmarshalText(b []byte) error { return fmt.Errorf("bad value %q", b) }
