package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/aguada-dev/aguada/cmd/aguada/internal/curl"
	"github.com/aguada-dev/aguada/cmd/aguada/internal/development"
)

// defaultAddr is where a service listens under run.
const defaultAddr = "127.0.0.1:8080"

// address is where the service listens and how to reach it from this machine.
type address struct {
	// listen is the value of HTTP_ADDR, base the URL without a path.
	listen, base string
	// secure says that the service speaks TLS.
	secure bool
	// authority signed the service's certificate, if we know.
	authority *development.Certificate
}

// newAddress settles the address: the flag, else HTTP_ADDR, else the default.
// Port 0 becomes a free port. The service speaks TLS if it is told to, or has
// a certificate of its own.
func newAddress(ctx context.Context, flag string, secure bool, lookup func(string) string) (address, error) {
	a := address{listen: defaultAddr, secure: secure || lookup("TLS_CERT_FILE") != ""}
	source := "HTTP_ADDR"
	if v := lookup("HTTP_ADDR"); v != "" {
		a.listen = v
	}
	if flag != "" {
		a.listen, source = flag, "--addr"
	}
	host, port, err := net.SplitHostPort(a.listen)
	if err != nil {
		return address{}, usageError{fmt.Errorf("%s %q is not host:port", source, a.listen)}
	}
	if port == "0" {
		if port, err = freePort(ctx, host); err != nil {
			return address{}, fmt.Errorf("find a free port: %w", err)
		}
		a.listen = net.JoinHostPort(host, port)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := "http://"
	if a.secure {
		scheme = "https://"
	}
	a.base = scheme + net.JoinHostPort(host, port)
	return a, nil
}

// Where a service opens its private port and its gRPC listener under run, if they
// are free.
const (
	defaultAdmin = "127.0.0.1:8082"
	defaultGRPC  = "127.0.0.1:8081"
)

// beside settles the address of a further listener: that of its variable, where
// port 0 becomes a free one, else the default, else, where another service has that, any free port.
func beside(ctx context.Context, lookup func(string) string, variable, usual string) (string, error) {
	if v := lookup(variable); v != "" {
		if host, port, err := net.SplitHostPort(v); err == nil && port == "0" { // made real, to be told
			if port, err = freePort(ctx, host); err != nil {
				return "", fmt.Errorf("find a free port: %w", err)
			}
			v = net.JoinHostPort(host, port)
		}
		return v, nil
	}
	if (address{listen: usual}).check(ctx) == nil {
		return usual, nil
	}
	port, err := freePort(ctx, "127.0.0.1")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return net.JoinHostPort("127.0.0.1", port), nil
}

func freePort(ctx context.Context, host string) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}

// check reports whether the service will be able to listen.
func (a address) check(ctx context.Context) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", a.listen)
	switch {
	case err == nil:
		return l.Close()
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("listen on %s: the port is in use by another program; end that one, or choose another address: --addr 127.0.0.1:0 takes any free port", a.listen)
	}
	return fmt.Errorf("check address: %w", err)
}

// client returns what asks the service how it is: over no proxy, and without
// judging a certificate that is not ours, which may be made for another name.
func (a address) client() *http.Client {
	config := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // asks its own child for readiness, sends no credential
	if a.authority != nil {
		config = &tls.Config{RootCAs: a.authority.Roots, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, TLSClientConfig: config},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// url returns the address of a path.
func (a address) url(path string) string { return strings.TrimSuffix(a.base, "/") + path }

// trust returns whom a client has to trust.
func (a address) trust() curl.Trust {
	if a.authority != nil {
		return curl.Trust{Authority: a.authority.AuthorityFile}
	}
	return curl.Trust{Anybody: a.secure}
}
