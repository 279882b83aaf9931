package project

import (
	"os"
	"path/filepath"
	"testing"
)

func TestUsesGRPC(t *testing.T) {
	const (
		dot   = "package design\n\nimport . \"goa.design/goa/v3/dsl\"\n\n"
		named = "package design\n\nimport goa \"goa.design/goa/v3/dsl\"\n\n"
	)
	for _, test := range []struct {
		name   string
		design string
		more   []string
		want   bool
	}{
		{"dot import", dot + "var _ = API(\"a\", func() { GRPC(func() {}) })\n", nil, true},
		{"named import", named + "var _ = goa.API(\"a\", func() { goa.GRPC(func() {}) })\n", nil, true},
		{"plain import", "package design\n\nimport \"goa.design/goa/v3/dsl\"\n\nvar _ = dsl.API(\"a\", func() { dsl.GRPC(func() {}) })\n", nil, true},
		{"other transports", dot + "var _ = API(\"a\", func() { HTTP(func() {}); JSONRPC(func() {}) })\n", nil, false},
		{"only the word", dot + "// GRPC(func() {})\nvar GRPC = \"GRPC(\"\nvar x = T{GRPC: 1}.GRPC\n", nil, false},
		{"of another package", named + "import other \"example.test/shop/other\"\n\nvar _ = other.GRPC()\n",
			[]string{"other/o.go", "package other\n\nfunc GRPC() int { return 1 }\n"}, false},
		{"in an imported package", "package design\n\nimport _ \"example.test/shop/shared\"\n",
			[]string{"shared/s.go", "package shared\n\nimport . \"goa.design/goa/v3/dsl\"\n\nvar F = func() { GRPC(func() {}) }\n"}, true},
		{"in a package that is not imported", dot, []string{"shared/s.go", "package shared\n\nimport . \"goa.design/goa/v3/dsl\"\n\nvar F = func() { GRPC() }\n"}, false},
		{"in a test", dot, []string{"design/d_test.go", dot + "var F = func() { GRPC() }\n"}, false},
		{"in what does not compile", dot + "var _ = func() { GRPC(func() {}) }\n", []string{"design/e.go", "package design\n\nfunc {"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := module(t, append([]string{"go.mod", goMod, "design/d.go", test.design}, test.more...)...)
			p, err := FindDesign(t.Context(), dir, Config{})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := p.UsesGRPC(t.Context()); err != nil || got != test.want {
				t.Errorf("got %t, %v; want %t", got, err, test.want)
			}
		})
	}
}

// TestStaleGRPC: goa writes all files at once, so a contract that is fresh does
// not mean that protoc has done its part.
func TestStaleGRPC(t *testing.T) {
	const contract = `{"generator":"aguada 1","source":{"dir":"design","sha256":"sum"},"services":[` +
		`{"name":"till","methods":[{"name":"sell"},{"name":"watch","grpc":{"method":"/till.Till/Watch"}}]},{"name":"web","methods":[{"name":"x"}]}]}`
	files := []string{"goagen_shop_till.proto", "goagen_shop_till.pb.go", "goagen_shop_till_grpc.pb.go"}
	for _, test := range []struct{ missing, want string }{
		{"", ""},
		{files[0], "gRPC code is missing"},
		{files[1], "goagen_shop_till.pb.go is missing"},
		{files[2], "goagen_shop_till_grpc.pb.go is missing"},
	} {
		dir := module(t, "gen/production/contract.json", contract)
		for _, file := range files {
			write(t, dir, "gen/grpc/till/pb/"+file, "")
		}
		if test.missing != "" {
			if err := os.Remove(filepath.Join(dir, "gen", "grpc", "till", "pb", test.missing)); err != nil {
				t.Fatal(err)
			}
		}
		p := &Project{Dir: dir, DesignDir: filepath.Join(dir, "design")}
		if got, err := p.Stale("aguada 1", func(string) (string, error) { return "sum", nil }); err != nil || got != test.want {
			t.Errorf("without %q: got %q, %v; want %q", test.missing, got, err, test.want)
		}
	}
}
