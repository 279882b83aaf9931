package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/aguada-dev/aguada/bench/layer"
	"github.com/aguada-dev/aguada/bench/load"
	"github.com/aguada-dev/aguada/bench/sink"
)

// Options say what is measured, and for how long.
type Options struct {
	Layers    []Subject
	Rounds    int
	Duration  time.Duration // of a turn of direct calls
	Saturated time.Duration // of a turn of saturating load; 0: none
	Rate      int           // of the load at a fixed rate; 0: none
	Paced     time.Duration
	Delivery  time.Duration // of a turn that compares receivers of telemetry; 0: none
	Pin       bool
	Log       io.Writer // progress, and what layers complain of
}

// Subject is a layer and how the tables call it.
type Subject struct {
	layer.Spec
	Title string
}

// The names of the layers that figures are derived from.
const (
	base      = "goa"
	headline  = "aguada"
	unsampled = "aguada-unsampled"
)

// traced is the share of requests that is traced.
const traced = 0.1

// layers are the layers of the benchmark. Aguada refuses HS256: whoever can
// verify such a token can make one.
func layers() []Subject {
	return []Subject{
		{Spec: layer.Spec{Name: "nethttp", Kind: layer.NetHTTP}, Title: "net/http by hand, nothing on"},
		{Spec: layer.Spec{Name: base, Kind: layer.Goa}, Title: "Goa, nothing on"},
		{Spec: layer.Spec{Name: "clue-hs256", Kind: layer.Clue, Algorithm: "HS256", Traces: traced}, Title: "Goa + Clue, the page, HS256"},
		{Spec: layer.Spec{Name: "clue", Kind: layer.Clue, Algorithm: "RS256", Traces: traced}, Title: "Goa + Clue, the page, RS256"},
		{Spec: layer.Spec{Name: headline, Kind: layer.Aguada, Algorithm: "RS256", Traces: traced}, Title: "Aguada, everything on, RS256"},
		{Spec: layer.Spec{Name: "aguada-es256", Kind: layer.Aguada, Algorithm: "ES256", Traces: traced}, Title: "Aguada, everything on, ES256"},
		{Spec: layer.Spec{Name: unsampled, Kind: layer.Aguada, Algorithm: "RS256"}, Title: "  RS256, no request sampled"},
		{Spec: layer.Spec{Name: "aguada-dead", Kind: layer.Aguada, Algorithm: "RS256", Traces: traced, Dead: true}, Title: "  RS256, OTLP endpoint dead"},
	}
}

// turns is how often each layer has its turn of load over loopback.
const turns = 3

// connections is how many the load uses.
const connections = 16

// bench is one run.
type bench struct {
	Options
	procs  []*process
	report *Report
}

// Run starts every layer, measures them in turn, and stops them.
func Run(ctx context.Context, o Options) (report *Report, err error) {
	dir, err := os.MkdirTemp("", "aguada-bench-*")
	if err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := layer.Prepare(dir); err != nil {
		return nil, err
	}
	s, err := sink.Listen()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	dead, err := deadAddr(ctx)
	if err != nil {
		return nil, err
	}
	silent, err := digHole(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, silent.Close()) }()
	place := pin(ctx, o.Pin)
	b := &bench{Options: o, report: newReport(o, place)}
	defer func() {
		for _, p := range b.procs {
			_ = p.stop() // stopped already, unless something failed
		}
	}()
	for _, subject := range o.Layers {
		spec := subject.Spec
		spec.Dir, spec.Sink = dir, s.Addr
		if subject.Dead {
			spec.Sink = dead
		}
		p, err := spawn(ctx, spec, place.layers, o.Log)
		if err != nil {
			return nil, err
		}
		b.procs = append(b.procs, p)
	}
	if err := errors.Join(b.direct(), b.loopback(ctx)); err != nil {
		return nil, err
	}
	err = b.settle(s)
	if err == nil && o.Delivery > 0 {
		err = b.deliver(ctx, receivers(s.Addr, silent.Addr().String(), dead), dir, place.layers)
	}
	b.report.deriveDeliveries()
	return b.report, err
}

// deadAddr returns an address on which nobody listens.
func deadAddr(ctx context.Context) (string, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a dead address: %w", err)
	}
	return ln.Addr().String(), ln.Close()
}

