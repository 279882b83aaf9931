package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"strings"
)

// checkTLS judges how the public listener is protected.
func (l *loader) checkTLS(cfg *Config) {
	cert, key := cfg.TLSCertFile != "", cfg.TLSKeyFile != ""
	for _, name := range []string{"TLS_CERT_FILE", "TLS_KEY_FILE", "TLS_CLIENT_CA_FILE"} {
		l.readable(name)
	}
	const both = "set both, or neither"
	switch {
	case cert && !key:
		l.refuse("TLS_KEY_FILE", "is not set, and TLS_CERT_FILE is", both)
	case key && !cert:
		l.refuse("TLS_CERT_FILE", "is not set, and TLS_KEY_FILE is", both)
	case cert && !l.refused("TLS_CERT_FILE") && !l.refused("TLS_KEY_FILE"):
		if _, err := tls.LoadX509KeyPair(cfg.TLSCertFile, cfg.TLSKeyFile); err != nil {
			l.refuse("TLS_CERT_FILE", pairError(err), "give a PEM certificate chain here, and its unencrypted PEM key in TLS_KEY_FILE")
		}
	}
	if cfg.TLSClientCAFile != "" && !l.refused("TLS_CLIENT_CA_FILE") {
		if !cert && !key {
			l.refuse("TLS_CLIENT_CA_FILE", "is set, and TLS_CERT_FILE is not", "set TLS_CERT_FILE and TLS_KEY_FILE, or unset it")
		} else if _, err := clientCAs(cfg.TLSClientCAFile); err != nil {
			l.refuse("TLS_CLIENT_CA_FILE", "names a file without a PEM certificate", "give the certificates of the clients' authorities")
		}
	}
	switch cfg.TLSMode {
	case "":
		host, ok := splitAddress(cfg.HTTPAddr)
		if ok && !loopback(host) && !cert && !key {
			l.refuse("HTTP_ADDR", "would serve plain HTTP beyond loopback",
				"set TLS_CERT_FILE and TLS_KEY_FILE, or TLS_MODE=upstream if a proxy in front ends TLS (or listen on 127.0.0.1)")
		}
	case upstream:
		if cert || key {
			l.refuse("TLS_MODE", "is upstream, and TLS_CERT_FILE or TLS_KEY_FILE is set too",
				"unset it to serve TLS here, or unset the files to leave TLS to the proxy")
		}
	default:
		l.refuse("TLS_MODE", "is not a mode", "unset it, or set it to upstream")
	}
}

// pairError says what is wrong with a certificate and its key; crypto/tls's
// own texts hold what the files say of themselves.
func pairError(err error) string {
	if strings.Contains(err.Error(), "does not match") {
		return "and TLS_KEY_FILE do not belong together"
	}
	return "and TLS_KEY_FILE are not a certificate and its key"
}

func clientCAs(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("no certificate")
	}
	return pool, nil
}

// TLS returns the configuration of the public listener, read from the files
// as they are now, or nil where it serves plain HTTP. It asks for TLS 1.2 at
// least, and for a client certificate if TLS_CLIENT_CA_FILE is set.
func (c *Config) TLS() (*tls.Config, error) {
	if c.TLSCertFile == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(c.TLSCertFile, c.TLSKeyFile)
	if err != nil {
		return nil, errors.New("TLS_CERT_FILE: " + pairError(err))
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if c.TLSClientCAFile != "" {
		if out.ClientCAs, err = clientCAs(c.TLSClientCAFile); err != nil {
			return nil, errors.New("TLS_CLIENT_CA_FILE: " + unreadable(err))
		}
		out.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return out, nil
}
