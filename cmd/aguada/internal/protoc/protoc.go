// Package protoc compiles protocol buffers and runs code generators on them:
// the part of the program protoc that Goa uses, in Go.
//
//	os.Exit(protoc.Main(ctx, os.Args[1:], os.Stdout, os.Stderr))
//
// It speaks the protocol of protoc's plugins (google/protobuf/compiler/plugin.proto),
// knows the files that protoc brings along (google/protobuf/*.proto), and reports
// what is wrong as protoc does: file:line:column: message. Generated files are those
// that protoc makes, but for the compiler's version in their first comment, which is
// the same on every machine. What it does not know it refuses: it has no built-in
// languages, and writes no descriptor sets.
package protoc

import (
	"context"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/pluginpb"
)

// Name is the name under which a program that calls Main has to be found.
const Name = "protoc"

// version is the compiler's, as generated files name it: v0.14.1-protocompile.
var version = &pluginpb.Version{
	Major: proto.Int32(0), Minor: proto.Int32(14), Patch: proto.Int32(1), Suffix: proto.String("protocompile"),
}

// Version returns the version that generated files name.
func Version() string {
	return fmt.Sprintf("%d.%d.%d-%s", version.GetMajor(), version.GetMinor(), version.GetPatch(), version.GetSuffix())
}

// Main runs the command line args, without the program's name, and returns the
// exit code: 0 when every file was written, else 1, and then none was.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if err := run(ctx, args, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	a, err := parseArguments(args)
	if err != nil {
		return err
	}
	if a.version {
		_, err := fmt.Fprintln(stdout, "libprotoc", Version(), "(built into aguada)")
		return err
	}
	request, err := compile(ctx, a, stderr)
	if err != nil {
		return err
	}
	var outputs []output
	for _, g := range a.generators {
		files, err := g.generate(ctx, request, stderr)
		if err != nil {
			return fmt.Errorf("--%s_out: %w", g.name, err)
		}
		outputs = append(outputs, files...)
	}
	return write(outputs)
}
