package protoc

import (
	"bytes"
	"encoding/base64"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

var update = flag.Bool("update", false, "write what protoc 3.21.12, found on PATH, makes of testdata/protos")

func TestMain(m *testing.M) {
	if strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe") == "protoc-gen-test" {
		os.Exit(plugin())
	}
	os.Exit(m.Run())
}

// plugin is a plugin of protoc that does as its parameter says.
func plugin() int {
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		return 3
	}
	var request pluginpb.CodeGeneratorRequest
	if err := proto.Unmarshal(input, &request); err != nil {
		return 3
	}
	file := func(name, content string) *pluginpb.CodeGeneratorResponse_File {
		return &pluginpb.CodeGeneratorResponse_File{Name: &name, Content: &content}
	}
	all := uint64(pluginpb.CodeGeneratorResponse_FEATURE_PROTO3_OPTIONAL | pluginpb.CodeGeneratorResponse_FEATURE_SUPPORTS_EDITIONS)
	response := &pluginpb.CodeGeneratorResponse{
		SupportedFeatures: &all,
		MinimumEdition:    proto.Int32(int32(descriptorpb.Edition_EDITION_PROTO2)),
		MaximumEdition:    proto.Int32(int32(descriptorpb.Edition_EDITION_2023)),
	}
	switch request.GetParameter() {
	case "request":
		response.File = append(response.File, file("request", base64.StdEncoding.EncodeToString(input)))
	case "parts":
		response.File = append(response.File, file("a/b.txt", "one "), &pluginpb.CodeGeneratorResponse_File{Content: proto.String("two")})
	case "error":
		response.Error = proto.String("till.proto: no such colour")
	case "crash":
		os.Stderr.WriteString("plugin: it burns\n")
		return 4
	case "garbage":
		os.Stdout.WriteString("hello")
		return 0
	case "outside":
		response.File = append(response.File, file("in.txt", ""), file("../out.txt", ""))
	case "absolute":
		response.File = append(response.File, file(filepath.Join(os.TempDir(), "out.txt"), ""))
	case "nameless":
		response.File = append(response.File, &pluginpb.CodeGeneratorResponse_File{Content: proto.String("x")})
	case "insertion":
		f := file("till.txt", "x")
		f.InsertionPoint = proto.String("here")
		response.File = append(response.File, f)
	case "twice":
		response.File = append(response.File, file("a", ""), file("./a", ""))
	case "old":
		response.SupportedFeatures = nil
	default:
		response.Error = proto.String("parameter " + request.GetParameter())
	}
	output, err := proto.Marshal(response)
	if err != nil {
		return 3
	}
	if _, err := os.Stdout.Write(output); err != nil {
		return 3
	}
	return 0
}

// usePlugin puts the plugin protoc-gen-test on PATH.
func usePlugin(t testing.TB) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "protoc-gen-test")); err != nil {
		t.Skipf("SKIPPED: no symbolic links: %v", err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// folder writes files, given as name and content, into a new folder.
func folder(t testing.TB, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		file := filepath.Join(dir, filepath.FromSlash(files[i]))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestSameAsProtoc compares what plugins are given with the descriptors, comments
// and their positions included, that protoc made of the same files. Positions of
// what has no comment are left out: protoc has them otherwise for a few options.
func TestSameAsProtoc(t *testing.T) {
	usePlugin(t)
	const dir = "testdata/protos"
	for _, name := range []string{"till", "old"} {
		golden := filepath.Join("testdata", name+".binpb")
		if *update {
			cmd := exec.Command("protoc", "-I", dir, "--include_imports", "--include_source_info", "-o", golden, name+".proto")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		}
		raw, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		var want descriptorpb.FileDescriptorSet
		if err := proto.Unmarshal(raw, &want); err != nil {
			t.Fatal(err)
		}
		out := t.TempDir()
		var stderr bytes.Buffer
		file := filepath.Join(dir, name+".proto")
		if code := Main(t.Context(), []string{file, "--proto_path", dir, "--test_out", out, "--test_opt=request"}, io.Discard, &stderr); code != 0 {
			t.Fatalf("exit code %d\n%s", code, &stderr)
		}
		text, err := os.ReadFile(filepath.Join(out, "request"))
		if err != nil {
			t.Fatal(err)
		}
		if raw, err = base64.StdEncoding.DecodeString(string(text)); err != nil {
			t.Fatal(err)
		}
		var request pluginpb.CodeGeneratorRequest
		if err := proto.Unmarshal(raw, &request); err != nil {
			t.Fatal(err)
		}
		if got := request.GetFileToGenerate(); len(got) != 1 || got[0] != name+".proto" {
			t.Errorf("%s: files to generate: %q", name, got)
		}
		if diff := cmp.Diff(version, request.GetCompilerVersion(), protocmp.Transform()); diff != "" {
			t.Errorf("%s: version: %s", name, diff)
		}
		compare(t, request.GetProtoFile(), want.GetFile())
	}
}

func compare(t *testing.T, got, want []*descriptorpb.FileDescriptorProto) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d files, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i].GetName() != want[i].GetName() {
			t.Errorf("file %d is %s, want %s", i, got[i].GetName(), want[i].GetName())
			continue
		}
		if strings.HasPrefix(want[i].GetName(), "google/protobuf/") {
			// Those that come along have no comments, and are of the version
			// of Go's protobuf module.
			continue
		}
		for _, f := range []*descriptorpb.FileDescriptorProto{want[i], got[i]} {
			f.SourceCodeInfo.Location = slices.DeleteFunc(f.SourceCodeInfo.Location, func(l *descriptorpb.SourceCodeInfo_Location) bool {
				return l.LeadingComments == nil && l.TrailingComments == nil && len(l.LeadingDetachedComments) == 0
			})
		}
		if diff := cmp.Diff(want[i], got[i], protocmp.Transform()); diff != "" {
			t.Errorf("%s (-protoc +ours):\n%s", want[i].GetName(), diff)
		}
	}
}

func TestVersion(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := Main(t.Context(), []string{"--version"}, &stdout, &stderr); code != 0 || !strings.HasPrefix(stdout.String(), "libprotoc "+Version()) {
		t.Errorf("%d %q %q", code, &stdout, &stderr)
	}
	// Generated files say which compiler made them: the one that is linked.
	out, err := exec.Command("go", "list", "-m", "-f", "v{{slice .Version 1}}", "github.com/bufbuild/protocompile").Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.TrimSpace(string(out)) + "-protocompile"; "v"+Version() != want {
		t.Errorf("version v%s, want %s", Version(), want)
	}
}
