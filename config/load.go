package config

import (
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/caarlos0/env/v11"
)

// fileSuffix makes the name of the variable that names a secret's file.
const fileSuffix = "_FILE"

// loader is one reading of an environment.
type loader struct {
	env      map[string]string // with the secrets that came from files
	files    map[string]string // by variable: the file that its value came from
	fields   []*field
	problems []Problem
	reporter *reporter
}

// load reads everything, and goes on where something is wrong.
func load(cfg *Config, environ []string, needs Needs, extra []any) *loader {
	l := &loader{env: env.ToMap(environ), files: make(map[string]string), reporter: new(reporter)}
	cfg.reporter = l.reporter
	l.read(cfg, true)
	for _, e := range extra {
		l.read(e, false)
	}
	l.check(cfg, needs)
	l.sortProblems()
	return l
}

// read fills the struct that target points to.
func (l *loader) read(target any, ours bool) {
	v := reflect.ValueOf(target)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		l.refuse(fmt.Sprintf("%T", target), "is not a pointer to a struct", "pass the address of a struct with env tags")
		return
	}
	v = v.Elem()
	l.walk(v, "", func(f field, _ reflect.Value) {
		if f.fileable() {
			l.fromFile(f.name)
		}
	})
	values := make(map[string]string)
	err := env.ParseWithOptions(target, env.Options{
		Environment: l.env,
		OnSet:       func(name string, value any, _ bool) { values[name], _ = value.(string) },
	})
	first := len(l.fields)
	l.walk(v, "", func(f field, v reflect.Value) { // again: lists of structs have their elements now
		l.follow(&f, v)
		f.value, f.ours = values[f.name], ours
		if ours { // we know which of ours are secret
			f.secret = holdsSecret(f.sf.Type)
		}
		l.fields = append(l.fields, &f)
	})
	if len(l.fields) == first {
		l.refuse(v.Type().String(), "has no field with an env tag", `tag its fields: env:"NAME"`)
	}
	known := len(l.problems)
	l.explain(l.fields[first:], err)
	if v, ok := target.(interface{ Validate() error }); ok && len(l.problems) == known {
		for _, err := range each(v.Validate()) {
			l.problems = append(l.problems, Problem{Wrong: err.Error()})
		}
	}
}

// explain turns what package env found into problems. Its own texts are not
// used: they hold values.
func (l *loader) explain(fields []*field, err error) {
	unknown := false
	for _, err := range each(err) {
		switch err := err.(type) { //nolint:errorlint // package env returns them unwrapped
		case env.VarIsNotSetError:
			l.missing(err.Key)
		case env.EmptyVarError:
			l.refuse(err.Key, "is empty", "set it to a value")
		case env.LoadFileContentError:
			l.refuse(err.Key, wrongFile(err.Err), "give the path of a readable file")
		case env.NoSupportedTagOptionError: // found by walk
		default:
			unknown = true
		}
	}
	for _, f := range fields {
		if f.value != "" && !f.parse(f.value) {
			form, example := f.form()
			l.refuse(f.name, "is not "+form, "set it to "+example)
			unknown = false
		}
		if _, set := l.env[f.name]; f.required && !set && !f.hasDefault() {
			l.missing(f.name)
		}
	}
	if unknown && len(l.problems) == 0 { // never lose an error
		l.refuse("environment", "has a value that cannot be read", "compare it with the reference (-config)")
	}
}

func (l *loader) missing(name string) {
	if l.refused(name + fileSuffix) {
		return
	}
	fix := "set it"
	for _, f := range l.fields {
		if f.name == name && f.fileable() {
			fix = "set it, or " + name + fileSuffix + " to a file that holds it"
		}
	}
	l.refuse(name, "is required and not set", fix)
}

func (f *field) hasDefault() bool {
	_, ok := f.sf.Tag.Lookup("envDefault")
	return ok
}

// fromFile puts the content of the file that NAME_FILE names into the
// environment as NAME.
func (l *loader) fromFile(name string) {
	path := l.env[name+fileSuffix]
	if path == "" || l.files[name] != "" {
		return
	}
	l.files[name] = path
	if l.env[name] != "" {
		l.refuse(name, "is set, and "+name+fileSuffix+" too", "unset one of them")
		return
	}
	content, err := readFile(path)
	if err != nil {
		l.refuse(name+fileSuffix, wrongFile(err), "give the path of a readable file")
		return
	}
	if l.env[name] = secretText(content); l.env[name] == "" {
		l.refuse(name+fileSuffix, "names a file that is empty", "write the value into the file")
	}
}

// secretText returns what a secret's file holds.
func secretText(content []byte) string {
	return strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
}

// follow makes the secret v follow the file that it came from.
func (l *loader) follow(f *field, v reflect.Value) {
	if l.files[f.name] == "" || f.sf.Type != secretType {
		return
	}
	least := max(f.least(), 1)
	w, err := watch(l.reporter, func(contents [][]byte) (*string, error) {
		text := secretText(contents[0])
		if len(text) < least {
			return nil, fileError("names a file with a value that is too short")
		}
		return &text, nil
	}, source{f.name + fileSuffix, l.files[f.name]})
	if err == nil { // else it is no regular file, which stays as it is, or has been refused
		*v.Addr().Interface().(*Secret) = Secret{func() string { return *w.Value() }}
	}
}

// readable refuses a variable whose file cannot be used.
func (l *loader) readable(name string) {
	if path := l.env[name]; path != "" {
		l.readableFile(name, path)
	}
}

// readableFile refuses a file that name's value holds and that cannot be read.
func (l *loader) readableFile(name, path string) {
	if l.refused(name) {
		return
	}
	info, err := os.Stat(path) // first: opening a pipe would wait for its writer
	if err == nil && !info.Mode().IsRegular() {
		err = errIrregular
	}
	if err == nil {
		var f *os.File
		if f, err = os.Open(path); err == nil {
			_ = f.Close()
		}
	}
	if err != nil {
		l.refuse(name, wrongFile(err), "give the path of a readable file")
	}
}
