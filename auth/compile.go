package auth

import (
	"errors"
	"fmt"
	"slices"

	"github.com/aguada-dev/aguada/policy"
)

// NewGuard compiles the policy of one method, at start-up. The realm, usually
// the name of the API, is what challenges carry.
//
// It fails closed: a scheme that is unknown or has no verifier, a secured
// method without alternatives, an alternative without schemes, an open method
// with alternatives, and a required scope that no scheme of its alternative
// declares (nothing would ever check it) are errors, all reported at once.
func NewGuard(realm string, m *policy.Method, schemes []policy.Scheme, v Verifiers) (*Guard, error) {
	if m == nil {
		return nil, errors.New("compile guard: no policy")
	}
	c := compiler{realm: realm, schemes: schemes, verifiers: v, guard: &Guard{}}
	c.method(m)
	if err := errors.Join(c.errs...); err != nil {
		return nil, fmt.Errorf("compile guard of %s.%s: %w", m.Service, m.Name, err)
	}
	return c.guard, nil
}

// compiler builds a guard and gathers what is wrong.
type compiler struct {
	realm     string
	schemes   []policy.Scheme
	verifiers Verifiers
	guard     *Guard
	scopes    [][][]string // of each use, the distinct lists of scopes that alternatives ask of it
	errs      []error
}

func (c *compiler) fail(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf(format, args...))
}

func (c *compiler) method(m *policy.Method) {
	switch m.Access {
	case policy.Public, policy.Undeclared:
		c.guard.open = true
		if len(m.Requirements) > 0 {
			c.fail("access is %s, yet there are security requirements", m.Access)
		}
		return
	case policy.Secured:
	default:
		c.fail("unknown access %q", m.Access)
		return
	}
	if len(m.Requirements) == 0 {
		c.fail("access is secured, yet there is no security requirement")
	}
	for i := range m.Requirements {
		c.requirement(i, &m.Requirements[i])
	}
	if len(c.errs) > 0 {
		return
	}
	c.challenges()
}

// requirement adds one alternative.
func (c *compiler) requirement(n int, r *policy.Requirement) {
	if len(r.Schemes) == 0 {
		c.fail("requirement %d names no scheme", n+1)
	}
	var a alternative
	unchecked := slices.Clone(r.Scopes)
	for _, u := range r.Schemes {
		s := c.scheme(u.Scheme)
		if s == nil {
			continue
		}
		p := part{use: c.use(u, s)}
		if slices.ContainsFunc(a.parts, func(q part) bool { return q.use == p.use }) {
			continue
		}
		for _, scope := range r.Scopes {
			if slices.Contains(s.Scopes, scope) {
				p.scopes = append(p.scopes, scope)
				unchecked = slices.DeleteFunc(unchecked, func(x string) bool { return x == scope })
			}
		}
		c.wants(p)
		if len(p.scopes) > 0 && bearer(s.Kind) {
			p.forbidden = []string{insufficient(c.realm, p.scopes)}
		}
		a.parts = append(a.parts, p)
	}
	for _, scope := range unchecked {
		c.fail("no scheme of requirement %d declares its scope %q", n+1, scope)
	}
	c.guard.alts = append(c.guard.alts, a)
}

// wants notes the scopes that an alternative asks of a use.
func (c *compiler) wants(p part) {
	for len(c.scopes) <= p.use {
		c.scopes = append(c.scopes, nil)
	}
	lists := &c.scopes[p.use]
	if !slices.ContainsFunc(*lists, func(l []string) bool { return slices.Equal(l, p.scopes) }) {
		*lists = append(*lists, p.scopes)
	}
}

// scheme finds a scheme by name; nil after an error.
func (c *compiler) scheme(name string) *policy.Scheme {
	var found *policy.Scheme
	for i := range c.schemes {
		if c.schemes[i].Name != name {
			continue
		}
		if found != nil {
			c.fail("scheme %q is defined twice", name)
			return nil
		}
		found = &c.schemes[i]
	}
	if found == nil {
		c.fail("unknown scheme %q", name)
		return nil
	}
	switch found.Kind {
	case policy.Basic, policy.APIKey, policy.JWT, policy.OAuth2, policy.Bearer:
	default:
		c.fail("scheme %q has unknown kind %q", name, found.Kind)
		return nil
	}
	if c.verifiers[name] == nil {
		c.fail("scheme %q has no verifier", name)
		return nil
	}
	return found
}

// use returns the position of a use, adding it when it is new.
func (c *compiler) use(u policy.Use, s *policy.Scheme) int {
	switch u.In {
	case policy.InHeader, policy.InQuery, policy.InCookie, policy.InPath, policy.InMetadata:
	case policy.InBody:
		c.guard.late = true
	default:
		c.fail("scheme %q is used in unknown place %q", u.Scheme, u.In)
	}
	if u.Name == "" {
		c.fail("the use of scheme %q in the %s has no name", u.Scheme, u.In)
	}
	if u.Password != "" && (u.In != policy.InMetadata || s.Kind != policy.Basic) {
		c.fail("scheme %q has the key of a password, which only Basic has, in metadata", u.Scheme)
	}
	at := slices.IndexFunc(c.guard.uses, func(x use) bool { return x.Use == u })
	if at >= 0 {
		return at
	}
	made := use{Use: u, kind: s.Kind, verifier: c.verifiers[s.Name]}
	made.recaller, _ = made.verifier.(Recaller)
	c.guard.uses = append(c.guard.uses, made)
	return len(c.guard.uses) - 1
}
