package rpc

import (
	"encoding/json"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"pgregory.net/rapid"
)

// order is a message type as Goa makes them.
func order(t testing.TB) protoreflect.MessageDescriptor {
	t.Helper()
	field := func(name string, n int32, kind descriptorpb.FieldDescriptorProto_Type, label descriptorpb.FieldDescriptorProto_Label, of string) *descriptorpb.FieldDescriptorProto {
		f := &descriptorpb.FieldDescriptorProto{Name: &name, Number: &n, Type: &kind, Label: &label}
		if of != "" {
			f.TypeName = &of
		}
		return f
	}
	const (
		one   = descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL
		many  = descriptorpb.FieldDescriptorProto_LABEL_REPEATED
		text  = descriptorpb.FieldDescriptorProto_TYPE_STRING
		small = descriptorpb.FieldDescriptorProto_TYPE_SINT32
		large = descriptorpb.FieldDescriptorProto_TYPE_UINT64
		yes   = descriptorpb.FieldDescriptorProto_TYPE_BOOL
		real  = descriptorpb.FieldDescriptorProto_TYPE_DOUBLE
		bytes = descriptorpb.FieldDescriptorProto_TYPE_BYTES
		other = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE
	)
	file := &descriptorpb.FileDescriptorProto{
		Name: proto.String("order.proto"), Package: proto.String("shop"), Syntax: proto.String("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{
			{
				Name: proto.String("Order"),
				Field: []*descriptorpb.FieldDescriptorProto{
					field("customer_id", 1, text, one, ""), field("quantity", 2, small, one, ""), field("total", 3, large, one, ""),
					field("gift", 4, yes, one, ""), field("rate", 5, real, one, ""), field("picture", 6, bytes, one, ""),
					field("items", 7, other, many, ".shop.Item"), field("tags", 8, other, many, ".shop.Order.TagsEntry"), field("within", 9, other, one, ".shop.Order"),
				},
				NestedType: []*descriptorpb.DescriptorProto{{
					Name: proto.String("TagsEntry"), Options: &descriptorpb.MessageOptions{MapEntry: proto.Bool(true)},
					Field: []*descriptorpb.FieldDescriptorProto{field("key", 1, small, one, ""), field("value", 2, text, one, "")},
				}},
			},
			{Name: proto.String("Item"), Field: []*descriptorpb.FieldDescriptorProto{field("field", 1, text, many, "")}},
		},
	}
	f, err := protodesc.NewFile(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f.Messages().ByName("Order")
}

func TestFill(t *testing.T) {
	m := dynamicpb.NewMessage(order(t))
	var v any
	text := `{"customerId":"c","quantity":"2","total":7,"gift":true,"rate":0.5,"picture":"AAE=","items":[["a","b"],["c"]],"tags":{"1":"x"},"within":{"customer-id":"d"},"unknown":1,"note":null}`
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	if err := Fill(m, v); err != nil {
		t.Fatal(err)
	}
	back := dynamicpb.NewMessage(m.Descriptor())
	if err := proto.Unmarshal(Encode(m), back); err != nil || !proto.Equal(m, back) {
		t.Fatalf("%v: %v became %v", err, m, back)
	}
	get := func(name string) protoreflect.Value { return m.Get(Field(m.Descriptor(), name)) }
	if get("customer_id").String() != "c" || get("quantity").Int() != 2 || get("total").Uint() != 7 || !get("gift").Bool() || get("rate").Float() != 0.5 ||
		string(get("picture").Bytes()) != "\x00\x01" || get("items").List().Len() != 2 || get("tags").Map().Len() != 1 {
		t.Errorf("message %v", m)
	}
	if within := get("within").Message(); within.Get(within.Descriptor().Fields().ByName("customer_id")).String() != "d" {
		t.Errorf("within %v", within)
	}
}

// What a field cannot hold is an error, and never something else that it can.
func TestFillUnfit(t *testing.T) {
	for _, v := range []any{
		map[string]any{"customer_id": 1.0}, map[string]any{"quantity": 1.5}, map[string]any{"quantity": 3e9}, map[string]any{"total": -1.0},
		map[string]any{"total": 1.8446744073709552e19}, map[string]any{"quantity": "two"}, map[string]any{"gift": "maybe"}, map[string]any{"items": "x"},
		map[string]any{"tags": map[string]any{"x": "y"}}, map[string]any{"tags": []any{}}, map[string]any{"within": []any{}}, map[string]any{"picture": 1.0}, "text", []any{}, 1.0,
	} {
		if err := Fill(dynamicpb.NewMessage(order(t)), v); !errors.Is(err, errUnfit) {
			t.Errorf("%v: %v", v, err)
		}
	}
	deep := any("x")
	for range 100 {
		deep = map[string]any{"within": deep}
	}
	if err := Fill(dynamicpb.NewMessage(order(t)), deep); !errors.Is(err, errUnfit) {
		t.Errorf("nested deep: %v", err)
	}
}

// Numbers are the same after as before, or refused.
func TestFillNumbers(t *testing.T) {
	d := order(t)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Float64().Draw(t, "n")
		for _, name := range []string{"quantity", "total", "rate"} {
			m := dynamicpb.NewMessage(d)
			if Fill(m, map[string]any{name: n}) != nil {
				continue
			}
			f := d.Fields().ByName(protoreflect.Name(name))
			var got float64
			switch v := m.Get(f).Interface().(type) {
			case int32:
				got = float64(v)
			case uint64:
				got = float64(v)
			case float64:
				got = v
			}
			if got != n && n == n {
				t.Errorf("%s: %v became %v", name, n, got)
			}
		}
	})
}

func FuzzFill(f *testing.F) {
	d := order(f)
	f.Add([]byte(`{"items":[["a"]],"tags":{"1":"x"},"within":{"within":{}}}`))
	f.Add([]byte(`[1,null,{"quantity":1e400}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var v any
		if json.Unmarshal(text, &v) != nil {
			return
		}
		m := dynamicpb.NewMessage(d)
		if Fill(m, v) == nil && proto.Unmarshal(Encode(m), dynamicpb.NewMessage(d)) != nil {
			t.Errorf("%s makes a message that nobody can read", text)
		}
	})
}
