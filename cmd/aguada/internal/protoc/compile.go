package protoc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/linker"
	"github.com/bufbuild/protocompile/protoutil"
	"github.com/bufbuild/protocompile/reporter"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/pluginpb"
)

// compile turns the files of the command line, and all that they import, into
// the request that plugins understand. Warnings are written to stderr; the
// error has a line for each thing that is wrong.
func compile(ctx context.Context, a *arguments, stderr io.Writer) (*pluginpb.CodeGeneratorRequest, error) {
	for _, dir := range a.imports {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			fmt.Fprintf(stderr, "%s: warning: directory does not exist.\n", dir)
		}
	}
	var names []string
	for _, file := range a.files {
		name, err := importName(file, a.imports)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	var problems []error
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(sources(a.imports)),
		SourceInfoMode: protocompile.SourceInfoStandard,
		Reporter: reporter.NewReporter(
			func(err reporter.ErrorWithPos) error {
				problems = append(problems, err)
				return nil // see the others too
			},
			func(err reporter.ErrorWithPos) {
				fmt.Fprintf(stderr, "%s: warning: %v\n", err.GetPosition(), err.Unwrap())
			},
		),
	}
	files, err := compiler.Compile(ctx, names...)
	switch {
	case len(problems) > 0:
		return nil, errors.Join(problems...)
	case err != nil:
		var crash protocompile.PanicError
		if errors.As(err, &crash) {
			return nil, fmt.Errorf("%s: compile: %v", crash.File, crash.Value)
		}
		return nil, err
	}
	return newRequest(names, files), nil
}

// sources finds files by the names that they are imported with, in folders.
func sources(folders []string) protocompile.Resolver {
	files := &protocompile.SourceResolver{ImportPaths: folders, Accessor: func(name string) (io.ReadCloser, error) {
		if info, err := os.Stat(name); err != nil {
			return nil, err
		} else if !info.Mode().IsRegular() {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		return os.Open(name)
	}}
	return protocompile.ResolverFunc(func(name string) (protocompile.SearchResult, error) {
		// As for protoc: what a file imports is inside of the folders.
		if !fs.ValidPath(name) || name == "." || strings.Contains(name, "\\") {
			return protocompile.SearchResult{}, fmt.Errorf("%q: backslashes, consecutive slashes, \".\" and \"..\" are not allowed in a path", name)
		}
		found, err := files.FindFileByPath(name)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf(`%q was not found in any folder of --proto_path; a Goa design names more of them with Meta("protoc:include", "DIR")`, name)
		}
		return found, err
	})
}

// newRequest lists every file after those that it imports.
func newRequest(names []string, files linker.Files) *pluginpb.CodeGeneratorRequest {
	request := &pluginpb.CodeGeneratorRequest{FileToGenerate: names, CompilerVersion: version}
	seen := map[string]bool{}
	var add func(protoreflect.FileDescriptor)
	add = func(file protoreflect.FileDescriptor) {
		if seen[file.Path()] {
			return
		}
		seen[file.Path()] = true
		for i := range file.Imports().Len() {
			add(file.Imports().Get(i).FileDescriptor)
		}
		request.ProtoFile = append(request.ProtoFile, protoutil.ProtoFromFileDescriptor(file))
	}
	for _, file := range files {
		add(file)
	}
	return request
}

// importName returns the name under which other files import file: its path
// below the folder of imports that holds it.
func importName(file string, imports []string) (string, error) {
	info, err := os.Stat(file)
	if err != nil {
		return "", fmt.Errorf("%s: No such file or directory", file)
	}
	for _, dir := range imports {
		name, ok := below(dir, file)
		if !ok {
			continue
		}
		// An earlier folder may hold another file of that name.
		found, err := first(imports, name)
		if err != nil {
			return "", err
		}
		other, err := os.Stat(found)
		if err != nil {
			return "", fmt.Errorf("find %s: %w", file, err)
		}
		if !os.SameFile(info, other) {
			return "", fmt.Errorf("%s: input is shadowed in the --proto_path by %q", file, found)
		}
		return filepath.ToSlash(name), nil
	}
	return "", fmt.Errorf("%s: File does not reside within any path specified using --proto_path (or -I)", file)
}

// below returns the path of file relative to dir, if it is inside.
func below(dir, file string) (string, bool) {
	absDir, err := filepath.Abs(dir)
	if err != nil {
		return "", false
	}
	absFile, err := filepath.Abs(file)
	if err != nil {
		return "", false
	}
	name, err := filepath.Rel(absDir, absFile)
	if err != nil || name == ".." || strings.HasPrefix(name, ".."+string(filepath.Separator)) {
		return "", false
	}
	return name, true
}

func first(imports []string, name string) (string, error) {
	for _, dir := range imports {
		file := filepath.Join(dir, name)
		if _, err := os.Stat(file); err == nil {
			return file, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("find %s: %w", name, err)
		}
	}
	return "", fmt.Errorf("find %s: %w", name, fs.ErrNotExist)
}
