package main

import (
	"context"
	"net"
	"path/filepath"
	"slices"
	"strings"

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
	c := &companion{targets: target.New(), done: make(chan error, 1)}
	addr, grpc, http, err := s.consoleAddresses(ctx)
	if err != nil {
		s.out.Printf("no console: %s", err)
		return
	}
	limitMemory(store.DefaultBudget)
	// It outlives the signal, until the service has sent its last.
	own, stop := context.WithCancel(context.WithoutCancel(ctx))
	c.stop = stop
	started := make(chan console.Addresses, 1)
	go func() {
		c.done <- console.Run(own, context.WithoutCancel(ctx), console.Config{
			Addr: addr, GRPC: grpc, HTTP: http, Targets: c.targets, Log: s.out, Started: func(a console.Addresses) { started <- a },
		})
	}()
	select {
	case c.at = <-started:
		s.console = c
	case err := <-c.done:
		stop()
		s.out.Printf("no console: %s", err)
	}
}

// consoleAddresses settles where the console listens: at its usual addresses,
// or where those are taken, anywhere.
func (s *session) consoleAddresses(ctx context.Context) (addr, grpc, http string, err error) {
	free := func(usual string) string {
		if (address{listen: usual}).check(ctx) == nil {
			return usual
		}
		host, _, _ := net.SplitHostPort(usual)
		return net.JoinHostPort(host, "0")
	}
	if addr = s.consoleAddr; addr == "" {
		addr = free(console.DefaultAddr)
	} else if err := (address{listen: addr}).check(ctx); err != nil {
		return "", "", "", err
	}
	return addr, free(console.DefaultGRPC), free(console.DefaultHTTP), nil
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

// elsewhere are variables by which somebody has decided where telemetry goes.
var elsewhere = []string{
	"OTEL_SDK_DISABLED", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
	"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER",
}

// sendsElsewhere reports whether the service's telemetry goes somewhere else.
func (s *session) sendsElsewhere() bool {
	return slices.ContainsFunc(elsewhere, func(name string) bool { return s.lookup(name) != "" })
}

// telemetry has the service send to the console, soon after things happen, and
// lets the console look at it.
func (s *session) telemetry(name string, defaults map[string]string) {
	if s.console == nil {
		return
	}
	if !s.sendsElsewhere() {
		defaults["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://" + s.console.at.HTTP
		defaults["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf"
		defaults["OTEL_BSP_SCHEDULE_DELAY"] = "500"
		defaults["OTEL_BLRP_SCHEDULE_DELAY"] = "250"
		defaults["OTEL_METRIC_EXPORT_INTERVAL"] = "2000"
	}
	if own := s.lookup("OTEL_SERVICE_NAME"); own != "" {
		name = own
	}
	t := target.Config{
		Service: name, Admin: "http://" + s.admin,
		ProofFile: filepath.Join(s.project.Dir, development.StateDir, proofFile),
	}
	if token := s.lookup("ADMIN_TOKEN"); token != "" {
		t.Token = func() string { return token }
	}
	if err := s.console.targets.Set(t); err != nil {
		s.out.Printf("the console cannot look at the private port: %s", err)
	}
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
