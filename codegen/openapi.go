package codegen

import (
	"strconv"
	"strings"

	goacodegen "goa.design/goa/v3/codegen"
	"goa.design/goa/v3/http/codegen/openapi"
	openapiv3 "goa.design/goa/v3/http/codegen/openapi/v3"

	"github.com/aguada-dev/aguada/policy"
)

// answer is a response of the chassis itself.
type answer struct {
	status            int
	name, description string
	headers           []header
	given             func(m *policy.Method) bool
}

// header is a response header and what it says.
type header struct{ name, meaning string }

var retryAfter = header{"Retry-After", "Seconds to wait before trying again."}

// rateHeaders are those of draft-ietf-httpapi-ratelimit-headers-11.
var rateHeaders = []header{
	retryAfter,
	{"RateLimit", "For each limit of the method the calls that may begin now (r), and the seconds until there are more (t)."},
	{"RateLimit-Policy", "For each limit of the method the number of calls (q) and the window in seconds (w)."},
}

// answers are what the chassis answers before or instead of a method.
var answers = []answer{
	{401, "Unauthorized", "The credentials are missing or wrong.", []header{{"WWW-Authenticate", "The schemes to authenticate with (RFC 9110)."}}, secured},
	{403, "Forbidden", "The credentials do not hold the scopes that the method requires.", nil, secured},
	{413, "PayloadTooLarge", "The request body is larger than the method accepts.", nil, hasBody},
	{415, "UnsupportedMediaType", "The request body is of a media type that the method does not accept.", nil, restrictsBody},
	{429, "TooManyRequests", "The method was called too often.", rateHeaders, limited},
	{503, "ServiceUnavailable", "The service is busy, stopping or waiting for what it depends on.", []header{retryAfter}, always},
	{504, "GatewayTimeout", "The method did not answer within its deadline.", nil, hasDeadline},
}

func always(*policy.Method) bool          { return true }
func secured(m *policy.Method) bool       { return m.Access == policy.Secured }
func hasBody(m *policy.Method) bool       { return m.HasBody }
func restrictsBody(m *policy.Method) bool { return len(m.Consumes) > 0 && m.Consumes[0] != anyType }
func limited(m *policy.Method) bool       { return len(m.RateLimits) > 0 }
func hasDeadline(m *policy.Method) bool   { return m.Deadline > 0 }

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
	eachOperation(doc, func(key string, op *openapiv3.Operation) {
		m := methods[key]
		if m == nil {
			return
		}
		for _, a := range answers {
			status := strconv.Itoa(a.status)
			if _, declared := op.Responses[status]; !declared && a.given(m) {
				if op.Responses == nil {
					op.Responses = make(map[string]*openapiv3.ResponseRef)
				}
				op.Responses[status] = a.ref(doc)
			}
		}
	})
	closeBodies(doc, methods)
}

// ref returns a reference to the answer, which it adds to doc.
func (a answer) ref(doc *openapiv3.OpenAPI) *openapiv3.ResponseRef {
	if doc.Components == nil {
		doc.Components = new(openapiv3.Components)
	}
	if doc.Components.Responses == nil {
		doc.Components.Responses = make(map[string]*openapiv3.ResponseRef)
	}
	if _, ok := doc.Components.Responses[a.name]; !ok {
		r := &openapiv3.Response{Description: &a.description, Content: map[string]*openapiv3.MediaType{
			jsonType: {Schema: &openapi.Schema{Ref: "#/components/schemas/" + errorSchema(doc)}},
		}}
		for _, h := range a.headers {
			if r.Headers == nil {
				r.Headers = make(map[string]*openapiv3.HeaderRef)
			}
			r.Headers[h.name] = &openapiv3.HeaderRef{Value: &openapiv3.Header{
				Description: h.meaning, Schema: &openapi.Schema{Type: openapi.String},
			}}
		}
		doc.Components.Responses[a.name] = &openapiv3.ResponseRef{Value: r}
	}
	return &openapiv3.ResponseRef{Ref: "#/components/responses/" + a.name}
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
