// Package issuing runs the development issuer of a project on the command
// line's behalf.
//
//	s, err := issuing.Start(ctx, file, issuing.Config{Logger: logger})
//	...
//	defer s.Close()
//	err = s.Use(issuing.Settings(contract, s.URL(), audience))
//
// The issuer's state, its address included, is in one file of the project's
// state folder: what signs tokens without a server reads the same one.
package issuing

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/aguada-dev/aguada/auth/issuer"
	"github.com/aguada-dev/aguada/auth/issuer/state"
	"github.com/aguada-dev/aguada/policy"
)

// DefaultAddr is where the first issuer of a machine listens.
const DefaultAddr = "127.0.0.1:9096"

// addressSetting is the name under which an issuer's address is remembered.
const addressSetting = "address"

// URL returns the name of the issuer that uses the state: the address at which
// it listened last.
func URL(tx *state.Tx) (string, error) {
	addr, err := tx.Setting(addressSetting)
	if addr == "" {
		addr = DefaultAddr
	}
	return "http://" + addr, err
}

// Settings returns the settings of an issuer for the service that a contract
// describes.
func Settings(c *policy.Contract, url string, audience []string, log *slog.Logger) issuer.Config {
	cfg := issuer.Config{URL: url, Audience: audience, Service: c.API.Title, Logger: log}
	if cfg.Service == "" {
		cfg.Service = c.API.Name
	}
	for _, s := range c.Schemes {
		cfg.Flows = append(cfg.Flows, s.Flows...)
		for _, name := range s.Scopes {
			scope := issuer.Scope{Name: name, Description: s.ScopeDescriptions[name]}
			n := slices.IndexFunc(cfg.Scopes, func(have issuer.Scope) bool { return have.Name == name })
			switch {
			case n < 0:
				cfg.Scopes = append(cfg.Scopes, scope)
			case cfg.Scopes[n].Description == "":
				cfg.Scopes[n] = scope
			}
		}
	}
	slices.SortFunc(cfg.Scopes, func(a, b issuer.Scope) int { return strings.Compare(a.Name, b.Name) })
	return cfg
}

// Config tunes a [Server]. The zero value works.
type Config struct {
	// Addr is where to listen. Where it is empty, the issuer listens where it
	// did last, or else on DefaultAddr, or else, if another program has
	// that, on any free port. The address is remembered.
	Addr string
	// Logger is told what the issuer does; slog.Default() if nil.
	Logger *slog.Logger
}

// Server is an issuer that listens. Until Use it answers that it is not ready.
type Server struct {
	state *state.State
	url   string
	log   *slog.Logger
	now   atomic.Pointer[issuer.Issuer]
	stop  context.CancelFunc
	ended chan error // closed at the end

	elsewhere atomic.Bool // another process serves this project
}

// Start opens the state in a file and listens. Where the same project's issuer
// runs in another process already, that one is used, and replaced when it ends.
func Start(ctx context.Context, file string, cfg Config) (_ *Server, err error) {
	s := &Server{log: cfg.Logger}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.state, err = state.Open(ctx, file); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.state.Close())
		}
	}()
	l, err := s.listen(ctx, cfg.Addr)
	if err != nil {
		return nil, err
	}
	if l == nil {
		s.standBy(ctx)
		return s, nil
	}
	s.serve(ctx, l)
	return s, nil
}

func (s *Server) serve(ctx context.Context, l net.Listener) {
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.stop, s.ended = cancel, make(chan error, 1)
	go func() {
		s.ended <- issuer.Serve(serving, l, s, s.log)
		close(s.ended) // Close must not wait for what Done has given away
	}()
}

