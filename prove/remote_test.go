package prove_test

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aguada-dev/aguada/prove"
	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/target"
)

// running starts the service as somebody else would.
func running(t *testing.T) *target.Instance {
	t.Helper()
	in, err := target.Start(t.Context(), tillLab(t, nil).Recipe, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.Close)
	return in
}

// All real probes, asked of a service that runs already, leave it as it was:
// nothing was changed, nobody was ended, and what needs more than the address is
// left out with its reason.
func TestRemoteIsSpared(t *testing.T) {
	t.Parallel()
	in := running(t)
	r, err := prove.Run(t.Context(), prove.Config{Lab: tillLab(t, &lab.Remote{Scheme: "http", Host: in.HTTP})})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		if f.Verdict == finding.Broken || f.Method == "till.take" {
			t.Errorf("%s %s: %s: %s", f.Code, f.Method, f.Verdict, f.Detail)
		}
	}
	reasons := map[string]bool{}
	for _, o := range r.Omitted {
		reasons[o.Reason] = true
	}
	for _, want := range []string{
		"needs control of the process", "needs the log of the process", "needs the telemetry of the process",
		"changes things: it is asked with --destructive only", "floods the service: it is asked with --destructive only",
	} {
		if !reasons[want] {
			t.Errorf("nothing is omitted since it %s; there are %q", want, slices.Sorted(maps.Keys(reasons)))
		}
	}
	if !in.Running() {
		t.Fatal("the service has ended")
	}
	if text := get(t, in); text != `{"taken":0}` {
		t.Errorf("the service holds %s afterwards", text)
	}
}

func get(t *testing.T, in *target.Instance) string {
	t.Helper()
	c, err := lab.Open(t.Context(), tillLab(t, &lab.Remote{Scheme: "http", Host: in.HTTP}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	a := c.NewClient(c.Main).Do(t.Context(), lab.Request{Verb: http.MethodGet, Path: "/till"})
	return string(a.Body)
}

// With consent things are changed, and the rest stays as it is.
func TestRemoteDestructive(t *testing.T) {
	t.Parallel()
	in := running(t)
	r, err := prove.Run(t.Context(), prove.Config{Only: []string{"auth.accepted"}, Lab: tillLab(t, &lab.Remote{Scheme: "http", Host: in.HTTP, Destructive: true})})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := verdicts(r), []string{"auth.accepted till.show pass", "auth.accepted till.take pass"}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	if text := get(t, in); text != `{"taken":1}` {
		t.Errorf("the service holds %s afterwards", text)
	}
}

// A probe that does not say what it needs does no harm, and claims nothing.
func TestRemoteUndeclared(t *testing.T) {
	t.Parallel()
	in := running(t)
	r, err := prove.Run(t.Context(), prove.Config{Lab: tillLab(t, &lab.Remote{Scheme: "http", Host: in.HTTP}), Probes: []probe.Probe{
		ask("a.starts", func(ctx context.Context, t *probe.Try) finding.Outcome {
			if _, err := t.Start(ctx, nil); err != nil {
				return probe.Fail(nil, "%v", err)
			}
			return probe.Pass("started")
		}),
		ask("b.changes", func(ctx context.Context, t *probe.Try) finding.Outcome {
			return probe.Pass("%s", t.Client.Do(ctx, lab.Request{Verb: "DELETE", Path: "/till"}))
		}),
		ask("c.ends", func(_ context.Context, t *probe.Try) finding.Outcome {
			t.Main.Close()
			return probe.Pass("closed")
		}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got := verdicts(r); !slices.Equal(got, []string{"c.ends pass"}) || !in.Running() {
		t.Errorf("found %q, and the service runs: %t", got, in.Running())
	}
	if len(r.Omitted) != 2 || r.Omitted[0].Reason != "needs control of the process" || !strings.Contains(r.Omitted[1].Reason, "one of its requests changes things") {
		t.Errorf("omitted are %+v", r.Omitted)
	}
}

func TestRemoteIsNotThere(t *testing.T) {
	t.Parallel()
	in := running(t)
	in.Close()
	if _, err := prove.Run(t.Context(), prove.Config{Lab: tillLab(t, &lab.Remote{Scheme: "http", Host: in.HTTP})}); err == nil || !strings.Contains(err.Error(), "reach the service") {
		t.Errorf("%v", err)
	}
}
