package codegen

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"

	goaexpr "goa.design/goa/v3/expr"
	"goa.design/goa/v3/http/codegen/openapi"

	"github.com/aguada-dev/aguada/policy"
)

// exampler makes up one request. It asks Goa's example generator, whose values
// depend on nothing but the design, as the OpenAPI documents do.
type exampler struct {
	ep      *goaexpr.HTTPEndpointExpr
	gen     *goaexpr.ExampleGenerator
	payload map[string]any  // what the design's own example of the payload holds
	secret  map[string]bool // attributes that hold credentials
	failed  bool            // a value that the request needs has no example
}

// newExample returns a well-formed request without credentials: everything
// that the payload requires, and the whole body. It returns nil where the
// design's examples do not make up a request.
func newExample(api *goaexpr.APIExpr, ep *goaexpr.HTTPEndpointExpr, m policy.Method) *policy.Example {
	if len(m.Routes) == 0 || ep.MultipartRequest {
		return nil
	}
	x := &exampler{ep: ep, gen: api.ExampleGenerator, secret: credentialAttributes(ep.MethodExpr.Payload)}
	if user := ep.MethodExpr.Payload.ExtractUserExamples(); len(user) > 0 {
		x.payload = fields(user[len(user)-1].Value)
	}
	ex := &policy.Example{Verb: m.Routes[0].Verb, Path: x.path(m.Routes[0].Pattern), Header: x.header(), Body: x.body()}
	if q := x.query().Encode(); q != "" {
		ex.Path += "?" + q
	}
	for _, r := range ep.Responses {
		if r.StatusCode < http.StatusBadRequest && ex.Status == 0 {
			ex.Status = r.StatusCode
		}
	}
	if ex.Body != nil {
		if !slices.Contains(m.Consumes, jsonType) {
			return nil
		}
		ex.Header["Content-Type"] = jsonType
	}
	if len(ex.Header) == 0 {
		ex.Header = nil
	}
	if x.failed || ex.Status == 0 {
		return nil
	}
	return ex
}

// credentialAttributes returns the payload's attributes that carry Goa's
// security meta, user names included.
func credentialAttributes(payload *goaexpr.AttributeExpr) map[string]bool {
	names := make(map[string]bool)
	obj := goaexpr.AsObject(payload.Type)
	if obj == nil {
		return names
	}
	for _, nat := range *obj {
		for key := range nat.Attribute.Meta {
			if strings.HasPrefix(key, "security:") {
				names[nat.Name] = true
			}
		}
	}
	return names
}

// fields returns the entries of an example that is a map: designs write dsl.Val,
// map[string]any or a type of their own.
func fields(example any) map[string]any {
	v := reflect.ValueOf(example)
	if v.Kind() != reflect.Map || v.Type().Key().Kind() != reflect.String {
		return nil
	}
	m := make(map[string]any, v.Len())
	for _, k := range v.MapKeys() {
		m[k.String()] = v.MapIndex(k).Interface()
	}
	return m
}

// value returns the example of a payload attribute.
func (x *exampler) value(name string, att *goaexpr.AttributeExpr) any {
	if v, ok := x.payload[name]; ok {
		return v
	}
	v := openapi.Example(att, x.gen.Field(x.ep.MethodExpr.Payload, name))
	if v == nil {
		x.failed = true
	}
	return v
}

// needed calls do for the mapped attributes that the payload requires and that
// hold no credential.
func (x *exampler) needed(ma *goaexpr.MappedAttributeExpr, do func(elem string, value any)) {
	goaexpr.WalkMappedAttr(ma, func(name, elem string, att *goaexpr.AttributeExpr) error { //nolint:errcheck // do cannot fail
		payload := x.ep.MethodExpr.Payload
		required := ma.IsRequired(name) || goaexpr.AsObject(payload.Type) == nil || payload.IsRequired(name)
		if required && !x.secret[name] {
			do(elem, x.value(name, att))
		}
		return nil
	})
}

