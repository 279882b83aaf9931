package codegen

import (
	"strings"
	"testing"

	"github.com/aguada-dev/aguada/policy"
)

// Methods of one WebSocket are strict together; those without params do not
// count, and neither do plain calls.
func TestStrictnessOfOneWebSocket(t *testing.T) {
	for _, c := range []struct {
		name              string
		kind              policy.Kind
		params, strict    bool // of the second method; the first has both
		refused, elsewise bool
	}{
		{name: "both", kind: policy.WebSocket, params: true, strict: true},
		{name: "one", kind: policy.WebSocket, params: true, refused: true},
		{name: "without params", kind: policy.WebSocket},
		{name: "plain calls", kind: policy.Unary, params: true},
		{name: "another route", kind: policy.WebSocket, params: true, elsewise: true},
	} {
		method := func(name string, params, strict bool) policy.Method {
			return policy.Method{Service: "chat", Name: name, StrictBody: strict, JSONRPC: &policy.JSONRPC{
				Method: name, Route: policy.Route{Verb: "GET", Pattern: "/chat"}, Kind: c.kind, HasParams: params,
			}}
		}
		second := method("second", c.params, c.strict)
		if c.elsewise {
			second.JSONRPC.Route.Pattern = "/other"
		}
		err := checkJSONRPC(&policy.Contract{Services: []policy.Service{{Name: "chat", Methods: []policy.Method{method("first", true, true), second}}}})
		if c.refused != (err != nil) || err != nil && !strings.Contains(err.Error(), "StrictBody") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
