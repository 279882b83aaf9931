// Package target runs the service that the prover attacks: a program with a
// clean environment, free ports on loopback, a folder of its own, and a log that
// is read line by line.
//
//	in, err := target.Start(ctx, recipe, nil)
//	defer in.Close()
//	res, err := http.Get(in.URL("/readyz"))
//
// A process gets nothing of the prover's environment but PATH, HOME and TMPDIR,
// cannot outlive the prover, and its folder goes with it.
package target

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/internal/process"
)

// Recipe says how a service is started. Values of Env, and Args, may hold
// placeholders: ${http}, ${grpc} and ${admin} are free addresses on loopback
// (host:port), ${http_port} and so on their ports, ${dir} is the folder of the
// process, and ${NAME} any of Values.
type Recipe struct {
	// Path is the program.
	Path string
	Args []string
	// Dir is its working folder; empty means the process's own folder.
	Dir string
	// Env is its environment beside PATH, HOME and TMPDIR.
	Env map[string]string
	// Values are more placeholders.
	Values map[string]string
	// Ready is the path that answers 200 once requests are served; "/readyz" if
	// empty.
	Ready string
	// Alive is the path that answers 200 as long as the process need not be
	// started anew; nobody knows of one if empty.
	Alive string
	// Answers says that any answer at all tells that requests are served.
	Answers bool
	// Patience is how long the service may take to become ready; 20 s if 0.
	Patience time.Duration
	// Scheme is "https" where the listener serves TLS; "http" if empty.
	Scheme string
	// Client asks for readiness; one that trusts the service's certificate.
	// http.DefaultTransport is used if nil.
	Client *http.Client
}

// Instance is one process of the service.
type Instance struct {
	// HTTP, GRPC and Admin are addresses, host:port. GRPC and Admin answer only
	// where the recipe gave them to the service.
	HTTP, GRPC, Admin string
	// Dir is the process's folder, gone after Close.
	Dir string
	// Log is what the process writes.
	Log *Log
	// Env is the environment that it got.
	Env []string
	// Began is when it was started, and ReadyAfter how long it took.
	Began      time.Time
	ReadyAfter time.Duration

	scheme string
	child  *process.Child
}

// At returns a service that runs already and belongs to somebody else: it has an
// address, and no process, log or folder. Close does nothing to it.
func At(scheme, host string) *Instance { return &Instance{HTTP: host, scheme: scheme} }

// URL returns the address of a path of the public listener.
func (in *Instance) URL(path string) string { return in.scheme + "://" + in.HTTP + path }

