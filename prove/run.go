package prove

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
)

// doubt is a failure that may be due to the probes beside it.
type doubt struct {
	task
	seen finding.Finding
}

// hasty is how long a failure takes at least that is doubted: what failed at
// once did not wait for anything.
const hasty = 2 * time.Second

// doubtful reports whether a failure may be due to the probes beside it: they
// share a machine, and what waits on a busy one waits longer.
func doubtful(t task, f finding.Finding) bool {
	return !t.probe.Alone && (f.Verdict == finding.Broken || f.Verdict == finding.Fail && f.Took >= hasty)
}

// run runs first what can run side by side, then what was doubted of that by
// twos, and then the rest one by one.
func (p *proof) run(ctx context.Context, tasks []task) {
	var together, alone []task
	for _, t := range tasks {
		if t.probe.Alone {
			alone = append(alone, t)
		} else {
			together = append(together, t)
		}
	}
	beside(p.cfg.Parallel, together, func(t task) {
		if f, why, ok := p.try(ctx, t); ok && why == "" && doubtful(t, f) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.again = append(p.again, doubt{t, f})
		} else if ok {
			p.note(t, f, why)
		}
	})
	beside(min(p.cfg.Parallel, 2), p.again, func(d doubt) {
		f, why, ok := p.try(ctx, d.task)
		if !ok {
			f, why = d.seen, ""
		}
		if ok && f.Verdict == finding.Pass {
			f.Detail += fmt.Sprintf(" (beside more probes it was not so, after %s: %s)", d.seen.Took.Round(time.Millisecond), d.seen.Detail)
		}
		p.note(d.task, f, why)
	})
	beside(1, alone, func(t task) {
		if f, why, ok := p.try(ctx, t); ok {
			p.note(t, f, why)
		}
	})
}

// beside does all of something, n at a time.
func beside[T any](n int, all []T, do func(T)) {
	work := make(chan T)
	var workers sync.WaitGroup
	for range n {
		workers.Go(func() {
			for t := range work {
				do(t)
			}
		})
	}
	for _, t := range all {
		work <- t
	}
	close(work)
	workers.Wait()
}

// try runs one probe. It returns what it found or why it is left out, and false
// where nothing is known since ctx has ended.
func (p *proof) try(ctx context.Context, t task) (f finding.Finding, omitted string, ok bool) {
	if ctx.Err() != nil {
		return f, "", false
	}
	f.Code = t.probe.Code
	if t.method != nil {
		f.Method = t.method.ID()
	}
	began := time.Now()
	watched, notes := lab.Watch(ctx)
	f.Outcome = p.outcome(watched, t)
	f.Took = time.Since(began)
	if ctx.Err() != nil && f.Verdict != finding.Pass {
		return f, "", false // interrupted, not found
	}
	f.Detail = p.lab.Mask(f.Detail)
	for i := range f.Evidence {
		f.Evidence[i].Text = p.lab.Mask(f.Evidence[i].Text)
	}
	if notes.Limited() && f.Verdict != finding.Pass {
		f.Outcome = probe.Skip("some answer was 429, and all callers have one address: other probes may be the cause (%s)", f.Detail)
	}
	return f, notes.Spoiled(), true
}

// note puts what was found, or why it was left out, into the report.
func (p *proof) note(t task, f finding.Finding, omitted string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	if omitted != "" {
		p.leave(t, omitted)
		return
	}
	p.report.Findings = append(p.report.Findings, f)
	if p.cfg.Progress != nil {
		p.cfg.Progress(p.done, p.all, f)
	}
}

// grace is how long a probe may take to return once its time is over. A probe
// that does not is given up: it must not hold the others up.
const grace = 5 * time.Second

func (p *proof) outcome(ctx context.Context, t task) finding.Outcome {
	if err := p.lab.Alive(); err != nil {
		return finding.Outcome{Verdict: finding.Broken, Detail: err.Error()}
	}
	limit := t.probe.Limit
	if limit == 0 {
		limit = probe.DefaultLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	answer := make(chan finding.Outcome, 1)
	go func() { answer <- p.ask(ctx, t) }()
	o, ok := await(ctx, answer)
	if !ok {
		return finding.Outcome{Verdict: finding.Broken, Detail: fmt.Sprintf("the probe did not return within %s of its end", grace)}
	}
	if ctx.Err() != nil && o.Verdict == finding.Skip {
		o = finding.Outcome{Verdict: finding.Broken, Detail: fmt.Sprintf("the probe was not done after %s: %s", limit, o.Detail)}
	}
	if err := p.lab.Alive(); err != nil && o.Verdict != finding.Fail {
		o = finding.Outcome{Verdict: finding.Broken, Detail: err.Error()}
	}
	return o
}

// await waits for an answer until grace after the end of ctx.
func await(ctx context.Context, answer <-chan finding.Outcome) (finding.Outcome, bool) {
	select {
	case o := <-answer:
		return o, true
	case <-ctx.Done():
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case o := <-answer:
		return o, true
	case <-timer.C:
		return finding.Outcome{}, false
	}
}

// ask runs the probe itself, which may panic.
func (p *proof) ask(ctx context.Context, t task) (o finding.Outcome) {
	defer func() {
		if v := recover(); v != nil {
			o = finding.Outcome{Verdict: finding.Broken, Detail: fmt.Sprintf("the probe itself failed: %v", v)}
		}
	}()
	return t.probe.Run(ctx, &probe.Try{Lab: p.lab, Method: t.method, Client: p.lab.NewClient(p.lab.Main)})
}
