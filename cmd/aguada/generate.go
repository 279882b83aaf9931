package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/aguada-dev/aguada/cmd/aguada/internal/goprogram"
	"github.com/aguada-dev/aguada/cmd/aguada/internal/project"
	"github.com/aguada-dev/aguada/cmd/aguada/internal/protoc"
	"github.com/aguada-dev/aguada/cmd/aguada/internal/terminal"
)

// grpcPlugins are what protoc makes Goa's gRPC code with. The first is of the
// version of google.golang.org/protobuf that this module requires.
func grpcPlugins() []goprogram.Program {
	return []goprogram.Program{
		{
			Path:    "google.golang.org/protobuf/cmd/protoc-gen-go",
			Version: "v1.36.12", Sum: "h1:pJOKDDOyeXErUroCihFAd5LQuwXBSpVnKGrj5o/fwxc=",
		},
		{
			Path:    "google.golang.org/grpc/cmd/protoc-gen-go-grpc",
			Version: "v1.6.2", Sum: "h1:rgSNvqscFZ1JgV/4wH5GOsZFSFkR2Eua9As3KIr2LlM=",
		},
	}
}

// generate generates the code of a project, with what tells that it is being
// done, and returns the files written.
func generate(ctx context.Context, out *terminal.Output, p *project.Project, what, output string) (files []string, err error) {
	grpc, err := p.UsesGRPC(ctx)
	if err != nil {
		return nil, err
	}
	programs := ""
	if grpc {
		plugins, err := findPlugins(ctx, out)
		if err != nil {
			return nil, err
		}
		if programs, err = linkPrograms(plugins); err != nil {
			return nil, err
		}
		defer func() {
			if removeErr := os.RemoveAll(programs); removeErr != nil {
				err = errors.Join(err, fmt.Errorf("remove links: %w", removeErr))
			}
		}()
	}
	done := out.Progress(what, firstBuild)
	generated, err := p.Generate(ctx, output, programs)
	done(err)
	if err != nil {
		return nil, err
	}
	for _, message := range generated.Messages {
		out.Println(message)
	}
	return generated.Files, nil
}

// findPlugins returns the files of the plugins, and builds those that this
// machine does not have yet.
func findPlugins(ctx context.Context, out *terminal.Output) ([]string, error) {
	cache, err := goprogram.Open("")
	if err != nil {
		return nil, err
	}
	var files []string
	for _, plugin := range grpcPlugins() {
		file, err := cache.Find(plugin)
		if errors.Is(err, fs.ErrNotExist) {
			done := out.Progress(fmt.Sprintf("building %s, once, for the design's gRPC", plugin), "")
			file, err = cache.Install(ctx, plugin)
			done(err)
			if err != nil && ctx.Err() == nil {
				err = fmt.Errorf("%w\nThe go command has to fetch modules for it once: run this again with a network, or with GOPROXY\n"+
					"naming a proxy that has them. Or put on PATH what another machine has built with\n"+
					"  CGO_ENABLED=0 go install %s@%s", err, plugin.Path, plugin.Version)
			}
		}
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

// linkPrograms makes a folder with the given programs, and with this one under
// the name protoc, to be removed by the caller.
func linkPrograms(files []string) (dir string, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	if dir, err = filepath.Abs(os.TempDir()); err == nil {
		dir, err = os.MkdirTemp(dir, "aguada-gen-")
	}
	if err != nil {
		return "", fmt.Errorf("make folder of programs: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	if err := link(self, filepath.Join(dir, goprogram.Executable(protoc.Name))); err != nil {
		return "", err
	}
	for _, file := range files {
		if err := link(file, filepath.Join(dir, filepath.Base(file))); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// link makes the program file known as name. Not every user of Windows may make
// symbolic links.
func link(file, name string) error {
	err := os.Symlink(file, name)
	if err == nil || os.Link(file, name) == nil {
		return nil
	}
	return fmt.Errorf("link %s: %w", filepath.Base(file), err)
}

// calledAsProtoc reports whether this program was started by goa, through the
// link of linkPrograms.
func calledAsProtoc(arg0 string) bool {
	return strings.TrimSuffix(filepath.Base(arg0), ".exe") == protoc.Name
}
