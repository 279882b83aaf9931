package protoc

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
)

// FuzzArguments: a command line is refused, or has a file and a generator.
func FuzzArguments(f *testing.F) {
	f.Add("x.proto\x00--proto_path\x00.\x00--go_out\x00.\x00--go_opt=paths=source_relative\x00-I\x00inc")
	f.Add("--plugin=protoc-gen-x=y\x00--x_out=.\x00--x_opt=a,b\x00x.proto")
	f.Add("-\x00--\x00-I\x00--_out=\x00--=")
	f.Fuzz(func(t *testing.T, line string) {
		a, err := parseArguments(strings.Split(line, "\x00"))
		if err != nil {
			if err.Error() == "" || a != nil {
				t.Errorf("error %q with a result", err)
			}
			return
		}
		if a.version {
			return
		}
		if len(a.files) == 0 || len(a.generators) == 0 || len(a.imports) == 0 && !strings.Contains(line, "-I") && !strings.Contains(line, "--proto_path") {
			t.Errorf("incomplete: %+v", a)
		}
		for _, g := range a.generators {
			if g.name == "" || g.dir == "" {
				t.Errorf("incomplete: %+v", g)
			}
		}
	})
}

var position = regexp.MustCompile(`^(x\.proto(:\d+:\d+)?|google/\S+): `)

// FuzzCompile: a source is refused with its position, or gives descriptors that
// Go's protobuf module accepts.
func FuzzCompile(f *testing.F) {
	for _, file := range []string{"till.proto", "old.proto"} {
		source, err := os.ReadFile(filepath.Join("testdata", "protos", file))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(source)
	}
	f.Add([]byte(good))
	f.Add([]byte("syntax = \"proto3\"; import \"x.proto\";"))
	dir := f.TempDir()
	file := filepath.Join(dir, "x.proto")
	f.Fuzz(func(t *testing.T, source []byte) {
		if err := os.WriteFile(file, source, 0o600); err != nil {
			t.Fatal(err)
		}
		request, err := compile(t.Context(), &arguments{files: []string{file}, imports: []string{dir}}, io.Discard)
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if position.MatchString(line) {
					return
				}
			}
			t.Fatalf("no position: %v", err)
		}
		raw, err := proto.Marshal(request)
		if err != nil {
			t.Fatalf("encode: %v", err)
		}
		if err := proto.Unmarshal(raw, request); err != nil {
			t.Fatalf("decode: %v", err)
		}
		if _, err := protodesc.NewFiles(&descriptorpb.FileDescriptorSet{File: request.GetProtoFile()}); err != nil {
			t.Fatalf("descriptors: %v", err)
		}
	})
}
