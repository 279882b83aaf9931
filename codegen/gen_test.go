package codegen_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	goacodegen "goa.design/goa/v3/codegen"
	"goa.design/goa/v3/codegen/generator"

	"github.com/aguada-dev/aguada/codegen/testdata/designs"
	"github.com/aguada-dev/aguada/expr"
)

// TestGeneratedCode compiles and tests what goa gen writes for the designs of
// the golden cases. Left out are those that Goa itself generates code for that
// does not compile. protoc has to be installed; its plugins are built.
func TestGeneratedCode(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles generated code")
	}
	secrets, err := os.ReadFile(filepath.Join("testdata", "secrets_test.go.txt"))
	if err != nil {
		t.Fatal(err)
	}
	dir := module(t)
	t.Chdir(dir) // Goa asks the go command for the import path
	t.Setenv("GOFLAGS", "-mod=mod")
	t.Setenv("GOWORK", "off")
	usePlugins(t)
	for name, design := range map[string]func(){
		"blank": designs.Blank, "shop": designs.Shop, "late": designs.Late, "streams": designs.Streams, "files": designs.FileServers,
		"transfer": designs.Transfer, "interceptors": designs.Interceptors, "names": designs.Names, "redaction": designs.Redaction,
		"types": designs.Types, "strict": designs.Strict, "pages": designs.Pages, "flows": designs.Flows, "limits": designs.Limits,
		"grpc": designs.OverGRPC, "grpconly": designs.GRPCOnly, "mixed": designs.Mixed, "traffic": designs.Traffic,
		"jsonrpc": designs.OverJSONRPC, "rpconly": designs.RPCOnly,
	} {
		if err := expr.Evaluate(design); err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(dir, name)
		if err := os.Mkdir(out, 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := generator.Generate(out, "gen", false); err != nil {
			t.Fatalf("generate %s: %v", name, err)
		}
		for _, pkg := range []string{"production", "productionapp"} {
			if _, err := os.Stat(filepath.Join(out, "gen", pkg, "production.go")); err == nil {
				addTests(t, filepath.Join(out, "gen", pkg))
			}
		}
	}
	write(t, filepath.Join(dir, "redaction", "secrets_test.go"), secrets)
	for _, args := range [][]string{{"build", "./..."}, {"test", "./..."}} {
		if out, err := command(dir, args...); err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, out)
		}
	}
}

// addTests adds the tests of a generated production package to its folder.
func addTests(t *testing.T, dir string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "production.go"))
	if err != nil {
		t.Fatal(err)
	}
	var imports, fill, mount []string
	for _, m := range regexp.MustCompile(`(?m)^\t(\w+ "example.com/.*")$`).FindAllStringSubmatch(string(text), -1) {
		imports = append(imports, m[1])
	}
	for _, m := range regexp.MustCompile(`(?m)^\t(\w+) +(\w+\.(?:Service|ServerInterceptors))$`).FindAllStringSubmatch(string(text), -1) {
		fill = append(fill, fmt.Sprintf("s.%s = struct{ %s }{}", m[1], m[2]))
	}
	for _, m := range regexp.MustCompile(`(?m)^func (mount\w+)\(h`).FindAllStringSubmatch(string(text), -1) {
		mount = append(mount, m[1]+"(h, s)")
	}
	src := strings.NewReplacer("PACKAGE", filepath.Base(dir), "IMPORTS", strings.Join(imports, "\n\t"),
		"FILL", strings.Join(fill, "\n\t"), "MOUNT", strings.Join(mount, ", ")).Replace(generatedTest)
	f := goacodegen.File{Path: filepath.Join(filepath.Base(dir), "generated_test.go"), SectionTemplates: []*goacodegen.SectionTemplate{
		{Name: "test", Source: "{{ . }}", Data: src}, // rendered, so that unused imports go
	}}
	if _, err := f.Render(filepath.Dir(dir)); err != nil {
		t.Fatal(err)
	}
}