// path fills in the wildcards of a pattern. Wildcards are always needed.
func (x *exampler) path(pattern string) string {
	values := make(map[string]string)
	goaexpr.WalkMappedAttr(x.ep.PathParams(), func(name, elem string, att *goaexpr.AttributeExpr) error { //nolint:errcheck // cannot fail
		if x.secret[name] {
			x.failed = true // the path is no path without its credential
			return nil
		}
		var escaped []string
		for _, text := range texts(x.value(name, att)) {
			escaped = append(escaped, url.PathEscape(text))
		}
		values[elem] = strings.Join(escaped, ",")
		if values[elem] == "" {
			x.failed = true
		}
		return nil
	})
	return goaexpr.HTTPWildcardRegex.ReplaceAllStringFunc(pattern, func(wildcard string) string {
		value := values[goaexpr.ExtractHTTPWildcards(wildcard)[0]]
		if strings.HasPrefix(wildcard, "/{*") {
			value = strings.ReplaceAll(value, "%2F", "/")
		}
		return "/" + value
	})
}

func (x *exampler) query() url.Values {
	q := make(url.Values)
	add := func(name string, value any) {
		if m := reflect.ValueOf(value); m.Kind() == reflect.Map {
			for _, k := range m.MapKeys() {
				q[fmt.Sprintf("%s[%v]", name, k)] = texts(m.MapIndex(k).Interface())
			}
			return
		}
		q[name] = texts(value)
	}
	x.needed(x.ep.QueryParams(), add)
	if name := x.ep.MapQueryParams; name != nil && (*name == "" || x.ep.MethodExpr.Payload.IsRequired(*name)) {
		att := x.ep.MethodExpr.Payload
		if *name != "" {
			att = att.Find(*name)
		}
		m := reflect.ValueOf(x.value(*name, att))
		if m.Kind() == reflect.Map {
			for _, k := range m.MapKeys() {
				q[fmt.Sprint(k)] = texts(m.MapIndex(k).Interface())
			}
		}
	}
	return q
}

func (x *exampler) header() map[string]string {
	header := make(map[string]string)
	x.needed(x.ep.Headers, func(name string, value any) {
		header[http.CanonicalHeaderKey(name)] = strings.Join(texts(value), ",")
	})
	cookies := make(map[string]string)
	x.needed(x.ep.Cookies, func(name string, value any) {
		cookies[name] = strings.Join(texts(value), ",")
	})
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(cookies)) {
		pairs = append(pairs, name+"="+cookies[name])
	}
	if len(pairs) > 0 {
		header["Cookie"] = strings.Join(pairs, "; ")
	}
	return header
}

// body returns the JSON body, without credentials; nil for none.
func (x *exampler) body() any {
	body := x.ep.Body
	if body.Type == goaexpr.Empty {
		return nil
	}
	id := x.ep.Service.Name() + "." + x.ep.Name() + ".request" // as the OpenAPI documents
	value := openapi.Example(body, x.gen.Rebased(id))
	if value == nil {
		x.failed = true
		return nil
	}
	text, err := marshal(value)
	if err != nil {
		x.failed = true // maps with keys that JSON has not
		return nil
	}
	if obj := goaexpr.AsObject(body.Type); obj != nil {
		if text, err = project(text, obj, x.secret); err != nil {
			x.failed = true
			return nil
		}
	}
	return json.RawMessage(text)
}

// project keeps the fields of a JSON object that the body has and that are no
// credentials, under their names in JSON.
func project(text []byte, obj *goaexpr.Object, secret map[string]bool) ([]byte, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	kept := make(map[string]json.RawMessage)
	for _, nat := range *obj {
		name, elem, mapped := strings.Cut(nat.Name, ":")
		if !mapped {
			elem = name
		}
		for _, key := range []string{nat.Name, name, elem} {
			if v, ok := all[key]; ok && !secret[name] {
				kept[elem] = v
				break
			}
		}
	}
	return marshal(kept)
}

// marshal encodes v on one line, without escaping for HTML.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(buf.Bytes()), nil
}

// texts returns a value as a parameter or a header carries it.
func texts(value any) []string {
	switch v := value.(type) {
	case nil:
		return nil
	case []byte:
		return []string{string(v)}
	}
	v := reflect.ValueOf(value)
	if v.Kind() != reflect.Slice {
		return []string{fmt.Sprint(value)}
	}
	list := make([]string, v.Len())
	for i := range list {
		list[i] = fmt.Sprint(v.Index(i).Interface())
	}
	return list
}
