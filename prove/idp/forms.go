package idp

import (
	"encoding/base64"
	"strings"
)

// parts returns the three parts of the token.
func (d *draft) parts() ([]string, error) {
	token, err := d.token()
	return strings.Split(token, "."), err
}

// altered makes a token by changing the bytes of the signature of a good one.
func altered(change func(signature []byte) []byte) forge {
	return compact(func(parts []string) string {
		s, _ := base64.RawURLEncoding.DecodeString(parts[2]) // it was encoded here
		return parts[0] + "." + parts[1] + "." + encode(change(s))
	})
}

// signatureForgeries are good tokens that were changed afterwards.
var signatureForgeries = []Forgery{
	{
		Name: "changed-claims", Description: "sub was changed after the token was signed", References: []string{verifyHeader, validation, wrongSignature}, Must: true,
		make: func(_ *Provider, d *draft) (string, error) {
			parts, err := d.parts()
			if err != nil {
				return "", err
			}
			d.claims["sub"] = "forged"
			input, err := d.input()
			return input + "." + parts[2], err
		},
	},
	{
		Name: "changed-header", Description: "the header was changed after the token was signed", References: []string{verifyHeader, wrongSignature}, Must: true,
		make: func(_ *Provider, d *draft) (string, error) {
			parts, err := d.parts()
			if err != nil {
				return "", err
			}
			d.header["forged"] = true
			input, err := d.input()
			return input + "." + parts[2], err
		},
	},
	{
		Name: "no-signature", Description: "the signature was taken away", References: []string{verifyHeader, "RFC 8725 §3.2", wrongSignature}, Must: true,
		make: compact(func(parts []string) string { return parts[0] + "." + parts[1] + "." }),
	},
	{
		Name: "signature-cut", Description: "the signature lacks its last byte", References: []string{verifyHeader, wrongSignature}, Must: true,
		make: altered(func(s []byte) []byte { return s[:len(s)-1] }),
	},
	{
		Name: "signature-longer", Description: "the signature has a byte too many", References: []string{verifyHeader, wrongSignature}, Must: true,
		make: altered(func(s []byte) []byte { return append(s, 0) }),
	},
	{
		Name: "signature-bit", Description: "one bit of the signature was turned", References: []string{verifyHeader, wrongSignature}, Must: true,
		make: altered(func(s []byte) []byte { s[len(s)/2] ^= 1; return s }),
	},
	{
		Name: "signature-spare-bits", Description: "the last character of the signature has a bit set that says nothing: one token, two texts", References: []string{"RFC 4648 §3.5", "CWE-180"},
		make: compact(func(parts []string) string {
			const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
			last := len(parts[2]) - 1
			at := strings.IndexByte(letters, parts[2][last])
			return parts[0] + "." + parts[1] + "." + parts[2][:last] + letters[at|1:][:1]
		}),
	},
}

// formForgeries are no tokens at all, or not what they seem to be.
var formForgeries = []Forgery{
	{
		Name: "empty", Description: "there is no token", References: []string{"RFC 7515 §7.1", "RFC 6750 §2.1"}, Must: true,
		make: compact(func([]string) string { return "" }),
	},
	{
		Name: "dots", Description: "three parts of nothing", References: []string{"RFC 7515 §7.1"}, Must: true,
		make: compact(func([]string) string { return ".." }),
	},
	{
		Name: "two-parts", Description: "header and claims only", References: []string{"RFC 7515 §7.1", validation}, Must: true,
		make: compact(func(parts []string) string { return parts[0] + "." + parts[1] }),
	},
	{
		Name: "four-parts", Description: "a good token with a part too many", References: []string{"RFC 7515 §7.1"}, Must: true,
		make: compact(func(parts []string) string { return strings.Join(parts, ".") + ".e30" }),
	},
	{
		Name: "five-parts", Description: "five parts, as if it was encrypted", References: []string{"RFC 7516 §7.1", "RFC 8725 §3.3"}, Must: true,
		make: compact(func(parts []string) string { return strings.Join(parts, ".") + ".e30.e30" }),
	},
	{
		Name: "many-dots", Description: "4 KiB of dots", References: []string{"RFC 7515 §7.1", "CVE-2025-30204"}, Must: true,
		make: compact(func([]string) string { return strings.Repeat(".", 4<<10) }),
	},
	{
		Name: "huge", Description: "64 KiB, signed by a key that the service does not know", References: []string{verifyHeader, "CWE-770", "OWASP API4:2023"}, Must: true,
		make: strange(func(_ *Provider, d *draft, _ map[string]any) { d.claims["forged"] = strings.Repeat("x", 48<<10) }),
	},
	{
		Name: "deep", Description: "claims of 1,000 objects, each within the other, signed by a key that the service does not know", References: []string{verifyHeader, "CWE-674"}, Must: true,
		make: func(p *Provider, d *draft) (string, error) {
			d.foreign(p)
			return text(func(s string) string {
				return with(s, `"forged":`+strings.Repeat(`{"a":`, 1000)+"0"+strings.Repeat("}", 1000))
			})(p, d)
		},
	},
	{
		Name: "not-base64", Description: "a character of the claims is none of base64url's", References: []string{verifyHeader, "RFC 4648 §3.3"}, Must: true,
		make: compact(func(parts []string) string { return parts[0] + "." + parts[1] + "!." + parts[2] }),
	},
	{
		Name: "padded", Description: "the claims are padded, as they were when they were signed", References: []string{"RFC 7515 §2", verifyHeader}, Must: true,
		make: func(_ *Provider, d *draft) (string, error) {
			for n := ""; ; n += "x" { // until there is something to pad
				d.claims["forged"] = n
				input, err := d.input()
				if err != nil {
					return "", err
				}
				claims := input[strings.IndexByte(input, '.')+1:]
				if len(claims)%4 != 0 {
					return d.signed(input + strings.Repeat("=", 4-len(claims)%4))
				}
			}
		},
	},
	broken("claims-utf8", "a claim is no UTF-8", "RFC 8725 §3.7", func(s string) string { return with(s, "\"forged\":\"\xff\"") }),
	broken("claims-nul", "a claim holds a NUL as it is, which JSON does not allow", "RFC 8259 §7", func(s string) string { return with(s, "\"forged\":\"\x00\"") }),
	broken("claims-list", "the claims are a list of claims", validation, func(s string) string { return "[" + s + "]" }),
	broken("claims-null", "the claims are null", validation, func(string) string { return "null" }),
	broken("claims-twice", "behind the claims there are others", "RFC 8259 §2", func(s string) string { return s + s }),
	broken("claims-cut", "the claims lack their last bracket", "RFC 8259 §4", func(s string) string { return strings.TrimSuffix(s, "}") }),
	{
		Name: "duplicate-expiry", Description: "exp is there twice, and past the last time", References: []string{"RFC 7519 §4", "CWE-436"}, Must: true,
		make: text(func(s string) string { return with(s, `"exp":1000000000`) }),
	},
	{
		Name: "duplicate-issuer", Description: "iss is there twice, and another issuer the last time", References: []string{"RFC 7519 §4", "CWE-436"}, Must: true,
		make: text(func(s string) string { return with(s, `"iss":"https://another-issuer.example"`) }),
	},
	{
		Name: "duplicate-subject", Description: "sub is there twice, for two people", References: []string{"RFC 7519 §4", "CWE-436"},
		make: text(func(s string) string { return with(s, `"sub":"forged"`) }),
	},
}

