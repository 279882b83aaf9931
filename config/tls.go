package config

import (
	"crypto/tls"
	"errors"
	"time"

	"github.com/aguada-dev/aguada/internal/reload"
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
		if _, err := cfg.certificate(); err != nil {
			l.refuse("TLS_CERT_FILE", wrongFile(err), "give a PEM certificate chain here, and its unencrypted PEM key in TLS_KEY_FILE")
		}
	}
	for name, file := range map[string]string{"TLS_CLIENT_CA_FILE": cfg.TLSClientCAFile, "ADMIN_CLIENT_CA_FILE": cfg.AdminClientCAFile} {
		if file == "" || l.refused(name) {
			continue
		}
		if !cert && !key {
			l.refuse(name, "is set, and TLS_CERT_FILE is not", "set TLS_CERT_FILE and TLS_KEY_FILE, or unset it")
		} else if _, err := watch(nil, parseAuthorities, source{name, file}); err != nil {
			l.refuse(name, wrongFile(err), "give the certificates of the clients' authorities, and nothing else")
		}
	}
	switch cfg.TLSMode {
	case "":
		l.checkPlain("HTTP_ADDR", cfg.HTTPAddr, cert || key)
		l.checkPlain("ADMIN_ADDR", cfg.AdminAddr, cert || key)
		if cfg.GRPCAddr != "" {
			l.checkPlain("GRPC_ADDR", cfg.GRPCAddr, cert || key)
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

// checkPlain refuses a listener that others reach without TLS.
func (l *loader) checkPlain(name, addr string, secure bool) {
	if !secure && exposed(addr) {
		l.refuse(name, "would serve plain HTTP beyond loopback",
			"set TLS_CERT_FILE and TLS_KEY_FILE, or TLS_MODE=upstream if a proxy in front ends TLS (or listen on 127.0.0.1)")
	}
}

// suites are those of TLS 1.2: forward secret, and authenticated encryption.
// They are named since GODEBUG could bring RC4's contemporaries back. TLS 1.3
// has its own, which cannot be chosen.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// TLS is what the listeners use for TLS. It follows its files: a handshake
// takes them as they were two seconds before at most, or as they last were
// good; connections that are open stay open. It is safe for concurrent use.
type TLS struct {
	public, admin *tls.Config
	pair          *reload.File[tls.Certificate]
	clients       *reload.File[authorities] // of the public listener; nil for any client
	expiry        expiry
}

// OpenTLS reads the files of the listeners' TLS. It asks for TLS 1.2 at least
// and prefers 1.3, offers HTTP/2, and has every client present a certificate
// where the listener's authorities are set. The authorities of the public
// listener are not those of the private one: who may call the service may not
// operate it.
func (c *Config) OpenTLS() (*TLS, error) {
	t := new(TLS)
	if c.TLSCertFile == "" {
		return t, nil
	}
	var err error
	if t.pair, err = c.certificate(); err != nil {
		return nil, named(err, c.pair()...)
	}
	if t.public, t.clients, err = t.listener(c.reporter, source{"TLS_CLIENT_CA_FILE", c.TLSClientCAFile}); err != nil {
		return nil, err
	}
	if exposed(c.AdminAddr) || c.AdminClientCAFile != "" {
		t.admin, _, err = t.listener(c.reporter, source{"ADMIN_CLIENT_CA_FILE", c.AdminClientCAFile})
	}
	return t, err
}

// listener returns the configuration of one listener, and whose clients it
// serves. The file may have no path.
func (t *TLS) listener(report *reporter, file source) (*tls.Config, *reload.File[authorities], error) {
	base := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		CipherSuites:   suites,
		NextProtos:     []string{"h2", "http/1.1"}, // http.Server completes only the outermost configuration
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return t.present(), nil },
	}
	if file.path == "" {
		return base, nil, nil
	}
	clients, err := watch(report, parseAuthorities, file)
	if err != nil {
		return nil, nil, named(err, file)
	}
	base.ClientAuth = tls.RequireAndVerifyClientCert
	// A session that is resumed shows no certificate: it is judged by what was
	// proved when it began. crypto/tls does not resume it unless its authority
	// is one of ClientCAs still; this says so again, of whatever comes through.
	base.VerifyConnection = func(s tls.ConnectionState) error {
		if !clients.Value().trust(&s, time.Now()) {
			return errors.New("the client's authority is not trusted any more")
		}
		return nil
	}
	base.ClientCAs = clients.Value().pool
	out := base.Clone()
	out.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		c := base.Clone() // its session tickets are those of the outermost configuration
		c.ClientCAs = clients.Value().pool
		return c, nil
	}
	return out, clients, nil
}

// Public returns the configuration of the public listener, or nil where it
// serves plain HTTP.
func (t *TLS) Public() *tls.Config { return t.public }

// Admin returns the configuration of the private port: nil on loopback, unless
// ADMIN_CLIENT_CA_FILE is set, and behind a proxy that ends TLS.
func (t *TLS) Admin() *tls.Config { return t.admin }

// Trusts reports whether the public listener would let the holder of the
// connection's client certificate in now: one of the verified chains ends in an
// authority of TLS_CLIENT_CA_FILE, and nothing in it has expired. A connection
// may outlive both, so ask for each request. It is false without such a file
// and for a nil state. It takes less than a microsecond and allocates nothing.
func (t *TLS) Trusts(s *tls.ConnectionState) bool {
	return t.clients != nil && s != nil && t.clients.Value().trust(s, time.Now())
}
