package config

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// Row is one variable of the reference.
type Row struct {
	Name     string `json:"name"`
	Type     string `json:"type"`     // the form of its value
	Default  string `json:"default"`  // "" for none
	Required string `json:"required"` // "yes" or "no"
	Meaning  string `json:"meaning"`
	Value    string `json:"value"`  // present value; "[redacted]", or "(invalid)" for one that was refused
	Source   string `json:"source"` // "default", "environment" or "file PATH"
}

// Reference describes every variable that [Load] would read from environ, in
// the order of the fields, ours first. It also describes what is not valid. It
// changes no field of the structs that extra points to; structs that those
// hold by pointers are filled.
//
// Values of secrets are never in it. For the user's own fields those are of
// type [Secret], come from a file, look like a URL or a data source name with a
// password, or are texts whose name says so (it holds KEY, TOKEN, PASS, SECRET
// or the like).
func Reference(environ []string, needs Needs, extra ...any) []Row {
	copies := make([]any, len(extra))
	for i, e := range extra {
		copies[i] = e
		if v := reflect.ValueOf(e); v.Kind() == reflect.Pointer && !v.IsNil() {
			c := reflect.New(v.Type().Elem())
			c.Elem().Set(v.Elem())
			copies[i] = c.Interface()
		}
	}
	l := load(new(Config), environ, needs, copies)
	seen := make(map[string]bool)
	var rows []Row
	for _, f := range l.fields {
		if !seen[f.name] {
			seen[f.name] = true
			rows = append(rows, l.row(f, needs))
		}
	}
	return rows
}

func (l *loader) row(f *field, needs Needs) Row {
	r := Row{
		Name:     f.name,
		Type:     f.typeName(),
		Default:  f.sf.Tag.Get("envDefault"),
		Required: f.requirement(needs),
		Meaning:  f.sf.Tag.Get("doc"),
		Value:    f.value,
		Source:   "default",
	}
	if f.fileable() {
		r.Meaning = strings.TrimSpace(r.Meaning + " (or " + f.name + fileSuffix + ": a file that holds it)")
	}
	if r.Default != "" && (f.secret || hasPassword(r.Default)) {
		r.Default = redacted
	}
	if v, set := l.env[f.name]; v != "" || set && r.Value == "" {
		r.Source = "environment"
		if r.Value == "" {
			r.Value = l.env[f.name] // it could not be read
		}
	}
	if path := l.files[f.name]; path != "" {
		r.Source = "file " + path
		if l.refused(f.name + fileSuffix) {
			r.Value, r.Source = "(invalid)", "file" // the path may be the secret itself
			return r
		}
	}
	switch {
	case r.Value == "":
	case l.refused(f.name):
		r.Value = "(invalid)"
	case f.secret || hasPassword(r.Value):
		r.Value = redacted
	}
	return r
}

// hasPassword reports whether s looks as if a password were in it: as a URL or
// a data source name has one, before an @ and after a colon, anywhere in a list
// or a map, or as a parameter.
func hasPassword(s string) bool {
	user := s[:max(strings.LastIndexByte(s, '@'), 0)]
	return strings.Contains(user, ":") || strings.Contains(strings.ToLower(s), "password=")
}

// requirement says whether the variable has to be set.
func (f *field) requirement(needs Needs) string {
	need := false
	if f.ours {
		switch f.name {
		case "DATABASE_URL":
			need = needs.Database
		case "IDEMPOTENCY_SECRET":
			need = needs.Idempotency
		case "AUTH_USERS_FILE":
			need = needs.Basic
		case "AUTH_API_KEYS_FILE", "AUTH_API_KEYS_PEPPER":
			need = needs.APIKey
		case "AUTH_ISSUER", "AUTH_AUDIENCE":
			need = needs.JWT || needs.Token
		}
	}
	if need || f.required && !f.hasDefault() {
		return "yes"
	}
	return "no"
}

// typeName names the form of the field's value.
func (f *field) typeName() string {
	if kind := f.sf.Tag.Get("kind"); kind != "" {
		return kind
	}
	if holdsSecret(f.sf.Type) {
		return "secret"
	}
	name, _, _ := describe(f.sf.Type)
	return name
}

// form says what the field's value has to be, with an example.
func (f *field) form() (what, example string) {
	_, what, example = describe(f.sf.Type)
	return what, example
}

// describe names a type for the reference and for errors.
func describe(t reflect.Type) (name, what, example string) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[time.Duration]():
		return "duration", "a duration", "a number with a unit, such as 30s or 2m"
	case reflect.TypeFor[Size]():
		return "size", "a size", "a number with a unit, such as 1MiB, or a number of bytes"
	case reflect.TypeFor[slog.Level]():
		return "level", "a level", "debug, info, warn or error"
	case reflect.TypeFor[url.URL]():
		return "url", "a URL", "one such as https://example.com/"
	case reflect.TypeFor[time.Location]():
		return "time zone", "a time zone", "a name such as Europe/Lisbon"
	}
	custom := reflect.PointerTo(t).Implements(reflect.TypeFor[interface{ UnmarshalText([]byte) error }]())
	switch k := t.Kind(); {
	case custom:
		return t.String(), "a " + t.String(), "a text of that form"
	case k == reflect.Bool:
		return "boolean", "a boolean", "true or false"
	case k >= reflect.Int && k <= reflect.Uintptr:
		of := k.String()
		if k == reflect.Int || k == reflect.Uint {
			of += "32" // whatever the machine, package env reads 32 bits
		}
		return "integer", "a whole number in the range of " + of, "one"
	case k == reflect.Float32 || k == reflect.Float64:
		return "number", "a number", "one, such as 0.5"
	case k == reflect.String:
		return "text", "a text", "one"
	case k == reflect.Slice:
		of, _, _ := describe(t.Elem())
		return "list of " + of, "a list of " + of, "values with a comma between them"
	case k == reflect.Map:
		return "map", "a map", "entries such as a:1,b:2"
	}
	return t.String(), "of type " + t.String() + ", which cannot be read", "a type with an UnmarshalText method, in the code"
}

// WriteTable writes the reference for a terminal, aligned, one line per row.
// Values with control characters are quoted.
func WriteTable(w io.Writer, rows []Row) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tTYPE\tDEFAULT\tREQUIRED\tVALUE\tSOURCE\tMEANING")
	for _, r := range rows {
		cells := []string{r.Name, r.Type, r.Default, r.Required, r.Value, r.Source, r.Meaning}
		for i, c := range cells {
			switch {
			case c == "":
				cells[i] = "-"
			case strings.ContainsFunc(c, func(r rune) bool { return !unicode.IsPrint(r) }):
				cells[i] = strconv.Quote(c)
			}
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

// WriteJSON writes the reference as a JSON array.
func WriteJSON(w io.Writer, rows []Row) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(rows)
}
