package codegen_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/aguada-dev/aguada/codegen"
	"github.com/aguada-dev/aguada/policy"
)

// schema is the part of JSON Schema that the contract's schema uses.
type schema struct {
	Schema               string             `json:"$schema"`
	ID                   string             `json:"$id"`
	Ref                  string             `json:"$ref"`
	Defs                 map[string]*schema `json:"$defs"`
	Title                string             `json:"title"`
	Description          string             `json:"description"`
	Type                 string             `json:"type"`
	Properties           map[string]*schema `json:"properties"`
	Required             []string           `json:"required"`
	AdditionalProperties json.RawMessage    `json:"additionalProperties"`
	Items                *schema            `json:"items"`
	MinItems             int                `json:"minItems"`
	MinLength            int                `json:"minLength"`
	Enum                 []string           `json:"enum"`
	Const                string             `json:"const"`
	Pattern              string             `json:"pattern"`
	Minimum              *float64           `json:"minimum"`
	Maximum              *float64           `json:"maximum"`
}

func loadSchema(t *testing.T) *schema {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(string(codegen.Schema)))
	dec.DisallowUnknownFields()
	s := new(schema)
	if err := dec.Decode(s); err != nil {
		t.Fatalf("the schema uses what this test does not check: %v", err)
	}
	return s
}

// check returns what is wrong with v, which json.Unmarshal made.
func (root *schema) check(at string, s *schema, v any) []string {
	if s.Ref != "" {
		return root.check(at, root.Defs[strings.TrimPrefix(s.Ref, "#/$defs/")], v)
	}
	bad := func(format string, args ...any) []string { return []string{at + ": " + fmt.Sprintf(format, args...)} }
	switch v := v.(type) {
	case map[string]any:
		if s.Type != "object" && s.Type != "" {
			return bad("is an object")
		}
		return root.checkObject(at, s, v)
	case []any:
		if s.Type != "array" && s.Type != "" || len(v) < s.MinItems {
			return bad("is an array of %d", len(v))
		}
		var errs []string
		for i, item := range v {
			if s.Items != nil {
				errs = append(errs, root.check(fmt.Sprintf("%s[%d]", at, i), s.Items, item)...)
			}
		}
		return errs
	case string:
		switch {
		case s.Type != "string" && s.Type != "" || len(v) < s.MinLength,
			s.Enum != nil && !slices.Contains(s.Enum, v), s.Const != "" && s.Const != v,
			s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(v):
			return bad("is %q", v)
		}
	case float64:
		switch {
		case s.Type != "integer" && s.Type != "", s.Minimum != nil && v < *s.Minimum, s.Maximum != nil && v > *s.Maximum:
			return bad("is %v", v)
		}
	case bool:
		if s.Type != "boolean" && s.Type != "" {
			return bad("is %v", v)
		}
	case nil:
		return bad("is null")
	}
	return nil
}

func (root *schema) checkObject(at string, s *schema, v map[string]any) []string {
	var errs []string
	for _, name := range s.Required {
		if _, ok := v[name]; !ok {
			errs = append(errs, at+": lacks "+name)
		}
	}
	for name, value := range v {
		switch p := s.Properties[name]; {
		case p != nil:
			errs = append(errs, root.check(at+"."+name, p, value)...)
		case string(s.AdditionalProperties) == "false":
			errs = append(errs, at+": has "+name)
		}
	}
	return errs
}

func TestGoldenContractsFitSchema(t *testing.T) {
	s := loadSchema(t)
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	contracts := 0
	for _, path := range paths {
		a, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range a.Files {
			if f.Name != codegen.ContractPath {
				continue
			}
			contracts++
			var v any
			if err := json.Unmarshal(f.Data, &v); err != nil {
				t.Fatal(err)
			}
			for _, e := range s.check("contract", s, v) {
				t.Errorf("%s: %s", path, e)
			}
			var c policy.Contract
			if err := json.Unmarshal(f.Data, &c); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			again, err := json.MarshalIndent(c, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(f.Data), string(again)+"\n"); diff != "" {
				t.Errorf("%s changes when it is read and written: %s", path, diff)
			}
		}
	}
	if contracts == 0 {
		t.Fatal("no contracts found")
	}
}

