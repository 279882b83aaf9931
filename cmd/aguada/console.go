package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/aguada-dev/aguada/cmd/aguada/internal/terminal"
	"github.com/aguada-dev/aguada/console"
	"github.com/aguada-dev/aguada/console/store"
	"github.com/aguada-dev/aguada/console/target"
)

// consoles is what `aguada console` was told.
type consoles struct {
	out       *terminal.Output
	cfg       console.Config
	memory    string
	tokenFile string
	admins    []string // SERVICE=URL
	tokens    []string // SERVICE=FILE
	contracts []string // SERVICE=FILE
	proofs    []string // SERVICE=FILE
	open      bool     // the pages in a browser
}

func newConsole(out *terminal.Output) *cobra.Command {
	c := &consoles{out: out}
	cmd := &cobra.Command{
		Use:   "console",
		Short: "See services live: traces, logs, metrics, methods, security, runtime",
		Long: `console receives telemetry (OTLP) from services in any language, and shows it on
pages of its own. It keeps the latest in memory, within --memory, and with --file
over restarts too; it forwards nothing and needs nothing else.

aguada run starts one beside the service, so that this command is for looking at
services that run elsewhere. Of a service that uses Aguada the console can also
show its state, configuration and profiles, and open debugging that ends by
itself: name its private port with --admin.

Everything listens on loopback. To be reached from other machines it needs a token
(--token-file, or AGUADA_CONSOLE_TOKEN), which people and senders of telemetry must
then present, and a certificate (TLS_CERT_FILE and TLS_KEY_FILE) or a proxy that
ends TLS (TLS_MODE=upstream).`,
		Example: `  aguada console
  aguada console --admin shop=http://127.0.0.1:8082 --file ~/.cache/aguada.db
  aguada console query traces --min 100ms --since 1h`,
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, again, release := stopOnSignal(cmd.Context())
			defer release()
			force, kill := context.WithCancel(context.WithoutCancel(cmd.Context()))
			defer kill()
			go func() {
				select {
				case <-again:
					kill()
				case <-force.Done():
				}
			}()
			return c.run(ctx, force)
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.cfg.Addr, "addr", console.DefaultAddr, "address of the pages and the API, port 0 for any free one")
	f.StringVar(&c.cfg.GRPC, "otlp-grpc", console.DefaultGRPC, "address that takes OTLP over gRPC, - for none")
	f.StringVar(&c.cfg.HTTP, "otlp-http", console.DefaultHTTP, "address that takes OTLP over HTTP, - for none")
	f.StringVar(&c.memory, "memory", "256MiB", "how much telemetry is kept in memory")
	f.StringVar(&c.cfg.File, "file", "", "SQLite file that keeps it over restarts, of the same size (default none)")
	f.StringVar(&c.tokenFile, "token-file", "", "file with the token that people and senders must present (default AGUADA_CONSOLE_TOKEN, else none)")
	f.StringArrayVar(&c.admins, "admin", nil, "private port of a service, as SERVICE=URL; may be repeated")
	f.StringArrayVar(&c.tokens, "admin-token-file", nil, "file with the token of a private port, as SERVICE=FILE")
	f.StringArrayVar(&c.contracts, "contract", nil, "contract.json of a service, as SERVICE=FILE, where its private port is not known")
	f.StringArrayVar(&c.proofs, "proof", nil, "report of aguada prove --json, as SERVICE=FILE")
	f.BoolVar(&c.open, "open", false, "open the pages in the browser")
	cmd.AddCommand(newQuery(out))
	return cmd
}

// run runs the console until ctx ends.
func (c *consoles) run(ctx, force context.Context) error {
	if err := c.configure(); err != nil {
		return usageError{err}
	}
	limitMemory(c.cfg.Budget)
	c.cfg.Environ, c.cfg.Log = os.Environ(), c.out
	c.cfg.Started = func(a console.Addresses) {
		c.out.Println(c.greeting(a))
		if c.open {
			browse(c.out, c.url(a.Pages))
		}
	}
	if err := c.free(ctx); err != nil {
		return err
	}
	err := console.Run(ctx, force, c.cfg)
	if err == nil {
		c.out.Println("stopped")
	}
	return err
}

// free says by which flag to choose another address than one that is in use.
func (c *consoles) free(ctx context.Context) error {
	for _, at := range []struct{ flag, addr string }{{"--addr", c.cfg.Addr}, {"--otlp-grpc", c.cfg.GRPC}, {"--otlp-http", c.cfg.HTTP}} {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", at.addr)
		switch {
		case err == nil:
			if err := l.Close(); err != nil {
				return err
			}
		case errors.Is(err, syscall.EADDRINUSE):
			return fmt.Errorf("listen on %s: the port is in use by another program, such as a console that runs already: end that one, or choose another address: %s 127.0.0.1:0 takes any free port", at.addr, at.flag)
		}
	}
	return nil // what else is wrong with an address is said by what listens there
}

