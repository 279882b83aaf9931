package payload

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/aguada-dev/aguada/prove/model"
)

// members are a JSON object.
type members = map[string]any

// body returns the schema as the model has it, by way of a document.
func body(t testing.TB, schema members, components members) *model.Schema {
	t.Helper()
	text, err := json.Marshal(members{
		"openapi": "3.0.3", "info": members{"title": "t", "version": "1"},
		"paths":      members{"/x": members{"post": members{"operationId": "s#m", "requestBody": members{"content": members{"application/json": members{"schema": schema}}}, "responses": members{}}}},
		"components": members{"schemas": components},
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := model.Read(nil, text)
	if err != nil {
		t.Fatal(err)
	}
	return s.Methods[0].Body
}

// checker is a second reading of JSON Schema, of the document and not of the
// model, by which the values are judged.
type checker struct{ components members }

func (c checker) check(schema members, v any, at string) error {
	if ref, ok := schema["$ref"].(string); ok {
		target, _ := c.components[ref[strings.LastIndex(ref, "/")+1:]].(members)
		return c.check(target, v, at)
	}
	if list, ok := schema["enum"].([]any); ok && !slices.ContainsFunc(list, func(x any) bool { return cmp.Equal(x, v) }) {
		return fmt.Errorf("%s: %v is none of %v", at, v, list)
	}
	kind, _ := schema["type"].(string)
	switch x := v.(type) {
	case string:
		if kind != "string" {
			return fmt.Errorf("%s: a text, not %s", at, kind)
		}
		return c.text(schema, x, at)
	case float64:
		if kind != "number" && (kind != "integer" || x != math.Trunc(x)) {
			return fmt.Errorf("%s: %v, not %s", at, x, kind)
		}
		return c.number(schema, x, at)
	case bool:
		if kind != "boolean" {
			return fmt.Errorf("%s: a boolean, not %s", at, kind)
		}
	case []any:
		if kind != "array" {
			return fmt.Errorf("%s: a list, not %s", at, kind)
		}
		if err := c.between(schema, "minItems", "maxItems", float64(len(x)), at); err != nil {
			return err
		}
		for i := range x {
			if err := c.check(schema["items"].(members), x[i], fmt.Sprintf("%s/%d", at, i)); err != nil {
				return err
			}
		}
	case members:
		if kind != "object" {
			return fmt.Errorf("%s: an object, not %s", at, kind)
		}
		return c.object(schema, x, at)
	default:
		return fmt.Errorf("%s: a %T", at, v)
	}
	return nil
}

func (c checker) object(schema, x members, at string) error {
	properties, _ := schema["properties"].(members)
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, ok := x[name.(string)]; !ok {
			return fmt.Errorf("%s: no %s", at, name)
		}
	}
	for name, v := range x {
		s, ok := properties[name].(members)
		if !ok && schema["additionalProperties"] == false {
			return fmt.Errorf("%s: %s is unknown", at, name)
		}
		if ok {
			if err := c.check(s, v, at+"/"+name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c checker) between(schema members, least, most string, n float64, at string) error {
	if lo, ok := schema[least].(float64); ok && n < lo {
		return fmt.Errorf("%s: %v is less than %s %v", at, n, least, lo)
	}
	if hi, ok := schema[most].(float64); ok && n > hi {
		return fmt.Errorf("%s: %v is more than %s %v", at, n, most, hi)
	}
	return nil
}

func (c checker) number(schema members, x float64, at string) error {
	if schema["exclusiveMinimum"] == true && x == schema["minimum"] || schema["exclusiveMaximum"] == true && x == schema["maximum"] {
		return fmt.Errorf("%s: %v is the limit, which is out", at, x)
	}
	return c.between(schema, "minimum", "maximum", x, at)
}

// forms are the formats, strictly enough to refuse what the package calls wrong.
var forms = map[string]func(string) bool{
	"uuid":      regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).MatchString,
	"email":     regexp.MustCompile(`^[^@ ]+@[^@ ]+$`).MatchString,
	"date":      func(v string) bool { _, err := time.Parse(time.DateOnly, v); return err == nil },
	"date-time": func(v string) bool { _, err := time.Parse(time.RFC3339, v); return err == nil },
	"ipv4":      regexp.MustCompile(`^((25[0-5]|2[0-4]\d|1?\d?\d)(\.|$)){4}$`).MatchString,
	"json":      func(v string) bool { return json.Valid([]byte(v)) },
	"regexp":    func(v string) bool { _, err := regexp.Compile(v); return err == nil },
}

func (c checker) text(schema members, x, at string) error {
	if err := c.between(schema, "minLength", "maxLength", float64(utf8.RuneCountInString(x)), at); err != nil {
		return err
	}
	if p, ok := schema["pattern"].(string); ok && !regexp.MustCompile(p).MatchString(x) {
		return fmt.Errorf("%s: %q does not match %s", at, x, p)
	}
	if f, ok := schema["format"].(string); ok && forms[f] != nil && !forms[f](x) {
		return fmt.Errorf("%s: %q is no %s", at, x, f)
	}
	return nil
}

// drawn draws a schema as designs have them.
func drawn(t *rapid.T, depth int) members {
	limits := func(s members, least, most string, highest int) {
		lo := rapid.IntRange(0, highest).Draw(t, least)
		if rapid.Bool().Draw(t, "a "+least) {
			s[least] = lo
		}
		if rapid.Bool().Draw(t, "a "+most) {
			s[most] = rapid.IntRange(max(lo, 1), highest+5).Draw(t, most)
		}
	}
	kinds := []string{"string", "integer", "number", "boolean", "enum", "format", "pattern", "array", "object"}
	if depth == 0 {
		kinds = kinds[:7]
	}
	kind := rapid.SampledFrom(kinds).Draw(t, "kind")
	if depth == 3 {
		kind = "object"
	}
	s := members{"type": kind}
	switch kind {
	case "string":
		limits(s, "minLength", "maxLength", 70)
	case "integer", "number":
		limits(s, "minimum", "maximum", 100)
		lo, isLow := s["minimum"].(int)
		hi, isHigh := s["maximum"].(int)
		if isLow && (!isHigh || hi-lo > 3) && rapid.Bool().Draw(t, "open below") {
			s["exclusiveMinimum"] = true
		}
		if isHigh && (!isLow || hi-lo > 3) && rapid.Bool().Draw(t, "open above") {
			s["exclusiveMaximum"] = true
		}
	case "enum":
		s = members{"type": "string", "enum": []string{"a", "bc", "déf"}}
	case "format":
		s = members{"type": "string", "format": rapid.SampledFrom([]string{"uuid", "email", "date", "date-time", "ipv4", "json", "regexp"}).Draw(t, "format")}
	case "pattern":
		s = members{"type": "string", "pattern": rapid.SampledFrom([]string{
			`^[a-z]+$`, `^ord_[a-z2-7]{26}$`, `^[^\x00-\x1F\x7F]+$`, `^(start|ord_[0-9]{3}\.(placed|shipped))$`, `^\d{12,19}$`, `x`, `^[A-Z]{2}(-[0-9]*)?$`,
		}).Draw(t, "pattern")}
	case "array":
		limits(s, "minItems", "maxItems", 6)
		s["items"] = drawn(t, depth-1)
	case "object":
		properties, required := members{}, []string{}
		for i := range rapid.IntRange(1, 4).Draw(t, "members") {
			name := fmt.Sprintf("m%d", i)
			properties[name] = drawn(t, depth-1)
			if rapid.Bool().Draw(t, "required") {
				required = append(required, name)
			}
		}
		s["properties"], s["required"] = properties, required
		if rapid.Bool().Draw(t, "closed") {
			s["additionalProperties"] = false
		}
	}
	return s
}

// decoded brings what a test wrote into the form of what is read.
func decoded(t testing.TB, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// judge checks all that is made of a schema.
func judge(t testing.TB, c checker, schema members, s *model.Schema, seed uint64) {
	t.Helper()
	m := New(seed)
	good := map[string]any{"the least": m.Minimal(s), "all": m.Full(s)}
	for _, b := range m.Boundaries(s) {
		good[b.Where+" at "+b.Constraint] = b.Value
		if b.Ordinary != nil {
			good[b.Where+" within "+b.Constraint] = b.Ordinary
		}
	}
	for name, v := range good {
		if err := c.check(schema, decoded(t, v), ""); err != nil {
			t.Fatalf("%s is not valid: %v", name, err)
		}
	}
	for _, b := range m.Violations(s) {
		if c.check(schema, decoded(t, b.Value), "") == nil {
			t.Fatalf("%s against %s is valid: %v", b.Where, b.Constraint, b.Value)
		}
	}
	again := New(seed)
	if diff := cmp.Diff(m.Violations(s), again.Violations(s)); diff != "" {
		t.Fatalf("the same seed makes other violations: %s", diff)
	}
	if diff := cmp.Diff(m.Boundaries(s), again.Boundaries(s)); diff != "" {
		t.Fatalf("the same seed makes other limits: %s", diff)
	}
	if diff := cmp.Diff(m.Full(s), again.Full(s)); diff != "" {
		t.Fatalf("the same seed makes another document: %s", diff)
	}
}

func TestAnySchema(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		schema := decoded(t, drawn(rt, 3)).(members)
		defer func() {
			if t.Failed() {
				t.Logf("%v", schema)
			}
		}()
		judge(rapidTB{TB: t, rt: rt}, checker{}, schema, body(t, schema, nil), rapid.Uint64().Draw(rt, "seed"))
	})
}

// rapidTB lets rapid find the smallest schema that fails.
type rapidTB struct {
	testing.TB
	rt *rapid.T
}

func (r rapidTB) Fatalf(format string, args ...any) { r.rt.Fatalf(format, args...) }

// The schemas of the services in this repository.
func TestOwnSchemas(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"examples/orders", "examples/page", "bench"} {
		text, err := os.ReadFile("../../" + name + "/gen/http/openapi3.json")
		if err != nil {
			t.Fatal(err)
		}
		var doc struct {
			Components struct {
				Schemas members `json:"schemas"`
			} `json:"components"`
		}
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatal(err)
		}
		for schema := range doc.Components.Schemas {
			t.Run(name+" "+schema, func(t *testing.T) {
				t.Parallel()
				ref := members{"$ref": "#/components/schemas/" + schema}
				for seed := range uint64(5) {
					judge(t, checker{doc.Components.Schemas}, ref, body(t, ref, doc.Components.Schemas), seed)
				}
			})
		}
	}
}

