package transport

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/aguada-dev/aguada/telemetry"
)

// strictBody makes methods of a rig strict.
func strictBody(names ...string) func(*rig) {
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
	r := newRig(t, strictBody("check"))
	const item = `{"sku":"AB-123","quantity":1,"unit_price_cents":1}`
	long := strings.Repeat("x", 65) // longer than what is quoted
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
}
