package protoc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// arguments is a command line that was understood.
type arguments struct {
	version    bool
	files      []string // as given
	imports    []string // folders, in the order of their search
	generators []*generator
}

// generator is a plugin that makes files of one kind.
type generator struct {
	name    string   // go
	dir     string   // receives the files
	options []string // --go_opt
	plugin  string   // --plugin: a file, empty for protoc-gen-NAME on PATH
}

// parseArguments reads the flags that it knows, in protoc's forms --flag=value,
// --flag value, -I value and -Ivalue, and refuses all others.
func parseArguments(args []string) (*arguments, error) {
	p := parser{plugins: map[string]string{}, options: map[string][]string{}}
	for len(args) > 0 {
		var err error
		if args, err = p.next(args); err != nil {
			return nil, err
		}
	}
	if p.version {
		return &p.arguments, nil
	}
	return p.finish()
}

type parser struct {
	arguments
	plugins map[string]string
	options map[string][]string
}

// next reads the first argument, and its value, and returns those that follow.
func (p *parser) next(args []string) ([]string, error) {
	arg, rest := args[0], args[1:]
	if !strings.HasPrefix(arg, "-") {
		if arg == "" {
			return nil, errors.New("an argument is empty")
		}
		p.files = append(p.files, arg)
		return rest, nil
	}
	var name, value string
	given := false
	if strings.HasPrefix(arg, "--") {
		name, value, given = strings.Cut(arg, "=")
	} else {
		name, value = arg[:min(2, len(arg))], arg[min(2, len(arg)):]
		given = value != ""
	}
	switch name {
	case "--version", "--experimental_allow_proto3_optional":
		if given {
			return nil, fmt.Errorf("%s takes no value", name)
		}
		p.version = p.version || name == "--version"
		return rest, nil
	}
	set := p.flag(name)
	if set == nil {
		return nil, fmt.Errorf("unknown flag %s: this protoc is built into aguada and knows only what Goa needs;"+
			` name the path of another one in the design, Meta("protoc:cmd", "/usr/bin/protoc", …)`, name)
	}
	if !given {
		if len(rest) == 0 {
			return nil, fmt.Errorf("missing value for flag %s", name)
		}
		value, rest = rest[0], rest[1:]
	}
	if value == "" {
		return nil, fmt.Errorf("missing value for flag %s", name)
	}
	return rest, set(value)
}

// flag returns what a flag's value does, nil for an unknown flag.
func (p *parser) flag(name string) func(value string) error {
	switch name {
	case "-I", "--proto_path":
		return func(value string) error {
			p.imports = append(p.imports, paths(value)...)
			return nil
		}
	case "--plugin":
		return func(value string) error {
			name, file, ok := strings.Cut(value, "=")
			if !ok {
				name, file = strings.TrimSuffix(filepath.Base(value), ".exe"), value
			}
			if !strings.HasPrefix(name, pluginPrefix) || file == "" {
				return fmt.Errorf("--plugin=%s: want %sNAME=FILE", value, pluginPrefix)
			}
			p.plugins[strings.TrimPrefix(name, pluginPrefix)] = file
			return nil
		}
	}
	if language, ok := strings.CutSuffix(strings.TrimPrefix(name, "--"), "_out"); ok && language != "" && language != "descriptor_set" {
		return func(value string) error {
			if slices.ContainsFunc(p.generators, func(g *generator) bool { return g.name == language }) {
				return fmt.Errorf("%s is given twice", name)
			}
			p.generators = append(p.generators, &generator{name: language, dir: value})
			return nil
		}
	}
	if language, ok := strings.CutSuffix(strings.TrimPrefix(name, "--"), "_opt"); ok && language != "" {
		return func(value string) error {
			p.options[language] = append(p.options[language], value)
			return nil
		}
	}
	return nil
}

func (p *parser) finish() (*arguments, error) {
	for language := range p.options {
		if !slices.ContainsFunc(p.generators, func(g *generator) bool { return g.name == language }) {
			return nil, fmt.Errorf("--%s_opt is given without --%s_out", language, language)
		}
	}
	switch {
	case len(p.files) == 0:
		return nil, errors.New("missing input file")
	case len(p.generators) == 0:
		return nil, errors.New("missing output directives: --NAME_out")
	}
	for _, g := range p.generators {
		g.options, g.plugin = p.options[g.name], p.plugins[g.name]
	}
	if len(p.imports) == 0 {
		p.imports = []string{"."}
	}
	return &p.arguments, nil
}

// paths splits a list of folders, unless it is itself the name of one.
func paths(value string) []string {
	if info, err := os.Stat(value); err == nil && info.IsDir() {
		return []string{value}
	}
	return slices.DeleteFunc(filepath.SplitList(value), func(s string) bool { return s == "" })
}