// generatedTest shows that the literals and the JSON hold the same facts, and
// that the contract knows exactly the routes that Goa's code mounts.
const generatedTest = `package PACKAGE

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/idempotency"
	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/transport"
	IMPORTS
)

func TestContract(t *testing.T) {
	got, err := json.MarshalIndent(contract, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("../production/contract.json")
	if err != nil {
		t.Fatal(err)
	}
	if string(got)+"\n" != string(want) {
		t.Errorf("production.go holds\n%s", got)
	}
}

type refuse struct{}

func (refuse) Verify(context.Context, auth.Credential) (*auth.Principal, error) {
	return nil, errors.New("refused")
}

func TestMount(t *testing.T) {
	verifiers := auth.Verifiers{}
	for _, s := range contract.Schemes {
		verifiers[s.Name] = refuse{}
	}
	memory, err := idempotency.NewMemory(idempotency.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	keeper, err := idempotency.New(memory, idempotency.Config{Secrets: idempotency.Secrets{Current: func() string { return "0123456789abcdef" }}})
	if err != nil {
		t.Fatal(err)
	}
	defer keeper.Close()
	h, err := transport.New(transport.Config{Contract: contract, Verifiers: verifiers, Idempotency: func() *idempotency.Keeper { return keeper }})
	if err != nil {
		t.Fatal(err)
	}
	s := new(Services)
	FILL
	v := reflect.ValueOf(s).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Func {
			f.Set(reflect.MakeFunc(f.Type(), func([]reflect.Value) []reflect.Value { return nil }))
		}
	}
	if err := errors.Join(MOUNT, h.Ready()); err != nil {
		t.Error(err)
	}
}

// The contract and protoc's code know the same methods, by the same names.
func TestGRPC(t *testing.T) {
	want, got := map[string]policy.GRPC{}, map[string]policy.GRPC{}
	for _, s := range contract.Services {
		for _, m := range s.Methods {
			if m.GRPC != nil {
				want[m.GRPC.Method] = policy.GRPC{ClientStream: m.GRPC.ClientStream, ServerStream: m.GRPC.ServerStream}
			}
		}
	}
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			if !strings.HasPrefix(f.Path(), "goagen_") {
				break // not of the design
			}
			s := f.Services().Get(i)
			for j := range s.Methods().Len() {
				m := s.Methods().Get(j)
				got[string(s.FullName())+"/"+string(m.Name())] = policy.GRPC{ClientStream: m.IsStreamingClient(), ServerStream: m.IsStreamingServer()}
			}
		}
		return true
	})
	if !reflect.DeepEqual(want, got) {
		t.Errorf("contract has %v, protoc %v", want, got)
	}
}
`