// browse opens a page in the browser of whoever is there.
func browse(out *terminal.Output, page string) {
	cmd := exec.Command("xdg-open", page) //nolint:noctx // the browser outlives the console
	switch runtime.GOOS {
	case "darwin":
		cmd = exec.Command("open", page) //nolint:noctx // as above
	case "windows":
		cmd = exec.Command("rundll32", "url.dll,FileProtocolHandler", page) //nolint:noctx // as above
	}
	if err := cmd.Start(); err != nil {
		out.Printf("no browser could be opened: %s", err)
		return
	}
	go func() { _ = cmd.Wait() }() // what became of it shows on the screen
}

// limitMemory has the garbage collector keep the process below the budget and
// what its work takes.
func limitMemory(budget int64) {
	const work = 64 << 20
	if debug.SetMemoryLimit(-1) == math.MaxInt64 { // nobody has set another one
		debug.SetMemoryLimit(budget + work)
	}
}

// configure reads what the flags mean.
func (c *consoles) configure() (err error) {
	if c.cfg.Budget, err = sizeOf(c.memory); err != nil {
		return fmt.Errorf("--memory: %w", err)
	}
	if c.cfg.Budget < store.MinBudget {
		return fmt.Errorf("--memory: give at least %dMiB", store.MinBudget>>20)
	}
	if c.cfg.Token, err = tokenFrom(c.tokenFile, "AGUADA_CONSOLE_TOKEN"); err != nil {
		return fmt.Errorf("--token-file: %w", err)
	}
	all := make(map[string]*target.Config)
	for _, flag := range []struct {
		name   string
		values []string
		set    func(*target.Config, string) error
	}{
		{"--admin", c.admins, func(t *target.Config, v string) error { t.Admin = v; return nil }},
		{"--contract", c.contracts, func(t *target.Config, v string) error { t.ContractFile = v; return readable(v) }},
		{"--proof", c.proofs, func(t *target.Config, v string) error { t.ProofFile = v; return readable(v) }},
		{"--admin-token-file", c.tokens, func(t *target.Config, v string) (err error) { t.Token, err = tokenFrom(v, ""); return err }},
	} {
		for _, v := range flag.values {
			service, value, ok := strings.Cut(v, "=")
			if !ok || service == "" || value == "" {
				return fmt.Errorf("%s %q: give SERVICE=VALUE, such as shop=http://127.0.0.1:8082", flag.name, v)
			}
			if all[service] == nil {
				all[service] = &target.Config{Service: service}
			}
			if err := flag.set(all[service], value); err != nil {
				return fmt.Errorf("%s %s: %w", flag.name, service, err)
			}
		}
	}
	c.cfg.Targets = target.New()
	for _, t := range all {
		if err := c.cfg.Targets.Set(*t); err != nil {
			return err
		}
	}
	return nil
}

func readable(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return f.Close()
}

// tokenFrom returns what reads a token from a file, or takes it from a variable;
// nil if there is neither. A file may be replaced while it is in use.
func tokenFrom(file, variable string) (func() string, error) {
	if file != "" {
		read := func() (string, error) {
			b, err := os.ReadFile(file)
			return strings.TrimSpace(string(b)), err
		}
		token, err := read()
		if err == nil && token == "" {
			err = errors.New("the file is empty")
		}
		return func() string {
			token, err := read()
			if err != nil {
				return ""
			}
			return token
		}, err
	}
	if token := os.Getenv(variable); variable != "" && token != "" {
		return func() string { return token }, nil
	}
	return nil, nil
}

// sizeOf reads a number of bytes, such as 256MiB.
func sizeOf(text string) (int64, error) {
	for suffix, factor := range map[string]int64{"GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10} {
		if number, ok := strings.CutSuffix(text, suffix); ok {
			n, err := strconv.ParseInt(number, 10, 64)
			if err != nil || n <= 0 || n > 1<<40/factor {
				break
			}
			return n * factor, nil
		}
	}
	return 0, fmt.Errorf("%q is no size: give a number and KiB, MiB or GiB, such as 256MiB", text)
}

// greeting says where the console is, and what services need to send to it.
func (c *consoles) greeting(a console.Addresses) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n  console   %s\n", c.out.Bold(c.url(a.Pages)))
	for _, at := range []struct{ name, addr string }{{"gRPC", a.GRPC}, {"HTTP", a.HTTP}} {
		if at.addr != "" {
			fmt.Fprintf(&b, "  OTLP      %s over %s\n", at.addr, at.name)
		}
	}
	fmt.Fprintf(&b, "  keeps     %s in memory", c.memory)
	if c.cfg.File != "" {
		fmt.Fprintf(&b, ", and in %s", c.cfg.File)
	}
	b.WriteString("\n\nTo send to it, give a service:\n\n")
	endpoint, protocol := a.HTTP, "http/protobuf"
	if endpoint == "" {
		endpoint, protocol = a.GRPC, "grpc"
	}
	fmt.Fprintf(&b, "  export OTEL_EXPORTER_OTLP_ENDPOINT=%s\n  export OTEL_EXPORTER_OTLP_PROTOCOL=%s\n", c.url(endpoint), protocol)
	if c.cfg.Token != nil {
		b.WriteString("  export OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20TOKEN\n")
	}
	b.WriteString("\n" + c.out.Faint("Ctrl-C stops the console."))
	return b.String()
}

func (c *consoles) url(addr string) string {
	if os.Getenv("TLS_CERT_FILE") != "" {
		return "https://" + addr
	}
	return "http://" + addr
}
