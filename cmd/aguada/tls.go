package main

import (
	"errors"
	"fmt"
	"net"

	"github.com/aguada-dev/aguada/cmd/aguada/internal/development"
)

// checkTLS refuses --tls where it cannot do what it says.
func (r *runner) checkTLS() error {
	if !r.tls {
		return nil
	}
	for _, name := range []string{"TLS_CERT_FILE", "TLS_KEY_FILE", "TLS_MODE"} {
		if r.lookup(name) != "" {
			return usageError{fmt.Errorf("--tls makes a certificate, and %s says which one to use, or that none is needed: leave one of them out", name)}
		}
	}
	host, _, err := net.SplitHostPort(r.address.listen)
	if err != nil {
		return usageError{errors.New("--tls needs an address of the form host:port")}
	}
	ip := net.ParseIP(host)
	if host == "" || host == "localhost" || host == "127.0.0.1" || ip != nil && (ip.IsUnspecified() || ip.Equal(net.IPv6loopback)) {
		return nil
	}
	return usageError{fmt.Errorf("--tls makes a certificate for localhost, 127.0.0.1 and ::1, not for %s", host)}
}

// certificate returns the variables that have the service use the certificate
// for development, which is made if there is none, and has its authority
// trusted by who asks the service.
func (s *session) certificate() ([]string, error) {
	if !s.tls {
		return nil, nil
	}
	c, err := development.OpenCertificate(s.project.Dir)
	if err != nil {
		return nil, err
	}
	s.address.authority = &c
	return []string{"TLS_CERT_FILE=" + c.CertFile, "TLS_KEY_FILE=" + c.KeyFile}, nil
}
