package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"
)

// checkTLS judges how the listeners are protected.
func (l *loader) checkTLS(cfg *Config) {
	cert, key := cfg.TLSCertFile != "", cfg.TLSKeyFile != ""
	for _, name := range []string{"TLS_CERT_FILE", "TLS_KEY_FILE", "TLS_CLIENT_CA_FILE", "ADMIN_CLIENT_CA_FILE"} {
		l.readable(name)
	}
	const both = "set both, or neither"
	switch {
	case cert && !key:
		l.refuse("TLS_KEY_FILE", "is not set, and TLS_CERT_FILE is", both)
	case key && !cert:
		l.refuse("TLS_CERT_FILE", "is not set, and TLS_KEY_FILE is", both)
	case cert && !l.refused("TLS_CERT_FILE") && !l.refused("TLS_KEY_FILE"):
		if _, err := watch(nil, "", pair, cfg.TLSCertFile, cfg.TLSKeyFile); err != nil {
			l.refuse("TLS_CERT_FILE", wrongFile(err), "give a PEM certificate chain here, and its unencrypted PEM key in TLS_KEY_FILE")
		}
	}
	for name, file := range map[string]string{"TLS_CLIENT_CA_FILE": cfg.TLSClientCAFile, "ADMIN_CLIENT_CA_FILE": cfg.AdminClientCAFile} {
		if file == "" || l.refused(name) {
			continue
		}
		if !cert && !key {
			l.refuse(name, "is set, and TLS_CERT_FILE is not", "set TLS_CERT_FILE and TLS_KEY_FILE, or unset it")
		} else if _, err := watch(nil, "", authorities, file); err != nil {
			l.refuse(name, wrongFile(err), "give the certificates of the clients' authorities")
		}
	}
	switch cfg.TLSMode {
	case "":
		l.checkPlain("HTTP_ADDR", cfg.HTTPAddr, cert || key)
		l.checkPlain("ADMIN_ADDR", cfg.AdminAddr, cert || key)
	case upstream:
		if cert || key {
			l.refuse("TLS_MODE", "is upstream, and TLS_CERT_FILE or TLS_KEY_FILE is set too",
				"unset it to serve TLS here, or unset the files to leave TLS to the proxy")
		}
	default:
		l.refuse("TLS_MODE", "is not a mode", "unset it, or set it to upstream")
	}
}

// checkPlain refuses a listener that others reach without TLS.
func (l *loader) checkPlain(name, addr string, secure bool) {
	if !secure && exposed(addr) {
		l.refuse(name, "would serve plain HTTP beyond loopback",
			"set TLS_CERT_FILE and TLS_KEY_FILE, or TLS_MODE=upstream if a proxy in front ends TLS (or listen on 127.0.0.1)")
	}
}

// pair makes a certificate of its file and its key's. crypto/tls's own errors
// hold what the files say of themselves.
func pair(contents [][]byte) (*tls.Certificate, error) {
	p, err := tls.X509KeyPair(contents[0], contents[1])
	switch {
	case err == nil:
		return &p, nil
	case strings.Contains(err.Error(), "does not match"):
		return nil, fileError("and TLS_KEY_FILE do not belong together")
	}
	return nil, fileError("and TLS_KEY_FILE are not a certificate and its key")
}

func authorities(contents [][]byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(contents[0]) {
		return nil, fileError("names a file without a PEM certificate")
	}
	return pool, nil
}

// TLS is what the listeners use for TLS. It follows its files: a handshake
// takes them as they were a second before, or as they last were good. It is
// safe for concurrent use.
type TLS struct {
	public, admin *tls.Config
	pair          *watched[tls.Certificate]
}

// OpenTLS reads the files of the listeners' TLS. It asks for TLS 1.2 at least,
// offers HTTP/2, and has every client present a certificate where the
// listener's authorities are set. The authorities of the public listener are
// not those of the private one: who may call the service may not operate it.
func (c *Config) OpenTLS() (*TLS, error) {
	t := new(TLS)
	if c.TLSCertFile == "" {
		return t, nil
	}
	var err error
	if t.pair, err = watch(c.reporter, "TLS_CERT_FILE", pair, c.TLSCertFile, c.TLSKeyFile); err != nil {
		return nil, errors.New("TLS_CERT_FILE: " + wrongFile(err))
	}
	if t.public, err = t.listener(c.reporter, "TLS_CLIENT_CA_FILE", c.TLSClientCAFile); err != nil {
		return nil, err
	}
	if exposed(c.AdminAddr) || c.AdminClientCAFile != "" {
		t.admin, err = t.listener(c.reporter, "ADMIN_CLIENT_CA_FILE", c.AdminClientCAFile)
	}
	return t, err
}

// listener returns the configuration of one listener. caFile may be empty.
func (t *TLS) listener(report *reporter, name, caFile string) (*tls.Config, error) {
	base := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"}, // http.Server completes only the outermost configuration
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return t.pair.get(), nil },
	}
	if caFile == "" {
		return base, nil
	}
	base.ClientAuth = tls.RequireAndVerifyClientCert
	// Sessions that are resumed are verified again by crypto/tls.
	w, err := watch(report, name, func(contents [][]byte) (*tls.Config, error) {
		pool, err := authorities(contents)
		if err != nil {
			return nil, err
		}
		c := base.Clone()
		c.ClientCAs = pool
		return c, nil
	}, caFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", name, wrongFile(err))
	}
	out := w.get().Clone()
	out.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return w.get(), nil }
	return out, nil
}

// Public returns the configuration of the public listener, or nil where it
// serves plain HTTP.
func (t *TLS) Public() *tls.Config { return t.public }

// Admin returns the configuration of the private port: nil on loopback, unless
// ADMIN_CLIENT_CA_FILE is set, and behind a proxy that ends TLS.
func (t *TLS) Admin() *tls.Config { return t.admin }

// NotAfter returns when the certificate expires that is now presented, or the
// zero time if there is none.
func (t *TLS) NotAfter() time.Time {
	if t.pair == nil {
		return time.Time{}
	}
	return t.pair.get().Leaf.NotAfter
}
