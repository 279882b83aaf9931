package redact

import (
	"cmp"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
)

// style is the flags of a verb.
type style struct{ plus, sharp bool }

func (s style) verb() string {
	switch {
	case s.sharp:
		return "%#v"
	case s.plus:
		return "%+v"
	}
	return "%v"
}

// printer writes one value. It is not reused.
type printer struct {
	strings.Builder
	style
}

func text(v any, s style, paths []string) string {
	p := &printer{style: s}
	p.write(reflect.ValueOf(v), parse(paths), 0)
	return p.String()
}

// write writes v. At depth 0 v's own methods are the caller's, so they are not
// asked.
func (p *printer) write(v reflect.Value, t tree, depth int) {
	switch {
	case t.all:
		p.mask()
		return
	case depth > maxDepth:
		p.WriteString(tooDeep)
		return
	}
	if depth > 0 {
		var ok bool
		if v, ok = step(v); !ok {
			p.WriteString("<nil>")
			return
		}
		if prints(v) {
			p.own(v.Interface())
			return
		}
	}
	switch v.Kind() {
	case reflect.Struct:
		p.structure(v, t, depth)
	case reflect.Map:
		p.mapping(v, t, depth)
	case reflect.Slice, reflect.Array:
		p.list(v, t, depth)
	default:
		p.leaf(v)
	}
}

// own writes a value whose type says itself how it is printed.
func (p *printer) own(v any) {
	switch v := v.(type) {
	case fmt.Formatter, fmt.GoStringer:
		fmt.Fprintf(p, p.verb(), v)
	case fmt.Stringer, error:
		fmt.Fprintf(p, "%v", v) // %#v would not ask them
	case slog.LogValuer:
		p.WriteString(slog.AnyValue(v).Resolve().String())
	}
}

func (p *printer) mask() {
	if p.sharp {
		fmt.Fprintf(p, "%q", Mask)
		return
	}
	p.WriteString(Mask)
}

func (p *printer) structure(v reflect.Value, t tree, depth int) {
	if p.sharp {
		p.WriteString(v.Type().String())
	}
	p.WriteByte('{')
	for i := range v.NumField() {
		f := v.Type().Field(i)
		p.separate(i)
		if p.plus || p.sharp {
			p.WriteString(f.Name + ":")
		}
		if !f.IsExported() && !t.fields[f.Name].all {
			p.leaf(v.Field(i))
			continue
		}
		p.write(v.Field(i), t.fields[f.Name], depth+1)
	}
	p.WriteByte('}')
}

func (p *printer) mapping(v reflect.Value, t tree, depth int) {
	open, end := "map[", byte(']')
	if p.sharp {
		open, end = v.Type().String()+"{", '}'
	}
	p.WriteString(open)
	for i, k := range sortedKeys(v) {
		p.separate(i)
		p.write(k, tree{}, depth+1)
		p.WriteByte(':')
		p.write(v.MapIndex(k), t, depth+1)
	}
	p.WriteByte(end)
}

func (p *printer) list(v reflect.Value, t tree, depth int) {
	if isBytes(v) {
		fmt.Fprintf(p, "(%d bytes)", v.Len())
		return
	}
	open, end := "[", byte(']')
	if p.sharp {
		open, end = v.Type().String()+"{", '}'
	}
	p.WriteString(open)
	for i := range v.Len() {
		p.separate(i)
		p.write(v.Index(i), t, depth+1)
	}
	p.WriteByte(end)
}

func (p *printer) separate(i int) {
	switch {
	case i == 0:
	case p.sharp:
		p.WriteString(", ")
	default:
		p.WriteByte(' ')
	}
}

// leaf writes a plain value by its kind alone: methods are not asked, and what
// an unexported field refers to is not followed.
func (p *printer) leaf(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if p.sharp {
			fmt.Fprintf(p, "%q", v.String())
			return
		}
		p.WriteString(v.String())
	case reflect.Bool:
		fmt.Fprint(p, v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		fmt.Fprint(p, v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		fmt.Fprint(p, v.Uint())
	case reflect.Float32, reflect.Float64:
		fmt.Fprint(p, v.Float())
	case reflect.Invalid:
		p.WriteString("<nil>")
	default:
		p.WriteString("(" + v.Type().String() + ")")
	}
}

// sortedKeys returns the keys of a map in a stable order.
func sortedKeys(v reflect.Value) []reflect.Value {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int {
		return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b))
	})
	return keys
}
