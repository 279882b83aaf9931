// Package prove attacks a running service from its contract, and says which of
// its promises hold.
//
//	report, err := prove.Run(ctx, prove.Config{Lab: labConfig, Probes: prove.Probes()})
//	if !report.Passed() { … }
//
// It knows the service by its contract or its OpenAPI document and by what goes
// over the wire: never by its code. Nothing that it does is meant for a service
// that anybody depends on.
package prove

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/model"
	"github.com/aguada-dev/aguada/prove/probe"
)

// Config says what to prove.
type Config struct {
	// Lab starts the service.
	Lab lab.Config
	// Probes are the questions; [Probes] if nil.
	Probes []probe.Probe
	// Only leaves out every probe whose code or family, and every method whose
	// id, matches none of them: "security", "auth.*", "orders.create". Empty asks
	// all.
	Only []string
	// Parallel is how many probes run at once; 4 for each processor if 0.
	Parallel int
	// Baseline accepts known findings; nil accepts none.
	Baseline *Baseline
	// Progress is told after each finding how many of all are there; nil for
	// nobody. It is called by one goroutine at a time.
	Progress func(done, all int, last finding.Finding)
	// Target and Version are for the report: what is attacked, and by which
	// prover.
	Target, Version string
}

// task is one run of one probe.
type task struct {
	probe  *probe.Probe
	method *model.Method
}

// Run starts the service, or reaches the one that runs already, tries everything
// and stops what it started. The error is of the
// prover, such as a service that does not start: findings are in the report,
// also in that of a proof that ctx interrupted.
func Run(ctx context.Context, cfg Config) (*finding.Report, error) {
	if cfg.Probes == nil {
		cfg.Probes = Probes()
	}
	if cfg.Parallel <= 0 {
		cfg.Parallel = 4 * runtime.GOMAXPROCS(0)
	}
	r := &finding.Report{
		Service: cfg.Lab.Service.Name, Version: cfg.Lab.Service.Version, Target: cfg.Target,
		Prover: cfg.Version, Seed: cfg.Lab.Seed, Began: time.Now().UTC(),
	}
	l, err := lab.Open(ctx, cfg.Lab)
	if err != nil {
		return nil, fmt.Errorf("open the service to be proved: %w", err)
	}
	defer l.Close()
	if l.Single() {
		cfg.Parallel = 1 // what limits one caller would end the probe of another
	}
	p := &proof{cfg: cfg, lab: l, report: r}
	tasks, err := p.plan()
	if err != nil {
		return nil, err
	}
	p.run(ctx, tasks)
	r.Interrupted = ctx.Err() != nil
	cfg.Baseline.apply(r, len(cfg.Only) > 0 || r.Interrupted)
	r.Sort()
	r.Took = time.Since(r.Began)
	return r, nil
}

// proof is one run.
type proof struct {
	cfg    Config
	lab    *lab.Lab
	report *finding.Report
	all    int

	mu    sync.Mutex // of what follows, and of the report's findings
	done  int
	again []doubt
}

// plan returns what is to be run, and notes what is left out.
func (p *proof) plan() ([]task, error) {
	var tasks []task
	codes := map[string]bool{}
	for i := range p.cfg.Probes {
		x := &p.cfg.Probes[i]
		if codes[x.Code] {
			return nil, fmt.Errorf("plan: two probes have the code %s", x.Code)
		}
		codes[x.Code] = true
		if !p.wanted(string(x.Family), x.Code) {
			continue
		}
		if why := p.omit(x); why != "" {
			p.leave(task{probe: x}, why)
			continue
		}
		p.report.Probes = append(p.report.Probes, x.Probe)
		if x.Each == nil {
			tasks = append(tasks, task{probe: x})
			continue
		}
		for _, m := range p.lab.Service.Methods {
			if !x.Each(m) || !p.chosen(m) {
				continue
			}
			if why := p.lab.Spares(m); why != "" {
				p.leave(task{x, m}, why)
				continue
			}
			tasks = append(tasks, task{x, m})
		}
	}
	if len(tasks) == 0 && len(p.report.Omitted) == 0 {
		return nil, errors.New("plan: no probe is left: --only names families, codes (auth.*) or methods (service.method)")
	}
	p.all = len(tasks)
	return tasks, nil
}

// leave notes what is left out.
func (p *proof) leave(t task, why string) {
	o := finding.Omission{Code: t.probe.Code, Question: t.probe.Question, Reason: why}
	if t.method != nil {
		o.Method = t.method.ID()
	}
	p.report.Omitted = append(p.report.Omitted, o)
}

func (p *proof) omit(x *probe.Probe) string {
	none := x.Each != nil && !slices.ContainsFunc(p.lab.Service.Methods, x.Each)
	if why := p.lab.Lacks(x.Needs); why != "" && !none {
		return why
	} else if why != "" {
		return noMethod
	}
	if x.Omit != nil {
		if why := x.Omit(p.lab); why != "" {
			return why
		}
	}
	if none {
		return noMethod
	}
	return ""
}

// noMethod is why a probe of methods is not asked that fits none.
const noMethod = "the service has no method of that kind"

// wanted reports whether one of the names is asked for, and chosen the same of a
// method. Names of methods choose methods only, all others probes only.
func (p *proof) wanted(names ...string) bool {
	asked := false
	for _, pattern := range p.cfg.Only {
		if p.isMethod(pattern) {
			continue
		}
		asked = true
		if slices.ContainsFunc(names, func(n string) bool { return match(pattern, n) }) {
			return true
		}
	}
	return !asked
}

func (p *proof) chosen(m *model.Method) bool {
	asked := false
	for _, pattern := range p.cfg.Only {
		if p.isMethod(pattern) {
			asked = true
			if match(pattern, m.ID()) {
				return true
			}
		}
	}
	return !asked
}

func (p *proof) isMethod(pattern string) bool {
	return slices.ContainsFunc(p.lab.Service.Methods, func(m *model.Method) bool { return match(pattern, m.ID()) })
}

// match reports whether the name is the pattern, or begins as one that ends in
// "*" does.
func match(pattern, name string) bool {
	if start, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, start)
	}
	return pattern == name
}
