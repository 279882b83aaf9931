package config_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aguada-dev/aguada/config"
)

// pair returns the files of a certificate and its key.
func pair(t *testing.T) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	kd, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		write(t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: kd})))
}

// A user's own struct is read as package env reads it.
func TestOwnStruct(t *testing.T) {
	type shop struct {
		Region string        `env:"REGION,required"`
		Wait   time.Duration `env:"WAIT" envDefault:"3s"`
		Home   *url.URL      `env:"HOME_PAGE"`
		Key    config.Secret `env:"STRIPE_KEY,required"`
		Cert   string        `env:"CERT,file"`
		Greet  string        `env:"GREET,expand" envDefault:"hello ${REGION}"`
		Nested struct {
			Port int `env:"PORT"`
		} `envPrefix:"MAIL_"`
		Replicas []struct {
			Host string        `env:"HOST"`
			Pass config.Secret `env:"PASS"`
		} `envPrefix:"REPLICA"`
	}
	var got shop
	_, err := config.Load([]string{
		"HTTP_ADDR=localhost:1", "REGION=goa", "HOME_PAGE=https://example.com/", "STRIPE_KEY_FILE=" + write(t, "sk_1\n\n"),
		"CERT=" + write(t, "pem"), "MAIL_PORT=25", "REPLICA_0_HOST=a", "REPLICA_1_HOST=b", "REPLICA_1_PASS=p",
	}, config.Needs{}, &got)
	if err != nil {
		t.Fatal(err)
	}
	if got.Region != "goa" || got.Wait != 3*time.Second || got.Home.Host != "example.com" || got.Key.Reveal() != "sk_1\n" ||
		got.Cert != "pem" || got.Greet != "hello goa" || got.Nested.Port != 25 ||
		len(got.Replicas) != 2 || got.Replicas[1].Host != "b" || got.Replicas[1].Pass.Reveal() != "p" {
		t.Errorf("got %+v, key %q", got, got.Key.Reveal())
	}

	// Wrong in the second of two equal structs: it is named, not the first.
	var two struct {
		A struct {
			Port int `env:"PORT"`
		} `envPrefix:"A_"`
		B struct {
			Port int `env:"PORT"`
		} `envPrefix:"B_"`
	}
	p := problems(t, []string{"HTTP_ADDR=localhost:1", "A_PORT=1", "B_PORT=x"}, config.Needs{}, &two)
	if len(p) != 1 || p["B_PORT"] == "" {
		t.Errorf("problems: %v, want one of B_PORT", p)
	}
}

// Structs that would stay empty without a word are refused.
func TestUnusableStruct(t *testing.T) {
	environ := []string{"HTTP_ADDR=localhost:1", "PORT=1"}
	for name, test := range map[string]struct {
		target any
		want   string
	}{
		"not a pointer": {struct{}{}, "is not a pointer to a struct"},
		"nil":           {nil, "is not a pointer to a struct"},
		"nil pointer":   {(*struct{ A int })(nil), "is not a pointer to a struct"},
		"no tags":       {&struct{ Port int }{}, "has no field with an env tag"},
		"foreign tags": {&struct { //nolint:revive // the page's mistake
			Port int    `envconfig:"PORT" default:"80"`
			Host string `env:"HOST"`
		}{}, "has a tag envconfig but no tag env"},
		"unknown option": {&struct {
			Port int `env:"PORT,requird"`
		}{}, `option "requird", which does not exist`},
		"not exported": {&struct {
			port int    `env:"PORT"`
			Host string `env:"HOST"`
		}{}, "is not exported"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Load(environ, config.Needs{}, test.target)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Load: %v, want %q", err, test.want)
			}
			config.Reference(environ, config.Needs{}, test.target) // does not panic
		})
	}
}