// Every constraint of a design is broken by something.
func TestViolationsReachEveryConstraint(t *testing.T) {
	t.Parallel()
	s := body(t, members{
		"type": "object", "required": []string{"id"}, "additionalProperties": false,
		"properties": members{
			"id":    members{"type": "string", "minLength": 2, "maxLength": 8, "pattern": "^[a-z]+$"},
			"state": members{"type": "string", "enum": []string{"on", "off"}},
			"at":    members{"type": "string", "format": "date-time"},
			"n":     members{"type": "integer", "minimum": 1, "maximum": 9},
			"lines": members{"type": "array", "minItems": 1, "maxItems": 3, "items": members{"type": "object", "required": []string{"q"}, "properties": members{"q": members{"type": "number", "minimum": 0, "exclusiveMinimum": true}}}},
		},
	}, nil)
	got := map[string]bool{}
	for _, c := range New(1).Violations(s) {
		got[c.Where+" "+c.Constraint] = true
	}
	for _, want := range []string{
		" type", " additionalProperties", "/id required", "/id type", "/id minLength", "/id maxLength", "/id pattern", "/state enum", "/at format",
		"/n type", "/n minimum", "/n maximum", "/lines minItems", "/lines maxItems", "/lines type", "/lines/0/q required", "/lines/0/q minimum", "/lines/0/q type",
	} {
		if !got[want] {
			t.Errorf("%s is not broken; there are %v", want, got)
		}
	}
}

