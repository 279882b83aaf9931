package jwt_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"maps"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/jwt"
)

func TestForgeries(t *testing.T) {
	v, _ := verifier(t, jwt.Config{}, "rsa", "ec", "ed")
	ok := good(nil)
	parts := strings.Split(ok, ".")
	header := func(change object) string {
		h := object{"alg": "ES256", "kid": "ec"}
		maps.Copy(h, change)
		return sign("ec", "ES256", h, with(nil))
	}
	public, err := x509.MarshalPKIXPublicKey(keys["rsa"].Public())
	if err != nil {
		t.Fatal(err)
	}
	hs := encode(object{"alg": "HS256", "kid": "rsa"}) + "." + encode(with(nil))
	mac := hmac.New(sha256.New, public)
	mac.Write([]byte(hs))
	raw, _ := base64.RawURLEncoding.DecodeString(parts[2])
	claims := encode(with(nil))
	ec := object{"alg": "ES256", "kid": "ec"}
	jwk := jose.JSONWebKey{Key: keys["other"].Public()}
	// The last character of a P-256 signature holds 4 bits that say nothing.
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", ok[len(ok)-1])
	loose := ok[:len(ok)-1] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last|1])
	for name, tt := range map[string]struct{ token, want string }{
		"none":                    {encode(object{"alg": "none"}) + "." + claims + ".", "!wrong_algorithm"},
		"nOnE with a signature":   {encode(object{"alg": "nOnE", "kid": "ec"}) + "." + claims + "." + parts[2], "!wrong_algorithm"},
		"no signature":            {parts[0] + "." + parts[1] + ".", "!wrong_algorithm"},
		"no algorithm":            {encode(object{"kid": "ec"}) + "." + claims + "." + parts[2], "!wrong_algorithm"},
		"public key as HMAC":      {hs + "." + b64(mac.Sum(nil)), "!wrong_algorithm"},
		"RS256 header, EC key":    {header(object{"alg": "RS256"}), "!wrong_algorithm"},
		"ES384 header, P-256 key": {header(object{"alg": "ES384"}), "!wrong_algorithm"},
		"algorithm not allowed":   {header(object{"alg": "RS512", "kid": "rsa"}), "!wrong_algorithm"},
		"another key":             {sign("other", "ES256", ec, with(nil)), "!bad_signature"},
		"unknown key id":          {header(object{"kid": "other"}), "!unknown_key"},
		"empty key id":            {header(object{"kid": ""}), "!unknown_key"},
		"key id of another key":   {header(object{"kid": "ed"}), "!wrong_algorithm"},
		"key id is a path":        {header(object{"kid": "../../dev/null"}), "!unknown_key"},
		"key id number":           {header(object{"kid": 7}), "!malformed"},
		"alg list":                {header(object{"alg": []string{"ES256"}}), "!malformed"},
		"typ number":              {header(object{"typ": 7}), "!malformed"},
		"embedded key":            {sign("other", "ES256", object{"alg": "ES256", "jwk": jwk}, with(nil)), "!malformed"},
		"jku":                     {header(object{"jku": "https://evil.example"}), "!malformed"},
		"x5u":                     {header(object{"x5u": "https://evil.example"}), "!malformed"},
		"x5c":                     {header(object{"x5c": []string{}}), "!malformed"},
		"crit":                    {header(object{"crit": []string{"b64"}, "b64": false}), "!malformed"},
		"crit null":               {header(object{"crit": nil}), "!malformed"},
		"encrypted":               {strings.Repeat("YQ.", 4) + "YQ", "!malformed"},
		"changed claims":          {parts[0] + "." + encode(with(object{"sub": "eve"})) + "." + parts[2], "!bad_signature"},
		"changed header":          {encode(object{"alg": "ES256", "kid": "ec", "x": 1}) + "." + parts[1] + "." + parts[2], "!bad_signature"},
		"signature cut":           {parts[0] + "." + parts[1] + "." + b64(raw[:63]), "!bad_signature"},
		"signature longer":        {parts[0] + "." + parts[1] + "." + b64(append(raw, 0)), "!bad_signature"},
		"signature zero":          {parts[0] + "." + parts[1] + "." + b64(make([]byte, 64)), "!bad_signature"},
		"two parts":               {parts[0] + "." + parts[1], "!malformed"},
		"four parts":              {ok + ".YQ", "!malformed"},
		"dots only":               {strings.Repeat(".", jwt.MaxToken), "!malformed"},
		"nothing":                 {"", "!malformed"},
		"dots":                    {"..", "!malformed"},
		"padding":                 {ok + "==", "!malformed"},
		"newline":                 {parts[0] + ".\n" + parts[1] + "." + parts[2], "!malformed"},
		"trailing bits":           {loose, "!malformed"},
		"standard alphabet":       {parts[0] + "." + parts[1] + "." + strings.Repeat("+", 86), "!malformed"},
		"duplicate header":        {sign("ec", "ES256", `{"alg":"ES256","alg":"ES256","kid":"ec"}`, with(nil)), "!malformed"},
		"duplicate claim":         {sign("ec", "ES256", ec, `{"sub":"ann","sub":"eve"}`), "!malformed"},
		"duplicate by escape":     {sign("ec", "ES256", ec, `{"sub":"ann","s\u0075b":"eve"}`), "!malformed"},
		"duplicate deep down":     {sign("ec", "ES256", ec, `{"a":[{"b":1,"b":2}]}`), "!malformed"},
		"claims are a list":       {sign("ec", "ES256", ec, `[1]`), "!malformed"},
		"claims are text":         {sign("ec", "ES256", ec, `"a"`), "!malformed"},
		"claims are null":         {sign("ec", "ES256", ec, `null`), "!malformed"},
		"two claim objects":       {sign("ec", "ES256", ec, `{}{}`), "!malformed"},
		"claims not UTF-8":        {sign("ec", "ES256", ec, "{\"sub\":\"\xff\"}"), "!malformed"},
		"claims too deep":         {sign("ec", "ES256", ec, strings.Repeat(`{"a":`, 20)+"1"+strings.Repeat("}", 20)), "!malformed"},
		"claims cut":              {sign("ec", "ES256", ec, `{"sub":"ann"`), "!malformed"},
		"too long":                {good(object{"x": strings.Repeat("x", 8<<10)}), "!malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // no refusal is remembered as a success
				p, err := v.Verify(t.Context(), auth.Credential{Token: tt.token})
				if got := reason(p, err); got != tt.want {
					t.Errorf("got %q, want %q (%v)", got, tt.want, err)
				}
				for _, part := range strings.Split(tt.token, ".") {
					if err != nil && len(part) > 4 && strings.Contains(err.Error(), part) {
						t.Errorf("the error holds a part of the token: %v", err)
					}
				}
			}
		})
	}
	if got := verify(v, ok); got != "ann" {
		t.Errorf("the token that they were made from: got %q", got)
	}
}

func FuzzVerify(f *testing.F) {
	v, _ := verifier(f, jwt.Config{}, "ec")
	ok := good(nil)
	f.Add(ok)
	f.Add(ok[:len(ok)-1])
	f.Add("..")
	f.Add(encode(`{"alg":"ES256","kid":"ec"}`) + "." + encode(`{"sub":[[[[]]]]}`) + ".YQ")
	f.Fuzz(func(t *testing.T, token string) {
		p, err := v.Verify(t.Context(), auth.Credential{Token: token})
		if (p != nil) != (err == nil) {
			t.Errorf("got %v and %v", p, err)
		}
		if p != nil && token != ok {
			t.Errorf("accepted %q", token)
		}
	})
}
