package rpc

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// errUnfit is the error of a value that a field cannot hold.
var errUnfit = errors.New("the field cannot hold the value")

// maxDepth bounds how deep values are followed.
const maxDepth = 32

// Fill sets the fields of a message from a JSON value, of what encoding/json
// decodes to. Fields are found by name, whatever the spelling: proto's
// customer_id takes customerId and customer-id too. Members without a field are
// left out; a value that is no object becomes the one field of a message that
// wraps it, as Goa makes them. The error says that a field cannot hold its value,
// such as a text where a number belongs.
func Fill(m protoreflect.Message, value any) error { return fill(m, value, 0) }

func fill(m protoreflect.Message, value any, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: it is nested too deep", errUnfit)
	}
	fields := m.Descriptor().Fields()
	object, ok := value.(map[string]any)
	switch {
	case value == nil:
		return nil
	case !ok && fields.Len() == 1:
		return set(m, fields.Get(0), value, depth)
	case !ok:
		return fmt.Errorf("%w: %s takes an object", errUnfit, m.Descriptor().Name())
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		f := Field(m.Descriptor(), name)
		if f == nil {
			continue
		}
		if err := set(m, f, object[name], depth); err != nil {
			return fmt.Errorf("%s: %w", f.Name(), err)
		}
	}
	return nil
}

// Field returns the field of that name, in whatever spelling; nil for none.
func Field(d protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if f := d.Fields().ByName(protoreflect.Name(name)); f != nil {
		return f
	}
	for i := range d.Fields().Len() {
		if f := d.Fields().Get(i); plainName(string(f.Name())) == plainName(name) {
			return f
		}
	}
	return nil
}

// plainName is a name without case and what separates words.
func plainName(s string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", ".", "").Replace(s))
}

func set(m protoreflect.Message, f protoreflect.FieldDescriptor, value any, depth int) error {
	switch {
	case value == nil:
		return nil
	case f.IsMap():
		return setMap(m, f, value, depth)
	case f.IsList():
		items, ok := value.([]any)
		if !ok {
			return fmt.Errorf("%w: it takes a list", errUnfit)
		}
		list := m.NewField(f).List()
		for _, item := range items {
			v, err := single(f, list.NewElement, item, depth)
			if err != nil {
				return err
			}
			list.Append(v)
		}
		m.Set(f, protoreflect.ValueOfList(list))
		return nil
	}
	v, err := single(f, func() protoreflect.Value { return m.NewField(f) }, value, depth)
	if err == nil {
		m.Set(f, v)
	}
	return err
}

func setMap(m protoreflect.Message, f protoreflect.FieldDescriptor, value any, depth int) error {
	object, ok := value.(map[string]any)
	if !ok {
		return fmt.Errorf("%w: it takes an object", errUnfit)
	}
	entries := m.NewField(f).Map()
	for name, item := range object {
		k, err := mapKey(f.MapKey(), name)
		if err != nil {
			return err
		}
		v, err := single(f.MapValue(), entries.NewValue, item, depth)
		if err != nil {
			return err
		}
		entries.Set(k.MapKey(), v)
	}
	m.Set(f, protoreflect.ValueOfMap(entries))
	return nil
}

// mapKey reads the key of a map, which JSON has as text.
func mapKey(f protoreflect.FieldDescriptor, name string) (protoreflect.Value, error) {
	if f.Kind() == protoreflect.StringKind {
		return protoreflect.ValueOfString(name), nil
	}
	if b, err := strconv.ParseBool(name); err == nil && f.Kind() == protoreflect.BoolKind {
		return protoreflect.ValueOfBool(b), nil
	}
	n, err := strconv.ParseFloat(name, 64)
	if err != nil {
		return protoreflect.Value{}, fmt.Errorf("%w: the key %.20q is no number", errUnfit, name)
	}
	return number(f.Kind(), n)
}

// single makes one value of a field, of a list or of a map; make returns an empty
// message of it.
func single(f protoreflect.FieldDescriptor, make func() protoreflect.Value, value any, depth int) (protoreflect.Value, error) {
	var none protoreflect.Value
	switch f.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		v := make()
		return v, fill(v.Message(), value, depth+1)
	case protoreflect.StringKind:
		if text, ok := value.(string); ok {
			return protoreflect.ValueOfString(text), nil
		}
		return none, fmt.Errorf("%w: it takes a text", errUnfit)
	case protoreflect.BytesKind:
		text, ok := value.(string)
		if !ok {
			return none, fmt.Errorf("%w: it takes bytes", errUnfit)
		}
		if b, err := base64.StdEncoding.DecodeString(text); err == nil {
			return protoreflect.ValueOfBytes(b), nil
		}
		return protoreflect.ValueOfBytes([]byte(text)), nil
	case protoreflect.BoolKind:
		switch b := value.(type) {
		case bool:
			return protoreflect.ValueOfBool(b), nil
		case string: // of a path or a query
			if parsed, err := strconv.ParseBool(b); err == nil {
				return protoreflect.ValueOfBool(parsed), nil
			}
		}
		return none, fmt.Errorf("%w: it takes true or false", errUnfit)
	case protoreflect.EnumKind:
		return enum(f, value)
	}
	switch n := value.(type) {
	case float64:
		return number(f.Kind(), n)
	case string: // of a path or a query
		if parsed, err := strconv.ParseFloat(n, 64); err == nil {
			return number(f.Kind(), parsed)
		}
	}
	return none, fmt.Errorf("%w: it takes a number", errUnfit)
}

func enum(f protoreflect.FieldDescriptor, value any) (protoreflect.Value, error) {
	switch v := value.(type) {
	case string:
		if e := f.Enum().Values().ByName(protoreflect.Name(v)); e != nil {
			return protoreflect.ValueOfEnum(e.Number()), nil
		}
	case float64:
		if v == math.Trunc(v) && v >= 0 && v <= math.MaxInt32 {
			return protoreflect.ValueOfEnum(protoreflect.EnumNumber(v)), nil
		}
	}
	return protoreflect.Value{}, fmt.Errorf("%w: it takes a name of %s", errUnfit, f.Enum().Name())
}

// number makes a number of a kind; the error says that it is out of its range.
func number(kind protoreflect.Kind, n float64) (protoreflect.Value, error) {
	unfit := fmt.Errorf("%w: %v is no %s", errUnfit, n, kind)
	within := func(lo, hi float64) bool { return n == math.Trunc(n) && n >= lo && n < hi }
	switch kind {
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		if within(math.MinInt32, 1<<31) {
			return protoreflect.ValueOfInt32(int32(n)), nil
		}
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		if within(-(1 << 63), 1<<63) {
			return protoreflect.ValueOfInt64(int64(n)), nil
		}
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		if within(0, 1<<32) {
			return protoreflect.ValueOfUint32(uint32(n)), nil
		}
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		if within(0, 1<<64) {
			return protoreflect.ValueOfUint64(uint64(n)), nil
		}
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(float32(n)), nil
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(n), nil
	}
	return protoreflect.Value{}, unfit
}

// Encode returns the message as it goes over the wire, the same each time. Text
// that is not UTF-8 makes it empty.
func Encode(m proto.Message) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil || b == nil {
		return []byte{}
	}
	return b
}