// listen settles the address and remembers it. There is no listener where
// another process serves the project.
func (s *Server) listen(ctx context.Context, addr string) (net.Listener, error) {
	wanted := addr
	if addr == "" {
		var url string
		if err := s.state.Update(ctx, func(tx *state.Tx) (err error) { url, err = URL(tx); return err }); err != nil {
			return nil, err
		}
		wanted = strings.TrimPrefix(url, "http://")
	}
	l, err := issuer.Listen(ctx, wanted)
	if errors.Is(err, syscall.EADDRINUSE) {
		s.url = "http://" + wanted
		switch ours, failed := s.serves(ctx); {
		case failed != nil:
			return nil, failed
		case ours && addr == "":
			return nil, nil
		case ours:
			return nil, fmt.Errorf("listen on %s: the issuer of this project runs there already", wanted)
		case addr != "":
			return nil, fmt.Errorf("listen on %s: the port is in use by another program; choose another address: --addr 127.0.0.1:0 takes any free port", wanted)
		}
		s.log.Warn("another program has the issuer's port: another one is used, and tokens of the former are void", "former", wanted)
		l, err = issuer.Listen(ctx, "127.0.0.1:0")
	}
	if err != nil {
		return nil, err
	}
	host, _, _ := net.SplitHostPort(wanted)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	bound := net.JoinHostPort(host, port)
	s.url = "http://" + bound
	if err := s.state.Update(ctx, func(tx *state.Tx) error { return tx.SetSetting(addressSetting, bound) }); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// proofPath answers a challenge with what only a process that reads the same
// state can know.
const proofPath = "/.aguada/proof"

// proof returns the answer to a challenge at an address. Whatever else is
// published of an issuer, its keys' names included, another program could have
// copied.
func (s *Server) proof(ctx context.Context, url, challenge string) (answer string, err error) {
	const setting = "proof"
	var secret string
	err = s.state.Update(ctx, func(tx *state.Tx) (err error) {
		if secret, err = tx.Setting(setting); err == nil && secret == "" {
			secret = rand.Text() + rand.Text()
			err = tx.SetSetting(setting, secret)
		}
		return err
	})
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(url + "\n" + challenge))
	return hex.EncodeToString(mac.Sum(nil)), err
}

// serves reports whether the program at the address is this project's issuer.
func (s *Server) serves(ctx context.Context) (bool, error) {
	challenge := rand.Text()
	want, err := s.proof(ctx, s.url, challenge)
	if err != nil {
		return false, err
	}
	const patience = 3 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+proofPath+"?challenge="+challenge, nil)
	if err != nil {
		return false, err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return false, nil // whatever it is, it is no issuer
	}
	defer func() { _ = res.Body.Close() }()
	got, err := io.ReadAll(io.LimitReader(res.Body, int64(len(want))+1))
	return err == nil && hmac.Equal(got, []byte(want)), nil
}

// URL returns the issuer's name, which is its address.
func (s *Server) URL() string { return s.url }

// Elsewhere reports whether another process serves the project.
func (s *Server) Elsewhere() bool { return s.elsewhere.Load() }

// Done returns a channel that receives the error of a server that ended by
// itself.
func (s *Server) Done() <-chan error { return s.ended }

// Gone returns an error that is state.ErrGone where the issuer's file was
// deleted or replaced, so that the issuer is of no use any more.
func (s *Server) Gone() error { return s.state.Gone() }

// Use puts settings in force from the next request on.
func (s *Server) Use(cfg issuer.Config) error {
	i, err := issuer.New(s.state, cfg)
	if err != nil {
		return err
	}
	s.now.Store(i)
	return nil
}

// ServeHTTP answers with the settings in force.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == proofPath {
		answer, err := s.proof(r.Context(), s.url, r.URL.Query().Get("challenge"))
		if err != nil {
			http.Error(w, issuer.Warning+": no proof", http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, answer) // who asked has gone
		return
	}
	i := s.now.Load()
	if i == nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, issuer.Warning+": not ready yet", http.StatusServiceUnavailable)
		return
	}
	i.ServeHTTP(w, r)
}

// Close stops serving and closes the state.
func (s *Server) Close() error {
	s.stop()
	return errors.Join(<-s.ended, s.state.Close())
}