func TestSchemaRefuses(t *testing.T) {
	s := loadSchema(t)
	var good any
	if err := json.Unmarshal([]byte(limited(`{"name":"s/m:global-1s","rate":1,"per":"1s","burst":1,"partition":"global"}`)), &good); err != nil {
		t.Fatal(err)
	}
	if errs := s.check("contract", s, good); len(errs) > 0 {
		t.Errorf("refuses what differs from bad ones in one place: %q", errs)
	}
	for _, text := range []string{
		`null`, `[]`, `{}`,
		`{"$schema":"x","generator":"g","api":{"name":"a"},"schemes":[],"services":[]}`,
		`{"$schema":"https://aguada.dev/schema/contract-1.json","generator":"g","api":{"name":"a","x":1},"schemes":[],"services":[]}`,
		`{"$schema":"https://aguada.dev/schema/contract-1.json","generator":"g","api":{"name":"a"},"schemes":[{"name":"x","kind":"magic"}],"services":[]}`,
		`{"$schema":"https://aguada.dev/schema/contract-1.json","generator":"g","api":{"name":"a"},"schemes":null,"services":[]}`,
		limited(`{"name":"","rate":1,"per":"1s","burst":1,"partition":"global"}`),
		limited(`{"name":"two words","rate":1,"per":"1s","burst":1,"partition":"global"}`),
		limited(`{"name":"` + strings.Repeat("n", 65) + `","rate":1,"per":"1s","burst":1,"partition":"global"}`),
		limited(`{"name":"n","rate":0,"per":"1s","burst":1,"partition":"global"}`),
		limited(`{"name":"n","rate":1,"per":"soon","burst":1,"partition":"global"}`),
		limited(`{"name":"n","rate":1,"per":"1s","partition":"global"}`),
		limited(`{"name":"n","rate":1,"per":"1s","burst":1,"partition":"everybody"}`),
	} {
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		if errs := s.check("contract", s, v); len(errs) == 0 {
			t.Errorf("accepts %s", text)
		}
	}
}

// limited returns a contract with a method that has a rate limit.
func limited(rateLimit string) string {
	return `{"$schema":"https://aguada.dev/schema/contract-1.json","generator":"g","api":{"name":"a"},"schemes":[],"services":[{"name":"s","methods":[` +
		`{"service":"s","name":"m","kind":"unary","routes":[],"access":"public","deadline":"0s","max_body":1,"rate_limits":[` + rateLimit + `]}]}]}`
}

// TestSchemaAgreesWithTypes compares the schema and the Go types field by
// field.
func TestSchemaAgreesWithTypes(t *testing.T) {
	s := loadSchema(t)
	if s.ID != codegen.SchemaURI || s.Schema != "https://json-schema.org/draft/2020-12/schema" {
		t.Errorf("schema is %s in %s", s.ID, s.Schema)
	}
	seen := make(map[string]bool)
	var compare func(typ reflect.Type)
	compare = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || seen[typ.Name()] {
			return
		}
		seen[typ.Name()] = true
		def := s.Defs[typ.Name()]
		if def == nil {
			t.Errorf("no definition of %s", typ.Name())
			return
		}
		var properties, required []string
		for i := range typ.NumField() {
			f := typ.Field(i)
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			properties = append(properties, name)
			if !strings.Contains(options, "omitempty") {
				required = append(required, name)
			}
			if p := def.Properties[name]; p != nil {
				if got, want := s.kind(p), goKind(f.Type); want != "" && got != want {
					t.Errorf("%s.%s is %s in the schema and %s in Go", typ.Name(), name, got, want)
				}
			}
			compare(f.Type)
		}
		var defined []string
		for name := range def.Properties {
			defined = append(defined, name)
		}
		slices.Sort(properties)
		slices.Sort(defined)
		if diff := cmp.Diff(properties, defined); diff != "" {
			t.Errorf("fields of %s (-Go +schema): %s", typ.Name(), diff)
		}
		if diff := cmp.Diff(required, def.Required); diff != "" {
			t.Errorf("required fields of %s (-Go +schema): %s", typ.Name(), diff)
		}
	}
	compare(reflect.TypeFor[policy.Contract]())
	for name := range s.Defs {
		if !seen[name] && name != "Duration" {
			t.Errorf("%s is defined and not used", name)
		}
	}
}

// kind returns the JSON type that a schema admits.
func (root *schema) kind(s *schema) string {
	switch {
	case s.Ref != "":
		return root.kind(root.Defs[strings.TrimPrefix(s.Ref, "#/$defs/")])
	case s.Enum != nil || s.Const != "":
		return "string"
	}
	return s.Type
}

// goKind returns the JSON type of a Go type; empty for any.
func goKind(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[policy.Duration]():
		return "string"
	case t.Kind() == reflect.Pointer, t.Kind() == reflect.Struct, t.Kind() == reflect.Map:
		return "object"
	}
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int64:
		return "integer"
	case reflect.Slice:
		return "array"
	}
	return ""
}
