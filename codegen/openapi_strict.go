package codegen

import (
	"maps"
	"slices"
	"strings"

	"goa.design/goa/v3/http/codegen/openapi"
	openapiv3 "goa.design/goa/v3/http/codegen/openapi/v3"

	"github.com/aguada-dev/aguada/policy"
)

const schemaRef = "#/components/schemas/"

// closeBodies says of strict request bodies that they have no other members.
// A schema that something else uses too stays as it is, beside a strict copy.
func closeBodies(doc *openapiv3.OpenAPI, methods map[string]*policy.Method) {
	if doc.Components == nil {
		return
	}
	c := &closer{schemas: doc.Components.Schemas}
	strict, other := make(map[string]bool), make(map[string]bool)
	var bodies []*openapiv3.MediaType
	eachOperation(doc, func(key string, op *openapiv3.Operation) {
		closed := methods[key] != nil && methods[key].StrictBody
		if op.RequestBody != nil && op.RequestBody.Value != nil {
			for media, content := range op.RequestBody.Value.Content {
				if closed && isJSON(media) {
					bodies = append(bodies, content)
					c.reach(content.Schema, strict)
				} else {
					c.reach(content.Schema, other)
				}
			}
		}
		for _, r := range op.Responses {
			c.reachResponse(r, other)
		}
	})
	for _, r := range doc.Components.Responses {
		c.reachResponse(r, other)
	}
	c.names = make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(strict)) {
		c.names[name] = name
		for other[name] && (c.names[name] == name || c.schemas[c.names[name]] != nil) {
			c.names[name] = "Strict" + c.names[name]
		}
	}
	closed := make(map[string]*openapi.Schema)
	for name, as := range c.names {
		closed[as] = c.close(c.schemas[name])
	}
	maps.Copy(c.schemas, closed)
	for _, b := range bodies {
		b.Schema = c.close(b.Schema)
	}
}

// closer makes strict copies of schemas.
type closer struct {
	schemas map[string]*openapi.Schema
	names   map[string]string // of the strict schema, by the name of the original
}

// reach adds the named schemas that s uses to set.
func (c *closer) reach(s *openapi.Schema, set map[string]bool) {
	if s == nil {
		return
	}
	if name, ok := strings.CutPrefix(s.Ref, schemaRef); ok && !set[name] && c.schemas[name] != nil {
		set[name] = true
		c.reach(c.schemas[name], set)
	}
	for _, p := range s.Properties {
		c.reach(p, set)
	}
	for _, a := range s.AnyOf {
		c.reach(a, set)
	}
	c.reach(s.Items, set)
	if values, ok := s.AdditionalProperties.(*openapi.Schema); ok {
		c.reach(values, set)
	}
	c.reach(s.ContentSchema, set)
}

func (c *closer) reachResponse(r *openapiv3.ResponseRef, set map[string]bool) {
	if r == nil || r.Value == nil {
		return
	}
	for _, content := range r.Value.Content {
		c.reach(content.Schema, set)
		c.reach(content.ItemSchema, set)
	}
}

// close returns a copy of s whose objects have no members but those named.
func (c *closer) close(s *openapi.Schema) *openapi.Schema {
	if s == nil {
		return nil
	}
	closed := *s
	if name, ok := strings.CutPrefix(s.Ref, schemaRef); ok && c.names[name] != "" {
		closed.Ref = schemaRef + c.names[name]
	}
	if len(s.Properties) > 0 {
		closed.Properties = make(map[string]*openapi.Schema, len(s.Properties))
		for name, p := range s.Properties {
			closed.Properties[name] = c.close(p)
		}
		if s.AdditionalProperties == nil {
			closed.AdditionalProperties = false
		}
	}
	if values, ok := s.AdditionalProperties.(*openapi.Schema); ok {
		closed.AdditionalProperties = c.close(values)
	}
	if len(s.AnyOf) > 0 {
		closed.AnyOf = make([]*openapi.Schema, len(s.AnyOf))
		for i, a := range s.AnyOf {
			closed.AnyOf[i] = c.close(a)
		}
	}
	closed.Items = c.close(s.Items)
	return &closed
}

// eachOperation calls do for every operation of the document, in the order of
// the keys, which are verb and path.
func eachOperation(doc *openapiv3.OpenAPI, do func(key string, op *openapiv3.Operation)) {
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		item := doc.Paths[path]
		for _, v := range []struct {
			verb string
			op   *openapiv3.Operation
		}{
			{"GET", item.Get}, {"HEAD", item.Head}, {"POST", item.Post}, {"PUT", item.Put}, {"PATCH", item.Patch},
			{"DELETE", item.Delete}, {"OPTIONS", item.Options}, {"TRACE", item.Trace}, {"CONNECT", item.Connect},
		} {
			if v.op != nil {
				do(v.verb+" "+path, v.op)
			}
		}
	}
}
