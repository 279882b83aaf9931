package auth

import (
	"errors"
	"slices"
	"strings"

	"github.com/aguada-dev/aguada/policy"
)

// Challenges returns the WWW-Authenticate values that go with an error of
// [Guard.Check], one per distinct challenge of the method's schemes: Basic per
// RFC 7617, Bearer per RFC 6750 for tokens, and APIKey with the key's name and
// place for API keys. A Bearer challenge names the scopes that the method asks
// for, each alternative's in a challenge of its own. It says
// error="invalid_token" when its own credential was refused, with a description
// where that helps the client and tells a stranger nothing, and no error when
// no credential was presented. With a 403 there is only the one that says which
// scopes were needed. A 429 and a 503 have no challenge. The values are made at start-up
// and shared: do not modify them.
func (g *Guard) Challenges(err error) []string {
	if g == nil || err == nil {
		return nil
	}
	e, ok := errors.AsType[*Error](err)
	if !ok || e == nil {
		return g.challenges
	}
	switch e.Reason {
	case Unavailable, Locked:
		return nil
	case Missing, Late:
		return g.challenges
	case InsufficientScope:
		return g.forbidden(e)
	}
	for i := range g.uses {
		if g.uses[i].Scheme == e.Scheme {
			if made, ok := g.uses[i].rejected[e.Reason]; ok {
				return made
			}
			return g.uses[i].rejected[""]
		}
	}
	return g.challenges
}

// forbidden returns the challenge of the part that lacked a scope.
func (g *Guard) forbidden(e *Error) []string {
	if e.alt >= len(g.alts) {
		return nil
	}
	for _, p := range g.alts[e.alt].parts {
		if g.uses[p.use].Scheme == e.Scheme && p.forbidden != nil {
			return p.forbidden
		}
	}
	return nil
}

// descriptions are what a client may be told of a token that was refused. That
// no key fits, or that the signature is wrong, is one and the same to it.
var descriptions = map[Reason]string{
	"":            "",
	Expired:       "the token expired",
	NotYetValid:   "the token is not valid yet",
	WrongIssuer:   "the token is from another issuer",
	WrongAudience: "the token is for another audience",
	WrongType:     "the token is not an access token for its bearer",
}

// challenges makes the challenges of a guard whose uses are complete.
func (c *compiler) challenges() {
	g := c.guard
	for i := range g.uses {
		for _, v := range c.plain(i) {
			add(&g.challenges, v)
		}
	}
	for i := range g.uses {
		g.uses[i].rejected = map[Reason][]string{}
		for reason, text := range descriptions {
			g.uses[i].rejected[reason] = c.rejected(i, text)
		}
	}
}

// plain returns the challenges of a use without an error.
func (c *compiler) plain(at int) []string {
	var values []string
	for _, scopes := range c.scopes[at] {
		add(&values, challenge(c.realm, &c.guard.uses[at], "", scopes))
	}
	return values
}

// rejected returns the challenges of a method when a use's credential was
// refused: with the error for the use's scheme, and those of the others.
func (c *compiler) rejected(at int, description string) []string {
	failure := `, error="invalid_token"`
	if description != "" {
		failure += `, error_description=` + quote(description)
	}
	own := c.plain(at)
	var values []string
	for i := range c.guard.uses {
		if c.guard.uses[i].Scheme == c.guard.uses[at].Scheme {
			for _, scopes := range c.scopes[i] {
				add(&values, challenge(c.realm, &c.guard.uses[i], failure, scopes))
			}
			continue
		}
		for _, v := range c.plain(i) {
			if !slices.Contains(own, v) {
				add(&values, v)
			}
		}
	}
	return values
}

// add appends a value that is not there yet.
func add(values *[]string, v string) {
	if !slices.Contains(*values, v) {
		*values = append(*values, v)
	}
}

// bearer reports whether a kind is presented by the Bearer scheme.
func bearer(k policy.SchemeKind) bool {
	return k == policy.JWT || k == policy.OAuth2 || k == policy.Bearer
}

// challenge writes the challenge of one use; failure is what it says of an
// error.
func challenge(realm string, u *use, failure string, scopes []string) string {
	switch u.kind {
	case policy.Basic:
		return `Basic realm=` + quote(realm) + `, charset="UTF-8"`
	case policy.APIKey:
		return `APIKey realm=` + quote(realm) + `, name=` + quote(u.Name) + `, in=` + quote(string(u.In))
	}
	text := `Bearer realm=` + quote(realm) + failure
	if len(scopes) > 0 {
		text += `, scope=` + quote(strings.Join(scopes, " "))
	}
	return text
}

// insufficient writes the challenge for a missing scope.
func insufficient(realm string, scopes []string) string {
	return `Bearer realm=` + quote(realm) + `, error="insufficient_scope", scope=` + quote(strings.Join(scopes, " "))
}

// quote writes a quoted-string of RFC 9110. What cannot stand in a header
// field (controls, and for old clients all that is not ASCII) becomes "?".
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20 || r > 0x7e:
			b.WriteByte('?')
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
