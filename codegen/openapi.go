package codegen

import (
	"strings"

	goacodegen "goa.design/goa/v3/codegen"
	"goa.design/goa/v3/http/codegen/openapi"
	openapiv3 "goa.design/goa/v3/http/codegen/openapi/v3"

	"github.com/aguada-dev/aguada/policy"
)

// completeOpenAPI adds the answers of the chassis to the OpenAPI 3 documents
// among files, and closes strict bodies. What the design declares itself stays.
func completeOpenAPI(c *policy.Contract, files []*goacodegen.File) {
	methods := make(map[string]*policy.Method)
	for i := range c.Services {
		for j := range c.Services[i].Methods {
			m := &c.Services[i].Methods[j]
			for _, r := range m.Routes {
				methods[r.Verb+" "+openAPIPath(r.Pattern)] = m
			}
		}
	}
	done := make(map[*openapiv3.OpenAPI]bool) // JSON and YAML share a document
	for _, f := range files {
		for _, section := range f.SectionTemplates {
			doc, ok := section.Data.(*openapiv3.OpenAPI)
			if ok && doc != nil && !done[doc] {
				done[doc] = true
				completeDocument(doc, methods)
			}
		}
	}
}

func completeDocument(doc *openapiv3.OpenAPI, methods map[string]*policy.Method) {
	a := make(answered)
	eachOperation(doc, func(key string, op *openapiv3.Operation) {
		m := methods[key]
		if m == nil {
			return
		}
		if m.Idempotency != nil {
			addKey(op, m.Idempotency)
		}
		a.add(op, m)
	})
	a.define(doc)
	closeBodies(doc, methods)
}

// errorSchema returns the name of the schema of Goa's errors, which it adds to
// doc unless the design uses such errors itself.
func errorSchema(doc *openapiv3.OpenAPI) string {
	fields := []string{"name", "id", "message", "temporary", "timeout", "fault"}
	if doc.Components.Schemas == nil {
		doc.Components.Schemas = make(map[string]*openapi.Schema)
	}
	name := "Error"
	for {
		s, ok := doc.Components.Schemas[name]
		if !ok {
			break
		}
		same := len(s.Properties) == len(fields)
		for _, f := range fields {
			same = same && s.Properties[f] != nil
		}
		if same {
			return name
		}
		name = "Service" + name
	}
	s := &openapi.Schema{Type: openapi.Object, Properties: make(map[string]*openapi.Schema), Required: fields,
		Description: "An error of the service."}
	for i, f := range fields {
		t := openapi.Type(openapi.String)
		if i > 2 {
			t = openapi.Boolean
		}
		s.Properties[f] = &openapi.Schema{Type: t, Description: errorFields[i]}
	}
	doc.Components.Schemas[name] = s
	return name
}

var errorFields = strings.Split("Name of the error.|Identifier of this occurrence, which the service's log holds too.|"+
	"What went wrong, for humans.|Whether trying again may help.|Whether the error is a timeout.|Whether the service is at fault.", "|")
