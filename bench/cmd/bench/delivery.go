package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/aguada-dev/aguada/bench/layer"
	"github.com/aguada-dev/aguada/bench/load"
)

// Delivery is how many requests a second Aguada answers over loopback, depending
// on what becomes of its telemetry. One core serves; the load, on another, sends
// the next request as soon as an answer is there.
type Delivery struct {
	Name, Title string
	Post, Get   Throughput
}

// Throughput is that of one kind of request. A change is the median of those
// within a round, against a receiver that is there: 0.01 is 1% more.
type Throughput struct {
	// Rate is in requests a second, the median of the rounds.
	Rate, Change float64
	// CPURate is in requests a second of the server's CPU time: what Rate would
	// be if nothing else ran on the server's core.
	CPURate, CPUChange float64

	rates, cpuRates []float64
}

func (d *Delivery) on(verb string) *Throughput {
	if verb == layer.Verbs[0] {
		return &d.Post
	}
	return &d.Get
}

// deliveryRounds is how often each has its turn.
const deliveryRounds = 15

// receivers are where telemetry goes: to the sink, to a machine that accepts
// connections and never says a word, to one that refuses them, and nowhere.
func receivers(alive, hole, refused string) []Subject {
	of := func(name, title, sink string, dead bool) Subject {
		return Subject{Title: title, Spec: layer.Spec{Name: "delivery-" + name, Kind: layer.Aguada, Algorithm: "RS256", Traces: traced, Sink: sink, Dead: dead}}
	}
	return []Subject{
		of("alive", "receiver is there", alive, false), of("hole", "receiver never answers", hole, true),
		of("refused", "receiver refuses connections", refused, true), of("none", "no exporter configured", "", false),
	}
}

// deliver measures the throughput with each receiver, in turn.
func (b *bench) deliver(ctx context.Context, subjects []Subject, dir string, core int) (err error) {
	fmt.Fprintf(b.Log, "delivering telemetry, or not: %d rounds\n", deliveryRounds)
	var procs []*process
	defer func() {
		errs := make([]error, len(procs))
		var wg sync.WaitGroup
		for i, p := range procs {
			wg.Go(func() { errs[i] = p.stop() })
		}
		wg.Wait()
		err = errors.Join(err, errors.Join(errs...))
	}()
	for _, s := range subjects {
		spec := s.Spec
		spec.Dir = dir
		p, err := spawn(ctx, spec, core, b.Log)
		if err != nil {
			return err
		}
		procs = append(procs, p)
		b.report.Deliveries = append(b.report.Deliveries, &Delivery{Name: spec.Name, Title: s.Title})
	}
	for round := -1; round < deliveryRounds; round++ { // the first one is to warm up
		for _, verb := range layer.Verbs {
			for i := range procs {
				k := (i + round + 1) % len(procs)
				into := b.report.Deliveries[k].on(verb)
				if round < 0 {
					into = &Throughput{}
				}
				err := procs[k].with(ctx, verb, func(c *load.Client) error { return into.measure(c, procs[k], b.Delivery) })
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// measure adds a turn.
func (f *Throughput) measure(c *load.Client, p *process, d time.Duration) error {
	if _, err := c.Saturate(d / 10); err != nil { // to warm up
		return err
	}
	before, err := p.do(order{})
	if err != nil {
		return err
	}
	start := time.Now()
	n, err := c.Saturate(d)
	wall := time.Since(start)
	if err != nil {
		return err
	}
	after, err := p.do(order{})
	if err != nil {
		return err
	}
	f.rates = append(f.rates, float64(n)/wall.Seconds())
	f.cpuRates = append(f.cpuRates, float64(n)/(after.Usage.CPU-before.Usage.CPU).Seconds())
	return nil
}

// deriveDeliveries computes what is printed.
func (r *Report) deriveDeliveries() {
	for _, d := range r.Deliveries {
		for _, verb := range layer.Verbs {
			f, there := d.on(verb), r.Deliveries[0].on(verb)
			f.Rate, f.Change = median(f.rates), ratio(f.rates, there.rates)-1
			f.CPURate, f.CPUChange = median(f.cpuRates), ratio(f.cpuRates, there.cpuRates)-1
		}
	}
}

// deliveries prints how much the receiver of telemetry matters.
func (r *Report) deliveries(out io.Writer) {
	if len(r.Deliveries) == 0 {
		return
	}
	fmt.Fprintf(out, "\nthroughput over loopback, %d connections, each sends when it is answered: requests a second, and a second of the server's CPU time;\n"+
		"medians of %d interleaved rounds, changes against a receiver of OTLP that is there\n", connections, deliveryRounds)
	fmt.Fprintf(out, "%-28s", "")
	for _, verb := range layer.Verbs {
		fmt.Fprintf(out, "  |%9s%9s%9s%9s", verb+" /s", "change", "/CPU s", "change")
	}
	fmt.Fprintln(out)
	for _, d := range r.Deliveries {
		fmt.Fprintf(out, "%-28s", d.Title)
		for _, verb := range layer.Verbs {
			f := d.on(verb)
			fmt.Fprintf(out, "  |%9.0f%+8.1f%%%9.0f%+8.1f%%", f.Rate, 100*f.Change, f.CPURate, 100*f.CPUChange)
		}
		fmt.Fprintln(out)
	}
}

// hole accepts connections and neither reads nor writes.
type hole struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
	ended chan struct{}
}

func digHole(ctx context.Context) (*hole, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	h := &hole{Listener: ln, ended: make(chan struct{})}
	go func() {
		defer close(h.ended)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			h.mu.Lock()
			h.conns = append(h.conns, c)
			h.mu.Unlock()
		}
	}()
	return h, nil
}

// Close closes the listener and its connections.
func (h *hole) Close() error {
	err := h.Listener.Close()
	<-h.ended
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.conns {
		_ = c.Close()
	}
	return err
}
