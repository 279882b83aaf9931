package transport

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/aguada-dev/aguada/telemetry"
	shopsvr "github.com/aguada-dev/aguada/transport/internal/testsvc/gen/http/shop/server"
)

// strict makes methods of a rig strict.
func strict(names ...string) func(*rig) {
	return func(r *rig) {
		for _, n := range names {
			r.policyOf(n).StrictBody = true
		}
	}
}

// checkRequest is a request of check with a body and a valid rest.
func checkRequest(body string) *http.Request {
	req := request("POST", "/check/1", "", body)
	req.Header.Set("X-Pin", "1234")
	return req
}

func TestStrictBody(t *testing.T) {
	lax := newRig(t, nil)
	r := newRig(t, strict("check"))
	const item = `{"sku":"AB-123","quantity":1,"unit_price_cents":1}`
	long := strings.Repeat("x", maxShown+1)
	for name, tt := range map[string]struct {
		body, name, message string
	}{
		"exact":         {`{"name":"bob"}`, "", ""},
		"all":           {`{"name":"bob","email":"a@b.example","amount":1,"codes":["1"],"tags":{"a":1,"b":2},"data":"AA==","item":` + item + `,"any":{"x":[{"y":1}]},"choice":{"type":"item","value":` + item + `}}`, "", ""},
		"unknown":       {`{"name":"bob","nick":"eve"}`, "unknown_field", `the body has a member that the method does not know: "nick"`},
		"case":          {`{"Name":"bob"}`, "unknown_field", `the body has a member that the method does not know: "Name"`},
		"case besides":  {`{"name":"bob","NAME":"eve"}`, "unknown_field", `the body has a member that the method does not know: "NAME"`},
		"folded":        {`{"name":"bob","ſession":1}`, "unknown_field", `the body has a member that the method does not know: "ſession"`},
		"nested":        {`{"name":"bob","item":{"sku":"AB-123","quantity":1,"unit_price_cents":1,"cost":0}}`, "unknown_field", `the body has a member that the method does not know in body.item: "cost"`},
		"in a union":    {`{"name":"bob","choice":{"type":"item","value":{"sku":"AB-123","quantity":1,"unit_price_cents":1,"x":1}}}`, "unknown_field", `the body has a member that the method does not know in body.choice.value: "x"`},
		"union of list": {`{"name":"bob","choice":{"value":[{"sku":"AB-123","quantity":1,"unit_price_cents":1,"x":1}],"type":"list"}}`, "unknown_field", `the body has a member that the method does not know in body.choice.value[*]: "x"`},
		"union's own":   {`{"name":"bob","choice":{"type":"word","value":"a","kind":"b"}}`, "unknown_field", `the body has a member that the method does not know in body.choice: "kind"`},
		"union's case":  {`{"name":"bob","choice":{"type":"word","value":"a","Type":"word"}}`, "unknown_field", `the body has a member that the method does not know in body.choice: "Type"`},
		"twice":         {`{"name":"bob","name":"eve"}`, "duplicate_field", `the body has a member twice: "name"`},
		"twice escaped": {`{"name":"bob","\u006eame":"eve"}`, "duplicate_field", `the body has a member twice: "name"`},
		"key twice":     {`{"name":"bob","tags":{"a":1,"a":2}}`, "duplicate_field", `the body has a member twice in body.tags: "a"`},
		"any twice":     {`{"name":"bob","any":{"x":[{"y":1,"y":2}]}}`, "duplicate_field", `the body has a member twice in body.any[*][*]: "y"`},
		"kind twice":    {`{"name":"bob","choice":{"type":"item","type":"word","value":"a"}}`, "duplicate_field", `the body has a member twice in body.choice: "type"`},
		"header's":      {`{"name":"bob","pin":"1234"}`, "unknown_field", `the body has a member that the method does not know: "pin"`},
		"long":          {`{"name":"bob","` + long + `":1}`, "unknown_field", `the body has a member that the method does not know`},
		"control":       {`{"name":"bob","a\u0007b":1}`, "unknown_field", `the body has a member that the method does not know`},
		"line":          {`{"name":"bob","a\nb":1}`, "unknown_field", `the body has a member that the method does not know`},
		"direction":     {`{"name":"bob","a\u202eb":1}`, "unknown_field", `the body has a member that the method does not know`},
		"empty":         {`{"name":"bob","":1}`, "unknown_field", `the body has a member that the method does not know`},
		"many":          {`{"name":"bob","any":{` + members(40) + `,"m7":1}}`, "duplicate_field", `the body has a member twice in body.any: "m7"`},
		"trailing":      {`{"name":"bob"} {}`, "decode_payload", ""},
		"garbage":       {`{"name":"bob"}]`, "decode_payload", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := r.do(checkRequest(tt.body))
			if tt.name == "" {
				if w.Code != http.StatusOK {
					t.Fatalf("%d %s", w.Code, w.Body)
				}
				return
			}
			got := decoded(t, w)
			if w.Code != http.StatusBadRequest || got["name"] != tt.name || tt.message != "" && got["message"] != tt.message {
				t.Errorf("%d %v\nwant %s: %s", w.Code, got, tt.name, tt.message)
			}
			if line := r.log.last(t); line["error.type"] != tt.name {
				t.Errorf("log: %v", line)
			}
			if w := lax.do(checkRequest(tt.body)); tt.name == "decode_payload" && w.Code != http.StatusBadRequest {
				t.Errorf("trailing data without StrictBody: %d %s", w.Code, w.Body)
			}
		})
	}
}

