package protoc

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const good = "syntax = \"proto3\";\npackage x;\nmessage M { optional string s = 1; }\n"

// TestBadSource holds what a user reads when a file is wrong.
func TestBadSource(t *testing.T) {
	usePlugin(t)
	for _, test := range []struct {
		name, source, want string
		more               []string
	}{
		{name: "syntax", source: "syntax = \"proto3\";\nmessage M {\n  string s = ;\n}\n", want: `^x\.proto:3:14: syntax error`},
		{name: "unknown type", source: "syntax = \"proto3\";\nmessage M {\n  Nothing s = 1;\n}\n", want: `^x\.proto:3:3: .*unknown type Nothing`},
		{name: "all that is wrong", source: "syntax = \"proto3\";\nmessage M {\n  A s = 1;\n  B t = 2;\n}\n", want: `(?s)^x\.proto:3:3: .*\nx\.proto:4:3: `},
		{name: "a number twice", source: "syntax = \"proto3\";\nmessage M { string s = 1; string t = 1; }\n", want: `^x\.proto:2:38: .*both have the same tag 1`},
		{name: "missing import", source: "syntax = \"proto3\";\nimport \"gone.proto\";\n", want: `^x\.proto:2:8: "gone\.proto" was not found in any folder of --proto_path; .*protoc:include`},
		{name: "import of a broken file", source: "syntax = \"proto3\";\nimport \"y.proto\";\n", more: []string{"y.proto", "syntax = 3"}, want: `^y\.proto:1:10: `},
		{name: "import of itself", source: "syntax = \"proto3\";\nimport \"x.proto\";\n", want: `^x\.proto:2:8: .*cycle`},
		{name: "import from outside", source: "syntax = \"proto3\";\nimport \"../x.proto\";\n", want: `^x\.proto:2:8: .*not allowed in a path`},
		{name: "import of a folder", source: "syntax = \"proto3\";\nimport \"y\";\n", more: []string{"y/z.proto", ""}, want: `^x\.proto:2:8: `},
		{name: "import of nothing", source: "syntax = \"proto3\";\nimport \"\";\n", want: `^x\.proto:2:8: `},
		{name: "not text", source: "\x00\xff", want: `^x\.proto:1:1: `},
		{name: "unknown syntax", source: "syntax = \"proto9\";\n", want: `^x\.proto:1:10: `},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := folder(t, append([]string{"x.proto", test.source}, test.more...)...)
			refused(t, []string{filepath.Join(dir, "x.proto"), "-I", dir, "--test_out", dir, "--test_opt", "request"}, test.want)
			if _, err := os.Stat(filepath.Join(dir, "request")); err == nil {
				t.Error("the plugin ran")
			}
		})
	}
}

// refused runs a command line that must fail and checks what it prints.
func refused(t *testing.T, args []string, want string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := Main(t.Context(), args, &stdout, &stderr); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if !regexp.MustCompile(want).Match(stderr.Bytes()) || stdout.Len() > 0 {
		t.Errorf("printed %q %q, want %s", &stdout, &stderr, want)
	}
}

func TestBadArguments(t *testing.T) {
	dir := folder(t, "x.proto", good, "other/x.proto", good, "deep/x.proto", good)
	file, out := filepath.Join(dir, "x.proto"), "--test_out="+dir
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"nothing", nil, `missing input file`},
		{"no output", []string{file}, `missing output directives`},
		{"no file", []string{out}, `missing input file`},
		{"empty argument", []string{"", out}, `an argument is empty`},
		{"unknown flag", []string{file, out, "--descriptor_set_out=x"}, `unknown flag --descriptor_set_out: .*Meta\("protoc:cmd", "/usr/bin/protoc", …\)`},
		{"unknown short flag", []string{file, out, "-o", "x"}, `unknown flag -o`},
		{"only dashes", []string{file, out, "--"}, `unknown flag --`},
		{"one dash", []string{file, out, "-"}, `unknown flag -`},
		{"no value", []string{file, out, "-I"}, `missing value for flag -I`},
		{"empty value", []string{file, out, "--proto_path="}, `missing value for flag --proto_path`},
		{"value where none is", []string{file, out, "--version=3"}, `--version takes no value`},
		{"output twice", []string{file, out, out}, `--test_out is given twice`},
		{"option of nobody", []string{file, out, "--go_opt=x"}, `--go_opt is given without --go_out`},
		{"plugin of another kind", []string{file, out, "--plugin=cat=/bin/cat"}, `want protoc-gen-NAME=FILE`},
		{"no such output folder", []string{file, "--test_out", dir + "/none", "-I", dir}, `--test_out: .*none: No such directory`},
		{"no such file", []string{dir + "/none.proto", out, "-I", dir}, `none.proto: No such file or directory`},
		{"outside", []string{file, out, "-I", filepath.Join(dir, "other")}, `File does not reside within any path`},
		{"shadowed", []string{filepath.Join(dir, "deep", "x.proto"), out, "-I", filepath.Join(dir, "other"), "-I", filepath.Join(dir, "deep")}, `input is shadowed in the --proto_path by ".*other.x.proto"`},
		{"no such plugin", []string{file, out, "-I", dir, "--nosuch_out", dir}, `program not found on PATH`},
	} {
		t.Run(test.name, func(t *testing.T) { refused(t, test.args, test.want) })
	}
}

