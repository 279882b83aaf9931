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
// place for API keys. A Bearer challenge says error="invalid_token" when its
// own credential was refused, and none when no credential was presented; with
// a 403 there is only the one that says which scopes were needed. A 503 has no
// challenge. The values are made at start-up and shared: do not modify them.
func (g *Guard) Challenges(err error) []string {
	if g == nil || err == nil {
		return nil
	}
	e, ok := errors.AsType[*Error](err)
	if !ok || e == nil {
		return g.challenges
	}
	switch e.Reason {
	case Unavailable:
		return nil
	case Missing, Late:
		return g.challenges
	case InsufficientScope:
		return g.forbidden(e)
	}
	for i := range g.uses {
		if g.uses[i].Scheme == e.Scheme {
			return g.uses[i].rejected
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

// challenges makes the challenges of a guard whose uses are complete.
func (c *compiler) challenges() {
	g := c.guard
	for i := range g.uses {
		add(&g.challenges, challenge(c.realm, &g.uses[i], false))
		for j := range g.uses {
			same := g.uses[j].Scheme == g.uses[i].Scheme
			plain := challenge(c.realm, &g.uses[j], false)
			full := challenge(c.realm, &g.uses[j], same)
			if same || plain != challenge(c.realm, &g.uses[i], false) {
				add(&g.uses[i].rejected, full)
			}
		}
	}
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

// challenge writes the challenge of one use.
func challenge(realm string, u *use, invalid bool) string {
	switch {
	case u.kind == policy.Basic:
		return `Basic realm=` + quote(realm) + `, charset="UTF-8"`
	case u.kind == policy.APIKey:
		return `APIKey realm=` + quote(realm) + `, name=` + quote(u.Name) + `, in=` + quote(string(u.In))
	case invalid:
		return `Bearer realm=` + quote(realm) + `, error="invalid_token"`
	default:
		return `Bearer realm=` + quote(realm)
	}
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