func TestSecretFromFile(t *testing.T) {
	base := []string{"HTTP_ADDR=localhost:1"}
	load := func(env ...string) (*config.Config, error) {
		return config.Load(append(base[:1:1], env...), config.Needs{Database: true})
	}
	for text, want := range map[string]string{"db": "db", "db\n": "db", "db\r\n": "db", "db\n\n": "db\n", " db": " db"} {
		cfg, err := load("DATABASE_URL_FILE=" + write(t, text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if got := cfg.DatabaseURL.Reveal(); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	for name, test := range map[string]struct{ env, want string }{
		"absent":    {"DATABASE_URL_FILE=/absent", "DATABASE_URL_FILE: names a file that does not exist"},
		"empty":     {"DATABASE_URL_FILE=" + write(t, "\n"), "DATABASE_URL_FILE: names a file that is empty"},
		"directory": {"DATABASE_URL_FILE=" + t.TempDir(), "DATABASE_URL_FILE: names a file that cannot be read (is a directory)"},
		"endless":   {"DATABASE_URL_FILE=/dev/zero", "DATABASE_URL_FILE: names a file that is longer than 1 MiB"},
		"neither":   {"X=", "DATABASE_URL: is required and not set: set it, or DATABASE_URL_FILE"},
	} {
		_, err := load(test.env)
		if err == nil || !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
	}
	_, err := load("DATABASE_URL=a", "DATABASE_URL_FILE="+write(t, "b"))
	if err == nil || !strings.Contains(err.Error(), "DATABASE_URL: is set, and DATABASE_URL_FILE too") {
		t.Errorf("both set: %v", err)
	}
}

func TestReference(t *testing.T) {
	own := struct {
		Region  string        `env:"REGION,required" doc:"where from"`
		Stripe  string        `env:"STRIPE_KEY" envDefault:"sk_default"`
		Broker  string        `env:"BROKER" envDefault:"amqp://localhost"`
		Retries int           `env:"KEY_RETRIES" envDefault:"3"`
		Salt    config.Secret `env:"OWN"`
	}{Region: "before"}
	file := write(t, "postgres://u:hunter2@h/d")
	rows := config.Reference([]string{
		"HTTP_ADDR=localhost:1", "DATABASE_URL_FILE=" + file, "READ_TIMEOUT=hunter2", "REGION=goa\x1b[2J",
		"STRIPE_KEY=hunter2", "BROKER=amqp://u:hunter2@h/", "AUTH_JWKS_FILE=" + file,
	}, config.Needs{Database: true, Token: true}, &own)
	if own.Region != "before" {
		t.Error("the user's struct was changed")
	}
	want := map[string]config.Row{
		"HTTP_ADDR":      {Type: "address", Default: ":8080", Required: "no", Value: "localhost:1", Source: "environment"},
		"READ_TIMEOUT":   {Type: "duration", Default: "30s", Required: "no", Value: "(invalid)", Source: "environment"},
		"LOG_LEVEL":      {Type: "debug|info|warn|error", Default: "info", Required: "no", Value: "info", Source: "default"},
		"DATABASE_URL":   {Type: "secret", Required: "yes", Value: "[redacted]", Source: "file " + file},
		"AUTH_ISSUER":    {Type: "list", Required: "yes", Source: "default"},
		"AUTH_JWKS_FILE": {Type: "list of files", Required: "no", Value: "(invalid)", Source: "environment"},
		"REGION":         {Type: "text", Required: "yes", Value: "goa\x1b[2J", Source: "environment"},
		"STRIPE_KEY":     {Type: "text", Default: "[redacted]", Required: "no", Value: "[redacted]", Source: "environment"},
		"BROKER":         {Type: "text", Default: "amqp://localhost", Required: "no", Value: "[redacted]", Source: "environment"},
		"KEY_RETRIES":    {Type: "integer", Default: "3", Required: "no", Value: "3", Source: "default"},
		"OWN":            {Type: "secret", Required: "no", Source: "default"},
	}
	if len(rows) != 91 {
		t.Errorf("%d rows, want 86 of ours and 5 of the user's", len(rows))
	}
	for _, r := range rows {
		if r.Meaning == "" && want[r.Name].Type == "" {
			t.Errorf("%s has no meaning", r.Name)
		}
		if w, ok := want[r.Name]; ok {
			w.Name, w.Meaning = r.Name, r.Meaning
			if diff := cmp.Diff(w, r); diff != "" {
				t.Errorf("%s (-want +got):\n%s", r.Name, diff)
			}
		}
	}

	var table, doc bytes.Buffer
	if err := config.WriteTable(&table, rows); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(table.String(), "\n"); n != len(rows)+1 || strings.ContainsRune(table.String(), 0x1b) {
		t.Errorf("%d lines, or a control character:\n%s", n, &table)
	}
	if err := config.WriteJSON(&doc, rows); err != nil {
		t.Fatal(err)
	}
	var back []config.Row
	if err := json.Unmarshal(doc.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rows, back); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
	for _, out := range []string{table.String(), doc.String()} {
		if strings.Contains(out, "hunter2") || strings.Contains(out, "sk_default") {
			t.Errorf("a secret is shown:\n%s", out)
		}
	}
}

// Values that look as if they held a password are not shown, wherever it is.
func TestReferenceHidesPasswords(t *testing.T) {
	hidden := []string{
		"postgres://u:hunter2@h/d", "https://hunter2@h/", "https://a/,https://u:hunter2@b/", "https://a/, https://u:hunter2@b/",
		"main:postgres://u:hunter2@h/d", "jdbc:postgresql://u:hunter2@h/d", "u:hunter2@tcp(h:3306)/d",
		"host=h user=u Password=hunter2", "https://h/?password=hunter2", "postgres://u:hunter2%zz@h/d", "u:hunter2@@h",
	}
	shown := []string{"https://h/", "ops@example.com", "a:1,b:2", "@", ":", "", "a@b:1"}
	for _, text := range slices.Concat(hidden, shown) {
		own := struct {
			Text string            `env:"BROKER"`
			List []string          `env:"BROKER"`
			Map  map[string]string `env:"BROKERS"`
		}{}
		for _, r := range config.Reference([]string{"BROKER=" + text, "BROKERS=" + text}, config.Needs{}, &own) {
			if r.Name != "BROKER" && r.Name != "BROKERS" {
				continue
			}
			if strings.Contains(fmt.Sprint(r), "hunter2") {
				t.Errorf("%s is shown: %+v", text, r)
			}
			if r.Name == "BROKER" && slices.Contains(shown, text) && r.Value != text {
				t.Errorf("%s is hidden: %+v", text, r)
			}
		}
	}
	own := struct {
		Broker string `env:"BROKER" envDefault:"amqp://u:hunter2@h/"`
	}{}
	if rows := config.Reference(nil, config.Needs{}, &own); strings.Contains(fmt.Sprint(rows), "hunter2") {
		t.Error("the password in a default is shown")
	}
}

// Load is a function of what it is given, not of the process's environment.
func TestLoadIsPure(t *testing.T) {
	t.Setenv("LOG_LEVEL", "nonsense")
	t.Setenv("DATABASE_URL_FILE", "/absent")
	for _, environ := range [][]string{nil, {}} {
		if got := problems(t, environ, config.Needs{}); len(got) != 1 || got["HTTP_ADDR"] == "" {
			t.Errorf("problems: %v, want the default HTTP_ADDR's only", got)
		}
	}
	if os.Getenv("LOG_LEVEL") != "nonsense" {
		t.Error("the environment was changed")
	}
}

type limits struct {
	Least int `env:"LEAST" envDefault:"1"`
	Most  int `env:"MOST" envDefault:"9"`
}

func (l limits) Validate() error {
	if l.Least > l.Most {
		return errors.Join(errors.New("LEAST must not exceed MOST"), errors.New("MOST is too small"))
	}
	return nil
}

// A user's own check stands among the other problems, and is not asked about
// values that could not be read.
func TestOwnValidate(t *testing.T) {
	for _, c := range []struct {
		environ []string
		want    []string
	}{
		{[]string{"LEAST=1"}, nil},
		{[]string{"LEAST=10", "LOG_LEVEL=loud"}, []string{"LOG_LEVEL: ", "LEAST must not exceed MOST", "MOST is too small"}},
		{[]string{"LEAST=10", "MOST=many"}, []string{"MOST: "}},
	} {
		_, err := config.Load(append(c.environ, "HTTP_ADDR=127.0.0.1:0"), config.Needs{}, new(limits))
		var lines []string
		if err != nil {
			lines = strings.Split(err.Error(), "\n")
		}
		if len(lines) != len(c.want) {
			t.Errorf("%v: %q, want %q", c.environ, lines, c.want)
			continue
		}
		for i, want := range c.want {
			if !strings.HasPrefix(lines[i], want) {
				t.Errorf("%v: %q, want %q", c.environ, lines[i], want)
			}
		}
	}
}
