package idp_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/aguada-dev/aguada/prove/idp"
)

// Whatever is asked, no token that the provider did not issue is active.
func FuzzIntrospection(f *testing.F) {
	p, err := idp.Start(idp.Config{Audience: audience, Introspection: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = p.Close() })
	for _, name := range []string{"wrong-key", "alg-none-signed", "hs256-rsa-der", "embedded-jwk", "dots", "claims-utf8"} {
		token, err := p.Forge(name, idp.Claims{})
		if err != nil {
			f.Fatal(err)
		}
		f.Add("token=" + token)
	}
	f.Add("token=%zz&token=")
	client := &http.Client{}
	f.Cleanup(client.CloseIdleConnections)
	f.Fuzz(func(t *testing.T, form string) {
		req, err := http.NewRequest(http.MethodPost, p.IntrospectionURL(), strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth(p.ClientID(), p.ClientSecret())
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode == http.StatusBadRequest {
			return
		}
		var said map[string]any
		if err := json.NewDecoder(res.Body).Decode(&said); err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("status %d, %v", res.StatusCode, err)
		}
		if said["active"] != false || len(said) != 1 {
			t.Errorf("%q: %v", form, said)
		}
	})
}
