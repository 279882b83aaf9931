package jwt_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/auth/jwt"
)

// A header that is taken says to encoding/json, and to go-jose, what it says
// to us, and has nothing that is forbidden.
func FuzzHeader(f *testing.F) {
	for _, s := range []string{
		`{"alg":"ES256","kid":"ec"}`, `{"alg":"none"}`, `{"alg":"ES256","jwk":{}}`, `{"alg":"ES256","crit":["b64"],"b64":false}`,
		`{"alg":"ES256","\u0061lg":"none"}`, `{"alg":"ES256","ALG":"none"}`, `{"alg":"ES256","cty":"JWT"}`, `{"kid":"\ud800"}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		alg, kid, named, err := jwt.Header(b64([]byte(text)))
		if err != nil {
			return
		}
		var m map[string]any
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Fatalf("taken: %v", err)
		}
		if strings.EqualFold(alg, "none") {
			t.Error("an unsigned token is taken")
		}
		if theirs, _ := m["alg"].(string); theirs != alg {
			t.Errorf("alg %q, and to others %q", alg, theirs)
		}
		if theirs, there := m["kid"]; there != named || (there && theirs != kid) {
			t.Errorf("kid %q (%t), and to others %v", kid, named, theirs)
		}
		for _, name := range []string{"jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc"} {
			if _, there := m[name]; there {
				t.Errorf("%s is taken", name)
			}
		}
	})
}

// Claims that are taken have been looked at: they are ours, of now, and
// somebody's.
func FuzzClaims(f *testing.F) {
	ks, _ := fileSet(f, "ec")
	v, err := jwt.New([]jwt.Issuer{{Name: issuer, Keys: ks}}, jwt.Config{
		Audience: []string{audience}, MaxAge: time.Hour, Leeway: time.Second,
	})
	if err != nil {
		f.Fatal(err)
	}
	now := time.Unix(1_000_000_000, 0)
	for _, s := range []string{
		`{"sub":"a","aud":"orders","exp":1000000060,"iat":1000000000}`,
		`{"sub":"a","aud":["x","orders"],"exp":1e9,"iat":999999999.5,"scope":"a b","scp":["b","a"]}`,
		`{"sub":"\ud800","aud":[1],"exp":-1,"nbf":"x","iat":null,"scope":{},"cnf":{}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var claims map[string]any
		if json.Unmarshal(data, &claims) != nil {
			return
		}
		p, until, err := jwt.Judge(v, issuer, claims, now)
		if err != nil {
			if p != nil || !until.IsZero() {
				t.Errorf("%v beside %v", p, err)
			}
			return
		}
		if p.Subject == "" || p.Subject != claims["sub"] || p.Issuer != issuer || !slices.IsSorted(p.Scopes) {
			t.Errorf("principal %+v of %s", p, data)
		}
		if !now.Before(until) || until.After(now.Add(time.Hour+2*time.Second)) || until.Sub(p.ExpiresAt) != time.Second {
			t.Errorf("it ends %s, and may be used until %s", p.ExpiresAt, until)
		}
		if aud, ok := claims["aud"].([]any); claims["aud"] != audience && (!ok || !slices.Contains(aud, any(audience))) {
			t.Errorf("aud %v is taken", claims["aud"])
		}
		if _, bound := claims["cnf"]; bound {
			t.Error("a token that is bound to a key is taken")
		}
	})
}
