package model

import (
	"slices"
	"strings"
	"testing"

	"github.com/aguada-dev/aguada/policy"
)

// foreign is what Goa writes of services with tokens in other places than
// Authorization, and with bodies and queries that are no JSON.
const foreign = `{"openapi":"3.0.3","info":{"title":"x"},
	"components":{"securitySchemes":{
		"jwt_header_X-Authorization":{"type":"http","scheme":"bearer"},
		"oauth2_query_oauth":{"type":"oauth2","flows":{"implicit":{"scopes":{"a":""}}}},
		"basic_header_Authorization":{"type":"http","scheme":"basic"},
		"plain":{"type":"http","scheme":"bearer"}}},
	"paths":{
		"/jwt":{"get":{"operationId":"s#jwt","security":[{"jwt_header_X-Authorization":[]},{"oauth2_query_oauth":["a"],"basic_header_Authorization":[]}],"responses":{}}},
		"/plain":{"get":{"operationId":"s#plain","security":[{"plain":[]}],"responses":{}}},
		"/parts":{"post":{"operationId":"s#parts","requestBody":{"required":true,"content":{"multipart/form-data":{}}},"responses":{}}},
		"/maybe":{"post":{"operationId":"s#maybe","requestBody":{"content":{"multipart/form-data":{}}},"responses":{}}},
		"/map":{"get":{"operationId":"s#map","parameters":[{"in":"query","name":"q","required":true,"schema":{"type":"object"}}],"responses":{}}}}}`

func TestPlacesOfTokens(t *testing.T) {
	t.Parallel()
	s, err := Read(nil, []byte(foreign))
	if err != nil {
		t.Fatal(err)
	}
	use := func(id string, n, i int) string {
		u := s.Method(id).Requirements[n].Schemes[i]
		return string(u.In) + " " + u.Name
	}
	for got, want := range map[string]string{
		use("s.jwt", 0, 0): "header X-Authorization", use("s.jwt", 1, 0): "header Authorization", use("s.jwt", 1, 1): "query oauth",
		use("s.plain", 0, 0): "header Authorization",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for id, want := range map[string]string{"s.parts": "multipart/form-data", "s.map": "parameter q is an object", "s.maybe": "", "s.plain": ""} {
		if why := s.Method(id).Unmade; (why == "") != (want == "") || !strings.Contains(why, want) {
			t.Errorf("%s: %q, want %q", id, why, want)
		}
	}
}

func TestRequire(t *testing.T) {
	t.Parallel()
	s, err := Read(nil, []byte(foreign))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Require("s.jwt", []string{"b", "a"}); err != nil {
		t.Fatal(err)
	}
	for n, r := range s.Method("s.jwt").Requirements {
		if !slices.Equal(r.Scopes, []string{"a", "b"}) {
			t.Errorf("alternative %d requires %q", n, r.Scopes)
		}
	}
	if err := s.Require("s.gone", nil); err == nil || !strings.Contains(err.Error(), `no method "s.gone"`) {
		t.Errorf("%v", err)
	}
	if s.Method("s.jwt").Requirements[0].Schemes[0].In != policy.InHeader {
		t.Error("the place has changed")
	}
}
