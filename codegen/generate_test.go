package codegen_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	goacodegen "goa.design/goa/v3/codegen"
	"goa.design/goa/v3/codegen/generator"
	"goa.design/goa/v3/codegen/service"
	"goa.design/goa/v3/eval"
	goaexpr "goa.design/goa/v3/expr"
	httpcodegen "goa.design/goa/v3/http/codegen"

	"github.com/aguada-dev/aguada"
	"github.com/aguada-dev/aguada/codegen"
	"github.com/aguada-dev/aguada/codegen/testdata/designs"
	"github.com/aguada-dev/aguada/expr"
	"github.com/aguada-dev/aguada/redact"
)

var cases = map[string]func(){
	"blank":        designs.Blank,
	"shop":         designs.Shop,
	"late":         designs.Late,
	"streams":      designs.Streams,
	"odd":          designs.Odd,
	"files":        designs.FileServers,
	"transfer":     designs.Transfer,
	"interceptors": designs.Interceptors,
	"names":        designs.Names,
	"mixed":        designs.Mixed,
	"redaction":    designs.Redaction,
	"types":        designs.Types,
	"examples":     designs.Examples,
	"noexamples":   designs.NoExamples,
	"strict":       designs.Strict,
	"pages":        designs.Pages,
	"flows":        designs.Flows,
	"limits":       designs.Limits,
	"traffic":      designs.Traffic,
	"grpc":         designs.OverGRPC,
	"grpconly":     designs.GRPCOnly,
	"rpconly":      designs.RPCOnly,
	"jsonrpc":      designs.OverJSONRPC,
	// refused
	"strictnothing": designs.StrictNothing,
	"anypage":       designs.AnyPage,
	"rpcclash":      designs.RPCClash,
	"keyoverrpc":    designs.KeyOverRPC,
	"keyclash":      designs.KeyClash,
	"methodclash":   designs.MethodClash,
	"fieldclash":    designs.FieldClash,
	"routeclash":    designs.RouteClash,
	"secretformat":  designs.SecretFormat,
	"replayclash":   designs.ReplayClash,
	"metadataclash": designs.MetadataClash,
}

func TestGolden(t *testing.T) {
	for name, design := range cases {
		t.Run(name, func(t *testing.T) {
			golden(t, name, run(t, design).render(t, ours))
		})
	}
}

func TestOpenAPI(t *testing.T) {
	documents := func(path string) bool {
		return strings.HasPrefix(path, "gen/http/openapi3") && strings.HasSuffix(path, ".yaml")
	}
	r := run(t, designs.Late)
	golden(t, "openapi", r.render(t, documents))
	golden(t, "openapi-limits", run(t, designs.Limits).render(t, documents))
	golden(t, "openapi-traffic", run(t, designs.Traffic).render(t, func(path string) bool { return path == "gen/http/openapi3.yaml" }))
	golden(t, "openapi-strict", run(t, designs.Strict).render(t, documents))
	golden(t, "openapi-shop", run(t, designs.Shop).render(t, func(path string) bool { return path == "gen/http/openapi3.yaml" }))
}

// cors does what Goa's CORS plugin does to the data of the servers.
func cors(verb, name string, paths ...string) plugin {
	return func(files []*goacodegen.File) {
		for _, f := range files {
			for _, s := range f.Section("server-struct") {
				data, ok := s.Data.(*httpcodegen.ServiceData)
				if !ok {
					continue
				}
				e := &httpcodegen.EndpointData{Method: &service.MethodData{VarName: name}}
				for _, p := range paths {
					e.Routes = append(e.Routes, &httpcodegen.RouteData{Verb: verb, Path: p})
				}
				data.Endpoints = append(data.Endpoints, e)
			}
		}
	}
}

// withoutGRPC removes the gRPC server of a service.
func withoutGRPC(service string) plugin {
	return func(files []*goacodegen.File) {
		for _, f := range files {
			if strings.HasPrefix(filepath.ToSlash(f.Path), "gen/grpc/"+service+"/") {
				f.SectionTemplates = nil
			}
		}
	}
}

func TestOtherPlugins(t *testing.T) {
	golden(t, "plugin-cors", run(t, designs.Shop, cors("OPTIONS", "CORS", "/orders", "/users/{id}")).render(t, ours))
	golden(t, "plugin-unknown", run(t, designs.Blank, cors("GET", "Debug", "/debug")).render(t, ours))
	golden(t, "plugin-both", run(t, designs.Pages, cors("OPTIONS", "CORS", "/open", "/pages/{other}", "/elsewhere")).render(t, ours))
	golden(t, "plugin-nogrpc", run(t, designs.Mixed, withoutGRPC("rpc")).render(t, ours))
	golden(t, "plugin-nocors", run(t, designs.Blank, cors("GET", "CORS", "/cors")).render(t, ours))
}

// TestExampleMain compares the mains of designs for which Goa's own example does
// not compile.
func TestExampleMain(t *testing.T) {
	for name, design := range map[string]func(){"transfer": designs.Transfer, "interceptors": designs.Interceptors, "names": designs.Names} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir()) // Goa looks for files to keep in the working directory
			if err := expr.Evaluate(design); err != nil {
				t.Fatal(err)
			}
			roots, err := eval.Context.Roots()
			if err != nil {
				t.Fatal(err)
			}
			goacodegen.NormalizeRoot(goaexpr.Root)
			files, err := generator.Example(genpkg, roots)
			if err != nil {
				t.Fatal(err)
			}
			r := result{}
			if r.files, r.err = codegen.GenerateExample(genpkg, roots, files); r.err != nil {
				t.Fatal(r.err)
			}
			got := r.render(t, func(path string) bool { return strings.HasSuffix(path, "/main.go") && !strings.Contains(path, "-cli/") })
			t.Chdir(home)
			golden(t, "main-"+name, got)
		})
	}
}

// TestConstants compares what the generator repeats because it must not import
// the runtime.
func TestConstants(t *testing.T) {
	if codegen.WholeValue != redact.All {
		t.Errorf("the generator masks whole values by %q, the runtime by %q", codegen.WholeValue, redact.All)
	}
	if codegen.Version != aguada.Version {
		t.Errorf("the generator is of version %s, the runtime of %s", codegen.Version, aguada.Version)
	}
}

// home is the folder of this package.
var home, _ = os.Getwd()

// TestNilEmbeddedError has a response to an error that no method declares.
func TestNilEmbeddedError(t *testing.T) {
	r := run(t, designs.Blank, func([]*goacodegen.File) {
		ep := goaexpr.Root.API.HTTP.Services[0].HTTPEndpoints[0]
		ep.HTTPErrors = append(ep.HTTPErrors, &goaexpr.HTTPErrorExpr{Name: "nil"}, nil)
	})
	if r.err != nil {
		t.Fatal(r.err)
	}
}
