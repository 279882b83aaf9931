package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/caarlos0/env/v11"
)

// field is one variable of a struct.
type field struct {
	name     string // of the variable, with its prefixes
	sf       reflect.StructField
	options  []string // of the env tag
	required bool
	value    string // what was parsed; empty for nothing
	secret   bool   // the value is not to be shown
	ours     bool
}

// fileable reports whether the value may come from the file of NAME_FILE.
func (f *field) fileable() bool { return holdsSecret(f.sf.Type) && f.sf.Tag.Get("nofile") == "" }

// least is the number of bytes that the value must have.
func (f *field) least() int {
	n, _ := strconv.Atoi(f.sf.Tag.Get("least"))
	return n
}

func (f *field) has(option string) bool { return slices.Contains(f.options, option) }

// knownOptions are those of package env's tag.
var knownOptions = []string{"", "required", "notEmpty", "file", "expand", "init", "unset", "-"}

// walk calls visit for each variable of a struct, in the order, and under the
// names, in which package env reads it.
func (l *loader) walk(v reflect.Value, prefix string, visit func(field, reflect.Value)) {
	t := v.Type()
	for i := range t.NumField() {
		sf, fv := t.Field(i), v.Field(i)
		name, rest, _ := strings.Cut(sf.Tag.Get("env"), ",")
		if !fv.CanSet() {
			if name != "" && name != "-" {
				l.refuse(prefix+name, fmt.Sprintf("is read into field %s of %s, which is not exported", sf.Name, t), "export the field")
			}
			continue
		}
		if name == "" {
			l.foreignTags(t, sf)
		}
		f := field{name: prefix + name, sf: sf, options: strings.Split(rest, ",")}
		if name == "-" || f.has("-") {
			continue
		}
		for _, o := range f.options {
			if !slices.Contains(knownOptions, o) {
				l.refuse(f.name, fmt.Sprintf("is tagged with the option %q, which does not exist", o),
					"use required, notEmpty, file, expand, init or unset")
			}
		}
		f.required = f.has("required") || sf.Tag.Get("required") == "true"
		f.secret = hidden(f)
		if name != "" {
			visit(f, fv)
		}
		l.descend(fv, f.has("init"), prefix+sf.Tag.Get("envPrefix"), visit)
	}
}

// descend walks the structs that a field holds.
func (l *loader) descend(v reflect.Value, init bool, prefix string, visit func(field, reflect.Value)) {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() && init {
			v = reflect.New(v.Type().Elem())
		}
		v = v.Elem() // invalid for nil
	}
	switch v.Kind() {
	case reflect.Struct:
		if v.CanSet() {
			l.walk(v, prefix, visit)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.Struct {
			return
		}
		if prefix != "" && !strings.HasSuffix(prefix, "_") {
			prefix += "_"
		}
		for i := range v.Len() {
			l.walk(v.Index(i), prefix+strconv.Itoa(i)+"_", visit)
		}
	}
}

// foreignTags refuses a field that is tagged for another library, and would
// be left empty without a word.
func (l *loader) foreignTags(t reflect.Type, sf reflect.StructField) {
	for _, tag := range []string{"envconfig", "envDefault", "default", "required"} {
		if sf.Tag.Get(tag) != "" {
			l.refuse(t.String()+"."+sf.Name, "has a tag "+tag+" but no tag env, so nothing is read into it",
				`name its variable: env:"NAME", with envDefault:"…" or env:"NAME,required"`)
			return
		}
	}
}

// parse reads value the way package env does for this field, into a struct of
// its own, and reports whether it is understood.
func (f *field) parse(value string) bool {
	tag := `env:"VALUE"`
	for _, name := range []string{"envSeparator", "envKeyValSeparator"} {
		if v, ok := f.sf.Tag.Lookup(name); ok {
			tag += " " + name + ":" + strconv.Quote(v)
		}
	}
	t := reflect.StructOf([]reflect.StructField{{Name: "Value", Type: f.sf.Type, Tag: reflect.StructTag(tag)}})
	err := env.ParseWithOptions(reflect.New(t).Interface(), env.Options{Environment: map[string]string{"VALUE": value}})
	for _, err := range each(err) {
		switch err := err.(type) { //nolint:errorlint // package env returns them unwrapped
		case env.ParseError:
			if err.Name == "Value" {
				return false
			}
		case env.NoParserError:
			if err.Name == "Value" {
				return false
			}
		}
	}
	return true
}

// each returns the errors that package env, or errors.Join, has gathered.
func each(err error) []error {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		return all.Unwrap()
	}
	if all, ok := err.(env.AggregateError); ok { //nolint:errorlint // Parse returns it unwrapped
		return all.Errors
	}
	if err != nil {
		return []error{err}
	}
	return nil
}

var secretType = reflect.TypeFor[Secret]()

// holdsSecret reports whether a field of type t takes secrets.
func holdsSecret(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return holdsSecret(t.Elem())
	}
	return t == secretType
}

// hidden reports whether a field's value is not to be shown: it is a Secret,
// comes from a file, or is a text under a telltale name.
func hidden(f field) bool {
	if holdsSecret(f.sf.Type) || f.has("file") {
		return true
	}
	switch f.sf.Type {
	case reflect.TypeFor[bool](), reflect.TypeFor[Size]():
		return false
	}
	if k := f.sf.Type.Kind(); k >= reflect.Int && k <= reflect.Float64 {
		return false
	}
	name := strings.ToUpper(f.name)
	return slices.ContainsFunc(telltale, func(part string) bool { return strings.Contains(name, part) })
}

// telltale are parts of names that secrets have. A value hidden in vain costs
// less than one shown by mistake.
var telltale = []string{
	"AUTH", "COOKIE", "CREDENTIAL", "DSN", "KEY", "PASS", "PEPPER", "PRIVATE", "PWD", "SALT", "SECRET", "TOKEN", "WEBHOOK",
}
