package main

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/aguada-dev/aguada/cmd/aguada/internal/development"
	"github.com/aguada-dev/aguada/console"
	"github.com/aguada-dev/aguada/console/store"
	"github.com/aguada-dev/aguada/console/target"
)

// proofFile is where aguada prove leaves its last report, in the folder of what
// is kept for development.
const proofFile = "proof.json"

// companion is the console beside a service under run.
type companion struct {
	at      console.Addresses
	targets *target.Targets
	done    chan error
	stop    context.CancelFunc
}

// openConsole starts the console, unless it was declined. A console that cannot
// be opened is no reason not to run the service.
func (s *session) openConsole(ctx context.Context) {
	if s.noConsole {
		return
	}
	limitMemory(store.DefaultBudget)
	cfg := s.consoleConfig(ctx)
	c, err := startConsole(ctx, cfg)
	if errors.Is(err, syscall.EADDRINUSE) && s.consoleAddr == "" { // somebody was faster
		cfg.Addr, cfg.GRPC, cfg.HTTP = anyPort, anyPort, anyPort
		c, err = startConsole(ctx, cfg)
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		s.out.Printf("no console: %s is in use by another program: choose another address with --console-addr (127.0.0.1:0 takes any free port)", s.consoleAddr)
	case err != nil:
		s.out.Printf("no console: %s", err)
	default:
		s.console = c
	}
}

// anyPort is an address with any free port.
const anyPort = "127.0.0.1:0"

// consoleConfig settles where the console listens: at its usual addresses, or
// where those are taken, anywhere.
func (s *session) consoleConfig(ctx context.Context) console.Config {
	free := func(usual string) string {
		if (address{listen: usual}).check(ctx) == nil {
			return usual
		}
		return anyPort
	}
	cfg := console.Config{Addr: s.consoleAddr, GRPC: free(console.DefaultGRPC), HTTP: free(console.DefaultHTTP), Log: s.out}
	if cfg.Addr == "" {
		cfg.Addr = free(console.DefaultAddr)
	}
	return cfg
}

// startConsole starts a console and waits until it serves. It outlives ctx, until
// the service has sent its last.
func startConsole(ctx context.Context, cfg console.Config) (*companion, error) {
	c := &companion{targets: target.New(), done: make(chan error, 1)}
	started := make(chan console.Addresses, 1)
	cfg.Targets, cfg.Started = c.targets, func(a console.Addresses) { started <- a }
	ctx = context.WithoutCancel(ctx)
	own, stop := context.WithCancel(ctx)
	c.stop = stop
	go func() { c.done <- console.Run(own, ctx, cfg) }()
	select {
	case c.at = <-started:
		return c, nil
	case err := <-c.done:
		stop()
		return nil, err
	}
}

// closeConsole ends the console.
func (s *session) closeConsole() {
	if s.console == nil {
		return
	}
	s.console.stop()
	if err := <-s.console.done; err != nil {
		s.out.Printf("the console ended: %s", err)
	}
}

// elsewhere are variables by which somebody has decided where telemetry goes,
// with the value that decides nothing.
var elsewhere = map[string]string{
	"OTEL_SDK_DISABLED":                   "false",
	"OTEL_EXPORTER_OTLP_ENDPOINT":         "",
	"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT":  "",
	"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "",
	"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT":    "",
	"OTEL_TRACES_EXPORTER":                "otlp",
	"OTEL_METRICS_EXPORTER":               "otlp",
	"OTEL_LOGS_EXPORTER":                  "otlp",
}

// sendsElsewhere reports whether the service's telemetry goes somewhere else.
func (s *session) sendsElsewhere() bool {
	for name, usual := range elsewhere {
		if v := s.lookup(name); v != "" && v != usual {
			return true
		}
	}
	return false
}

// telemetry has the service send to the console, soon after things happen, and
// lets the console look at it.
func (s *session) telemetry(name string, defaults map[string]string) {
	if s.console == nil {
		return
	}
	if !s.sendsElsewhere() {
		defaults["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://" + s.console.at.HTTP
		if s.lookup("OTEL_EXPORTER_OTLP_PROTOCOL") == "grpc" {
			defaults["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://" + s.console.at.GRPC
		}
		defaults["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf"
		defaults["OTEL_BSP_SCHEDULE_DELAY"] = "500"
		defaults["OTEL_BLRP_SCHEDULE_DELAY"] = "250"
		defaults["OTEL_METRIC_EXPORT_INTERVAL"] = "2000"
	}
	if own := s.lookup("OTEL_SERVICE_NAME"); own != "" {
		name = own
	}
	t := target.Config{
		Service: name, Admin: "http://" + fromHere(s.admin),
		ProofFile: filepath.Join(s.project.Dir, development.StateDir, proofFile),
	}
	var err error
	if t.Token, err = tokenFrom(s.lookup("ADMIN_TOKEN_FILE"), "ADMIN_TOKEN"); err == nil {
		err = s.console.targets.Set(t)
	}
	if err != nil {
		s.out.Printf("the console cannot look at the private port: %s", err)
	}
}

// fromHere is how an address that is listened on is reached from this machine.
func fromHere(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return listen
}

// consoleLine is the line of the greeting about the console; "" if there is none.
func (s *session) consoleLine() string {
	if s.console == nil {
		return ""
	}
	text := s.out.Bold("http://" + s.console.at.Pages)
	if s.sendsElsewhere() {
		return text + "   (the environment sends the service's telemetry elsewhere)"
	}
	if !strings.HasSuffix(s.console.at.Pages, consolePort) && s.consoleAddr == "" {
		text += "   (the usual port is taken)"
	}
	return text
}

// consolePort is the usual one.
var consolePort = console.DefaultAddr[strings.LastIndexByte(console.DefaultAddr, ':'):]
