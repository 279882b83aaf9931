package object_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aguada-dev/aguada/auth/internal/object"
)

func TestDecode(t *testing.T) {
	want := map[string]any{"a": []any{1.5, nil, true, map[string]any{}}, "A": "é"}
	got, err := object.Decode([]byte(` {"a":[1.5,null,true,{}],"A":"\u00e9"} `))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := object.Decode([]byte(strings.Repeat(`{"a":`, 16) + "1" + strings.Repeat("}", 16))); err != nil {
		t.Errorf("16 levels: %v", err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":             "",
		"null":                "null",
		"list":                "[]",
		"text":                `"a"`,
		"cut":                 `{"a":1`,
		"second value":        "{}{}",
		"trailing garbage":    "{}x",
		"trailing NUL":        "{}\x00",
		"byte order mark":     "\ufeff{}",
		"not UTF-8":           "{\"a\":\"\xff\"}",
		"duplicate":           `{"a":1,"a":1}`,
		"duplicate by escape": `{"sub":1,"s\u0075b":1}`,
		"duplicate deep down": `{"a":[{"b":1,"b":2}]}`,
		"two lost halves":     `{"\ud800":1,"\ud801":1}`,
		"number too large":    `{"a":1e999}`,
		"not a number":        `{"a":NaN}`,
		"too deep":            strings.Repeat(`{"a":`, 17) + "1" + strings.Repeat("}", 17),
		"far too deep":        `{"a":` + strings.Repeat("[", 1<<16),
	} {
		if got, err := object.Decode([]byte(text)); err == nil || got != nil {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}

// What is taken says to encoding/json what it says to us.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"a":[1.5,null,true,{}],"A":"\u00e9"}`))
	f.Add([]byte(`{"sub":1,"s\u0075b":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := object.Decode(data)
		if err != nil {
			return
		}
		var want map[string]any
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-encoding/json +got):\n%s", diff)
		}
	})
}
