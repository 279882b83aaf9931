package strict

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/aguada-dev/aguada/transport/internal/jsonscan"
	shopsvr "github.com/aguada-dev/aguada/transport/internal/testsvc/gen/http/shop/server"
)

const order = `{"customer_id":"2c7f4a1e-7d2c-4f3a-9d58-0c1f6a1f2b11","currency":"EUR","items":[` +
	`{"sku":"AB-1234","quantity":2,"unit_price_cents":1250},{"sku":"CD-987","quantity":1,"unit_price_cents":99}],"note":"ring twice"}`

// recursive holds itself, by all ways.
type recursive struct {
	recursiveBase
	Self  *recursive             `json:"self"`
	List  []*recursive           `json:"list"`
	Map   map[string][]recursive `json:"map"`
	Raw   json.RawMessage        `json:"raw"`
	Skip  string                 `json:"-"`
	Plain string
	own   string
}

type recursiveBase struct {
	*recursiveBase
	Base string `json:"base,omitempty"`
}

func TestShapes(t *testing.T) {
	_, _ = recursive{}.own, recursiveBase{}.recursiveBase
	for text, ok := range map[string]bool{
		`{"self":{"self":{"list":[{"map":{"x":[{"base":"b"}]}}]}}}`: true,
		`{"self":{"self":{"list":[{"map":{"x":[{"bose":"b"}]}}]}}}`: false,
		`{"raw":{"anything":{"at":"all"}},"Plain":"x"}`:             true,
		`{"raw":{"a":1,"a":1}}`:                                     false,
		`{"Skip":"x"}`:                                              false,
		`{"-":"x"}`:                                                 false,
		`{"own":"x"}`:                                               false,
		`{"plain":"x"}`:                                             false,
		`[1,2,{"a":"\"}"},"]",-1.5e3 , true,null]`:                  true,
		`{"self":{},"list":[ ],"map":{"\\":[]} , "raw" : "\\\"", "base":""}`: true,
		`null`:        true,
		`"{\"x\":1}"`: true,
	} {
		if v := Check([]byte(text), new(recursive)); (v == nil) != ok {
			t.Errorf("%s: %v", text, v)
		}
	}
	if s := shapeOf(new(shopsvr.CheckRequestBody)); s.members["choice"].branches["list"].elem.members["sku"] == nil || s.members["choice"].value != "value" {
		t.Errorf("union: %+v", s.members["choice"])
	}
}

// FuzzStrict compares with encoding/json: what it decodes without unknown
// members and without members twice is taken, all else is refused, whatever
// the text.
func FuzzStrict(f *testing.F) {
	for _, s := range []string{
		order, `{"name":"bob"}`, `{"nick":1}`, `{"self":{"self":{}}}`, `{"self":{"x":1}}`, `{"list":[{"base":"x"},{"y":[]}]}`, `{"raw":{"a":1,"a":2}}`,
		`{"map":{"a":[{}],"a":[]}}`, `[[{"a":{}}]]`, `{"\u0062ase":"x","base":"y"}`, `{"base":"\ud800"}`, `{"a\\":1,"a\\":2}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if json.Unmarshal(data, new(recursive)) != nil || jsonscan.TooDeep(data) {
			return // never gets here
		}
		v := Check(data, new(recursive))
		want := reference(json.NewDecoder(strings.NewReader(string(data))), reflect.TypeFor[recursive]())
		if (v != nil) != want {
			t.Fatalf("%q: refused %v, want %t", data, v, want)
		}
		if v != nil && strings.ContainsFunc(v.Message, func(c rune) bool { return c < ' ' || c == 0x7f }) {
			t.Fatalf("%q: %q", data, v.Message)
		}
	})
}

// reference reports whether the next value has an unknown member or one twice,
// by encoding/json's tokens.
func reference(dec *json.Decoder, typ reflect.Type) bool {
	for typ != nil && typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	tok, err := dec.Token()
	if err != nil {
		return false
	}
	switch tok {
	case json.Delim('['):
		var elem reflect.Type
		if typ != nil && typ.Kind() == reflect.Slice && typ != reflect.TypeFor[json.RawMessage]() {
			elem = typ.Elem()
		}
		bad := false
		for dec.More() {
			bad = reference(dec, elem) || bad
		}
		_, _ = dec.Token()
		return bad
	case json.Delim('{'):
		bad, seen := false, map[string]bool{}
		for dec.More() {
			tok, _ := dec.Token()
			name, _ := tok.(string)
			bad = bad || seen[name]
			seen[name] = true
			var member reflect.Type
			switch {
			case typ == reflect.TypeFor[recursive]():
				known := map[string]reflect.Type{
					"base": nil, "self": typ, "list": reflect.TypeFor[[]recursive](), "map": reflect.TypeFor[map[string][]recursive](), "raw": nil, "Plain": nil,
				}
				var ok bool
				if member, ok = known[name]; !ok {
					bad = true
				}
			case typ != nil && typ.Kind() == reflect.Map:
				member = typ.Elem()
			}
			bad = reference(dec, member) || bad
		}
		_, _ = dec.Token()
		return bad
	}
	return false
}

// BenchmarkCheck is what StrictBody costs a body, beside its decoding.
func BenchmarkCheck(b *testing.B) {
	data, v := []byte(order), new(shopsvr.CreateRequestBody)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if Check(data, v) != nil {
			b.Fatal("refused")
		}
	}
}
