package model

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aguada-dev/aguada/policy"
)

// document is the part of an OpenAPI 3 document that the prover reads.
type document struct {
	OpenAPI string `json:"openapi"`
	Info    struct {
		Title   string `json:"title"`
		Version string `json:"version"`
	} `json:"info"`
	Paths      map[string]map[string]json.RawMessage `json:"paths"`
	Security   []map[string][]string                 `json:"security"`
	Components struct {
		Schemas         map[string]*Schema    `json:"schemas"`
		SecuritySchemes map[string]schemeSpec `json:"securitySchemes"`
	} `json:"components"`
}

type operation struct {
	ID          string          `json:"operationId"`
	Tags        []string        `json:"tags"`
	Parameters  []parameterSpec `json:"parameters"`
	RequestBody *struct {
		Required bool                 `json:"required"`
		Content  map[string]mediaSpec `json:"content"`
	} `json:"requestBody"`
	Responses map[string]struct {
		Content map[string]mediaSpec `json:"content"`
	} `json:"responses"`
	Security *[]map[string][]string `json:"security"`
}

type parameterSpec struct {
	Name     string  `json:"name"`
	In       string  `json:"in"`
	Required bool    `json:"required"`
	Schema   *Schema `json:"schema"`
	Example  any     `json:"example"`
}

type mediaSpec struct {
	Schema  *Schema `json:"schema"`
	Example any     `json:"example"`
}

type schemeSpec struct {
	Type   string `json:"type"`
	In     string `json:"in"`
	Name   string `json:"name"`
	Scheme string `json:"scheme"`
	Flows  map[string]struct {
		AuthorizationURL string            `json:"authorizationUrl"`
		TokenURL         string            `json:"tokenUrl"`
		RefreshURL       string            `json:"refreshUrl"`
		Scopes           map[string]string `json:"scopes"`
	} `json:"flows"`
}

var verbs = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"}

// key is a pattern with its wildcards' names and catch-all marks removed, as
// Goa's routes and OpenAPI's paths spell the same place differently.
func key(pattern string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(pattern, "{")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		_, after, _ := strings.Cut(rest, "}")
		b.WriteString("{}")
		pattern = after
	}
}

// operations returns the operations of the document by verb and place.
func (d *document) operations() (map[string]*operation, error) {
	all := map[string]*operation{}
	for path, item := range d.Paths {
		for name, raw := range item {
			verb := strings.ToUpper(name)
			if !slices.Contains(verbs, verb) {
				continue
			}
			op := &operation{}
			if err := json.Unmarshal(raw, op); err != nil {
				return nil, fmt.Errorf("read OpenAPI document: %s %s: %w", verb, path, err)
			}
			all[verb+" "+key(path)] = op
		}
	}
	return all, nil
}

// describe adds what the document says about the method's payload and answers.
func (d *document) describe(m *Method) error {
	if d == nil || !m.HTTP() {
		return nil
	}
	ops, err := d.operations()
	if err != nil {
		return err
	}
	op := ops[m.Verb+" "+key(m.Pattern)]
	if op == nil {
		return nil // hidden from the document by the design
	}
	d.fill(m, op)
	return nil
}

func (d *document) fill(m *Method, op *operation) {
	for _, p := range op.Parameters {
		if p.In == "cookie" || m.credential(p.In, p.Name) {
			continue
		}
		if p.Required && p.Schema.within(d).Resolved().object() {
			m.Unmade = fmt.Sprintf("its parameter %s is an object, of which the document does not say how it is written", p.Name)
		}
		m.Parameters = append(m.Parameters, Parameter{Name: p.Name, In: p.In, Required: p.Required, Schema: p.Schema.within(d), Example: p.Example})
	}
	if op.RequestBody != nil {
		m.BodyRequired = op.RequestBody.Required
		if media, ok := op.RequestBody.Content["application/json"]; ok {
			m.Body = media.Schema.within(d)
		} else if m.BodyRequired {
			m.Unmade = "its body is " + strings.Join(slices.Sorted(maps.Keys(op.RequestBody.Content)), " or ") + ", which the prover does not make"
		}
	}
	m.Results = map[int]*Schema{}
	for code, answer := range op.Responses {
		status, err := strconv.Atoi(code)
		if err != nil {
			continue // "default"
		}
		m.Statuses = append(m.Statuses, status)
		for _, media := range answer.Content {
			if media.Schema != nil {
				m.Results[status] = media.Schema.within(d)
			}
		}
	}
	slices.Sort(m.Statuses)
}

// credential reports whether the place is one of a credential of the method.
func (m *Method) credential(in, name string) bool {
	for _, r := range m.Requirements {
		for _, u := range r.Schemes {
			if string(u.In) == in && strings.EqualFold(u.Name, name) {
				return true
			}
		}
	}
	return false
}

