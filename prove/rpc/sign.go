package rpc

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"

	"google.golang.org/grpc/metadata"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/model"
	"github.com/aguada-dev/aguada/prove/wallet"
)

// Uses are the schemes of the method's first alternative, with the places of
// their credentials in metadata; none where it is open.
func Uses(m *model.Method) []policy.Use {
	if m.GRPC == nil || len(m.GRPC.Requirements) == 0 {
		return nil
	}
	return m.GRPC.Requirements[0].Schemes
}

// Scopes are those that the first alternative requires.
func Scopes(m *model.Method) []string {
	if len(Uses(m)) == 0 {
		return nil
	}
	return m.GRPC.Requirements[0].Scopes
}

// Credentials returns what the holder presents to the method, by scheme.
func Credentials(l *lab.Lab, m *model.Method, h wallet.Holder) (map[string]wallet.Credential, error) {
	creds := map[string]wallet.Credential{}
	for _, u := range Uses(m) {
		kind := m.SchemeKind(u)
		if kind == "" {
			return nil, fmt.Errorf("make credentials of %s: the design has no scheme %q", m.ID(), u.Scheme)
		}
		c, err := l.Wallet.Credential(kind, Scopes(m), h)
		if err != nil {
			return nil, fmt.Errorf("make credentials of %s: %w", m.ID(), err)
		}
		creds[u.Scheme] = c
	}
	return creds, nil
}

// Sign returns the metadata of a call by the holder. A method that requires an
// idempotency key gets one that is new.
func Sign(l *lab.Lab, m *model.Method, h wallet.Holder) (metadata.MD, error) {
	creds, err := Credentials(l, m, h)
	if err != nil {
		return nil, err
	}
	return Attach(m, creds), nil
}

// Attach returns metadata with the credentials, by scheme. Schemes without
// credential are left out.
func Attach(m *model.Method, creds map[string]wallet.Credential) metadata.MD {
	md := metadata.MD{}
	for _, u := range Uses(m) {
		c, ok := creds[u.Scheme]
		switch {
		case !ok || u.In != policy.InMetadata:
		case c.Kind == policy.Basic && u.Password != "":
			md.Set(u.Name, c.User)
			md.Set(u.Password, c.Password)
		default:
			md.Set(u.Name, c.Header(http.CanonicalHeaderKey(u.Name)))
		}
	}
	if m.Idempotency != nil && m.Idempotency.Required {
		md.Set(strings.ToLower(m.Idempotency.Header), rand.Text())
	}
	return md
}
