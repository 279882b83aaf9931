package config

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/internal/reload"
)

// pair returns the files of the listeners' certificate.
func (c *Config) pair() []source {
	return []source{{"TLS_CERT_FILE", c.TLSCertFile}, {"TLS_KEY_FILE", c.TLSKeyFile}}
}

// certificate follows them. A certificate that is not valid now never replaces
// one that is, but is taken as soon as it becomes so; at the start any is
// taken, since half a service is better than none.
func (c *Config) certificate() (*reload.File[tls.Certificate], error) {
	var present *tls.Certificate
	return watch(c.reporter, func(contents [][]byte) (*tls.Certificate, error) {
		p, err := parsePair(contents[0], contents[1])
		if err != nil {
			return nil, err
		}
		if now := time.Now(); present != nil && validAt(present.Leaf, now) {
			switch {
			case now.Before(p.Leaf.NotBefore):
				return nil, fileError("names a certificate that is not valid yet")
			case now.After(p.Leaf.NotAfter):
				return nil, fileError("names a certificate that has expired")
			}
		}
		present = p
		return p, nil
	}, c.pair()...)
}

func validAt(c *x509.Certificate, now time.Time) bool {
	return !now.Before(c.NotBefore) && !now.After(c.NotAfter)
}

// parsePair makes a certificate of its chain and its key. crypto/tls's own
// errors hold what the files say of themselves.
func parsePair(chain, key []byte) (*tls.Certificate, error) {
	p, err := tls.X509KeyPair(chain, key)
	switch {
	case err != nil && strings.Contains(err.Error(), "does not match"):
		return nil, fileError("and TLS_KEY_FILE do not belong together")
	case err != nil:
		return nil, fileError("and TLS_KEY_FILE are not a certificate and its key")
	}
	for _, der := range p.Certificate[1:] {
		if _, err := x509.ParseCertificate(der); err != nil {
			return nil, fileError("names a file with a broken certificate in its chain")
		}
	}
	if _, whole := blocks(chain); !whole {
		return nil, fileError("names a file that ends in the middle of a certificate, or holds a broken one")
	}
	return &p, nil
}

// blocks returns the PEM blocks of a file. It is not whole if a block is begun
// in it that is broken or has no end: package pem skips those.
func blocks(content []byte) (all []*pem.Block, whole bool) {
	begun := bytes.Count(content, []byte("-----BEGIN "))
	for {
		block, rest := pem.Decode(content)
		if block == nil {
			return all, begun == len(all)
		}
		all, content = append(all, block), rest
	}
}

// authorities are whom a listener lets vouch for its clients.
type authorities struct {
	pool *x509.CertPool
	all  map[string]struct{} // by their DER
}

// parseAuthorities reads every certificate of a file. Nothing is skipped, as
// x509.CertPool does: a file that is half of what it shall be would lock
// clients out.
func parseAuthorities(contents [][]byte) (*authorities, error) {
	a := &authorities{pool: x509.NewCertPool(), all: make(map[string]struct{})}
	certs, whole := blocks(contents[0])
	if !whole {
		return nil, fileError("names a file that ends in the middle of a certificate, or holds a broken one")
	}
	if len(certs) == 0 {
		return nil, fileError("names a file without a PEM certificate")
	}
	for _, block := range certs {
		if block.Type != "CERTIFICATE" {
			return nil, fileError("names a file that holds more than certificates")
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fileError("names a file with a broken certificate")
		}
		a.pool.AddCert(cert)
		a.all[string(cert.Raw)] = struct{}{}
	}
	return a, nil
}

// trust reports whether a verified chain of the connection ends in one of the
// authorities, with nothing in it expired.
func (a *authorities) trust(s *tls.ConnectionState, now time.Time) bool {
chains:
	for _, chain := range s.VerifiedChains {
		for _, cert := range chain {
			if !validAt(cert, now) {
				continue chains
			}
		}
		if len(chain) > 0 {
			if _, ok := a.all[string(chain[len(chain)-1].Raw)]; ok {
				return true
			}
		}
	}
	return false
}
