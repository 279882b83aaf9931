package lifecycle

import (
	"context"
	"net/http"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
)

var healthy = probe.Probe{
	Probe: describe("health.alive", "Is liveness answered with 200 where it is promised?",
		"Whoever runs the service asks there, and starts it anew, over and over, as long as the answer is another one.",
		"Serve liveness on the handler that is really listening; answer 200 from the process alone.",
		"Kubernetes: liveness, readiness and startup probes"),
	Needs: lab.Process,
	Omit: func(l *lab.Lab) string {
		if l.Recipe.Alive == "" {
			return "nobody has said where liveness is asked: name its path in prove.yaml (alive)"
		}
		return ""
	},
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		r := lab.Request{Verb: http.MethodGet, Path: t.Recipe.Alive}
		if a := t.Client.Do(ctx, r); a.Status != http.StatusOK {
			return probe.Fail(t.Client.Show(r, a), "%s is answered %s", r.Path, a)
		}
		return probe.Pass("%s is 200", r.Path)
	},
}
