package codegen

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"goa.design/goa/v3/http/codegen/openapi"
	openapiv3 "goa.design/goa/v3/http/codegen/openapi/v3"

	"github.com/aguada-dev/aguada/policy"
)

// header is a response header and what it says.
type header struct{ name, meaning string }

var (
	retryAfter  = header{"Retry-After", "Seconds to wait before trying again."}
	schemes     = header{"WWW-Authenticate", "The schemes to authenticate with (RFC 9110)."}
	rateHeaders = []header{ // draft-ietf-httpapi-ratelimit-headers-11
		retryAfter,
		{"RateLimit", "For each limit of the method the calls that may begin now (r), and the seconds until there are more (t)."},
		{"RateLimit-Policy", "For each limit of the method the number of calls (q) and the window in seconds (w)."},
	}
)

// responseNames are the names of the responses that answers become, by HTTP
// status.
var responseNames = map[int]string{
	http.StatusBadRequest:            "BadRequest",
	http.StatusUnauthorized:          "Unauthorized",
	http.StatusForbidden:             "Forbidden",
	http.StatusRequestTimeout:        "RequestTimeout",
	http.StatusConflict:              "Conflict",
	http.StatusRequestEntityTooLarge: "PayloadTooLarge",
	http.StatusUnsupportedMediaType:  "UnsupportedMediaType",
	http.StatusUnprocessableEntity:   "UnprocessableContent",
	http.StatusTooManyRequests:       "TooManyRequests",
	http.StatusInternalServerError:   "InternalServerError",
	http.StatusServiceUnavailable:    "ServiceUnavailable",
	http.StatusGatewayTimeout:        "GatewayTimeout",
}

// given are the answers of the chassis that a call of an operation may get, of
// which methods, and the headers that come with them. The others come where
// there is no operation, after a stream has begun, or from client certificates,
// which belong to a deployment.
var given = []struct {
	answer  *policy.Answer
	by      func(m *policy.Method) bool
	headers []header
}{
	{&policy.BadHandshake, func(m *policy.Method) bool { return m.Kind == policy.WebSocket }, nil},
	{&policy.KeyMalformed, keyed, nil},
	{&policy.KeyMissing, func(m *policy.Method) bool { return keyed(m) && m.Idempotency.Required }, nil},
	{&policy.Unauthorized, secured, []header{schemes}},
	{&policy.Forbidden, secured, nil},
	{&policy.CrossOrigin, secured, nil},
	{&policy.BodyTimeout, hasBody, nil},
	{&policy.KeyConflict, keyed, nil},
	{&policy.KeySpent, keyed, nil},
	{&policy.BodyTooLarge, hasBody, nil},
	{&policy.UnsupportedMediaType, func(m *policy.Method) bool { return len(m.Consumes) > 0 && m.Consumes[0] != anyType }, nil},
	{&policy.KeyMismatch, keyed, nil},
	{&policy.RateLimited, limited, rateHeaders},
	{&policy.TooManyFailures, secured, []header{retryAfter}},
	{&policy.InternalFault, always, nil},
	{&policy.Canceled, always, nil},
	{&policy.KeyUnavailable, keyed, []header{retryAfter}},
	{&policy.LimitsUnavailable, limited, []header{retryAfter}},
	{&policy.Overloaded, always, []header{retryAfter}},
	{&policy.TooManyInFlight, func(m *policy.Method) bool { return m.MaxInFlight > 0 }, []header{retryAfter}},
	{&policy.Unavailable, always, []header{retryAfter}},
	{&policy.DeadlineExceeded, func(m *policy.Method) bool { return m.Deadline > 0 }, nil},
}

func always(*policy.Method) bool    { return true }
func secured(m *policy.Method) bool { return m.Access == policy.Secured }
func hasBody(m *policy.Method) bool { return m.HasBody }
func limited(m *policy.Method) bool { return len(m.RateLimits) > 0 }
func keyed(m *policy.Method) bool   { return m.Idempotency != nil }

