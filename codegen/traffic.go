package codegen

import (
	"fmt"
	"slices"
	"strings"

	goacodegen "goa.design/goa/v3/codegen"
	goaexpr "goa.design/goa/v3/expr"

	"github.com/aguada-dev/aguada/expr"
	"github.com/aguada-dev/aguada/policy"
)

// exampleKey is the idempotency key of requests that the contract makes up.
const exampleKey = "example-1"

// keyPolicy sets the idempotency key of a method that is complete otherwise,
// and the headers that come with it. What the method reads by mappings of the
// design has been judged with the design.
func keyPolicy(pm *policy.Method, m *goaexpr.MethodExpr, declared *expr.Setting[policy.Idempotency]) error {
	if declared == nil {
		return nil
	}
	key := declared.Value
	wrong := func(why string) error {
		return fmt.Errorf("[%s] %s: method %s.%s %s", declared.Pos, declared.Text, pm.Service, pm.Name, why)
	}
	switch {
	case slices.Contains(pm.ResponseHeaders, policy.Replayed):
		return wrong("writes the header " + policy.Replayed + ", which marks answers that were given before: rename it")
	case pm.JSONRPC != nil:
		return wrong("is called over JSON-RPC too, which has no place for keys: serve it over HTTP or gRPC alone")
	case pm.GRPC != nil && readsMetadata(pm.GRPC, strings.ToLower(key.Header)):
		return wrong("takes a credential from gRPC metadata of that name: name another header")
	}
	key.Credentials = credentialFields(m.Payload)
	pm.Idempotency = &key
	if len(pm.Routes) == 0 {
		return nil
	}
	pm.RequestHeaders = sorted(append(pm.RequestHeaders, key.Header))
	pm.ResponseHeaders = sorted(append(pm.ResponseHeaders, policy.Replayed))
	if key.Required && pm.Example != nil {
		if pm.Example.Header == nil {
			pm.Example.Header = make(map[string]string)
		}
		pm.Example.Header[key.Header] = exampleKey
	}
	return nil
}

// credentialFields returns the Go names of a payload's fields that hold
// credentials, in the order of the design.
func credentialFields(payload *goaexpr.AttributeExpr) []string {
	var fields []string
	object := goaexpr.AsObject(payload.Type)
	if object == nil {
		return nil
	}
	for _, att := range *object {
		for key := range att.Attribute.Meta {
			if strings.HasPrefix(key, "security:") {
				fields = append(fields, goacodegen.GoifyAtt(att.Attribute, att.Name, true))
				break
			}
		}
	}
	return fields
}

// readsMetadata reports whether g takes a credential from the key.
func readsMetadata(g *policy.GRPC, key string) bool {
	return slices.ContainsFunc(g.Requirements, func(r policy.Requirement) bool {
		return slices.ContainsFunc(r.Schemes, func(u policy.Use) bool { return u.Name == key || u.Password == key })
	})
}
