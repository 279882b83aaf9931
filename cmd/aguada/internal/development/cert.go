package development

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"path/filepath"
	"time"
)

// Files of the development authority and of the certificate that it signed.
const (
	authorityFile    = "tls-authority.pem"
	authorityKeyFile = "tls-authority-key.pem"
	certFile         = "tls-cert.pem"
	certKeyFile      = "tls-key.pem"
)

const (
	authorityLife = 2 * 365 * 24 * time.Hour
	certLife      = 90 * 24 * time.Hour
	// renewBefore is how long before its end a certificate is made anew.
	renewBefore = 7 * 24 * time.Hour
)

// Certificate is a project's TLS certificate for development, for localhost,
// 127.0.0.1 and ::1 alone. The authority that signed it may be trusted by a
// browser: its name constraints (RFC 5280, 4.2.1.10) keep a thief from vouching
// for any other name, wherever those of a root count, as with Go and OpenSSL.
type Certificate struct {
	// AuthorityFile is the authority's certificate, which clients need;
	// CertFile and KeyFile are what the service needs. The paths are as
	// absolute as the project's folder.
	AuthorityFile, CertFile, KeyFile string
	// Roots holds the authority alone.
	Roots *x509.CertPool
}

// OpenCertificate returns the certificate of the project in dir. It is made if
// there is none, and made anew when it is of no use or ends within a week. The
// authority stays as long as it lasts. A file of it that cannot be used is a
// *CorruptError.
func OpenCertificate(dir string) (Certificate, error) {
	state, err := MakeState(dir)
	if err != nil {
		return Certificate{}, err
	}
	unlock, err := lock(state)
	if err != nil {
		return Certificate{}, err
	}
	defer unlock()
	c := Certificate{
		AuthorityFile: filepath.Join(state, authorityFile), CertFile: filepath.Join(state, certFile), KeyFile: filepath.Join(state, certKeyFile),
		Roots: x509.NewCertPool(),
	}
	now := time.Now()
	authority, err := openPair(c.AuthorityFile, filepath.Join(state, authorityKeyFile))
	if err != nil {
		return Certificate{}, err
	}
	if authority == nil || authority.Leaf.NotAfter.Before(now.Add(certLife+renewBefore)) || !authority.Leaf.IsCA {
		if authority, err = makePair(authorityTemplate(now), nil, c.AuthorityFile, filepath.Join(state, authorityKeyFile)); err != nil {
			return Certificate{}, err
		}
	}
	c.Roots.AddCert(authority.Leaf)
	pair, err := openPair(c.CertFile, c.KeyFile)
	if _, corrupt := errors.AsType[*CorruptError](err); err != nil && !corrupt { // a corrupt one is made anew
		return Certificate{}, err
	}
	if pair == nil || !serves(pair.Leaf, c.Roots, now.Add(renewBefore)) {
		_, err = makePair(certTemplate(now), authority, c.CertFile, c.KeyFile)
	} else {
		err = nil
	}
	return c, err
}

// serves reports whether clients that trust the authority take the certificate
// for every local name, until then.
func serves(leaf *x509.Certificate, roots *x509.CertPool, until time.Time) bool {
	for _, name := range []string{"localhost", "127.0.0.1", "::1"} {
		for _, at := range []time.Time{time.Now(), until} {
			if _, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: at}); err != nil {
				return false
			}
		}
	}
	return true
}

// openPair reads a certificate and its key; nil if one of them is missing.
func openPair(cert, key string) (*tls.Certificate, error) {
	certPEM, err := read(cert)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	keyPEM, err := read(key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, &CorruptError{File: cert, Err: errors.New("not a certificate, or not that of its key")}
	}
	return &pair, nil
}

// makePair makes a key and a certificate for it, signed by the authority or, if
// that is nil, by itself, and writes both.
func makePair(template *x509.Certificate, by *tls.Certificate, certFile, keyFile string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	parent, signer := template, any(key)
	if by != nil {
		parent, signer = by.Leaf, by.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	if err := write(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})); err != nil {
		return nil, err
	}
	if err := write(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})); err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// authorityTemplate is of an authority that vouches for this machine alone
// (name constraints, RFC 5280, 4.2.1.10), and for no other authority.
func authorityTemplate(now time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject:   pkix.Name{Organization: []string{"Aguada"}, CommonName: "Aguada development on this machine"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(authorityLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage:                    x509.KeyUsageCertSign,
		ExtKeyUsage:                 []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         []string{"localhost"},
		PermittedIPRanges: []*net.IPNet{
			{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)},
			{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
		},
	}
}

func certTemplate(now time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject:   pkix.Name{Organization: []string{"Aguada development"}, CommonName: "localhost"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certLife),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:              []string{"localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
}