func TestAnotherSeedIsAnotherDocument(t *testing.T) {
	t.Parallel()
	s := body(t, members{"type": "object", "required": []string{"id"}, "properties": members{"id": members{"type": "string", "minLength": 12}}}, nil)
	if cmp.Equal(New(1).Full(s), New(2).Full(s)) {
		t.Errorf("both are %v", New(1).Full(s))
	}
}

func TestComplete(t *testing.T) {
	t.Parallel()
	s := body(t, members{"type": "object", "properties": members{
		"a": members{"type": "string", "enum": []string{"made"}}, "b": members{"type": "object", "properties": members{"c": members{"type": "string", "enum": []string{"made"}}, "d": members{"type": "integer"}}},
		"e": members{"type": "array", "items": members{"type": "string"}},
	}}, nil)
	got := New(1).Complete(s, members{"b": members{"d": 7.0}, "e": []any{}, "f": "kept"})
	if diff := cmp.Diff(members{"a": "made", "b": members{"c": "made", "d": 7.0}, "e": []any{}, "f": "kept"}, got); diff != "" {
		t.Errorf("%s", diff)
	}
	if got := New(1).Complete(s, "text"); got != "text" {
		t.Errorf("a text became %v", got)
	}
}

// A schema that contains itself ends, and so do references that lead nowhere.
func TestSchemasWithoutEnd(t *testing.T) {
	t.Parallel()
	components := members{
		"Tree": members{"type": "object", "required": []string{"name"}, "properties": members{"name": members{"type": "string"}, "children": members{"type": "array", "items": members{"$ref": "#/components/schemas/Tree"}}}},
		"Loop": members{"$ref": "#/components/schemas/Loop"},
	}
	for name := range components {
		s := body(t, members{"$ref": "#/components/schemas/" + name}, components)
		if text, err := json.Marshal(New(1).Full(s)); err != nil || len(text) > 10_000 {
			t.Errorf("%s: %d bytes, %v", name, len(text), err)
		}
		New(1).Violations(s)
	}
	if New(1).Violations(nil) != nil || New(1).Boundaries(nil) != nil {
		t.Error("no schema has violations")
	}
}
