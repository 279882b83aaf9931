// Package mtls turns the certificate that a client of mutual TLS has presented
// into a principal.
//
//	identity, err := mtls.New(mtls.SPIFFE)
//	...
//	principal, err := identity.Principal(r.TLS)
//
// Only what crypto/tls has verified counts: a certificate that was merely
// presented proves nothing. Which authorities are trusted is the listener's
// affair; each of them can vouch for every name.
package mtls

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/aguada-dev/aguada/auth"
)

// Scheme is the Scheme of the principals.
const Scheme = "mtls"

// Mode says what of a certificate is its holder's name.
type Mode string

// The modes.
const (
	// Subject takes the whole distinguished name of the subject, as the text
	// of RFC 4514: CN=billing,OU=shop,O=Example. The common name alone would
	// make those of two organisations one. The text has the certificate's
	// order (reversed, as RFC 4514 has it) and case; the short names are those
	// of that RFC, other attributes are OID=#HEX.
	Subject Mode = "subject"
	// SPIFFE takes the SPIFFE ID of an X.509-SVID: its only URI.
	SPIFFE Mode = "spiffe"
)

// maxName bounds the name of a principal, in bytes; it is that of SPIFFE IDs.
const maxName = 2048

// Identity names the holders of client certificates. It is safe for concurrent
// use.
type Identity struct {
	name func(*x509.Certificate) (string, error)
}

// New returns the Identity of a mode. An unknown mode is an error.
func New(mode Mode) (*Identity, error) {
	switch mode {
	case Subject:
		return &Identity{name: subject}, nil
	case SPIFFE:
		return &Identity{name: svid}, nil
	}
	return nil, fmt.Errorf("name client certificates: unknown mode %q", string(mode))
}

// Errors of Principal.
var (
	errMissing = &auth.Error{Reason: auth.Missing, Scheme: Scheme, Err: errors.New("no verified client certificate")}
	errExpired = &auth.Error{Reason: auth.Expired, Scheme: Scheme, Err: errors.New("the client certificate expired")}
	errEarly   = &auth.Error{Reason: auth.NotYetValid, Scheme: Scheme, Err: errors.New("the client certificate is not valid yet")}
)

// Principal returns the holder of the connection's client certificate, or an
// *auth.Error: Missing for plain connections and for those whose client has no
// verified certificate, Expired or NotYetValid for a certificate that is not
// valid now, and Malformed for one without the name that the mode asks for.
//
// The Subject is that name. The CredentialID is the certificate's SHA-256
// thumbprint, as x5t#S256 (RFC 8705, 3.1) is written. ExpiresAt is when the
// certificate expires. Principals may be kept for as long as their connection;
// who does so has to compare ExpiresAt, and to ask whether the authority is
// still trusted, for each request.
func (i *Identity) Principal(s *tls.ConnectionState) (*auth.Principal, error) {
	if s == nil || !s.HandshakeComplete || len(s.VerifiedChains) == 0 || len(s.VerifiedChains[0]) == 0 {
		return nil, errMissing
	}
	leaf, now := s.VerifiedChains[0][0], time.Now() // the first of every chain
	switch {
	case now.After(leaf.NotAfter):
		return nil, errExpired
	case now.Before(leaf.NotBefore):
		return nil, errEarly
	}
	name, err := i.name(leaf)
	if err != nil {
		return nil, &auth.Error{Reason: auth.Malformed, Scheme: Scheme, Err: err}
	}
	thumbprint := sha256.Sum256(leaf.Raw)
	return &auth.Principal{
		Subject: name, Scheme: Scheme,
		CredentialID: base64.RawURLEncoding.EncodeToString(thumbprint[:]),
		ExpiresAt:    leaf.NotAfter,
	}, nil
}