// direct calls the handlers. A layer's place within a round changes, so that
// none always follows the same one.
func (b *bench) direct() error {
	fmt.Fprintf(b.Log, "calling handlers: %d rounds\n", b.Rounds)
	for round := -1; round < b.Rounds; round++ { // the first one is to warm up
		for _, verb := range layer.Verbs {
			for i := range b.procs {
				k := (i + round + 1) % len(b.procs)
				r, err := b.procs[k].do(order{Verb: verb, For: b.Duration})
				if err != nil {
					return err
				}
				if round >= 0 {
					b.report.Rows[k].on(verb).addDirect(r.Usage, r.Calls)
				}
			}
		}
	}
	return nil
}

// loopback sends requests over connections, in turns that follow each other as
// the rounds do, so that a noisy moment of the machine spoils one turn only.
func (b *bench) loopback(ctx context.Context) error {
	if b.Saturated == 0 && b.Rate == 0 {
		return nil
	}
	for turn := range turns {
		fmt.Fprintf(b.Log, "sending over loopback: turn %d of %d\n", turn+1, turns)
		for _, verb := range layer.Verbs {
			for i := range b.procs {
				k := (i + turn) % len(b.procs)
				f := b.report.Rows[k].on(verb)
				err := b.procs[k].with(ctx, verb, func(c *load.Client) error {
					return errors.Join(b.saturate(c, b.procs[k], f), b.pace(c, b.procs[k], f))
				})
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// saturate measures the server's CPU time per request. The load is on another
// core and has time to spare, so that the server never waits.
func (b *bench) saturate(c *load.Client, p *process, f *Figures) error {
	if b.Saturated == 0 {
		return nil
	}
	n, err := c.Saturate(b.Saturated / 10) // to warm up
	p.calls += n
	if err != nil {
		return err
	}
	before, err := p.do(order{})
	if err != nil {
		return err
	}
	n, err = c.Saturate(b.Saturated)
	p.calls += n
	if err != nil {
		return err
	}
	after, err := p.do(order{})
	if err != nil {
		return err
	}
	f.addLoopback(after.Usage.sub(before.Usage), n)
	return nil
}

// pace measures latencies at the fixed rate.
func (b *bench) pace(c *load.Client, p *process, f *Figures) error {
	if b.Rate == 0 {
		return nil
	}
	latencies, err := c.Pace(b.Rate, b.Paced)
	p.calls += len(latencies)
	f.p50s = append(f.p50s, float64(load.Quantile(latencies, 0.5)))
	f.p99s = append(f.p99s, float64(load.Quantile(latencies, 0.99)))
	return err
}

// with connects to the layer for as long as f runs.
func (p *process) with(ctx context.Context, verb string, f func(*load.Client) error) error {
	requests := make([]load.Request, 0, len(p.tokens))
	for _, token := range p.tokens {
		requests = append(requests, load.Request{Wire: wire(verb, p.addr, token), Status: layer.Status(verb)})
	}
	c, err := load.Dial(ctx, p.addr, requests, connections)
	if err != nil {
		return fmt.Errorf("layer %s: %w", p.spec.Name, err)
	}
	if err := errors.Join(f(c), c.Close()); err != nil {
		return fmt.Errorf("layer %s: %s: %w", p.spec.Name, verb, err)
	}
	return nil
}

// wire is a request as it goes over the wire.
func wire(verb, host, token string) []byte {
	text := verb + " " + layer.Path(verb) + " HTTP/1.1\r\nHost: " + host +
		"\r\nAccept: */*\r\nAccept-Encoding: gzip\r\nUser-Agent: bench/1\r\nAuthorization: Bearer " + token + "\r\n"
	if verb != http.MethodPost {
		return []byte(text + "\r\n")
	}
	return fmt.Appendf(nil, "%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", text, len(layer.Body), layer.Body)
}

// settle stops the layers, which flushes their telemetry, and counts what the
// sink has got. A layer that should have been traced and was not has not done
// what its figures claim: that is an error.
func (b *bench) settle(s *sink.Sink) error {
	var errs []error
	for k, p := range b.procs {
		errs = append(errs, p.stop())
		counts := s.Count(p.spec.Name)
		b.report.Rows[k].Requests, b.report.Rows[k].Traces = p.calls, counts.Traces
		if p.spec.Traces > 0 && !p.spec.Dead && (counts.Traces == 0 || counts.Metrics == 0) {
			errs = append(errs, fmt.Errorf("layer %s: %d traces and %d collections of metrics reached the receiver: not everything is on", p.spec.Name, counts.Traces, counts.Metrics))
		}
	}
	b.procs = nil
	b.report.derive()
	return errors.Join(errs...)
}
