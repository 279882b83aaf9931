package policy_test

import (
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aguada-dev/aguada/policy"
)

var update = flag.Bool("update", false, "write the tables into the documentation")

// TestDocument compares the documentation with the code.
func TestDocument(t *testing.T) {
	const path = "../docs/errors.md"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := string(b)
	for name, table := range map[string]string{"answers": answers(), "kinds": kinds()} {
		begin, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
		before, rest, ok := strings.Cut(want, begin)
		_, after, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Fatalf("%s lacks %s or %s", path, begin, end)
		}
		want = before + begin + "\n" + table + "\n" + end + after
	}
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(b) {
		t.Errorf("%s is stale: run go test ./policy -run Document -update", path)
	}
}

func answers() string {
	var out strings.Builder
	out.WriteString("| HTTP | name | gRPC | JSON-RPC | again | when |\n|---|---|---|---|---|---|\n")
	for _, a := range policy.Answers {
		fmt.Fprintf(&out, "| %d | `%s` | `%s` | %d | %s | %s |\n", a.HTTP, a.Name, a.GRPC, a.JSONRPC, yes(a.Temporary), cell(a.Meaning))
	}
	return out.String()
}

func kinds() string {
	var out strings.Builder
	out.WriteString("| error | HTTP | gRPC | JSON-RPC | when |\n|---|---|---|---|---|\n")
	for _, k := range policy.ErrorKinds {
		fmt.Fprintf(&out, "| %s | %d | `%s` | %d | %s |\n", k.Name, k.HTTP, k.GRPC, k.JSONRPC, cell(k.Meaning))
	}
	return out.String()
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

func cell(s string) string { return strings.NewReplacer("|", `\|`, "<", "&lt;", "\n", " ").Replace(s) }

// grpcCodes are the names of gRPC's codes that mean a failure.
var grpcCodes = []string{"CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED",
	"FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"}

// ownCodes are those that JSON-RPC 2.0 itself defines.
var ownCodes = []int{-32700, -32600, -32601, -32602, -32603}

// TestAnswers: the codes of an answer are ones that its transports know, a name
// stands for one answer, and each can be found.
func TestAnswers(t *testing.T) {
	byStatusAndName := func(a, b *policy.Answer) int { return cmp.Or(a.HTTP-b.HTTP, strings.Compare(a.Name, b.Name)) }
	if !slices.IsSortedFunc(policy.Answers, byStatusAndName) {
		t.Error("the answers are not in the order of HTTP status and name")
	}
	names := make(map[string]bool)
	for _, a := range policy.Answers {
		if names[a.Name] || !regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`).MatchString(a.Name) {
			t.Errorf("the name %q is malformed, or another answer's too", a.Name)
		}
		names[a.Name] = true
		if a.HTTP < 400 || a.HTTP > 599 || a.Message == "" || a.Meaning == "" {
			t.Errorf("%s is incomplete: %+v", a.Name, a)
		}
		if !jsonrpc(a.HTTP, a.JSONRPC) || !slices.Contains(grpcCodes, a.GRPC) {
			t.Errorf("%s: JSON-RPC code %d or gRPC code %q does not belong to status %d", a.Name, a.JSONRPC, a.GRPC, a.HTTP)
		}
	}
	for _, k := range policy.ErrorKinds {
		if !jsonrpc(k.HTTP, k.JSONRPC) || !slices.Contains(grpcCodes, k.GRPC) || k.Meaning == "" {
			t.Errorf("errors of kind %q: %+v", k.Name, k)
		}
	}
	last := policy.ErrorKinds[len(policy.ErrorKinds)-1]
	if last.Fault || last.Timeout || last.Temporary {
		t.Errorf("the last kind, %q, does not fit all errors", last.Name)
	}
}

func jsonrpc(status, code int) bool {
	if slices.Contains(ownCodes, code) {
		return true
	}
	if status < 500 {
		return code == -32000-(status-400)
	}
	return code == -32050-(status-500)
}

// TestAllAnswers: no answer is missing from the list that documents and tests go
// through.
func TestAllAnswers(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "answers.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := make(map[string]bool)
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if lit, ok := spec.Values[0].(*ast.CompositeLit); ok {
			if typ, ok := lit.Type.(*ast.Ident); ok && typ.Name == "Answer" {
				declared[spec.Names[0].Name] = true
			}
		}
		return true
	})
	listed := make(map[*policy.Answer]bool)
	for _, a := range policy.Answers {
		listed[a] = true
	}
	if len(declared) == 0 || len(declared) != len(policy.Answers) || len(listed) != len(policy.Answers) {
		t.Errorf("%d answers are declared, %d are listed, %d of them different", len(declared), len(policy.Answers), len(listed))
	}
}