// broken makes the forgery of claims that are not a JSON object, but signed.
func broken(name, description, reference string, change func(string) string) Forgery {
	f := Forgery{Name: name, Description: description, References: []string{validation}, Must: true, make: text(change)}
	if reference != validation {
		f.References = append(f.References, reference)
	}
	return f
}

// kindForgeries are good tokens of the issuer's, made for something else.
var kindForgeries = []Forgery{
	{
		Name: "id-token", Description: "an ID token: it is for the client, and says who logged in", References: []string{"RFC 8725 §3.12", "OpenID Connect Core 1.0 §2", audienceOf}, Must: true, fits: audienced,
		make: func(p *Provider, d *draft) (string, error) {
			client, _ := d.claims["client_id"].(string)
			if client == p.Audience() { // then it would be good
				client += ".client"
			}
			return d.identity(client)
		},
	},
	{
		Name: "id-token-for-service", Description: "an ID token whose client has the service's name", References: []string{"RFC 8725 §3.11", "RFC 8725 §3.12", "RFC 9068 §5"},
		make: func(_ *Provider, d *draft) (string, error) { return d.identity(d.claims["aud"]) },
	},
	{
		Name: "logout-token", Description: "a token that ends a session (logout+jwt)", References: []string{"RFC 8725 §3.11", "OpenID Connect Back-Channel Logout 1.0 §2.4"},
		make: header(func(_ *Provider, d *draft, h map[string]any) {
			h["typ"] = "logout+jwt"
			d.claims["events"] = map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}
			d.claims["sid"] = random(8)
		}),
	},
	{
		Name: "event-token", Description: "a token that tells of a security event (secevent+jwt)", References: []string{"RFC 8725 §3.11", "RFC 8417 §2.3"},
		make: header(func(_ *Provider, d *draft, h map[string]any) {
			h["typ"] = "secevent+jwt"
			d.claims["events"] = map[string]any{"urn:example:event": map[string]any{}}
		}),
	},
	{
		Name: "proof", Description: "a proof of possession (dpop+jwt), which is no access token", References: []string{"RFC 8725 §3.11", "RFC 9449 §4.2"},
		make: header(func(_ *Provider, d *draft, h map[string]any) {
			h["typ"] = "dpop+jwt"
			d.claims["htm"], d.claims["htu"] = "GET", "https://service.example/"
		}),
	},
	{
		Name: "bound", Description: "a token that is good only with a key of its holder (cnf), of which nothing is shown", References: []string{"RFC 9449 §7", "RFC 8705 §3", "RFC 7800 §3.1"},
		make: claims(func(p *Provider, m map[string]any) {
			m["cnf"] = map[string]any{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}
		}),
	},
}

// identity makes an ID token for a client.
func (d *draft) identity(client any) (string, error) {
	d.header["typ"] = "JWT"
	for _, name := range []string{"scope", "client_id", "nbf"} {
		delete(d.claims, name)
	}
	d.claims["aud"], d.claims["azp"] = client, client
	if client == nil {
		delete(d.claims, "aud")
		delete(d.claims, "azp")
	}
	d.claims["nonce"], d.claims["auth_time"], d.claims["at_hash"] = random(8), d.claims["iat"], encode(make([]byte, 16))
	return d.token()
}
