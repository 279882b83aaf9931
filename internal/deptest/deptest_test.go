// Package deptest holds the rules of who may import what.
package deptest

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/aguada-dev/aguada"

// rules names, for each package of the module, the module's packages and the
// third-party modules that its non-test code may import. A package that is
// missing here fails the test: decide before you build.
var rules = map[string]struct{ ours, others []string }{
	"policy":    {},
	"redact":    {},
	"lifecycle": {},
	"health":    {},
	"telemetry": {
		ours: []string{"policy"},
		others: []string{
			"go.opentelemetry.io/otel", "go.opentelemetry.io/contrib/instrumentation/runtime",
			"github.com/prometheus/otlptranslator", "golang.org/x/term",
		},
	},
	"telemetry/cluelog":           {ours: []string{"telemetry"}, others: []string{"goa.design/clue/log", "go.opentelemetry.io/otel/trace"}},
	"admin":                       {ours: []string{"policy"}},
	"config":                      {ours: []string{"policy"}, others: []string{"github.com/caarlos0/env/v11"}},
	"auth":                        {ours: []string{"policy"}},
	"auth/basic":                  {ours: []string{"auth"}, others: []string{"golang.org/x/crypto"}},
	"auth/apikey":                 {ours: []string{"auth"}},
	"auth/apikey/sqlkeys":         {ours: []string{"auth/apikey"}},
	"auth/apikey/apikeytest":      {ours: []string{"auth", "auth/apikey"}},
	"auth/basic/basictest":        {ours: []string{"auth", "auth/basic"}},
	"auth/issuer":                 {ours: []string{"policy", "auth/issuer/state"}, others: []string{"github.com/go-jose/go-jose/v4"}},
	"auth/issuer/state":           {others: []string{"modernc.org/sqlite"}},
	"auth/introspect":             {ours: []string{"auth"}},
	"auth/lockout":                {ours: []string{"auth"}},
	"auth/mtls":                   {ours: []string{"auth"}},
	"auth/jwt":                    {ours: []string{"auth", "policy"}, others: []string{"github.com/go-jose/go-jose/v4"}},
	"limit":                       {},
	"limit/redislimit":            {ours: []string{"limit"}, others: []string{"github.com/redis/go-redis/v9"}},
	"limit/limittest":             {ours: []string{"limit"}},
	"limit/adaptive":              {},
	"idempotency":                 {ours: []string{"policy"}},
	"idempotency/sqlstore":        {ours: []string{"idempotency"}},
	"idempotency/redisstore":      {ours: []string{"idempotency"}, others: []string{"github.com/redis/go-redis/v9"}},
	"idempotency/idempotencytest": {ours: []string{"idempotency"}},
	"transport": {
		ours: []string{"auth", "idempotency", "limit", "limit/adaptive", "policy", "telemetry"},
		others: []string{
			"goa.design/goa/v3/grpc", "goa.design/goa/v3/http", "goa.design/goa/v3/jsonrpc", "goa.design/goa/v3/pkg", "github.com/gorilla/websocket", "go.opentelemetry.io/otel/trace",
			"google.golang.org/grpc", "google.golang.org/genproto/googleapis/rpc", "google.golang.org/protobuf",
		},
	},
	"": {
		ours: []string{
			"admin", "auth", "auth/apikey", "auth/basic", "auth/introspect", "auth/jwt", "auth/lockout", "auth/mtls", "config", "health", "idempotency", "lifecycle", "limit", "limit/adaptive", "policy", "redact", "telemetry", "telemetry/cluelog", "transport",
		},
		others: []string{"go.opentelemetry.io/otel"},
	},
	"expr":    {ours: []string{"policy"}, others: []string{"goa.design/goa/v3"}},
	"dsl":     {ours: []string{"expr", "codegen", "policy"}, others: []string{"goa.design/goa/v3"}},
	"codegen": {ours: []string{"expr", "policy"}, others: []string{"goa.design/goa/v3"}},
	// The console knows services by what they send and by their private port.
	"console/store":  {others: []string{"modernc.org/sqlite"}},
	"console/series": {ours: []string{"console/store"}},
	"console/traces": {ours: []string{"console/store"}},
	"console/static": {},
	"console/otlp": {
		ours:   []string{"console/store"},
		others: []string{"go.opentelemetry.io/proto/otlp", "google.golang.org/genproto/googleapis/rpc", "google.golang.org/grpc", "google.golang.org/protobuf"},
	},
	"console/target": {ours: []string{"policy"}, others: []string{"github.com/google/pprof"}},
	"console/guard":  {ours: []string{"auth"}},
	"console/design": {ours: []string{"dsl"}, others: []string{"goa.design/goa/v3"}},
	"console/api":    {ours: []string{"console/gen/console", "console/otlp", "console/series", "console/store", "console/target", "console/traces", "policy"}},
	"console": {
		ours: []string{"", "config", "console/api", "console/gen/production", "console/guard", "console/otlp", "console/static", "console/store", "console/target"},
	},
	// The prover knows a service by its documents and the wire, never by the
	// code that serves: of the chassis it may use what makes credentials.
	"prove/finding":       {},
	"prove/idp":           {others: []string{"github.com/go-jose/go-jose/v4"}},
	"prove/sink":          {others: []string{"go.opentelemetry.io/proto/otlp", "google.golang.org/grpc", "google.golang.org/protobuf"}},
	"prove/model":         {ours: []string{"policy"}},
	"prove/payload":       {ours: []string{"prove/model"}},
	"prove/target":        {ours: []string{"internal/process"}},
	"prove/wire":          {},
	"prove/proxy":         {},
	"prove/wallet":        {ours: []string{"auth/apikey", "auth/basic", "policy", "prove/model", "prove/target"}},
	"prove/lab":           {ours: []string{"policy", "prove/finding", "prove/idp", "prove/model", "prove/payload", "prove/sink", "prove/target", "prove/wallet"}},
	"prove/setup":         {ours: []string{"policy", "prove/idp", "prove/lab", "prove/model", "prove/proxy", "prove/sink", "prove/target", "prove/wallet"}, others: []string{"go.yaml.in/yaml/v3"}},
	"prove/probe":         {ours: []string{"prove/finding", "prove/lab", "prove/model"}},
	"prove/report":        {ours: []string{"prove/finding"}},
	"prove/security":      {ours: family},
	"prove/input":         {ours: append([]string{"prove/wire"}, family...)},
	"prove/resilience":    {ours: append([]string{"prove/proxy", "prove/wire"}, family...)},
	"prove/observability": {ours: family},
	"prove/lifecycle":     {ours: family},
	"prove/rpc": {
		ours:   []string{"policy", "prove/finding", "prove/lab", "prove/model", "prove/target", "prove/wallet"},
		others: []string{"google.golang.org/grpc", "google.golang.org/protobuf"},
	},
	"prove/carriers": {
		ours:   append([]string{"prove/rpc"}, family...),
		others: []string{"github.com/gorilla/websocket", "google.golang.org/genproto/googleapis/rpc", "google.golang.org/grpc", "google.golang.org/protobuf"},
	},
	"prove": {
		ours: []string{
			"prove/carriers", "prove/finding", "prove/input", "prove/lab", "prove/lifecycle", "prove/model", "prove/observability", "prove/probe", "prove/resilience", "prove/security",
		},
		others: []string{"go.yaml.in/yaml/v3"},
	},
}

