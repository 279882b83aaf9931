package redact

import (
	"fmt"
	"log/slog"
	"reflect"
	"time"
)

// logValue returns v for slog. At depth 0 v's own methods are the caller's.
func logValue(v reflect.Value, t tree, depth int) slog.Value {
	switch {
	case t.all:
		return slog.StringValue(Mask)
	case depth > maxDepth:
		return slog.StringValue(tooDeep)
	}
	if depth > 0 {
		var ok bool
		if v, ok = step(v); !ok {
			return slog.AnyValue(nil)
		}
		if prints(v) {
			return ownValue(v.Interface())
		}
	}
	switch v.Kind() {
	case reflect.Struct:
		var attrs []slog.Attr
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				attrs = append(attrs, slog.Attr{Key: f.Name, Value: logValue(v.Field(i), t.fields[f.Name], depth+1)})
			}
		}
		return slog.GroupValue(attrs...)
	case reflect.Slice, reflect.Array:
		if isBytes(v) {
			return slog.StringValue(fmt.Sprintf("(%d bytes)", v.Len()))
		}
		list := make([]any, v.Len())
		for i := range list {
			list[i] = plain(logValue(v.Index(i), t, depth+1))
		}
		return slog.AnyValue(list)
	case reflect.Map:
		m := make(map[string]any, v.Len())
		for _, k := range v.MapKeys() {
			var key printer
			key.write(k, tree{}, depth+1) // a key may be of a type that masks itself
			m[key.String()] = plain(logValue(v.MapIndex(k), t, depth+1))
		}
		return slog.AnyValue(m)
	}
	return leafValue(v)
}

// ownValue returns the value of a type that says itself how it is printed.
func ownValue(v any) slog.Value {
	switch v := v.(type) {
	case slog.LogValuer:
		return slog.AnyValue(v).Resolve()
	case time.Time:
		return slog.TimeValue(v)
	case time.Duration:
		return slog.DurationValue(v)
	}
	return slog.StringValue(fmt.Sprint(v))
}

func leafValue(v reflect.Value) slog.Value {
	switch v.Kind() {
	case reflect.String:
		return slog.StringValue(v.String())
	case reflect.Bool:
		return slog.BoolValue(v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return slog.Int64Value(v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return slog.Uint64Value(v.Uint())
	case reflect.Float32, reflect.Float64:
		return slog.Float64Value(v.Float())
	case reflect.Invalid:
		return slog.AnyValue(nil)
	}
	return slog.StringValue("(" + v.Type().String() + ")")
}

// plain returns v as the data that handlers encode: inside a list or a map
// they resolve nothing.
func plain(v slog.Value) any {
	v = v.Resolve()
	if v.Kind() != slog.KindGroup {
		return v.Any()
	}
	m := make(map[string]any)
	for _, a := range v.Group() {
		m[a.Key] = plain(a.Value)
	}
	return m
}
