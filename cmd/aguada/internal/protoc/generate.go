package protoc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

// pluginPrefix is what the names of plugins begin with.
const pluginPrefix = "protoc-gen-"

// output is a file that a plugin wants to be written.
type output struct {
	file    string
	content []byte
}

// generate runs the plugin and returns its files.
func (g *generator) generate(ctx context.Context, request *pluginpb.CodeGeneratorRequest, stderr io.Writer) ([]output, error) {
	if info, err := os.Stat(g.dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("%s: No such directory", g.dir)
	}
	program := g.plugin
	if program == "" {
		program = pluginPrefix + g.name
	}
	own := &pluginpb.CodeGeneratorRequest{
		FileToGenerate: request.FileToGenerate, ProtoFile: request.ProtoFile, CompilerVersion: request.CompilerVersion,
	}
	if len(g.options) > 0 {
		own.Parameter = proto.String(strings.Join(g.options, ","))
	}
	input, err := proto.MarshalOptions{Deterministic: true}.Marshal(own)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	cmd := exec.CommandContext(ctx, program)
	var answer bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &answer, stderr
	if err := cmd.Run(); errors.Is(err, exec.ErrNotFound) {
		return nil, fmt.Errorf("%s: program not found on PATH", program)
	} else if err != nil {
		return nil, fmt.Errorf("%s: plugin failed: %w", program, err)
	}
	var response pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(answer.Bytes(), &response); err != nil {
		return nil, fmt.Errorf("%s: plugin output cannot be read: %w", program, err)
	}
	if response.Error != nil {
		return nil, errors.New(response.GetError())
	}
	if err := supported(request, &response, program); err != nil {
		return nil, err
	}
	return g.outputs(&response)
}

// outputs turns a plugin's answer into files inside the folder that was given
// to it. A file without a name continues the one before.
func (g *generator) outputs(response *pluginpb.CodeGeneratorResponse) ([]output, error) {
	var outputs []output
	for _, file := range response.GetFile() {
		switch {
		case file.GetInsertionPoint() != "":
			return nil, fmt.Errorf("%s: insertion points are not supported", file.GetName())
		case file.GetName() == "" && len(outputs) == 0:
			return nil, errors.New("the plugin's first file has no name")
		case file.GetName() == "":
			last := &outputs[len(outputs)-1]
			last.content = append(last.content, file.GetContent()...)
		case !filepath.IsLocal(filepath.FromSlash(file.GetName())):
			return nil, fmt.Errorf("the plugin's file %q is outside of the output folder", file.GetName())
		default:
			outputs = append(outputs, output{
				file:    filepath.Join(g.dir, filepath.FromSlash(file.GetName())),
				content: []byte(file.GetContent()),
			})
		}
	}
	return outputs, nil
}

// supported refuses a plugin that would misunderstand a file silently.
func supported(request *pluginpb.CodeGeneratorRequest, response *pluginpb.CodeGeneratorResponse, program string) error {
	has := func(f pluginpb.CodeGeneratorResponse_Feature) bool {
		return response.GetSupportedFeatures()&uint64(f) != 0
	}
	for _, file := range request.GetProtoFile() {
		if !slices.Contains(request.GetFileToGenerate(), file.GetName()) {
			continue
		}
		if !has(pluginpb.CodeGeneratorResponse_FEATURE_PROTO3_OPTIONAL) && optional(file.GetMessageType()) {
			return fmt.Errorf("%s: is a proto3 file that contains optional fields, which %s does not support", file.GetName(), program)
		}
		if file.GetSyntax() != "editions" {
			continue
		}
		switch edition := file.GetEdition(); {
		case !has(pluginpb.CodeGeneratorResponse_FEATURE_SUPPORTS_EDITIONS):
			return fmt.Errorf("%s: uses editions, which %s does not support", file.GetName(), program)
		case int32(edition) < response.GetMinimumEdition(), int32(edition) > response.GetMaximumEdition():
			return fmt.Errorf("%s: is of %s, which %s does not support", file.GetName(), edition, program)
		}
	}
	return nil
}

func optional(messages []*descriptorpb.DescriptorProto) bool {
	for _, m := range messages {
		for _, f := range m.GetField() {
			if f.GetProto3Optional() {
				return true
			}
		}
		if optional(m.GetNestedType()) {
			return true
		}
	}
	return false
}

// write writes all files, or none where two of them are the same one.
func write(outputs []output) error {
	seen := map[string]bool{}
	for _, o := range outputs {
		if seen[o.file] {
			return fmt.Errorf("%s: tried to write the same file twice", o.file)
		}
		seen[o.file] = true
	}
	for _, o := range outputs {
		if err := os.MkdirAll(filepath.Dir(o.file), 0o750); err != nil {
			return fmt.Errorf("write %s: %w", o.file, err)
		}
		if err := os.WriteFile(o.file, o.content, 0o644); err != nil { //nolint:gosec // source code, as protoc and goa write it
			return fmt.Errorf("write %s: %w", o.file, err)
		}
	}
	return nil
}
