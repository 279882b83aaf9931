package idp

// opaqueForgeries are told by what introspection answers.
var opaqueForgeries = []Forgery{
	{
		Name: "opaque-unknown", Description: "a text that the provider never issued", References: []string{"RFC 7662 §2.2", owasp}, Must: true,
		make: func(*Provider, *draft) (string, error) { return random(32), nil },
	},
	{
		Name: "opaque-revoked", Description: "a token that was revoked", References: []string{"RFC 7662 §2.2", "RFC 7009 §2", "CWE-613"}, Must: true,
		make: told(func(_ *Provider, m map[string]any) {
			clear(m)
			m["active"] = false
		}),
	},
	{
		Name: "opaque-inactive", Description: "the answer says that the token is not active, and else all that a good one's would", References: []string{"RFC 7662 §2.2"}, Must: true,
		make: told(func(_ *Provider, m map[string]any) { m["active"] = false }),
	},
	{
		Name: "opaque-active-text", Description: `the answer's active is the string "false"`, References: []string{"RFC 7662 §2.2", "CWE-704"}, Must: true,
		make: told(func(_ *Provider, m map[string]any) { m["active"] = "false" }),
	},
	{
		Name: "opaque-active-missing", Description: "the answer does not say whether the token is active", References: []string{"RFC 7662 §2.2"}, Must: true,
		make: told(func(_ *Provider, m map[string]any) { delete(m, "active") }),
	},
	{
		Name: "opaque-wrong-audience", Description: "the token is active, for another service", References: []string{"RFC 9700 §2.3", "RFC 7662 §4", owasp}, Must: true, fits: audienced,
		make: told(func(_ *Provider, m map[string]any) { m["aud"] = "https://another-service.example" }),
	},
	{
		Name: "opaque-wrong-issuer", Description: "the token is active, and another issuer's", References: []string{"RFC 7662 §2.2"},
		make: told(func(_ *Provider, m map[string]any) { m["iss"] = "https://another-issuer.example" }),
	},
	{
		Name: "opaque-expired", Description: "the answer says that the token is active, and that it expired an hour ago", References: []string{"RFC 7662 §2.2", "RFC 7662 §4", "CWE-613"},
		make: told(func(_ *Provider, m map[string]any) { m["exp"], m["iat"], m["nbf"] = hours(-1), hours(-2), hours(-2) }),
	},
	{
		Name: "opaque-not-yet-valid", Description: "the answer says that the token is active, and good from an hour from now on", References: []string{"RFC 7662 §2.2"},
		make: told(func(_ *Provider, m map[string]any) { m["nbf"], m["exp"] = hours(1), hours(2) }),
	},
	{
		Name: "opaque-bound", Description: "the token is active, and good only with a key of its holder (cnf), of which nothing is shown", References: []string{"RFC 9449 §6.2", "RFC 8705 §3.2"},
		make: told(func(_ *Provider, m map[string]any) {
			m["cnf"] = map[string]any{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}
		}),
	},
	{
		Name: "opaque-refresh", Description: "the token is active, and a refresh token", References: []string{"RFC 7662 §2.2", "RFC 6749 §1.5", owasp},
		make: told(func(_ *Provider, m map[string]any) { m["token_type"], m["typ"] = "refresh_token", "Refresh" }),
	},
	{
		Name: "opaque-two-words", Description: "the answer calls active what are two words, which no bearer token is", References: []string{"RFC 6750 §2.1", "CWE-20"},
		make: func(p *Provider, d *draft) (string, error) { return p.tell(random(16)+" "+random(16), d) },
	},
	{
		Name: "opaque-signed", Description: "the answer calls active what is signed by a key of nobody's", References: []string{"RFC 7515 §5.2", "RFC 9068 §4", "CWE-347"}, fits: keyed,
		make: func(p *Provider, d *draft) (string, error) {
			d.foreign(p)
			token, err := d.token()
			if err != nil {
				return "", err
			}
			return p.tell(token, d)
		},
	},
}

// tell has the provider say of a token what it would of a good one.
func (p *Provider) tell(token string, d *draft) (string, error) {
	if !p.cfg.Introspection {
		return "", errNotAsked
	}
	p.remember(token, &opaque{answer: p.active(d.claims), told: true})
	return token, nil
}

// told makes a token about which the provider says what it would of a good one,
// changed.
func told(change func(p *Provider, m map[string]any)) forge {
	return func(p *Provider, d *draft) (string, error) {
		m := p.active(d.claims)
		change(p, m)
		return p.opaque(&opaque{answer: m, told: true})
	}
}
