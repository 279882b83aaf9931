package mtls

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"strings"
)

// ErrSPIFFE is the error of [CheckSPIFFE].
var ErrSPIFFE = errors.New("not the SPIFFE ID of a workload")

const (
	spiffeScheme   = "spiffe://"
	maxTrustDomain = 255
)

// CheckSPIFFE returns ErrSPIFFE unless id is the SPIFFE ID of a workload
// (SPIFFE-ID, section 2): spiffe://DOMAIN/PATH of 2048 bytes at most, the
// domain of 1 to 255 lower-case letters, digits, dots, dashes and underscores,
// the path of one or more segments of letters, digits, dots, dashes and
// underscores, none of which is empty, "." or "..". Hence it has no user, port,
// query, fragment nor percent-encoding, and two IDs are the same if, and only
// if, their bytes are.
func CheckSPIFFE(id string) error {
	rest, ok := strings.CutPrefix(id, spiffeScheme)
	if !ok || len(id) > maxName {
		return ErrSPIFFE
	}
	domain, path, ok := strings.Cut(rest, "/")
	if !ok || domain == "" || len(domain) > maxTrustDomain || !only(domain, false) {
		return ErrSPIFFE
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "" || segment == "." || segment == ".." || !only(segment, true) {
			return ErrSPIFFE
		}
	}
	return nil
}

// only reports whether s has no characters but those of SPIFFE IDs.
func only(s string, upper bool) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '.', c == '-', c == '_', upper && c >= 'A' && c <= 'Z':
		default:
			return false
		}
	}
	return true
}

var (
	errAuthority = errors.New("the certificate is an authority's, not a workload's")
	errURIs      = errors.New("the certificate has not exactly one URI")
)

// svid returns the SPIFFE ID of a certificate (X509-SVID, section 5.2).
func svid(c *x509.Certificate) (string, error) {
	if c.IsCA || c.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0 {
		return "", errAuthority
	}
	uris, err := uris(c)
	if err != nil {
		return "", err
	}
	if len(uris) != 1 {
		return "", errURIs
	}
	return uris[0], CheckSPIFFE(uris[0])
}

var oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// uris returns the URIs of a certificate's subject alternative names, byte for
// byte: net/url, which c.URIs are of, unescapes.
func uris(c *x509.Certificate) ([]string, error) {
	const tagURI = 6
	var all []string
	for _, extension := range c.Extensions {
		if !extension.Id.Equal(oidSubjectAltName) {
			continue
		}
		var names []asn1.RawValue
		if rest, err := asn1.Unmarshal(extension.Value, &names); err != nil || len(rest) > 0 {
			return nil, errURIs
		}
		for _, name := range names {
			if name.Class == asn1.ClassContextSpecific && name.Tag == tagURI {
				all = append(all, string(name.Bytes))
			}
		}
	}
	return all, nil
}
