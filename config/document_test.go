package config_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aguada-dev/aguada/config"
)

var update = flag.Bool("update", false, "write the reference into the documentation")

// sections divide the reference: each holds the rows from its variable on.
var sections = []struct{ first, title string }{
	{"HTTP_ADDR", "Public listener"}, {"ADMIN_ADDR", "Private port"}, {"TLS_CERT_FILE", "TLS"}, {"CORS_ORIGINS", "Browsers"}, {"LOG_LEVEL", "Log"},
	{"DATABASE_URL", "Database"}, {"REDIS_URL", "Limits"}, {"IDEMPOTENCY_SECRET", "Idempotency"}, {"SHUTDOWN_TIMEOUT", "Shutdown"}, {"TRACES_PER_SECOND", "Telemetry"},
	{"AUTH_USERS_FILE", "Authentication"},
}

// TestDocument compares the documentation with the code.
func TestDocument(t *testing.T) {
	const path, begin, end = "../docs/configuration.md", "<!-- reference -->\n", "<!-- /reference -->"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s lacks %s or %s", path, begin, end)
	}
	want := before + begin + reference() + end + after
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(b)); diff != "" {
		t.Errorf("%s is stale (-want +got), run go test ./config -run Document -update:\n%s", path, diff)
	}
}

func reference() string {
	var out strings.Builder
	cell := strings.NewReplacer("|", `\|`, "<", "&lt;")
	code := func(s string) string {
		if s == "" {
			return ""
		}
		return "`" + s + "`"
	}
	for i, r := range config.Reference(nil, config.Needs{}) {
		for _, s := range sections {
			if s.first == r.Name {
				fmt.Fprintf(&out, "\n## %s\n\n| variable | value | default | required | meaning |\n|---|---|---|---|---|\n", s.title)
			}
		}
		fmt.Fprintf(&out, "| %s | %s | %s | %s | %s |\n", code(r.Name), cell.Replace(r.Type), code(cell.Replace(r.Default)), required(i), cell.Replace(r.Meaning))
	}
	return out.String() + "\n"
}

// required says when the variable in row i has to be set.
func required(i int) string {
	for _, n := range []struct {
		needs config.Needs
		when  string
	}{
		{config.Needs{Basic: true}, "with Basic authentication"}, {config.Needs{APIKey: true}, "with API keys"}, {config.Needs{Idempotency: true}, "with idempotency keys"},
		{config.Needs{Token: true}, "with tokens"}, {config.Needs{Database: true}, "with a database"},
	} {
		if config.Reference(nil, n.needs)[i].Required == "yes" {
			return n.when
		}
	}
	return ""
}