// Launch starts the program and does not wait until it serves; env wins over the
// recipe's, and a value of "-" takes a variable away.
func Launch(r Recipe, env map[string]string) (*Instance, error) {
	dir, err := os.MkdirTemp("", "aguada-prove-")
	if err != nil {
		return nil, fmt.Errorf("start service: %w", err)
	}
	in := &Instance{Dir: dir, Log: NewLog(), scheme: r.Scheme}
	if in.scheme == "" {
		in.scheme = "http"
	}
	if err := in.addresses(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	expand := in.expander(r.Values)
	in.Env = environ(r.Env, env, expand)
	cfg := process.Config{
		Path: r.Path, Dir: r.Dir, Env: in.Env,
		Stdout: stream{in.Log, 0}, Stderr: stream{in.Log, 1},
	}
	for _, a := range r.Args {
		cfg.Args = append(cfg.Args, expand(a))
	}
	if cfg.Dir == "" {
		cfg.Dir = dir
	}
	if cfg.Path, err = filepath.Abs(r.Path); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	in.Began = time.Now()
	if in.child, err = process.Start(cfg); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return in, nil
}

// Start starts the program and returns once it is ready. The error holds its
// last words where it ended instead.
func Start(ctx context.Context, r Recipe, env map[string]string) (*Instance, error) {
	in, err := Launch(r, env)
	if err != nil {
		return nil, err
	}
	if err := in.Ready(ctx, r); err != nil {
		in.Close()
		return nil, err
	}
	return in, nil
}

// Ready waits until the service is ready.
func (in *Instance) Ready(ctx context.Context, r Recipe) error {
	patience, path, client := r.Patience, r.Ready, r.Client
	if patience == 0 {
		patience = 20 * time.Second
	}
	if path == "" {
		path = "/readyz"
	}
	if client == nil {
		client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	}
	if r.Answers {
		client = &http.Client{Transport: anyAnswer{client.Transport}}
	}
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := process.Ready(waiting, in.child, client, in.URL(path))
	in.ReadyAfter = time.Since(in.Began)
	switch {
	case errors.Is(err, process.ErrEnded):
		return fmt.Errorf("the service ended with %s before it was ready; its last words:\n%s", in.child.Exit(), in.child.LastWords())
	case err != nil:
		return fmt.Errorf("the service is not ready after %s: %w", patience, err)
	}
	return nil
}

// anyAnswer takes every answer for a 200.
type anyAnswer struct{ http.RoundTripper }

func (t anyAnswer) RoundTrip(r *http.Request) (*http.Response, error) {
	next := t.RoundTripper
	if next == nil {
		next = http.DefaultTransport
	}
	res, err := next.RoundTrip(r)
	if err == nil {
		res.StatusCode = http.StatusOK
	}
	return res, err
}

// PID returns the process id; 0 of a service that runs already.
func (in *Instance) PID() int {
	if in.child == nil {
		return 0
	}
	return in.child.PID()
}

// Running reports whether the process has not ended.
func (in *Instance) Running() bool { return in.child.Running() }

// Done is closed when the process has ended.
func (in *Instance) Done() <-chan struct{} { return in.child.Done() }

// Exit returns how the process ended; call it once Done is closed.
func (in *Instance) Exit() process.Exit { return in.child.Exit() }

// Terminate sends SIGTERM and does not wait.
func (in *Instance) Terminate() { in.child.Terminate() }

// Stop sends SIGTERM, waits, and kills after the budget.
func (in *Instance) Stop(budget time.Duration) process.Exit { return in.child.Stop(budget, nil) }

// LastWords returns the last lines of standard error.
func (in *Instance) LastWords() string { return in.child.LastWords() }

// Close kills the process if it runs and deletes its folder.
func (in *Instance) Close() {
	if in.child == nil {
		return
	}
	in.child.Kill()
	_ = os.RemoveAll(in.Dir)
}

// addresses finds free addresses. They are free when chosen: what takes one in
// between makes the start fail, not a verdict wrong.
func (in *Instance) addresses() error {
	for _, to := range []*string{&in.HTTP, &in.GRPC, &in.Admin} {
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // no name to look up
		if err != nil {
			return fmt.Errorf("find a free port: %w", err)
		}
		*to = l.Addr().String()
		defer func() { _ = l.Close() }() // all are held until each is another
	}
	return nil
}

func (in *Instance) expander(values map[string]string) func(string) string {
	known := maps.Clone(values)
	if known == nil {
		known = map[string]string{}
	}
	for name, address := range map[string]string{"http": in.HTTP, "grpc": in.GRPC, "admin": in.Admin} {
		_, port, _ := net.SplitHostPort(address)
		known[name], known[name+"_port"] = address, port
	}
	known["dir"] = in.Dir
	var pairs []string
	for name, value := range known {
		pairs = append(pairs, "${"+name+"}", value)
	}
	return strings.NewReplacer(pairs...).Replace
}

func environ(env, more map[string]string, expand func(string) string) []string {
	all := map[string]string{}
	for _, name := range []string{"PATH", "HOME", "TMPDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			all[name] = v
		}
	}
	maps.Copy(all, env)
	maps.Copy(all, more)
	var list []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if all[name] != "-" {
			list = append(list, name+"="+expand(all[name]))
		}
	}
	return list
}
