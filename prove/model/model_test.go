package model

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aguada-dev/aguada/policy"
)

func file(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("../../" + name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func ids(s *Service) []string {
	var list []string
	for _, m := range s.Methods {
		list = append(list, m.ID())
	}
	return list
}

func TestContractAndDocument(t *testing.T) {
	t.Parallel()
	s, err := Read(file(t, "examples/orders/gen/production/contract.json"), file(t, "examples/orders/gen/http/openapi3.json"))
	if err != nil {
		t.Fatal(err)
	}
	if !s.Contracted || s.Name != "shop" || !s.GRPC() || !s.Uses(policy.Basic) {
		t.Errorf("%+v", s)
	}
	create := s.Method("orders.create")
	switch {
	case create == nil:
		t.Fatalf("the methods are %v", ids(s))
	case create.Verb != "POST" || create.Pattern != "/orders" || !create.Secured() || !create.Changes() || !create.HTTP():
		t.Errorf("%+v", create.Method)
	case create.Body == nil || !create.BodyRequired || !create.Body.Resolved().Closed() || !create.StrictBody || create.MaxBody != 1<<20:
		t.Errorf("the body is %+v", create.Body)
	case !slices.Contains(create.Statuses, 201) || create.Results[201] == nil:
		t.Errorf("the answers are %v", create.Statuses)
	}
	for _, p := range create.Parameters {
		if p.Name == "Authorization" {
			t.Error("a credential is a parameter")
		}
	}
	get := s.Method("orders.get")
	if len(get.Parameters) != 1 || get.Parameters[0].In != "path" || get.Parameters[0].Name != "id" || get.Parameters[0].Schema.Pattern == "" || get.Changes() {
		t.Errorf("%+v", get.Parameters)
	}
	if s.Method("orders.nothing") != nil {
		t.Error("a method that the design does not have")
	}
}

// Without the document nothing is known of payloads, and all of policies.
func TestContractAlone(t *testing.T) {
	t.Parallel()
	s, err := Read(file(t, "examples/orders/gen/production/contract.json"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if m := s.Method("orders.create"); m == nil || m.Body != nil || !m.Secured() || m.Example == nil {
		t.Errorf("%+v", m)
	}
}

func TestDocumentAlone(t *testing.T) {
	t.Parallel()
	s, err := Read(nil, file(t, "examples/page/gen/http/openapi3.json"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"orders.create_order", "orders.track_orders", "orders.watch_orders", "orders.show_order", "users.list", "users.admin", "users.public"}
	if diff := cmp.Diff(want, ids(s)); diff != "" {
		t.Errorf("methods: %s", diff)
	}
	kinds := map[string]policy.Kind{}
	access := map[string]policy.Access{}
	for _, m := range s.Methods {
		kinds[m.Name], access[m.Name] = m.Kind, m.Access
	}
	if kinds["create_order"] != policy.Unary || kinds["track_orders"] != policy.WebSocket || kinds["watch_orders"] != policy.EventStream {
		t.Errorf("kinds: %v", kinds)
	}
	if access["public"] != policy.Public || access["admin"] != policy.Secured {
		t.Errorf("access: %v", access)
	}
	m := s.Method("orders.create_order")
	if s.Contracted || m.MaxBody != 0 || m.Body.Resolved().Properties["id"].MaxLength == nil || m.SchemeKind(m.Alternative()[0]) != policy.Basic {
		t.Errorf("%+v", m.Method)
	}
	key := s.Method("users.list").Alternative()
	if len(key) != 1 || key[0].In != policy.InQuery || key[0].Name != "key" {
		t.Errorf("the API key is in %+v", key)
	}
}

// The routes of the contract and of the document are the same.
func TestBothReadingsAgree(t *testing.T) {
	t.Parallel()
	contract, document := file(t, "examples/orders/gen/production/contract.json"), file(t, "examples/orders/gen/http/openapi3.json")
	both, err := Read(contract, document)
	if err != nil {
		t.Fatal(err)
	}
	alone, err := Read(nil, document)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range alone.Methods {
		x := both.Method(m.ID())
		if x == nil {
			t.Errorf("%s is not in the contract", m.ID())
			continue
		}
		if x.Verb != m.Verb || key(x.Pattern) != key(m.Pattern) || x.Kind != m.Kind || len(x.Parameters) != len(m.Parameters) || (x.Body == nil) != (m.Body == nil) || x.Secured() != m.Secured() {
			t.Errorf("%s: %s %s and %s %s", m.ID(), x.Verb, x.Pattern, m.Verb, m.Pattern)
		}
	}
}

func TestBadDocuments(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, contract, document, want string }{
		{"nothing", "", "", "neither a contract nor"},
		{"no JSON", "", "openapi: 3.0.3", "read OpenAPI document"},
		{"Swagger 2", "", `{"swagger":"2.0"}`, `version ""`},
		{"another version", "", `{"openapi":"4.0.0","paths":{}}`, `version "4.0.0"`},
		{"no operation", "", `{"openapi":"3.0.3","paths":{}}`, "it has no operation"},
		{"an operation of another form", "", `{"openapi":"3.0.3","paths":{"/x":{"get":{"parameters":7}}}}`, "GET /x"},
		{"a list", "", `[]`, "read OpenAPI document"},
		{"a contract that is no JSON", "{", "", "read contract"},
		{"a contract without services", `{"api":{"name":"x"}}`, "", "it has no service"},
		{"a contract, and a document that is none", `{"services":[{"methods":[]}]}`, `{`, "read OpenAPI document"},
		{"a contract, and a document of another form", `{"services":[{"methods":[{"service":"s","name":"m","routes":[{"verb":"GET","pattern":"/x"}]}]}]}`, `{"openapi":"3.0.3","paths":{"/y":{"get":"text"}}}`, "GET /y"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			given := func(text string) []byte {
				if text == "" {
					return nil
				}
				return []byte(text)
			}
			s, err := Read(given(c.contract), given(c.document))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
}

func TestServes(t *testing.T) {
	t.Parallel()
	s := &Service{Methods: []*Method{
		{Method: policy.Method{Routes: []policy.Route{{Verb: "GET", Pattern: "/orders/{id}"}, {Verb: "GET", Pattern: "/orders/{id}/lines"}, {Verb: "GET", Pattern: "/files/{*path}"}}}},
	}}
	for path, want := range map[string]bool{
		"/orders/7": true, "/orders/7/lines": true, "/orders/": false, "/orders/7/": false, "/orders": false, "/Orders/7": false,
		"//orders/7": false, "/orders/7/lines/1": false, "/files/a/b": true, "/files/": true, "": false,
	} {
		if got := s.Serves("GET", path); got != want {
			t.Errorf("GET %s is served: %v", path, got)
		}
		if s.Serves("POST", path) {
			t.Errorf("POST %s is served", path)
		}
	}
}

// Whatever a document says, it is read or refused, and what was read can be
// walked.
func FuzzRead(f *testing.F) {
	f.Add([]byte(nil), file(f, "examples/page/gen/http/openapi3.json"))
	f.Add(file(f, "examples/orders/gen/production/contract.json"), []byte(nil))
	f.Add([]byte(nil), []byte(`{"openapi":"3.0.3","paths":{"/x/{a":{"get":{"parameters":[{"in":"path","name":"a","schema":{"$ref":"#/components/schemas/A"}}],"responses":{"101":{}}}}},"components":{"schemas":{"A":{"$ref":"#/components/schemas/A"}}}}`))
	f.Add([]byte(nil), []byte(`{"openapi":"3.0.3","paths":{"/x":{"post":{"requestBody":{"content":{"application/json":{"schema":{"properties":{"a":null},"items":null,"oneOf":[null]}}}},"security":[{}]}}}}`))
	f.Fuzz(func(t *testing.T, contract, document []byte) {
		if len(contract) == 0 {
			contract = nil
		}
		if len(document) == 0 {
			document = nil
		}
		s, err := Read(contract, document)
		if err != nil {
			return
		}
		for _, m := range s.Methods {
			_, _, _ = m.Alternative(), m.Changes(), s.Serves(m.Verb, m.Pattern)
			if b := m.Body.Resolved(); b != nil {
				b.Closed()
				b.Items.Resolved()
			}
			for _, p := range m.Parameters {
				p.Schema.Resolved()
			}
			if _, err := json.Marshal(m.Method); err != nil {
				t.Errorf("%s: %v", m.ID(), err)
			}
		}
	})
}
