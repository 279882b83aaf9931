package setup

import (
	"slices"
	"strings"
	"testing"

	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/target"
)

// What is reached by a URL in the environment may be taken away, and what was
// named for that; its passwords are secrets.
func TestDependencies(t *testing.T) {
	t.Parallel()
	secrets := &target.Secrets{}
	all, err := dependencies(map[string]string{
		"DATABASE_URL":   "postgres://shop:of-the-environment@db/shop",
		"FILE_URL":       "sqlite:${dir}/data.db",
		"ISSUER":         "https://issuer.example",
		"CLUSTER":        "postgres://one:1,two:2/shop",
		"OVER_TLS":       "rediss://cache",
		"PLACEHOLDER":    "redis://${cache}",
		"LISTEN_ADDRESS": "127.0.0.1:8080",
	}, map[string]string{
		"DATABASE_URL": "postgres://shop:correct-horse@127.0.0.1:1/proof",
		"MAIL":         "mail:25",
	}, secrets)
	want := []lab.Dependency{{Variable: "DATABASE_URL", Address: "postgres://shop:correct-horse@127.0.0.1:1/proof"}, {Variable: "MAIL", Address: "mail:25"}}
	if err != nil || !slices.Equal(all, want) {
		t.Errorf("%v, %v, want %v", all, err, want)
	}
	if secrets.Find("a correct-horse b") == "" {
		t.Error("the password would be shown")
	}
	if _, err := dependencies(nil, map[string]string{"X": "file:correct-horse"}, secrets); err == nil || strings.Contains(err.Error(), "correct-horse") {
		t.Errorf("what is nowhere: %v", err)
	}
	all, err = dependencies(map[string]string{"CACHE": "redis://:of-the-environment@cache/0"}, nil, secrets)
	if err != nil || len(all) != 1 || secrets.Find("of-the-environment") == "" {
		t.Errorf("of the environment: %v, %v", all, err)
	}
}