// TestBadPlugin checks that a plugin that fails, or wants what it must not,
// leaves no file behind.
func TestBadPlugin(t *testing.T) {
	usePlugin(t)
	for _, test := range []struct{ parameter, want string }{
		{"error", `^--test_out: till.proto: no such colour`},
		{"crash", `(?s)^plugin: it burns\n--test_out: protoc-gen-test: plugin failed: exit status 4`},
		{"garbage", `plugin output cannot be read`},
		{"outside", `"\.\./out.txt" is outside of the output folder`},
		{"absolute", `is outside of the output folder`},
		{"nameless", `first file has no name`},
		{"insertion", `insertion points are not supported`},
		{"twice", `tried to write the same file twice`},
		{"old", `^--test_out: x.proto: is a proto3 file that contains optional fields, which protoc-gen-test does not support`},
		{"a,b", `parameter a,b`},
	} {
		t.Run(test.parameter, func(t *testing.T) {
			dir := folder(t, "x.proto", good)
			out := filepath.Join(dir, "out")
			if err := os.Mkdir(out, 0o700); err != nil {
				t.Fatal(err)
			}
			args := []string{filepath.Join(dir, "x.proto"), "-I" + dir, "--test_out", out}
			for option := range strings.SplitSeq(test.parameter, ",") {
				args = append(args, "--test_opt", option)
			}
			refused(t, args, test.want)
			entries, err := os.ReadDir(out)
			if err != nil || len(entries) > 0 {
				t.Errorf("left behind: %v, %v", entries, err)
			}
			if _, err := os.Stat(filepath.Join(dir, "out.txt")); err == nil {
				t.Error("a file was written outside of the folder")
			}
		})
	}
}

func TestEditions(t *testing.T) {
	usePlugin(t)
	dir := folder(t, "x.proto", "edition = \"2023\";\npackage x;\nmessage M { string s = 1; }\n")
	args := []string{filepath.Join(dir, "x.proto"), "-I", dir, "--test_out", dir, "--test_opt=parts"}
	var stderr bytes.Buffer
	if code := Main(t.Context(), args, io.Discard, &stderr); code != 0 {
		t.Errorf("exit code %d\n%s", code, &stderr)
	}
	args[len(args)-1] = "--test_opt=old"
	refused(t, args, `x.proto: uses editions, which protoc-gen-test does not support`)
}

// TestForms checks the forms of a command line that mean the same.
func TestForms(t *testing.T) {
	usePlugin(t)
	dir := folder(t, "x.proto", "syntax = \"proto3\";\nimport \"a/y.proto\";\nimport \"z.proto\";\nmessage M { Y y = 1; Z z = 2; }\n",
		"inc:1/a/y.proto", "syntax = \"proto3\";\nmessage Y {}\n", "inc2/z.proto", "syntax = \"proto3\";\nmessage Z {}\n")
	t.Chdir(dir)
	for _, args := range [][]string{
		{"x.proto", "-I", ".", "-I", "inc:1", "-Iinc2", "--test_out", "out", "--test_opt", "parts"},
		{"--test_opt=parts", "--test_out=out", "-I.", "--proto_path", "inc:1", "--proto_path=none:inc2", "./x.proto", "--experimental_allow_proto3_optional"},
		{filepath.Join(dir, "x.proto"), "-I", dir, "-I", filepath.Join(dir, "inc:1"), "-I", "inc2", "--test_out", filepath.Join(dir, "out"), "--test_opt", "parts"},
	} {
		if err := os.RemoveAll("out"); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir("out", 0o700); err != nil {
			t.Fatal(err)
		}
		var stderr bytes.Buffer
		if code := Main(t.Context(), args, io.Discard, &stderr); code != 0 {
			t.Errorf("%q: exit code %d\n%s", args, code, &stderr)
		}
		if text, err := os.ReadFile(filepath.Join("out", "a", "b.txt")); err != nil || string(text) != "one two" {
			t.Errorf("%q: wrote %q, %v", args, text, err)
		}
	}
	// A plugin by its file, whatever PATH has.
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "protoc-gen-test")
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", "")
	var stderr bytes.Buffer
	args := []string{"z.proto", "-I", "inc2", "--plugin", "protoc-gen-other=" + link, "--other_out=out", "--other_opt=parts"}
	args[0] = filepath.Join("inc2", "z.proto")
	if code := Main(t.Context(), args, io.Discard, &stderr); code != 0 {
		t.Errorf("exit code %d\n%s", code, &stderr)
	}
}

func TestWarnings(t *testing.T) {
	usePlugin(t)
	dir := folder(t, "x.proto", "syntax = \"proto3\";\nimport \"google/protobuf/empty.proto\";\n")
	var stderr bytes.Buffer
	args := []string{filepath.Join(dir, "x.proto"), "-I", dir, "-I", dir + "/none", "--test_out", dir, "--test_opt=parts"}
	if code := Main(t.Context(), args, io.Discard, &stderr); code != 0 {
		t.Fatalf("exit code %d\n%s", code, &stderr)
	}
	for _, want := range []string{"none: warning: directory does not exist.", "x.proto:2:1: warning: "} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("printed %q, want %q", &stderr, want)
		}
	}
}
