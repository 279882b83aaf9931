package main

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/aguada-dev/aguada/cmd/aguada/internal/terminal"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/setup"
)

// remoteFlags are those of a service that runs already.
type remoteFlags struct {
	url, allowHost, caFile                     string
	tokenFile, basicFile, apiKeyFile, hmacFile string
	destructive                                bool
}

func (r *remoteFlags) flags(f *pflag.FlagSet) {
	f.StringVar(&r.url, "url", "", "attack the service that runs already at scheme://host:port, and start none")
	f.StringVar(&r.allowHost, "allow-host", "", "the host of --url, once more, where it is not this machine")
	f.BoolVar(&r.destructive, "destructive", false, "with --url: ask too what changes things, and what floods")
	f.StringVar(&r.caFile, "ca-file", "", "with --url: certificates (PEM) to trust instead of the system's")
	f.StringVar(&r.tokenFile, "token-file", "", "with --url: file of an access token (or AGUADA_PROVE_TOKEN)")
	f.StringVar(&r.basicFile, "basic-file", "", "with --url: file of user:password (or AGUADA_PROVE_BASIC)")
	f.StringVar(&r.apiKeyFile, "api-key-file", "", "with --url: file of an API key (or AGUADA_PROVE_API_KEY)")
	f.StringVar(&r.hmacFile, "hmac-secret-file", "", "with --url: file of the secret of HS256 tokens (or AGUADA_PROVE_HMAC_SECRET)")
}

// needless returns the first flag that means nothing without --url.
func (r *remoteFlags) needless() string {
	for _, x := range []struct {
		name string
		set  bool
	}{
		{"--allow-host", r.allowHost != ""}, {"--destructive", r.destructive}, {"--ca-file", r.caFile != ""}, {"--token-file", r.tokenFile != ""},
		{"--basic-file", r.basicFile != ""}, {"--api-key-file", r.apiKeyFile != ""}, {"--hmac-secret-file", r.hmacFile != ""},
	} {
		if x.set {
			return x.name
		}
	}
	return ""
}

// check refuses flags that do not go together.
func (p *prover) check() error {
	if p.remote.url == "" {
		if name := p.remote.needless(); name != "" {
			return usageError{fmt.Errorf("%s means nothing without --url", name)}
		}
		return nil
	}
	switch {
	case len(p.command) > 0:
		return usageError{errors.New("with --url nothing is started: leave out the command after --")}
	case len(p.env) > 0:
		return usageError{errors.New("with --url nothing is started: leave out --env")}
	case len(p.dependencies) > 0:
		return usageError{errors.New("with --url nothing is started: leave out --dependency")}
	case p.main != "":
		return usageError{errors.New("with --url nothing is started: leave out --main")}
	}
	return nil
}

// far fills the configuration for a service that runs already.
func (p *prover) far(ctx context.Context, cfg *setup.Config) (err error) {
	p.target = p.remote.url
	if cfg.Remote, err = p.remote.parse(ctx); err != nil {
		return err
	}
	if cfg.Given, err = p.remote.given(); err != nil {
		return err
	}
	if cfg.Remote.Roots, err = p.remote.roots(); err != nil {
		return err
	}
	cfg.Remote.Destructive = p.remote.destructive
	if cfg.Remote.Destructive {
		return nil
	}
	service, err := setup.Read(cfg.Dir, cfg.File)
	if err != nil {
		return err
	}
	cfg.Remote.Destructive, err = p.consent(ctx, os.Stdin, setup.Changing(service))
	return err
}

// parse returns where the service is. The host has to be this machine, or the
// one that is allowed.
func (r *remoteFlags) parse(ctx context.Context) (*lab.Remote, error) {
	u, err := url.Parse(r.url)
	switch {
	case err != nil:
		return nil, usageError{errors.New("--url: want scheme://host:port")}
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, usageError{fmt.Errorf("--url: the scheme is %q: want http or https", u.Scheme)}
	case u.Hostname() == "":
		return nil, usageError{errors.New("--url: the host is missing")}
	case u.User != nil:
		return nil, usageError{errors.New("--url: leave credentials out of it, and give a file (--basic-file)")}
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, usageError{errors.New("--url: want scheme://host:port and no path: paths are those of the design")}
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	if err := r.allowed(ctx, u.Hostname()); err != nil {
		return nil, err
	}
	return &lab.Remote{Scheme: u.Scheme, Host: net.JoinHostPort(u.Hostname(), port)}, nil
}

// allowed refuses a host of somebody else that was not named twice.
func (r *remoteFlags) allowed(ctx context.Context, host string) error {
	if r.allowHost == host {
		return nil
	}
	if r.allowHost != "" {
		return usageError{fmt.Errorf("--allow-host is %q, and the host of --url %q", r.allowHost, host)}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return fmt.Errorf("look up the host of --url: %w", err)
	}
	if slices.ContainsFunc(addresses, func(a net.IPAddr) bool { return !a.IP.IsLoopback() }) {
		return usageError{fmt.Errorf("%s is not this machine: attack it only if it is yours, and say so with --allow-host %s", host, host)}
	}
	return nil
}

// given reads the credentials: those of files win over those of the environment.
func (r *remoteFlags) given() (g setup.Given, err error) {
	for _, x := range []struct {
		to         *string
		file, name string
	}{
		{&g.Token, r.tokenFile, "AGUADA_PROVE_TOKEN"},
		{&g.Basic, r.basicFile, "AGUADA_PROVE_BASIC"},
		{&g.APIKey, r.apiKeyFile, "AGUADA_PROVE_API_KEY"},
		{&g.HMACSecret, r.hmacFile, "AGUADA_PROVE_HMAC_SECRET"},
	} {
		*x.to = os.Getenv(x.name)
		if x.file == "" {
			continue
		}
		text, err := os.ReadFile(x.file)
		if err != nil {
			return g, fmt.Errorf("read credential: %w", err)
		}
		if *x.to = strings.TrimRight(string(text), "\r\n"); *x.to == "" || strings.ContainsAny(*x.to, "\r\n") {
			return g, fmt.Errorf("read credential: %s: want one line", x.file)
		}
	}
	return g, nil
}

// roots reads the certificates to trust, nil for the system's.
func (r *remoteFlags) roots() (*x509.CertPool, error) {
	if r.caFile == "" {
		return nil, nil //nolint:nilnil // the system's
	}
	text, err := os.ReadFile(r.caFile)
	if err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("read certificates: %s holds none in PEM", r.caFile)
	}
	return pool, nil
}

// consent asks whether the service may be changed and flooded. Where nobody can
// answer it is not.
func (p *prover) consent(ctx context.Context, in io.Reader, changing []string) (bool, error) {
	f, ok := in.(*os.File)
	if !ok || !terminal.Is(f) || !p.out.Watched() {
		return false, nil
	}
	p.out.Printf("%s runs already. With your consent the prover also", p.target)
	for _, m := range changing {
		p.out.Println("  calls " + m)
	}
	p.out.Println("  sends it bodies of many megabytes, and bytes that are not HTTP.")
	p.out.Println("What it makes stays there, and other callers may have to wait.")
	_, _ = p.out.Write([]byte("Try that too? [y/N] "))
	return yes(ctx, in)
}

// yes reads one line; whatever is not a yes is a no.
func yes(ctx context.Context, in io.Reader) (bool, error) {
	said := make(chan string, 1)
	go func() { // ends with the process where nobody ever answers
		line, _ := bufio.NewReader(in).ReadString('\n')
		said <- line
	}()
	select {
	case line := <-said:
		answer := strings.ToLower(strings.TrimSpace(line))
		return answer == "y" || answer == "yes", nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}
