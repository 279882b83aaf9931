package idp

import (
	"fmt"
	"slices"
)

// Forgery is a way to make a token that a service should refuse.
type Forgery struct {
	// Name is stable and unique, in lower case with hyphens.
	Name string
	// Description says what is wrong with the token, in one line.
	Description string
	// References are sections of standards and lists.
	References []string
	// Must reports that no service that keeps to the standards accepts the token,
	// however lenient it is where they leave a choice. Where it is false, to
	// refuse is better, but to accept breaks no rule for every access token.
	Must bool

	fits mode
	make forge
}

// mode says for which providers a forgery makes sense.
type mode int

const (
	always     mode = iota
	keyed           // the service knows public keys
	withSecret      // the service knows a secret
	audienced       // the service has a name
)

// forge makes a bad token of a good draft.
type forge func(p *Provider, d *draft) (string, error)

// catalogue holds every forged JSON Web Token.
var catalogue = slices.Concat(timeForgeries, partyForgeries, signatureForgeries, algorithmForgeries, keyForgeries, headerForgeries, formForgeries, kindForgeries)

// Catalogue returns every forgery of a JSON Web Token, those included that fit
// some providers only, always in the same order.
func Catalogue() []Forgery { return slices.Clone(catalogue) }

// Forgeries returns the forgeries of JSON Web Tokens that fit the provider,
// always in the same order.
func (p *Provider) Forgeries() []Forgery { return p.fitting(catalogue) }

// OpaqueForgeries returns the forgeries of opaque tokens, in which the provider
// itself plays its part; none unless Config.Introspection.
func (p *Provider) OpaqueForgeries() []Forgery {
	if !p.cfg.Introspection {
		return nil
	}
	return p.fitting(opaqueForgeries)
}

func (p *Provider) fitting(all []Forgery) []Forgery {
	var list []Forgery
	for _, f := range all {
		if p.fits(f.fits) {
			f.References = slices.Clone(f.References)
			list = append(list, f)
		}
	}
	return list
}

func (p *Provider) fits(m mode) bool {
	switch m {
	case keyed:
		return len(p.cfg.HMACSecret) == 0
	case withSecret:
		return len(p.cfg.HMACSecret) > 0
	case audienced:
		return p.cfg.Audience != ""
	}
	return true
}

// Forge makes a token by the forgery of that name. All of it that the forgery
// is not about is as Sign would make it of the claims. The token is a new one
// each time. It is visible ASCII, and may be empty. It is an error if no forgery
// has the name, or if it does not fit the provider.
func (p *Provider) Forge(name string, c Claims) (string, error) {
	for _, f := range slices.Concat(p.Forgeries(), p.OpaqueForgeries()) {
		if f.Name != name {
			continue
		}
		d, err := p.draft(c)
		if err != nil {
			return "", fmt.Errorf("forge token %s: %w", name, err)
		}
		token, err := f.make(p, d)
		if err != nil {
			return "", fmt.Errorf("forge token %s: %w", name, err)
		}
		return token, nil
	}
	return "", fmt.Errorf("forge token: %q is no forgery of this provider", name)
}

// foreign has the draft signed by a key that the service does not know. Nothing
// else of it changes.
func (d *draft) foreign(p *Provider) {
	if d.alg == HS256 {
		d.key = []byte(random(32))
		return
	}
	d.key = p.rogue.keys[d.alg]
}

// claims makes a token by changing claims.
func claims(change func(p *Provider, m map[string]any)) forge {
	return func(p *Provider, d *draft) (string, error) {
		change(p, d.claims)
		return d.token()
	}
}

// claim makes a token by setting one claim; nil takes it away.
func claim(name string, value any) forge {
	return claims(func(_ *Provider, m map[string]any) {
		m[name] = value
		if value == nil {
			delete(m, name)
		}
	})
}

// text makes a token by changing the text of the claims.
func text(change func(json string) string) forge {
	return func(_ *Provider, d *draft) (string, error) {
		b, err := marshal(d.claims)
		if err != nil {
			return "", err
		}
		d.claimsText = change(b)
		return d.token()
	}
}

// header makes a token by changing the header; the signature stays good.
func header(change func(p *Provider, d *draft, h map[string]any)) forge {
	return func(p *Provider, d *draft) (string, error) {
		change(p, d, d.header)
		return d.token()
	}
}

// strange makes a token by changing the header and signing with a key that the
// service does not know.
func strange(change func(p *Provider, d *draft, h map[string]any)) forge {
	return func(p *Provider, d *draft) (string, error) {
		change(p, d, d.header)
		d.foreign(p)
		return d.token()
	}
}

// compact makes a token by changing a good one, part by part.
func compact(change func(parts []string) string) forge {
	return func(_ *Provider, d *draft) (string, error) {
		parts, err := d.parts()
		if err != nil {
			return "", err
		}
		return change(parts), nil
	}
}
