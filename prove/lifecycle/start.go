// Package lifecycle holds the probes of how a process begins and ends: what it
// refuses to start with, when it says that it is ready, and what becomes of
// calls and telemetry when it is told to stop.
//
// Each probe has processes of its own.
package lifecycle

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/target"
)

// Probes returns the probes of the family.
func Probes() []probe.Probe {
	return []probe.Probe{badConfig, portInUse, healthy, readyFirst, readiness, restarts, stop, interrupt, idle, inFlight, load, impatience, flush}
}

func describe(code, question, why, fix string, references ...string) finding.Probe {
	return finding.Probe{Code: code, Family: finding.Lifecycle, Question: question, Why: why, Fix: fix, References: references}
}

// addressed returns the variables of the recipe whose value is the public
// address, each with it replaced.
func addressed(l *lab.Lab, address string) map[string]string {
	_, port, _ := strings.Cut(address, ":")
	env := map[string]string{}
	for name, value := range l.Recipe.Env {
		if v := strings.NewReplacer("${http}", address, "${http_port}", port).Replace(value); v != value {
			env[name] = v
		}
	}
	return env
}

// ended waits until a process that shall not run has ended.
func ended(ctx context.Context, in *target.Instance, patience time.Duration) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-in.Done():
		return true
	case <-ctx.Done():
	case <-timer.C:
	}
	return false
}

// output returns all that a process wrote, as evidence.
func output(in *target.Instance) (string, []finding.Evidence) {
	var b strings.Builder
	lines := in.Log.Since(0)
	for _, line := range lines[max(len(lines)-12, 0):] {
		b.WriteString(line.Text + "\n")
	}
	return b.String(), []finding.Evidence{{Label: "output", Text: b.String()}}
}

// unaddressed says why the address cannot be made a wrong one.
func unaddressed(l *lab.Lab) string {
	if len(addressed(l, "")) == 0 && !l.Service.Contracted {
		return "no variable holds the address: say in prove.yaml which one does (env: ${http})"
	}
	return ""
}

var badConfig = probe.Probe{
	Probe: describe("start.bad-config", "Does a process with a wrong setting end at once, and say which?",
		"A typing error in a setting that is silently ignored is found at night, by its consequences.",
		"Read all settings at the start, name every wrong one by its variable, print no secret, and exit with a code other than 0.",
		"The Twelve-Factor App III", "CWE-1188"),
	Needs: lab.Process,
	Omit:  unaddressed,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		const nonsense = "not an address at all"
		env := addressed(t.Lab, nonsense)
		if t.Service.Contracted {
			env["READ_TIMEOUT"], env["LOG_LEVEL"] = "soon", "deafening"
		}
		if len(env) == 0 {
			return probe.Skip("no variable holds the address: say in prove.yaml which one does (env: ${http})")
		}
		in, err := t.Launch(env)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer in.Close()
		if !ended(ctx, in, 10*time.Second) {
			return probe.Fail(nil, "it runs on with %s", strings.Join(names(env), ", "))
		}
		text, evidence := output(in)
		if in.Exit().Clean() {
			return probe.Fail(evidence, "it ends with exit code 0, as if all were well")
		}
		for _, name := range names(env) {
			if !strings.Contains(text, name) && !strings.Contains(text, env[name]) {
				return probe.Fail(evidence, "it ends without a word about %s", name)
			}
		}
		if leaked := t.Secrets.Find(text); leaked != "" {
			return probe.Fail(evidence, "it prints %s", leaked)
		}
		return probe.Pass("it ends with %s and names %s", in.Exit(), strings.Join(names(env), ", "))
	},
}

func names(env map[string]string) []string {
	var list []string
	for name := range env {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

var portInUse = probe.Probe{
	Probe: describe("start.port-in-use", "Does a process whose port is taken end at once, and say so?",
		"A process that lives on without a listener looks healthy to whoever started it, and serves nobody.",
		"Listen before anything else is begun; end with the address in the message and a code other than 0 when that fails.",
		"CWE-390"),
	Needs: lab.Process,
	Omit:  unaddressed,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		env := addressed(t.Lab, t.Main.HTTP)
		if len(env) == 0 {
			return probe.Skip("no variable holds the address: say in prove.yaml which one does (env: ${http})")
		}
		in, err := t.Launch(env)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer in.Close()
		if !ended(ctx, in, 10*time.Second) {
			_, evidence := output(in)
			return probe.Fail(evidence, "it runs on while another process has its port")
		}
		text, evidence := output(in)
		_, port, _ := strings.Cut(t.Main.HTTP, ":")
		switch {
		case in.Exit().Clean():
			return probe.Fail(evidence, "it ends with exit code 0, as if all were well")
		case !strings.Contains(text, port):
			return probe.Fail(evidence, "it does not say which address is taken")
		}
		return probe.Pass("it ends with %s after %s", in.Exit(), time.Since(in.Began).Round(time.Millisecond))
	},
}

var readyFirst = probe.Probe{
	Probe: describe("start.ready", "Is the first call served after the process says that it is ready?",
		"A load balancer sends calls the moment a process says ready; every call before it really is, is lost.",
		"Say ready only once listeners, dependencies and keys are there.",
		"Kubernetes probes", "RFC 9110 §15.6.4"),
	Needs: lab.Process,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		m := harmless(t)
		if m == nil {
			return probe.Skip("the service has no method that changes nothing")
		}
		r, err := t.Valid(ctx, t.Client, m)
		if err != nil {
			return probe.Skip("%v", err)
		}
		signed := t.Sign(r, m, lab.Good)
		for range 3 {
			in, err := t.Start(ctx, nil)
			if err != nil {
				return probe.Fail(nil, "%v", err)
			}
			c := t.NewClient(in)
			a := c.Do(ctx, signed)
			in.Close()
			// What the call is about was made in another process: not found is an
			// answer, too.
			if a.Err != nil || a.Status >= 500 || a.Status == 401 {
				return probe.Fail(c.Show(signed, a), "the first call of a process that is ready is answered %s", a)
			}
		}
		return probe.Pass("3 processes, each served its first call")
	},
}

var restarts = probe.Probe{
	Probe: describe("start.restarts", "Can the process be started and stopped 20 times over?",
		"What is left over of one start, a lock, a socket, a half-written file, is found by the next one.",
		"Undo at the end what the start did, and do not depend on the former end.",
		"CWE-404"),
	Needs: lab.Process,
	Limit: 60 * time.Second,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		var slowest time.Duration
		for n := range 20 {
			in, err := t.Start(ctx, nil)
			if err != nil {
				return probe.Fail(nil, "start %d: %v", n+1, err)
			}
			slowest = max(slowest, in.ReadyAfter)
			exit := in.Stop(15 * time.Second)
			_, evidence := output(in)
			in.Close()
			if !exit.Clean() {
				return probe.Fail(evidence, "start %d ends with %s when it is told to stop", n+1, exit)
			}
		}
		return probe.Pass("20 starts, ready after %s at most", slowest.Round(time.Millisecond))
	},
}
