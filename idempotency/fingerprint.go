package idempotency

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
)

// maxDepth bounds how deeply values of a payload contain each other.
// Values of 200 levels of JSON, as deep as the transports decode it, have three
// levels each.
const maxDepth = 1000

// Fingerprint returns the hash of a decoded payload, by which requests under one
// key are told apart: the same for equal payloads, whichever transport brought
// them and however it spelled them. A payload is what Goa makes of a design:
// structs, unions, slices, maps and scalars. It is an error if it contains anything else,
// such as a reader, or itself. Optional fields that a request does not have do
// not count, so that a design may get new ones while clients try again; one with a
// default value always counts.
//
// The fields of the payload, named in Go, that except lists are left out: those
// that hold credentials, which a client may renew between two attempts.
func Fingerprint(payload any, except ...string) (print [32]byte, err error) {
	v := reflect.ValueOf(payload)
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	p := printer{except: except}
	b, err := p.value(nil, v, 0)
	if err != nil {
		return print, fmt.Errorf("fingerprint payload: %w", err)
	}
	return sha256.Sum256(b), nil
}

// printer writes values so that different ones never become the same bytes:
// each begins with its kind, and what varies in length with its length.
type printer struct{ except []string }

func (p *printer) value(b []byte, v reflect.Value, depth int) ([]byte, error) {
	if !v.IsValid() {
		return append(b, 0), nil
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("it is more than %d levels deep", maxDepth)
	}
	b = append(b, byte(v.Kind())+1)
	switch v.Kind() {
	case reflect.Bool:
		if v.Bool() {
			return append(b, 1), nil
		}
		return append(b, 0), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return binary.BigEndian.AppendUint64(b, uint64(v.Int())), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return binary.BigEndian.AppendUint64(b, v.Uint()), nil
	case reflect.Float32, reflect.Float64:
		return binary.BigEndian.AppendUint64(b, math.Float64bits(v.Float())), nil
	case reflect.String:
		return appendText(b, v.String()), nil
	case reflect.Pointer:
		if v.IsNil() {
			return append(b, 0), nil
		}
		return p.value(append(b, 1), v.Elem(), depth+1)
	case reflect.Interface:
		if v.IsNil() {
			return append(b, 0), nil
		}
		return p.value(appendText(append(b, 1), v.Elem().Type().String()), v.Elem(), depth+1)
	case reflect.Slice, reflect.Array:
		return p.list(b, v, depth)
	case reflect.Map:
		return p.mapping(b, v, depth)
	case reflect.Struct:
		return p.structure(b, v, depth)
	}
	return nil, fmt.Errorf("a %s has no fingerprint", v.Type())
}

func (p *printer) list(b []byte, v reflect.Value, depth int) (_ []byte, err error) {
	if v.Kind() == reflect.Slice && v.IsNil() {
		return append(b, 0), nil
	}
	b = binary.AppendUvarint(append(b, 1), uint64(v.Len()))
	if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 {
		return append(b, v.Bytes()...), nil
	}
	for i := range v.Len() {
		if b, err = p.value(b, v.Index(i), depth+1); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// mapping writes the entries in the order of what their keys become.
func (p *printer) mapping(b []byte, v reflect.Value, depth int) (_ []byte, err error) {
	if v.IsNil() {
		return append(b, 0), nil
	}
	type entry struct {
		key   []byte
		value reflect.Value // copied but once, however deep it is
	}
	entries := make([]entry, 0, v.Len())
	for it := v.MapRange(); it.Next(); {
		e := entry{value: it.Value()}
		if e.key, err = p.value(nil, it.Key(), depth+1); err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(x, y entry) int { return bytes.Compare(x.key, y.key) })
	b = binary.AppendUvarint(append(b, 1), uint64(len(entries)))
	for _, e := range entries {
		if b, err = p.value(append(b, e.key...), e.value, depth+1); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (p *printer) structure(b []byte, v reflect.Value, depth int) (_ []byte, err error) {
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() && (i > 0 || !union(t)) {
			return p.opaque(b, v)
		}
		field := v.Field(i)
		if absent(field) || depth == 0 && slices.Contains(p.except, f.Name) {
			continue
		}
		b = appendText(append(b, 1), f.Name)
		if b, err = p.value(b, field, depth+1); err != nil {
			return nil, err
		}
	}
	return append(b, 0), nil
}

// union reports whether a type is what Goa makes of a OneOf: values of which one
// is set, after a hidden field that says which.
func union(t reflect.Type) bool {
	first := t.Field(0)
	return first.Name == "kind" && first.Type.Kind() == reflect.String && t.Implements(reflect.TypeFor[json.Marshaler]())
}

// absent reports whether a field is one that its request does not have.
func absent(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Slice, reflect.Map:
		return v.IsNil()
	}
	return false
}

// opaque writes a struct that hides its fields, such as a time.Time, as it
// writes itself.
func (p *printer) opaque(b []byte, v reflect.Value) ([]byte, error) {
	m, ok := v.Interface().(encoding.TextMarshaler)
	if !ok {
		return nil, fmt.Errorf("a %s has no fingerprint", v.Type())
	}
	text, err := m.MarshalText()
	if err != nil {
		return nil, err
	}
	return appendText(append(b, 2), string(text)), nil
}
