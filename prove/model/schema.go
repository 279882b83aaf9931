package model

import "strings"

// Schema is a JSON Schema as OpenAPI 3.0 writes it, as far as Goa uses it. Its
// references are resolved by Resolved, since schemas may contain themselves.
type Schema struct {
	Ref     string   `json:"$ref"`
	Type    string   `json:"type"`
	Format  string   `json:"format"`
	Pattern string   `json:"pattern"`
	Enum    []any    `json:"enum"`
	Minimum *float64 `json:"minimum"`
	Maximum *float64 `json:"maximum"`
	// ExclusiveMinimum and ExclusiveMaximum are true in OpenAPI 3.0, numbers in 3.1.
	ExclusiveMinimum any                `json:"exclusiveMinimum"`
	ExclusiveMaximum any                `json:"exclusiveMaximum"`
	MinLength        *int               `json:"minLength"`
	MaxLength        *int               `json:"maxLength"`
	MinItems         *int               `json:"minItems"`
	MaxItems         *int               `json:"maxItems"`
	Items            *Schema            `json:"items"`
	Properties       map[string]*Schema `json:"properties"`
	Required         []string           `json:"required"`
	// Additional is false, true or a schema; nil allows any.
	Additional any       `json:"additionalProperties"`
	OneOf      []*Schema `json:"oneOf"`
	AnyOf      []*Schema `json:"anyOf"`
	Example    any       `json:"example"`
	Default    any       `json:"default"`

	doc *document
}

// within binds the schema, and what it holds, to the document of its
// references. A nil schema stays nil.
func (s *Schema) within(d *document) *Schema {
	if s == nil || s.doc == d {
		return s
	}
	s.doc = d
	s.Items.within(d)
	for _, p := range s.Properties {
		p.within(d)
	}
	for _, list := range [][]*Schema{s.OneOf, s.AnyOf} {
		for _, x := range list {
			x.within(d)
		}
	}
	return s
}

// Resolved returns the schema that this one refers to, or itself. A reference
// that leads nowhere, or only to itself, is a schema without constraints. It
// changes nothing, and is safe for concurrent use.
func (s *Schema) Resolved() *Schema {
	for range 16 {
		if s == nil || s.Ref == "" {
			return s
		}
		var target *Schema
		if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok && s.doc != nil {
			target = s.doc.Components.Schemas[name]
		}
		if target == nil {
			break
		}
		s = target
	}
	return &Schema{}
}

// object reports whether values are objects.
func (s *Schema) object() bool { return s != nil && (s.Type == "object" || len(s.Properties) > 0) }

// Closed reports whether an object may have no other members than those of
// Properties.
func (s *Schema) Closed() bool {
	allowed, ok := s.Additional.(bool)
	return ok && !allowed
}
