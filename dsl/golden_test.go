package dsl_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"goa.design/goa/v3/codegen"
	goaexpr "goa.design/goa/v3/expr"

	"github.com/aguada-dev/aguada/expr"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// golden is a design and the name of its section in a golden file.
type golden struct {
	name   string
	design func()
}

// checkGolden compares what describe says of each design with the section of
// that name in the archive.
func checkGolden(t *testing.T, file string, cases []golden, describe func(*testing.T, func()) string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	want := make(map[string]string)
	if ar, err := txtar.ParseFile(path); err == nil {
		for _, f := range ar.Files {
			want[f.Name] = string(f.Data)
		}
	} else if !*update {
		t.Fatal(err)
	}
	got := new(txtar.Archive)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			text := describe(t, c.design)
			got.Files = append(got.Files, txtar.File{Name: c.name, Data: []byte(text)})
			if diff := cmp.Diff(want[c.name], text); diff != "" && !*update {
				t.Errorf("%s, section %q (-want +got; -update rewrites):\n%s", path, c.name, diff)
			}
			delete(want, c.name)
		})
	}
	if *update {
		if err := os.WriteFile(path, txtar.Format(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for name := range want {
		t.Errorf("%s: section %q belongs to no case", path, name)
	}
}

// contract describes an accepted design as its generator sees it.
func contract(t *testing.T, design func()) string {
	t.Helper()
	if err := expr.Evaluate(design); err != nil {
		t.Fatalf("design refused:\n%v", err)
	}
	var b strings.Builder
	for _, s := range goaexpr.Root.Services {
		fmt.Fprintf(&b, "service %s depends on %q\n", s.Name, expr.Root.DependsOnNames(s))
		for _, m := range s.Methods {
			e := expr.Root.Method(m)
			fmt.Fprintf(&b, "  %s: deadline %s, body %d B, in flight %d, audit %t\n",
				m.Name, mustText(t, e.Deadline), e.MaxBody, e.MaxInFlight, e.Audit)
			for _, l := range e.RateLimits {
				fmt.Fprintf(&b, "    %d in %s by %s, burst %d\n", l.Rate, mustText(t, l.Per), l.Partition, l.Burst)
			}
			traffic(t, &b, e)
			if e.StrictBody != nil {
				b.WriteString("    strict body\n")
			}
			if c := e.CORS; c != nil {
				fmt.Fprintf(&b, "    origins %q, credentials %t\n", c.Value.Origins, c.Value.Credentials)
			}
			sensitive(&b, "payload", m.Payload, nil)
			sensitive(&b, "result", m.Result, nil)
			for _, e := range slices.Concat(m.Errors, s.Errors) {
				sensitive(&b, "error "+e.Name, e.AttributeExpr, nil)
			}
		}
	}
	return b.String()
}

// traffic describes what a method declares beside its limits.
func traffic(t *testing.T, b *strings.Builder, e expr.Effective) {
	t.Helper()
	if e.ShedPriority != "" {
		fmt.Fprintf(b, "    priority %s\n", e.ShedPriority)
	}
	if k := e.Idempotency; k != nil {
		fmt.Fprintf(b, "    key in %s, kept %s, wait %s, required %t\n", k.Value.Header, mustText(t, k.Value.Keep), mustText(t, k.Value.Wait), k.Value.Required)
	}
	if e.StreamIdle != 0 {
		fmt.Fprintf(b, "    idle %s\n", mustText(t, e.StreamIdle))
	}
	if m := e.MessageRate; m != nil {
		fmt.Fprintf(b, "    %d messages in %s, burst %d\n", m.Rate, mustText(t, m.Per), m.Burst)
	}
}

func mustText(t *testing.T, v interface{ MarshalText() ([]byte, error) }) string {
	t.Helper()
	text, err := v.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// sensitive lists the sensitive attributes within att by their paths.
func sensitive(b *strings.Builder, path string, att *goaexpr.AttributeExpr, seen []string) {
	if expr.IsSensitive(att) {
		fmt.Fprintf(b, "    masked: %s\n", path)
		return
	}
	if ut, ok := att.Type.(goaexpr.UserType); ok {
		if slices.Contains(seen, ut.ID()) {
			return
		}
		seen = append(seen, ut.ID())
	}
	switch {
	case goaexpr.IsObject(att.Type):
		for _, nat := range *goaexpr.AsObject(att.Type) {
			sensitive(b, path+"."+nat.Name, nat.Attribute, seen)
		}
	case goaexpr.IsArray(att.Type):
		sensitive(b, path+"[]", goaexpr.AsArray(att.Type).ElemType, seen)
	case goaexpr.IsMap(att.Type):
		sensitive(b, path+"{}", goaexpr.AsMap(att.Type).ElemType, seen)
	case goaexpr.IsUnion(att.Type):
		for _, nat := range goaexpr.AsUnion(att.Type).Values {
			sensitive(b, path+"|"+nat.Name, nat.Attribute, seen)
		}
	}
}

// diagnostics describes a refused design as goa gen prints it, with the source
// text of a line in place of its number.
func diagnostics(t *testing.T, design func()) string {
	t.Helper()
	err := expr.Evaluate(design)
	if err == nil {
		t.Fatal("design accepted")
	}
	return place.ReplaceAllStringFunc(err.Error(), func(s string) string {
		m := place.FindStringSubmatch(s)
		return m[1] + ": " + sourceLine(t, m[1], m[2])
	}) + "\n"
}

var place = regexp.MustCompile(`([\w./-]+\.go):(\d+)`)

func sourceLine(t *testing.T, file, number string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(number)
	lines := strings.Split(string(text), "\n")
	if err != nil || n < 1 || n > len(lines) {
		t.Fatalf("no line %s in %s", number, file)
	}
	return strings.TrimSpace(lines[n-1])
}

// TestNormalized repeats the good cases after the rewrite that goa gen does
// before it calls plugins.
func TestNormalized(t *testing.T) {
	for _, c := range slices.Concat(goodCases, goodTraffic) {
		t.Run(c.name, func(t *testing.T) {
			before := contract(t, c.design)
			codegen.NormalizeRoot(goaexpr.Root)
			var b strings.Builder
			for _, s := range goaexpr.Root.Services {
				for _, m := range s.Methods {
					sensitive(&b, "payload", m.Payload, nil)
					sensitive(&b, "result", m.Result, nil)
					for _, e := range slices.Concat(m.Errors, s.Errors) {
						sensitive(&b, "error "+e.Name, e.AttributeExpr, nil)
					}
				}
			}
			for line := range strings.Lines(before) {
				if strings.Contains(line, "masked") && !strings.Contains(b.String(), line) {
					t.Errorf("lost %s", line)
				}
			}
		})
	}
}
