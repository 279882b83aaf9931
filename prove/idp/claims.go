package idp

import (
	"encoding/json"
	"strings"
	"time"
)

// References of several forgeries.
const (
	profile    = "RFC 9068 §4"
	notAfter   = "RFC 7519 §4.1.4"
	notBefore  = "RFC 7519 §4.1.5"
	audienceOf = "RFC 7519 §4.1.3"
	validation = "RFC 7519 §7.2"
	owasp      = "OWASP API2:2023"
)

// past is a time that every reading of it finds long gone.
const past = 1_000_000_000

// hours returns now and so many hours as a NumericDate.
func hours(n int) int64 { return time.Now().Add(time.Duration(n) * time.Hour).Unix() }

var timeForgeries = []Forgery{
	{
		Name: "expired", Description: "exp was an hour ago", References: []string{notAfter, profile, owasp, "CWE-613"}, Must: true,
		make: claims(func(_ *Provider, m map[string]any) { m["exp"], m["iat"], m["nbf"] = hours(-1), hours(-2), hours(-2) }),
	},
	{
		Name: "not-yet-valid", Description: "nbf is in an hour", References: []string{notBefore}, Must: true,
		make: claims(func(_ *Provider, m map[string]any) { m["nbf"], m["exp"] = hours(1), hours(2) }),
	},
	{
		Name: "issued-later", Description: "iat is in an hour", References: []string{"RFC 7519 §4.1.6"},
		make: claims(func(_ *Provider, m map[string]any) { delete(m, "nbf"); m["iat"], m["exp"] = hours(1), hours(2) }),
	},
	{
		Name: "no-expiry", Description: "there is no exp, so that the token is good for ever", References: []string{"RFC 9068 §2.2", profile, "CWE-613"}, Must: true,
		make: claim("exp", nil),
	},
	{
		Name: "expiry-text", Description: "exp is a past time, written as a string", References: []string{notAfter, "CWE-704"}, Must: true,
		make: claim("exp", "1000000000"),
	},
	{
		Name: "expiry-null", Description: "exp is null", References: []string{notAfter, profile}, Must: true,
		make: expiry("null"),
	},
	{
		Name: "expiry-list", Description: "exp is a list that holds a past time", References: []string{notAfter, "CWE-704"}, Must: true,
		make: claim("exp", []int{past}),
	},
	{
		Name: "expiry-zero", Description: "exp is 0, which some take for none", References: []string{notAfter}, Must: true,
		make: claim("exp", 0),
	},
	{
		Name: "expiry-negative", Description: "exp is before 1970", References: []string{notAfter}, Must: true,
		make: claim("exp", -1),
	},
	{
		Name: "expiry-huge", Description: "exp is 1e300, which no clock and no integer holds", References: []string{notAfter, "CWE-190"},
		make: expiry("1e300"),
	},
	{
		Name: "expiry-overflow", Description: "exp is 1e400, which no floating point number holds", References: []string{notAfter, "CWE-190"},
		make: expiry("1e400"),
	},
	{
		Name: "expiry-nan", Description: "exp is NaN, which is not JSON", References: []string{validation, "RFC 8259 §6"}, Must: true,
		make: expiry("NaN"),
	},
	{
		Name: "not-before-text", Description: "nbf is a time in the next century, written as a string", References: []string{notBefore, "CWE-704"}, Must: true,
		make: claim("nbf", "4102444800"),
	},
}

var partyForgeries = []Forgery{
	{
		Name: "wrong-audience", Description: "aud is another service", References: []string{audienceOf, "RFC 8725 §3.9", profile, owasp}, Must: true,
		make: claim("aud", "https://another-service.example"),
	},
	{
		Name: "wrong-audiences", Description: "aud lists other services only", References: []string{audienceOf, "RFC 8725 §3.9"}, Must: true,
		make: claim("aud", []string{"https://another-service.example", ""}),
	},
	{
		Name: "audience-longer", Description: "aud begins with the service's name and goes on", References: []string{audienceOf, "RFC 7519 §2"}, Must: true, fits: audienced,
		make: claims(func(p *Provider, m map[string]any) { m["aud"] = p.Audience() + ".another.example" }),
	},
	{
		Name: "audience-part", Description: "aud is a part of the service's name", References: []string{audienceOf, "RFC 7519 §2"}, Must: true, fits: audienced,
		make: claims(func(p *Provider, m map[string]any) { m["aud"] = p.Audience()[:len(p.Audience())-1] }),
	},
	{
		Name: "audience-object", Description: "aud is an object that has the service's name for a member", References: []string{audienceOf, "CWE-704"}, Must: true, fits: audienced,
		make: claims(func(p *Provider, m map[string]any) { m["aud"] = map[string]any{p.Audience(): true} }),
	},
	{
		Name: "no-audience", Description: "there is no aud: the token is for nobody", References: []string{"RFC 9068 §2.2", profile, "RFC 8725 §3.9"}, Must: true, fits: audienced,
		make: claim("aud", nil),
	},
	{
		Name: "empty-audience", Description: "aud lists nobody", References: []string{audienceOf, profile}, Must: true, fits: audienced,
		make: claim("aud", []string{}),
	},
	{
		Name: "wrong-issuer", Description: "iss is another issuer, though the signature is by a good key", References: []string{profile, "RFC 8725 §3.8", owasp}, Must: true,
		make: claim("iss", "https://another-issuer.example"),
	},
	{
		Name: "issuer-slash", Description: "iss has a slash too many at its end", References: []string{profile, "RFC 8725 §3.8", "RFC 3986 §6.2.1"}, Must: true,
		make: claims(func(p *Provider, m map[string]any) { m["iss"] = p.Issuer() + "/" }),
	},
	{
		Name: "issuer-longer", Description: "iss begins with the issuer's name and goes on with another host", References: []string{profile, "RFC 8725 §3.8"}, Must: true,
		make: claims(func(p *Provider, m map[string]any) { m["iss"] = p.Issuer() + ".another.example" }),
	},
	{
		Name: "no-issuer", Description: "there is no iss", References: []string{"RFC 9068 §2.2", profile}, Must: true,
		make: claim("iss", nil),
	},
	{
		Name: forgeryIssuer, Description: "iss is an issuer of the attacker's, which publishes the keys that signed", References: []string{profile, "RFC 8725 §3.8", "CWE-918"}, Must: true, fits: keyed,
		make: func(p *Provider, d *draft) (string, error) {
			d.claims["iss"], d.header["kid"] = p.address(forgeryIssuer), p.rogue.kid(d.alg)
			d.foreign(p)
			return d.token()
		},
	},
	{
		Name: "no-subject", Description: "there is no sub: the token is about nobody", References: []string{"RFC 9068 §2.2"},
		make: claim("sub", nil),
	},
}

// expiry makes a token by setting exp to a text, which need not be JSON.
func expiry(value string) forge {
	return func(p *Provider, d *draft) (string, error) {
		delete(d.claims, "exp")
		return text(func(s string) string { return with(s, `"exp":`+value) })(p, d)
	}
}

// marshal returns members as the text of a JSON object.
func marshal(m map[string]any) (string, error) {
	b, err := json.Marshal(m)
	return string(b), err
}

// with returns the text of an object with one more member behind the others.
func with(object, member string) string {
	if object == "{}" {
		return "{" + member + "}"
	}
	return strings.TrimSuffix(object, "}") + "," + member + "}"
}
