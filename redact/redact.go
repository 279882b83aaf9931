// Package redact prints values with their secrets masked.
//
// The generator gives every type of a design that holds something sensitive
// two methods that call this package, so that fmt and log/slog print the type
// masked wherever it turns up:
//
//	func (v CreatePayload) LogValue() slog.Value          { return redact.LogValue(v, "Card") }
//	func (v CreatePayload) Format(f fmt.State, verb rune) { redact.Format(f, verb, v, "Card") }
//
// What is masked is named by paths of Go field names. "Card" masks a field,
// "Owner.Pin" a field of an unnamed struct, also through pointers, slices and
// maps, and [All] the whole value. Values of named types mask themselves by
// their own methods.
//
// The package does not guess: it looks at no value to find out whether it is a
// secret, and it changes no value. It does not reach what is printed without
// asking the type: encoding/json, and unexported fields of the user's own
// structs. A value that contains itself through types with such methods cannot
// be printed, as Goa cannot encode it.
package redact

import (
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"strings"
)

// Mask is what is printed instead of a secret.
const Mask = "[redacted]"

// All is the path of the value itself.
const All = "*"

// Format prints v as fmt does, without the secrets at paths. The verb s, and
// every other one, prints like v, so that a mistaken verb shows nothing more;
// the flags + and # mean what they mean to fmt. Pointers are followed, bytes
// are printed as their number. An error prints its message, except with a flag.
//
// It is meant to be called by the Format method of v's type.
func Format(f fmt.State, _ rune, v any, paths ...string) {
	s := style{plus: f.Flag('+'), sharp: f.Flag('#')}
	if msg, ok := message(v); ok && !s.plus && !s.sharp {
		io.WriteString(f, msg) //nolint:errcheck // as fmt: State keeps no errors
		return
	}
	io.WriteString(f, text(v, s, paths)) //nolint:errcheck // as above
}

// String returns what [Format] prints for %v. It is for types that cannot have
// a method Format.
func String(v any, paths ...string) string { return text(v, style{}, paths) }

// GoString returns what [Format] prints for %#v.
func GoString(v any, paths ...string) string { return text(v, style{sharp: true}, paths) }

// LogValue returns v for log/slog without the secrets at paths: a struct
// becomes a group with an attribute per exported field, the rest plain values.
//
// It is meant to be called by the LogValue method of v's type.
func LogValue(v any, paths ...string) slog.Value {
	return logValue(reflect.ValueOf(v), parse(paths), 0)
}

// message returns the text of an error type, whose method Goa declares on the
// pointer.
func message(v any) (string, bool) {
	if err, ok := v.(error); ok {
		return err.Error(), true
	}
	t := reflect.TypeOf(v)
	if t == nil || !reflect.PointerTo(t).Implements(reflect.TypeFor[error]()) {
		return "", false
	}
	p := reflect.New(t)
	p.Elem().Set(reflect.ValueOf(v))
	return p.Interface().(error).Error(), true
}

// paths is a tree of field names; the leaf of a masked field is all.
type tree struct {
	all    bool
	fields map[string]tree
}

func parse(paths []string) tree {
	var t tree
	for _, p := range paths {
		if p == All {
			return tree{all: true}
		}
		t = t.with(strings.Split(p, "."))
	}
	return t
}

func (t tree) with(path []string) tree {
	if len(path) == 0 || t.all {
		return tree{all: true}
	}
	if t.fields == nil {
		t.fields = make(map[string]tree)
	}
	t.fields[path[0]] = t.fields[path[0]].with(path[1:])
	return t
}

// maxDepth bounds how deep values are printed: a value can contain itself.
const maxDepth = 32

const tooDeep = "..."

// step takes what needs no look inside off v: pointers and interfaces. It
// reports false for nil.
func step(v reflect.Value) (reflect.Value, bool) {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() || prints(v) {
			return v, !v.IsNil()
		}
		v = v.Elem()
	}
	return v, v.IsValid()
}

// prints reports whether v's type says itself how it is printed. A nested type
// of the design that holds secrets does.
func prints(v reflect.Value) bool {
	if !v.IsValid() || !v.CanInterface() {
		return false
	}
	switch v.Interface().(type) {
	case slog.LogValuer, fmt.Formatter, fmt.Stringer, error:
		return true
	}
	return false
}

func isBytes(v reflect.Value) bool {
	k := v.Kind()
	return (k == reflect.Slice || k == reflect.Array) && v.Type().Elem().Kind() == reflect.Uint8
}
