package security

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
)

func transport() []probe.Probe { return []probe.Probe{versions, hsts, plain} }

// noTLS says why the service's own TLS cannot be looked at.
func noTLS(l *lab.Lab) string {
	if !l.Service.Contracted {
		return "the prover does not know how this service is given a certificate"
	}
	return ""
}

var versions = probe.Probe{
	Probe: describe("tls.versions", "Is every TLS below 1.2, and every weak cipher suite, refused?",
		"TLS 1.0 and 1.1 and suites without forward secrecy can be broken or read later.",
		"Serve TLS 1.2 and 1.3 with Go's default cipher suites.",
		"RFC 8996", "RFC 9325 §4", "CWE-327"),
	Needs: lab.Process,
	Omit:  noTLS,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		in, err := t.Secure(ctx, nil)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer in.Close()
		weak := []uint16{}
		for _, s := range tls.InsecureCipherSuites() {
			weak = append(weak, s.ID)
		}
		for name, cfg := range map[string]*tls.Config{
			"TLS 1.0":           {MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10},
			"TLS 1.1":           {MinVersion: tls.VersionTLS11, MaxVersion: tls.VersionTLS11},
			"weak cipher suite": {MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12, CipherSuites: weak},
		} {
			cfg.InsecureSkipVerify = true
			if state, err := shake(ctx, in.HTTP, cfg); err == nil {
				return probe.Fail(nil, "a handshake with %s succeeds (%s)", name, tls.CipherSuiteName(state.CipherSuite))
			}
		}
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			if _, err := shake(ctx, in.HTTP, &tls.Config{MinVersion: version, MaxVersion: version, InsecureSkipVerify: true}); err != nil { //nolint:gosec // only the version matters here
				return probe.Fail(nil, "a handshake with %s fails: %v", tls.VersionName(version), err)
			}
		}
		return probe.Pass("TLS 1.2 and 1.3 only")
	},
}

func shake(ctx context.Context, addr string, cfg *tls.Config) (tls.ConnectionState, error) {
	d := &tls.Dialer{NetDialer: &net.Dialer{Timeout: 3 * time.Second}, Config: cfg}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer func() { _ = conn.Close() }()
	c, ok := conn.(*tls.Conn)
	if !ok {
		return tls.ConnectionState{}, fmt.Errorf("no TLS connection")
	}
	return c.ConnectionState(), nil
}

var hsts = probe.Probe{
	Probe: describe("tls.hsts", "Are browsers told to come by TLS only?",
		"The first request that a browser makes without TLS can be answered by anybody on the way.",
		"Send Strict-Transport-Security on every answer over TLS.",
		"RFC 6797", "CWE-319"),
	Needs: lab.Process,
	Omit:  noTLS,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		in, err := t.Secure(ctx, nil)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer in.Close()
		c := t.NewClient(in)
		r := lab.Request{Verb: "GET", Path: "/"}
		a := c.Do(ctx, r)
		if v := a.Header.Get("Strict-Transport-Security"); !strings.Contains(v, "max-age=") || strings.Contains(v, "max-age=0") {
			return probe.Fail(c.Show(r, a), "Strict-Transport-Security is %q", v)
		}
		return probe.Pass("Strict-Transport-Security: %s", a.Header.Get("Strict-Transport-Security"))
	},
}

var plain = probe.Probe{
	Probe: describe("tls.required", "Does the service refuse to serve other machines without TLS?",
		"Credentials that go over a network in the clear are everybody's. A service that starts without a certificate does so unnoticed.",
		"Refuse to start on an address beyond loopback without a certificate, unless somebody says that a proxy in front ends TLS.",
		"OWASP API2:2023", "CWE-319"),
	Needs: lab.Process,
	Omit:  noTLS,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		open := map[string]string{"HTTP_ADDR": "0.0.0.0:${http_port}"}
		if t.Service.GRPC() {
			open["GRPC_ADDR"] = "0.0.0.0:${grpc_port}"
		}
		said := ""
		for name, address := range open {
			o := refuses(ctx, t, name, address)
			if o.Verdict != finding.Pass {
				return o
			}
			said = o.Detail
		}
		return probe.Pass("%s", said)
	},
}

// refuses starts the service on an address of other machines.
func refuses(ctx context.Context, t *probe.Try, name, address string) finding.Outcome {
	in, err := t.Launch(map[string]string{name: address})
	if err != nil {
		return probe.Skip("%v", err)
	}
	defer in.Close()
	timer := time.NewTimer(5 * time.Second)
	defer timer.Stop()
	select {
	case <-in.Done():
	case <-ctx.Done():
	case <-timer.C:
	}
	if in.Running() {
		return probe.Fail(nil, "it runs with %s=%s without a certificate", name, address)
	}
	if in.Exit().Clean() {
		return probe.Fail(nil, "with %s=%s it ended, with exit code 0, as if all were well", name, address)
	}
	words := in.LastWords()
	if !strings.Contains(words, "TLS") {
		return probe.Fail([]finding.Evidence{{Label: "standard error", Text: words}}, "it does not say what to do about %s=%s", name, address)
	}
	return probe.Pass("it ends with %s and says how to go on", in.Exit())
}
