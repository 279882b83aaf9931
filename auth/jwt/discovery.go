package jwt

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/aguada-dev/aguada/auth/internal/endpoint"
	"github.com/aguada-dev/aguada/auth/internal/object"
)

// maxDocument is the largest discovery document that is read, in bytes.
const maxDocument = 256 << 10

// document is what an issuer says about itself.
type document struct {
	keys       string // where its key set is
	introspect string // where it tells what a token is; empty if nowhere
}

// discovery finds an issuer's document. Only one goroutine uses it at a time.
type discovery struct {
	issuer string
	places []string // where the document may be; the one that had it last comes first
}

// newDiscovery returns the discovery of an issuer: by OpenID Connect Discovery
// 1.0, 4, which appends to the issuer's path, and else by RFC 8414, 3.1, which
// puts itself before it.
func newDiscovery(issuer string) (*discovery, error) {
	u, err := endpoint.Parse(issuer)
	if err != nil {
		return nil, fmt.Errorf("the issuer's URL: %w", err)
	}
	if u.RawQuery != "" || u.ForceQuery || strings.Contains(issuer, "#") {
		return nil, errors.New("the issuer's URL has a query or a fragment")
	}
	origin := (&url.URL{Scheme: u.Scheme, Host: u.Host}).String()
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	return &discovery{issuer: issuer, places: []string{
		origin + path + "/.well-known/openid-configuration",
		origin + "/.well-known/oauth-authorization-server" + path,
	}}, nil
}

// find fetches the document.
func (d *discovery) find(ctx context.Context, client *http.Client) (*document, error) {
	var none []string
	for i, place := range d.places {
		a, err := get(ctx, client, place, "application/json", "", maxDocument)
		if err != nil {
			return nil, fmt.Errorf("fetch discovery document: %w", err)
		}
		if a.status != http.StatusOK {
			none = append(none, fmt.Sprintf("%s answered %d", place, a.status))
			continue
		}
		doc, err := parseDocument(a.body, d.issuer)
		if err != nil {
			return nil, fmt.Errorf("read discovery document %s: %w", place, err)
		}
		d.places[0], d.places[i] = d.places[i], d.places[0]
		return doc, nil
	}
	return nil, fmt.Errorf("fetch discovery document: %s", strings.Join(none, ", "))
}

// parseDocument reads a discovery document, which must be that of the issuer.
// An https issuer names https addresses; one on loopback may name others there.
func parseDocument(data []byte, issuer string) (*document, error) {
	members, err := object.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("it is %w", err)
	}
	if said, ok := members["issuer"].(string); !ok || said != issuer {
		return nil, errors.New("its issuer is not the configured one")
	}
	doc := &document{}
	var ok bool
	if doc.keys, ok = members["jwks_uri"].(string); !ok {
		return nil, errors.New("it has no jwks_uri")
	}
	if err := secure(doc.keys, issuer); err != nil {
		return nil, fmt.Errorf("its jwks_uri: %w", err)
	}
	value, there := members["introspection_endpoint"]
	if !there {
		return doc, nil
	}
	if doc.introspect, ok = value.(string); !ok {
		return nil, errors.New("its introspection_endpoint is not a string")
	}
	if err := secure(doc.introspect, issuer); err != nil {
		return nil, fmt.Errorf("its introspection_endpoint: %w", err)
	}
	return doc, nil
}

// secure refuses an address that is less protected than the issuer's own.
func secure(address, issuer string) error {
	u, err := endpoint.Parse(address)
	if err != nil {
		return err
	}
	if strings.HasPrefix(issuer, "https:") && u.Scheme != "https" {
		return errors.New("it is not https, as the issuer is")
	}
	return nil
}
