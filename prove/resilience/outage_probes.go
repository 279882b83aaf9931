package resilience

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
)

func dependencies() []probe.Probe {
	return []probe.Probe{awayAnswers, awayTells, awayAlive, awayReady, awayHeals, awayOnce}
}

// outageLimit is how long all outages together may take.
const outageLimit = 2 * time.Minute

// independent omits what needs something to be taken away.
func independent(l *lab.Lab) string {
	if len(l.Dependencies) == 0 {
		return "the service is given nothing over TCP that could be taken away: name what it uses (--dependency NAME=URL)"
	}
	return ""
}

// judge says what is wrong with an outage, with evidence, or "" and what was seen
// instead.
type judge func(*probe.Try, *outage) (wrong, seen string, evidence []finding.Evidence)

// away is a probe that judges each outage by itself.
func away(describes finding.Probe, omit func(*lab.Lab) string, judge judge) probe.Probe {
	return probe.Probe{
		Probe: describes,
		Needs: lab.Process,
		Alone: true, // measures time
		Limit: outageLimit,
		Omit: func(l *lab.Lab) string {
			if why := independent(l); why != "" || omit == nil {
				return why
			}
			return omit(l)
		},
		Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
			all, err := outages(ctx, t)
			if err != nil {
				return probe.Skip("%v", err)
			}
			var seen []string
			for _, o := range all {
				if o.err != nil {
					return probe.Skip("%s: %v", o, o.err)
				}
				wrong, instead, evidence := judge(t, o)
				if wrong != "" {
					return probe.Fail(evidence, "%s: %s", o, wrong)
				}
				seen = append(seen, fmt.Sprintf("%s: %s", o, instead))
			}
			return probe.Pass("%s", strings.Join(seen, "; "))
		},
	}
}

var awayAnswers = away(
	describe("dependency.answer", "Is every call served or answered with 5xx, within its deadline, while what it needs is away?",
		"Calls that wait for what does not come pile up until the service serves nobody; and who is told that the request was wrong does not try again.",
		"Give every call to a dependency the deadline of the request, bound the wait for a connection too, and answer 503 where the dependency fails.",
		"RFC 9110 §15.6.4", "CWE-400", "CWE-755"), nil,
	func(_ *probe.Try, o *outage) (string, string, []finding.Evidence) {
		for i := range o.calls {
			c := &o.calls[i]
			switch {
			case c.Err != nil:
				return fmt.Sprintf("%s gets %s; it was waited for %s", c.name, c.Answer, c.limit), "", o.show(c)
			case c.Status >= 400 && c.Status < 500 && c.Status != http.StatusTooManyRequests:
				return fmt.Sprintf("%s is answered %s, as if the caller was wrong", c.name, c.Answer), "", o.show(c)
			}
		}
		if c := o.failed; c != nil {
			return "", fmt.Sprintf("%s is answered %s after %s", c.name, c.Answer, c.Took.Round(10*time.Millisecond)), nil
		}
		return "", fmt.Sprintf("all %d methods are served", len(o.calls)), nil
	})

var awayTells = away(
	describe("dependency.told", "Does no answer tell where a dependency is, or what its driver said, while it is away?",
		"Addresses, names of tables and versions are what an attacker maps a network with.",
		"Write what failed into the log under the id of the error, and answer that id and no more.",
		"CWE-209", "OWASP API8:2023"), nil,
	func(_ *probe.Try, o *outage) (string, string, []finding.Evidence) {
		if o.telltale != nil {
			return fmt.Sprintf("the answer to %s holds %s", o.telltale.name, o.told), "", o.show(o.telltale)
		}
		return "", fmt.Sprintf("%d methods tell nothing", len(o.calls)), nil
	})

var awayAlive = away(
	describe("dependency.alive", "Does liveness stay 200 while a dependency is away?",
		"A process that is started anew since its database is away comes up no healthier, and all of them do it at once.",
		"Let liveness answer from the process alone, and readiness ask for dependencies.",
		"Kubernetes: liveness, readiness and startup probes", "CWE-400"),
	func(l *lab.Lab) string {
		if l.Recipe.Alive == "" {
			return "nobody has said where liveness is asked: name its path in prove.yaml (alive)"
		}
		return ""
	},
	func(t *probe.Try, o *outage) (string, string, []finding.Evidence) {
		if o.dead != nil {
			r := lab.Request{Verb: http.MethodGet, Path: t.Recipe.Alive}
			return fmt.Sprintf("liveness is answered %s", o.dead), "", o.client.Show(r, o.dead)
		}
		return "", "alive", nil
	})

var awayReady = away(
	describe("dependency.ready", "Does readiness tell that a dependency of the contract is away?",
		"Whoever spreads calls over processes goes on sending them to one that can only refuse them.",
		"Have readiness ask each dependency that the contract names, with a timeout.",
		"Kubernetes: liveness, readiness and startup probes"),
	func(l *lab.Lab) string {
		for _, d := range l.Dependencies {
			if promised(l, d) {
				return ""
			}
		}
		return "no contract promises that readiness asks for them (DependsOn)"
	},
	func(t *probe.Try, o *outage) (string, string, []finding.Evidence) {
		switch {
		case !promised(t.Lab, o.dependency):
			return "", "no contract names it", nil
		case o.failed == nil:
			return "", "every call is served", nil
		case o.unready == nil:
			return fmt.Sprintf("%s after it went away, readiness is still 200, while %s is answered %s", notice, o.failed.name, o.failed.Answer), "", o.show(o.failed)
		}
		return "", fmt.Sprintf("readiness is %s after %s", o.unready, o.unreadyAfter.Round(10*time.Millisecond)), nil
	})

// promised reports whether the contract says that readiness waits for the
// dependency: its variable, or the scheme of its address, has a name of DependsOn
// in it.
func promised(l *lab.Lab, d lab.Dependency) bool {
	scheme, _, _ := strings.Cut(d.Address, "://")
	for _, name := range l.Service.DependsOn {
		name = strings.ToLower(name)
		if strings.Contains(strings.ToLower(d.Variable), name) || strings.HasPrefix(strings.ToLower(scheme), name) {
			return true
		}
	}
	return false
}

var awayHeals = away(
	describe("dependency.back", "Is every method served again, by the same process, when what it needs is back?",
		"A service that somebody has to start anew makes an hour's outage of a minute's.",
		"Use a pool that drops broken connections and opens new ones; end no process because a dependency failed.",
		"CWE-755"), nil,
	func(_ *probe.Try, o *outage) (string, string, []finding.Evidence) {
		switch {
		case o.ended != "":
			return "the process ended with " + o.ended, "", nil
		case o.sick != nil:
			return fmt.Sprintf("%s after it is back, %s is answered %s", recovery, o.sick.name, o.sick.Answer), "", o.show(o.sick)
		}
		return "", fmt.Sprintf("all is served %s after it is back", o.healed.Round(10*time.Millisecond)), nil
	})
