// Package probe is the shape of a probe: one question about a running service,
// and the attack or measurement that answers it.
//
//	var NoCredential = probe.Probe{
//		Probe: finding.Probe{Code: "auth.no-credential", Family: finding.Security, Question: "…", Why: "…", Fix: "…"},
//		Each:  probe.Secured,
//		Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
//			…
//			return probe.Pass("401 with WWW-Authenticate")
//		},
//	}
//
// Probes are values in the tables of the packages that hold them; nothing
// registers itself.
package probe

import (
	"context"
	"fmt"
	"time"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/model"
)

// DefaultLimit is how long one run of a probe may take that says nothing else.
const DefaultLimit = 30 * time.Second

// Probe is one question and how it is answered.
type Probe struct {
	finding.Probe
	// Each chooses the methods that the question is asked of, one run for each;
	// nil asks it once, of the service.
	Each func(*model.Method) bool
	// Needs is what of the service has to be in the prover's hands. Where it is
	// not, since the service runs already, the probe is omitted, and Omit is not
	// called.
	Needs lab.Control
	// Omit returns why the question cannot be asked of this service, "" where
	// it can: what the design does not have, and what the prover cannot reach.
	// Omitted probes are in the report with their reason.
	Omit func(*lab.Lab) string
	// Alone probes run while no other does, since they measure time or memory,
	// or break what others need.
	Alone bool
	// Limit is how long one run may take; DefaultLimit if 0.
	Limit time.Duration
	// Run answers. It returns soon after ctx has ended, leaves nothing running,
	// and does not touch Lab.Main's life.
	Run func(context.Context, *Try) finding.Outcome
}

// Try is one run of a probe.
type Try struct {
	*lab.Lab
	// Method is what the question is asked of; nil for the service.
	Method *model.Method
	// Client has an address that no other run uses.
	Client *lab.Client
}

// Readable returns a unary method with a fixed path that changes nothing; nil
// where there is none.
func (t *Try) Readable() *model.Method {
	for _, m := range t.Service.Methods {
		if Unary(m) && !m.Changes() && m.Fixed() {
			return m
		}
	}
	return nil
}

// Pass says that all is well.
func Pass(format string, args ...any) finding.Outcome {
	return finding.Outcome{Verdict: finding.Pass, Detail: fmt.Sprintf(format, args...)}
}

// Fail says what was seen that should not be.
func Fail(evidence []finding.Evidence, format string, args ...any) finding.Outcome {
	return finding.Outcome{Verdict: finding.Fail, Detail: fmt.Sprintf(format, args...), Evidence: evidence}
}

// Skip says why the question could not be asked.
func Skip(format string, args ...any) finding.Outcome {
	return finding.Outcome{Verdict: finding.Skip, Detail: fmt.Sprintf(format, args...)}
}

// Secured chooses the methods over HTTP that need a credential.
func Secured(m *model.Method) bool { return m.HTTP() && m.Secured() && m.Kind != "preflight" }

// Unary chooses the methods over HTTP that answer once.
func Unary(m *model.Method) bool { return m.HTTP() && m.Kind == "unary" }

// WithBody chooses the unary methods that take a JSON body.
func WithBody(m *model.Method) bool { return Unary(m) && m.Body != nil }

// HTTP chooses the methods over HTTP.
func HTTP(m *model.Method) bool { return m.HTTP() && m.Kind != "preflight" }
