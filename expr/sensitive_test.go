package expr_test

import (
	"testing"

	goa "goa.design/goa/v3/dsl"
	goaexpr "goa.design/goa/v3/expr"

	"github.com/aguada-dev/aguada/dsl"
	"github.com/aguada-dev/aguada/expr"
)

func TestIsSensitive(t *testing.T) {
	attribute := func(t goaexpr.DataType, keys ...string) *goaexpr.AttributeExpr {
		att := &goaexpr.AttributeExpr{Type: t}
		for _, k := range keys {
			att.AddMeta(k)
		}
		return att
	}
	named := func(name string, att *goaexpr.AttributeExpr) *goaexpr.UserTypeExpr {
		return &goaexpr.UserTypeExpr{TypeName: name, AttributeExpr: att, UID: name}
	}
	secret := attribute(goaexpr.String, expr.SensitiveKey)
	open := attribute(goaexpr.String)
	object := &goaexpr.Object{{Name: "secret", Attribute: secret}}
	recursive := named("Tree", nil)
	recursive.AttributeExpr = attribute(&goaexpr.Array{ElemType: attribute(recursive)})

	tests := []struct {
		name string
		att  *goaexpr.AttributeExpr
		want bool
	}{
		{"nil", nil, false},
		{"no type", &goaexpr.AttributeExpr{}, false},
		{"plain", open, false},
		{"marked by hand", secret, true},
		{"password", attribute(goaexpr.String, "security:password"), true},
		{"token", attribute(goaexpr.String, "security:token"), true},
		{"access token", attribute(goaexpr.String, "security:accesstoken"), true},
		{"bearer token", attribute(goaexpr.String, "security:bearer"), true},
		{"API key", attribute(goaexpr.String, "security:apikey:name"), true},
		{"a credential that Goa may add", attribute(goaexpr.String, "security:passkey"), true},
		{"user name", attribute(goaexpr.String, "security:username"), false},
		{"user name and password", attribute(goaexpr.String, "security:username", "security:password"), true},
		{"other meta", attribute(goaexpr.String, "rpc:tag", "struct:field:name"), false},
		{"object with a secret", attribute(object), false},
		{"marked object", attribute(object, expr.SensitiveKey), true},
		{"array of secrets", attribute(&goaexpr.Array{ElemType: secret}), true},
		{"array of arrays of secrets", attribute(&goaexpr.Array{ElemType: attribute(&goaexpr.Array{ElemType: secret})}), true},
		{"array of objects with a secret", attribute(&goaexpr.Array{ElemType: attribute(object)}), false},
		{"map with secret keys", attribute(&goaexpr.Map{KeyType: secret, ElemType: open}), true},
		{"map with secret values", attribute(&goaexpr.Map{KeyType: open, ElemType: secret}), true},
		{"map", attribute(&goaexpr.Map{KeyType: open, ElemType: open}), false},
		{"union with a secret", attribute(&goaexpr.Union{Values: []*goaexpr.NamedAttributeExpr{{Name: "a", Attribute: open}, {Name: "b", Attribute: secret}}}), true},
		{"secret type", attribute(named("Pin", secret)), true},
		{"type of a secret type", attribute(named("Code", attribute(named("Pin", secret)))), true},
		{"open type", attribute(named("Name", open)), false},
		{"recursive type", attribute(recursive), false},
	}
	for _, tt := range tests {
		if got := expr.IsSensitive(tt.att); got != tt.want {
			t.Errorf("%s: IsSensitive = %t, want %t", tt.name, got, tt.want)
		}
		if tt.att == nil || tt.att.Type == nil {
			continue
		}
		if got := expr.IsSensitive(goaexpr.DupAtt(tt.att)); got != tt.want {
			t.Errorf("%s, copied: IsSensitive = %t, want %t", tt.name, got, tt.want)
		}
	}
}

// TestMarkSurvivesGoa follows a mark into what Goa derives from an attribute:
// the body types of a transport and the types of views.
func TestMarkSurvivesGoa(t *testing.T) {
	err := expr.Evaluate(func() {
		order := goa.ResultType("application/vnd.order", func() {
			goa.TypeName("Order")
			goa.Attributes(func() {
				goa.Attribute("id", goa.String)
				goa.Attribute("card", goa.String, func() { dsl.Sensitive() })
			})
			goa.View("default", func() {
				goa.Attribute("id")
				goa.Attribute("card")
			})
		})
		goa.Service("orders", func() {
			goa.Method("create", func() {
				goa.Payload(func() {
					goa.Attribute("card", goa.String, func() { dsl.Sensitive() })
					goa.Attribute("trace", goa.String, func() { dsl.Sensitive() })
				})
				goa.Result(order)
				goa.HTTP(func() {
					goa.POST("/")
					goa.Header("trace:X-Trace")
				})
			})
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	endpoint := goaexpr.Root.API.HTTP.Services[0].HTTPEndpoints[0]
	view := goaexpr.Root.Service("orders").Method("create").Result.Type.(*goaexpr.ResultTypeExpr).View("default")
	for name, att := range map[string]*goaexpr.AttributeExpr{
		"request body":  endpoint.Body.Find("card"),
		"header":        endpoint.Headers.Find("trace"),
		"response body": endpoint.Responses[0].Body.Find("card"),
		"view":          view.Find("card"),
	} {
		if att == nil {
			t.Errorf("%s: attribute is gone", name)
		} else if !expr.IsSensitive(att) {
			t.Errorf("%s: mark is lost", name)
		}
	}
}