func members(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"m%d":{}`, i)
	}
	return b.String()
}

// Without StrictBody the same bodies are taken as encoding/json takes them.
func TestLaxBody(t *testing.T) {
	r := newRig(t, nil)
	for _, body := range []string{`{"name":"bob","x":1}`, `{"Name":"bob"}`, `{"name":"bob","name":"eve"}`} {
		if w := r.do(checkRequest(body)); w.Code != http.StatusOK {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
}

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
		if r := strictly([]byte(text), shapeOf(new(recursive))); (r == nil) != ok {
			t.Errorf("%s: %v", text, r)
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
		if json.Unmarshal(data, new(recursive)) != nil || tooDeep(data) {
			return // never gets here
		}
		r := strictly(data, shapeOf(new(recursive)))
		want := reference(json.NewDecoder(strings.NewReader(string(data))), reflect.TypeFor[recursive]())
		if (r != nil) != want {
			t.Fatalf("%q: refused %v, want %t", data, r, want)
		}
		if r != nil && strings.ContainsFunc(r.message, func(c rune) bool { return c < ' ' || c == 0x7f }) {
			t.Fatalf("%q: %q", data, r.message)
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

// BenchmarkDecode shows what StrictBody costs, and that it costs nothing where
// it is off.
func BenchmarkDecode(b *testing.B) {
	for _, on := range []bool{false, true} {
		b.Run(fmt.Sprintf("strict=%t", on), func(b *testing.B) {
			r := newRig(b, func(r *rig) {
				r.cfg.Logger = slog.New(telemetry.NewHandler(io.Discard, telemetry.JSON, nil))
				r.policyOf("create").StrictBody = on
			})
			p, w := newReplay("POST", "/orders", r.token, order), &discard{header: http.Header{}}
			if p.serve(r.h, w); w.status != http.StatusCreated {
				b.Fatalf("status %d", w.status)
			}
			b.ReportAllocs()
			for b.Loop() {
				p.serve(r.h, w)
			}
		})
	}
	shape := shapeOf(new(shopsvr.CreateRequestBody))
	b.Run("scan", func(b *testing.B) {
		data := []byte(order)
		b.ReportAllocs()
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if strictly(data, shape) != nil {
				b.Fatal("refused")
			}
		}
	})
}