// family is what the probes of one family may import.
var family = []string{"policy", "prove/finding", "prove/idp", "prove/lab", "prove/model", "prove/payload", "prove/probe", "prove/sink", "prove/target", "prove/wallet"}

type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func list(t *testing.T) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,Deps", module+"/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func within(imported string, allowed []string) bool {
	return slices.ContainsFunc(allowed, func(a string) bool {
		return imported == a || strings.HasPrefix(imported, a+"/")
	})
}

func TestImports(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range list(t) {
		rel := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		if strings.HasPrefix(rel, "cmd/") || strings.Contains("/"+rel+"/", "/internal/") || strings.Contains(rel, "/gen/") || strings.Contains(rel, "testdata") {
			continue // the command line composes everything; internal packages are their owners'
		}
		rule, ok := rules[rel]
		if !ok {
			t.Errorf("package %q has no rule here", rel)
			continue
		}
		seen[rel] = true
		for _, imp := range p.Imports {
			switch {
			case !strings.Contains(strings.SplitN(imp, "/", 2)[0], "."): // standard library
			case imp == module || strings.HasPrefix(imp, module+"/"):
				name := strings.TrimPrefix(strings.TrimPrefix(imp, module), "/")
				if !strings.Contains("/"+name, "/internal/") && // those are Go's to guard
					!slices.Contains(rule.ours, name) {
					t.Errorf("package %q imports %q", rel, name)
				}
			case !within(imp, rule.others):
				t.Errorf("package %q imports %s", rel, imp)
			}
		}
	}
	for rel := range rules {
		if !seen[rel] {
			t.Errorf("the rule for %q is about no package", rel)
		}
	}
}

// What a production binary must never link.
func TestProductionLinksNoGenerator(t *testing.T) {
	for _, p := range list(t) {
		if p.ImportPath != module {
			continue
		}
		for _, dep := range p.Deps {
			for _, banned := range []string{
				"goa.design/goa/v3/expr", "goa.design/goa/v3/eval", "goa.design/goa/v3/codegen", "goa.design/goa/v3/dsl",
				module + "/auth/issuer", module + "/codegen", module + "/dsl", module + "/expr", module + "/console", module + "/prove",
				"modernc.org/sqlite", "github.com/jackc/pgx", "github.com/redis/go-redis", "github.com/bufbuild/protocompile", "net/http/pprof", "expvar",
			} {
				if dep == banned || strings.HasPrefix(dep, banned+"/") {
					t.Errorf("the root package links %s", dep)
				}
			}
		}
	}
}
