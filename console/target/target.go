// Package target knows of services what they do not send: what their private
// port says, what their contract promises, and what a proof found.
//
//	targets := target.New()
//	err := targets.Set(target.Config{Service: "shop", Admin: "http://127.0.0.1:8082"})
//	t, ok := targets.Find("shop")
//	state, err := t.State(ctx)
//
// The credential of a private port stays here: it is sent to the address that
// it belongs to, never to where that redirects, and over TLS or to loopback only.
package target

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aguada-dev/aguada/policy"
)

// Config describes a service.
type Config struct {
	// Service is its name in telemetry (service.name).
	Service string
	// Admin is the URL of its private port; "" if that is not known.
	Admin string
	// Token returns the token of the private port; nil, or "", is none.
	Token func() string
	// ContractFile is its contract.json, for where the private port is not
	// known.
	ContractFile string
	// ProofFile is the report of its last proof (aguada prove --json); it need
	// not be there.
	ProofFile string
}

// Target is a service. It is safe for concurrent use.
type Target struct {
	Config
	client   *http.Client
	state    answer[*State]
	contract answer[*contract]
}

// contract is a contract as it was read.
type contract struct {
	*policy.Contract
	raw json.RawMessage
}

// answer is what was answered last, kept for a moment, so that many open pages
// are one request.
type answer[T any] struct {
	mu    sync.Mutex
	value T
	err   error
	at    time.Time
}

const (
	keep    = 2 * time.Second // how long an answer is good for
	longest = 3 * time.Second // how long to wait for one
)

// get returns the last answer, or asks for a new one. Others wait for it too, so
// that it does not end with the request that happened to be the first.
func (a *answer[T]) get(ctx context.Context, ask func(context.Context) (T, error)) (T, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.at.IsZero() || time.Since(a.at) > keep {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longest)
		defer cancel()
		a.value, a.err = ask(ctx)
		a.at = time.Now()
	}
	return a.value, a.err
}

// Targets are the services that are known. Use New. It is safe for concurrent
// use.
type Targets struct {
	mu  sync.RWMutex
	all map[string]*Target
}

// New returns a Targets that knows none.
func New() *Targets { return &Targets{all: make(map[string]*Target)} }

// Set makes a service known, in place of what was known of it. It refuses a URL
// to which a token would go in the clear.
func (t *Targets) Set(v Config) error {
	if v.Service == "" {
		return errors.New("set target: the service has no name")
	}
	if err := v.check(); err != nil {
		return fmt.Errorf("set target %s: %w", v.Service, err)
	}
	v.Admin = strings.TrimSuffix(v.Admin, "/")
	n := &Target{Config: v}
	n.client = &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute, ResponseHeaderTimeout: 75 * time.Second},
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all[v.Service] = n
	return nil
}

func (v *Config) check() error {
	if v.Admin == "" {
		return nil
	}
	u, err := url.Parse(v.Admin)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		return errors.New("the private port must be a URL such as http://127.0.0.1:8082, without a user")
	}
	ip := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme == "http" && !local && v.Token != nil {
		return fmt.Errorf("a token would go to %s in the clear: give an https URL", u.Host)
	}
	return nil
}

// Find returns a service.
func (t *Targets) Find(service string) (*Target, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	v, ok := t.all[service]
	return v, ok
}

// All returns the services in order of their names.
func (t *Targets) All() []*Target {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make([]*Target, 0, len(t.all))
	for _, v := range t.all {
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b *Target) int { return cmp.Compare(a.Service, b.Service) })
	return all
}

// maxFile bounds files and answers, in bytes.
const maxFile = 16 << 20

// Contract returns the contract, from the private port or from its file, and as
// it was read.
func (v *Target) Contract(ctx context.Context) (*policy.Contract, json.RawMessage, error) {
	c, err := v.contract.get(ctx, func(ctx context.Context) (*contract, error) {
		raw, err := v.readContract(ctx)
		if err != nil {
			return nil, err
		}
		var c policy.Contract
		if err := json.Unmarshal(raw, &c); err != nil {
			return nil, &Error{Text: "what was given as the contract of " + v.Service + " is none"}
		}
		return &contract{&c, raw}, nil
	})
	if err != nil {
		return nil, nil, err
	}
	return c.Contract, c.raw, nil
}

func (v *Target) readContract(ctx context.Context) (json.RawMessage, error) {
	if v.ContractFile != "" {
		return readFile(v.ContractFile)
	}
	var raw json.RawMessage
	err := v.get(ctx, "/methods", &raw)
	return raw, err
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}