// service is the model of the document alone.
func (d *document) service() (*Service, error) {
	s := &Service{Name: d.Info.Title, Title: d.Info.Title, Version: d.Info.Version}
	for _, name := range slices.Sorted(maps.Keys(d.Components.SecuritySchemes)) {
		s.Schemes = append(s.Schemes, d.scheme(name))
	}
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		for _, verb := range verbs {
			raw, ok := d.Paths[path][strings.ToLower(verb)]
			if !ok {
				continue
			}
			op := &operation{}
			if err := json.Unmarshal(raw, op); err != nil {
				return nil, fmt.Errorf("read OpenAPI document: %s %s: %w", verb, path, err)
			}
			m := d.method(verb, path, op)
			m.service = s
			s.Methods = append(s.Methods, m)
		}
	}
	if len(s.Methods) == 0 {
		return nil, fmt.Errorf("read OpenAPI document: it has no operation: want the openapi3.json that goa gen writes")
	}
	return s, nil
}

func (d *document) method(verb, path string, op *operation) *Method {
	m := &Method{Verb: verb, Pattern: path}
	m.Service, m.Name = names(op, verb, path)
	m.Kind = policy.Unary
	m.Routes = []policy.Route{{Verb: verb, Pattern: path}}
	security := d.Security
	if op.Security != nil {
		security = *op.Security
	}
	m.Access = policy.Public
	for _, alternative := range security {
		if len(alternative) == 0 {
			m.Requirements = nil // {} lets anybody in
			break
		}
		m.Requirements = append(m.Requirements, d.requirement(alternative))
	}
	if m.Secured() {
		m.Access = policy.Secured
	}
	m.HasBody = op.RequestBody != nil
	for code, answer := range op.Responses {
		if code == "101" {
			m.Kind = policy.WebSocket
		}
		if _, ok := answer.Content["text/event-stream"]; ok {
			m.Kind = policy.EventStream
		}
	}
	d.fill(m, op)
	return m
}

// names returns the service and the method behind an operation: Goa names
// operations "service#method".
func names(op *operation, verb, path string) (service, method string) {
	service = "api"
	if len(op.Tags) > 0 {
		service = op.Tags[0]
	}
	if before, after, ok := strings.Cut(op.ID, "#"); ok {
		service, method = before, after
	} else if method = op.ID; method == "" {
		method = strings.ToLower(verb) + strings.NewReplacer("/", "_", "{", "", "}", "", "*", "").Replace(path)
	}
	return service, method
}

func (d *document) requirement(alternative map[string][]string) policy.Requirement {
	var r policy.Requirement
	for _, name := range slices.Sorted(maps.Keys(alternative)) {
		spec := d.Components.SecuritySchemes[name]
		use := policy.Use{Scheme: name, In: policy.InHeader, Name: "Authorization"}
		if spec.Type == "apiKey" {
			use.In, use.Name = policy.In(spec.In), spec.Name
		} else if in, at, ok := placed(name); ok && !strings.EqualFold(spec.Scheme, "basic") {
			use.In, use.Name = in, at
		}
		r.Schemes = append(r.Schemes, use)
		r.Scopes = append(r.Scopes, alternative[name]...)
	}
	slices.Sort(r.Scopes)
	r.Scopes = slices.Compact(r.Scopes)
	return r
}

// placed returns where a token is sent by the name of its scheme: OpenAPI has no
// word for it, and Goa writes "jwt_header_X-Authorization" or "oauth2_query_t".
func placed(scheme string) (in policy.In, name string, ok bool) {
	for _, in := range []policy.In{policy.InHeader, policy.InQuery, policy.InCookie} {
		if kind, name, ok := strings.Cut(scheme, "_"+string(in)+"_"); ok && kind != "" && name != "" {
			return in, name, true
		}
	}
	return "", "", false
}

func (d *document) scheme(name string) policy.Scheme {
	spec := d.Components.SecuritySchemes[name]
	s := policy.Scheme{Name: name}
	switch {
	case spec.Type == "oauth2":
		s.Kind = policy.OAuth2
	case spec.Type == "apiKey":
		s.Kind = policy.APIKey
	case strings.EqualFold(spec.Scheme, "basic"):
		s.Kind = policy.Basic
	default:
		s.Kind = policy.JWT
	}
	for _, flow := range spec.Flows {
		s.Scopes = append(s.Scopes, slices.Collect(maps.Keys(flow.Scopes))...)
	}
	slices.Sort(s.Scopes)
	s.Scopes = slices.Compact(s.Scopes)
	return s
}