// invalid is what 400 says of requests that Goa refuses, under names of its own.
const invalid = "The request cannot be decoded, or breaks a constraint of the method."

// decodes reports whether calls of m bring something that can be wrong.
func decodes(op *openapiv3.Operation, m *policy.Method) bool {
	return (m.Kind == policy.Unary || m.Kind.Stream()) && (len(op.Parameters) > 0 || op.RequestBody != nil)
}

// answered are the responses that the operations of a document refer to, by
// status. One response serves all operations, so it holds what any of them
// answers.
type answered map[int]*response

type response struct {
	texts   []string
	headers []header
}

// add completes an operation by the answers that calls of m may get. What the
// design declares itself stays.
func (a answered) add(op *openapiv3.Operation, m *policy.Method) {
	note := func(status int, text string, headers []header) {
		at := strconv.Itoa(status)
		if declared := op.Responses[at]; declared != nil && declared.Ref == "" {
			return
		}
		if op.Responses == nil {
			op.Responses = make(map[string]*openapiv3.ResponseRef)
		}
		op.Responses[at] = &openapiv3.ResponseRef{Ref: "#/components/responses/" + responseNames[status]}
		if a[status] == nil {
			a[status] = new(response)
		}
		if r := a[status]; !slices.Contains(r.texts, text) {
			r.texts, r.headers = append(r.texts, text), append(r.headers, headers...)
		}
	}
	if decodes(op, m) {
		note(http.StatusBadRequest, invalid, nil)
	}
	for _, g := range given {
		if g.by(m) {
			note(g.answer.HTTP, "`"+g.answer.Name+"`: "+g.answer.Message, g.headers)
		}
	}
}

// define adds the responses to doc.
func (a answered) define(doc *openapiv3.OpenAPI) {
	if len(a) == 0 {
		return
	}
	if doc.Components == nil {
		doc.Components = new(openapiv3.Components)
	}
	if doc.Components.Responses == nil {
		doc.Components.Responses = make(map[string]*openapiv3.ResponseRef)
	}
	schema := schemaRef + errorSchema(doc)
	for status, said := range a {
		slices.Sort(said.texts) // rather than by the operation that came first
		description := said.texts[0]
		if len(said.texts) > 1 {
			description = "- " + strings.Join(said.texts, "\n- ")
		}
		r := &openapiv3.Response{Description: &description, Content: map[string]*openapiv3.MediaType{
			jsonType: {Schema: &openapi.Schema{Ref: schema}},
		}}
		for _, h := range said.headers {
			addHeader(r, h, openapi.String)
		}
		doc.Components.Responses[responseNames[status]] = &openapiv3.ResponseRef{Value: r}
	}
}

func addHeader(r *openapiv3.Response, h header, t openapi.Type) {
	if r.Headers == nil {
		r.Headers = make(map[string]*openapiv3.HeaderRef)
	}
	r.Headers[h.name] = &openapiv3.HeaderRef{Value: &openapiv3.Header{Description: h.meaning, Schema: &openapi.Schema{Type: t}}}
}

var replayed = header{policy.Replayed, "Whether the answer was given before, to another call under the same key; absent otherwise."}

// longestKey is the longest idempotency key, in bytes; quotes do not count.
const longestKey = 255

// addKey completes an operation by its idempotency key, and says of the
// answers of the design that they may be replayed.
func addKey(op *openapiv3.Operation, key *policy.Idempotency) {
	shortest := 1
	op.Parameters = append(op.Parameters, &openapiv3.ParameterRef{Value: &openapiv3.Parameter{
		Name: key.Header, In: "header", Required: key.Required,
		Description: fmt.Sprintf("A key that the client makes up for this request, such as a UUID: up to %d characters of ASCII. "+
			"Sent again under the same key, the request is answered as the first time.", longestKey),
		Schema: &openapi.Schema{Type: openapi.String, MinLength: &shortest},
	}})
	for _, r := range op.Responses {
		if r != nil && r.Value != nil {
			addHeader(r.Value, replayed, openapi.Boolean)
		}
	}
}
