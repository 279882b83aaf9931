package carriers

import (
	"context"
	"time"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/rpc"
	"github.com/aguada-dev/aguada/prove/target"
)

// patience is how long a process may take to end that has something to finish.
const patience = 12 * time.Second

// prompt is how soon after SIGTERM streams have to be ended: nothing is gained by
// waiting for what never ends by itself.
const prompt = 5 * time.Second

// process is one of the probe's own.
type process struct {
	*target.Instance

	rpc *rpc.Client
}

// close ends the process and its client.
func (p *process) close() {
	p.rpc.Close()
	p.Close()
}

// ends waits until the process has ended, as it should.
func (p *process) ends(ctx context.Context) *finding.Outcome {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-p.Done():
	case <-ctx.Done():
		o := probe.Fail(nil, "the process still runs %s after SIGTERM", patience)
		return &o
	}
	if !p.Exit().Clean() {
		o := probe.Fail([]finding.Evidence{{Label: "last words", Text: p.LastWords()}}, "the process ends with %s", p.Exit())
		return &o
	}
	return nil
}

// simple chooses, of the methods that fit, one that changes nothing and needs
// nothing to be made before; nil for none.
func simple(t *probe.Try, fits func(method) bool) method {
	var found method
	for _, m := range t.Service.Methods {
		if !fits(m) || !m.Fixed() {
			continue
		}
		if m.HTTP() && !m.Changes() {
			return m
		}
		if found == nil {
			found = m
		}
	}
	return found
}
