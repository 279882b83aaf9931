package layer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"github.com/aguada-dev/aguada"
	"github.com/aguada-dev/aguada/bench/gen/production"
)

// Environment returns the variables that a process with the layer needs.
// Aguada and its OpenTelemetry are configured by them.
//
// Logs go to the discarding file only, as those of the other layers do.
func Environment(spec Spec) []string {
	switch spec.Kind {
	case Clue:
		// Clue's debug.HTTP writes to the logger's options with every request,
		// a data race that is the page's and not this benchmark's to report.
		return []string{"GORACE=report_bugs=0"}
	case NetHTTP, Goa:
		return nil
	}
	env := []string{
		"HTTP_ADDR=127.0.0.1:0",
		"LOAD_SHEDDING=off", // the load is more than the machine can serve
		"ADMIN_ADDR=127.0.0.1:0",
		"LOG_FORMAT=json",
		"AUTH_ISSUER=" + issuer,
		"AUTH_AUDIENCE=" + audience,
		"AUTH_JWKS_FILE=" + filepath.Join(spec.Dir, keySet),
		"OTEL_SERVICE_NAME=" + spec.Name,
		"OTEL_TRACES_SAMPLER=parentbased_traceidratio",
		"OTEL_TRACES_SAMPLER_ARG=" + strconv.FormatFloat(spec.Traces, 'g', -1, 64),
	}
	if spec.Sink != "" {
		env = append(env, "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+spec.Sink, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_LOGS_EXPORTER=none")
	}
	if spec.Dead { // nobody will take what is flushed at the end
		env = append(env, "SHUTDOWN_TIMEOUT=3s")
	}
	return env
}

// startAguada runs the App as its Main would, in the environment of the
// process. What is measured is what App wires.
func startAguada(ctx context.Context, _ Spec, out io.Writer) (*Layer, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := newShop()
	server := make(chan *http.Server, 1)
	s.unknown = func(ctx context.Context) {
		if srv, ok := ctx.Value(http.ServerContextKey).(*http.Server); ok {
			select {
			case server <- srv:
			default:
			}
		}
	}
	app := production.App(func(context.Context, *aguada.Runtime) (*production.Services, error) {
		return &production.Services{Orders: s}, nil
	})
	force, kill := context.WithCancel(context.Background())
	started, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- app.Run(ctx, force, aguada.Process{Environ: os.Environ(), Stdout: out, Started: func(addr, _ string) { started <- addr }})
	}()
	stop := func(ctx context.Context) error {
		cancel()
		defer kill()
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
			kill()
			return errors.Join(ctx.Err(), <-ended)
		}
	}
	select {
	case err := <-ended:
		cancel()
		kill()
		return nil, fmt.Errorf("run aguada: %w", err)
	case addr := <-started:
		return &Layer{Addr: addr, stop: stop, served: server}, nil
	}
}

// discover finds the http.Server that the App runs, by way of a request: what
// its handlers are wrapped into is measured with them. The order that is asked
// for does not exist.
func (l *Layer) discover(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.Addr+"/orders/ord_22222222222222222222222222", nil)
	if err != nil {
		return fmt.Errorf("find the server: %w", err)
	}
	r.Header.Set("Authorization", "Bearer "+l.tokens[0])
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("find the server: %w", err)
	}
	http.DefaultClient.CloseIdleConnections()
	if err := res.Body.Close(); err != nil {
		return fmt.Errorf("find the server: %w", err)
	}
	select {
	case l.server = <-l.served:
		return nil
	default:
		return fmt.Errorf("find the server: the request was answered with %s and did not reach the service, or its context is not the server's", res.Status)
	}
}