// TestGoaGen runs goa gen itself, beside Goa's CORS plugin.
func TestGoaGen(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a generator")
	}
	dir := module(t)
	write(t, filepath.Join(dir, "design", "design.go"), []byte(`package design

import (
	_ "github.com/aguada-dev/aguada/dsl"
	. "goa.design/goa/v3/dsl"
	cors "goa.design/plugins/v3/cors/dsl"
)

var _ = Service("a", func() {
	cors.Origin("https://example.com", func() { cors.Methods("GET") })
	Method("get", func() { NoSecurity(); HTTP(func() { GET("/shared") }) })
})

var _ = Service("b", func() {
	cors.Origin("*")
	Method("post", func() { HTTP(func() { POST("/shared"); POST("/b") }) })
	Files("/file", "file.txt")
})

var jwt = JWTSecurity("jwt")

var _ = Service("guarded", func() {
	Security(jwt)
	cors.Origin("https://example.com", func() { cors.Methods("POST"); cors.Expose("X-Time"); cors.Credentials() })
	Method("post", func() {
		Payload(func() { Token("token", String); Attribute("name", String); Required("token") })
		HTTP(func() { POST("/guarded"); Response(StatusNoContent) })
	})
})
`))
	if out, err := command(dir, "get", "goa.design/plugins/v3@v3.30.0", "goa.design/goa/v3@v3.30.0"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := command(dir, "run", "goa.design/goa/v3/cmd/goa", "gen", "example.com/shop/design")
	if err != nil {
		t.Fatalf("goa gen: %v\n%s", err, out)
	}
	if want := "aguada: warning: b.post is open to anyone"; !strings.Contains(string(out), want) {
		t.Errorf("goa gen does not print %q:\n%s", want, out)
	}
	contract, err := os.ReadFile(filepath.Join(dir, "gen", "production", "contract.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"dir": "design"`, `"kind": "preflight"`, `"pattern": "/file"`} {
		if !strings.Contains(string(contract), want) {
			t.Errorf("contract.json lacks %s:\n%s", want, contract)
		}
	}
	if n := strings.Count(string(contract), `"OPTIONS"`); n != 4 {
		t.Errorf("%d preflights, want one each for /shared, /b, /file and /guarded:\n%s", n, contract)
	}
	addTests(t, filepath.Join(dir, "gen", "production"))
	write(t, filepath.Join(dir, "gen", "production", "plugin_test.go"), []byte(pluginTest))
	for _, args := range [][]string{{"build", "./..."}, {"test", "./gen/production"}} {
		if out, err := command(dir, args...); err != nil {
			t.Errorf("go %v: %v\n%s", args, err, out)
		}
	}
}

// pluginTest shows that pages of the plugin's origins, and no others, may read
// a refusal, which its own handlers never see.
const pluginTest = `package production

import (
	"errors"
	"net/http/httptest"
	"testing"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/transport"

	"example.com/shop/gen/a"
	"example.com/shop/gen/b"
	"example.com/shop/gen/guarded"
)

func TestRefusalOfPlugin(t *testing.T) {
	h, err := transport.New(transport.Config{Contract: contract, Verifiers: auth.Verifiers{"jwt": refuse{}}})
	if err != nil {
		t.Fatal(err)
	}
	s := &Services{A: struct{ a.Service }{}, B: struct{ b.Service }{}, Guarded: struct{ guarded.Service }{}}
	if err := errors.Join(mountA(h, s), mountB(h, s), mountGuarded(h, s), h.Ready()); err != nil {
		t.Fatal(err)
	}
	for origin, want := range map[string]string{"https://example.com": "https://example.com", "https://evil.example": ""} {
		r := httptest.NewRequest("POST", "/guarded", nil)
		r.Header.Set("Origin", origin)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 401 || w.Header().Get("Access-Control-Allow-Origin") != want || want != "" && w.Header().Get("Access-Control-Expose-Headers") != "X-Time" {
			t.Errorf("%s: %d %v", origin, w.Code, w.Header())
		}
	}
}
`

// exampleDesign has a service of each transport.
const exampleDesign = `package design

import (
	. "github.com/aguada-dev/aguada/dsl"
	. "goa.design/goa/v3/dsl"
)

var jwt = JWTSecurity("jwt")

var _ = Service("orders", func() {
	DependsOn("database")
	Method("create", func() {
		Security(jwt)
		Payload(func() { Token("token"); Attribute("name", String); Required("token") })
		HTTP(func() { POST("/orders") })
	})
})

var _ = Service("clock", func() {
	DependsOn("time")
	Method("watch", func() {
		NoSecurity()
		StreamingResult(String)
		GRPC(func() {})
	})
})
`

// TestGoaExample runs goa gen and goa example and compiles what they leave.
func TestGoaExample(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a generator")
	}
	dir := module(t)
	write(t, filepath.Join(dir, "design", "design.go"), []byte(exampleDesign))
	usePlugins(t)
	if out, err := command(dir, "get", "goa.design/clue@v1.2.6", "goa.design/goa/v3@v3.30.0"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, args := range [][]string{
		{"run", "goa.design/goa/v3/cmd/goa", "gen", "example.com/shop/design"},
		{"run", "goa.design/goa/v3/cmd/goa", "example", "example.com/shop/design"},
		{"build", "./cmd/orders", "."},
		{"run", "goa.design/goa/v3/cmd/goa", "example", "example.com/shop/design"}, // keeps what is there
		{"build", "./cmd/orders", "."},
	} {
		if out, err := command(dir, args...); err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, out)
		}
	}
	main, err := os.ReadFile(filepath.Join(dir, "cmd", "orders", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"aguada.Main(production.App(", "NewOrders()", `rt.Check("database"`, "NewClock()", `rt.Check("time"`} {
		if !strings.Contains(string(main), want) {
			t.Errorf("main.go lacks %s:\n%s", want, main)
		}
	}
	stubs, err := os.ReadFile(filepath.Join(dir, "orders.go"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(stubs), "JWTAuth") {
		t.Errorf("orders.go has authentication stubs:\n%s", stubs)
	}
	if _, err := os.Stat(filepath.Join(dir, "cmd", "orders", "http.go")); !os.IsNotExist(err) {
		t.Errorf("Goa's server is still there: %v", err)
	}
}

// TestGoaGenRefuses shows that a design without HTTP and gRPC fails and leaves no
// production package behind.
func TestGoaGenRefuses(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a generator")
	}
	dir := module(t)
	write(t, filepath.Join(dir, "design", "design.go"), []byte(`package design

import (
	_ "github.com/aguada-dev/aguada/dsl"
	. "goa.design/goa/v3/dsl"
)

var _ = Service("calc", func() {
	JSONRPC(func() { POST("/rpc") })
	Method("add", func() { Payload(Int); Result(Int); JSONRPC(func() {}) })
})

var _ = Service("sums", func() {
	Method("sum", func() { HTTP(func() { POST("/rpc") }) })
})
`))
	out, err := command(dir, "run", "goa.design/goa/v3/cmd/goa", "gen", "example.com/shop/design")
	if err == nil || !strings.Contains(string(out), "aguada: route POST /rpc belongs to both calc over JSON-RPC and sums.sum") {
		t.Errorf("goa gen: %v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, goacodegen.Gendir, "production")); !os.IsNotExist(err) {
		t.Errorf("gen/production: %v", err)
	}
}

// module returns the folder of a new module, example.com/shop, that requires
// this checkout and whatever it requires.
func module(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	const name = "github.com/aguada-dev/aguada"
	mod = bytes.Replace(mod, []byte("module "+name), []byte("module example.com/shop"), 1)
	mod = fmt.Appendf(mod, "\nrequire %s v0.0.0\nreplace %[1]s => %s\n", name, root)
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), mod)
	write(t, filepath.Join(dir, "go.sum"), sum)
	return dir
}

// usePlugins builds our own protoc and its plugins, and puts them before all else on PATH.
func usePlugins(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(dir, "protoc"), "github.com/aguada-dev/aguada/cmd/aguada").CombinedOutput(); err != nil {
		t.Fatalf("build protoc: %v\n%s", err, out)
	}
	for _, plugin := range []string{"google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12", "google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2"} {
		cmd := exec.Command("go", "install", plugin)
		cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd, err, out)
		}
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func command(dir string, args ...string) ([]byte, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	return cmd.CombinedOutput()
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
