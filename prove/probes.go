package prove

import (
	"slices"

	"github.com/aguada-dev/aguada/prove/carriers"
	"github.com/aguada-dev/aguada/prove/input"
	"github.com/aguada-dev/aguada/prove/lifecycle"
	"github.com/aguada-dev/aguada/prove/observability"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/resilience"
	"github.com/aguada-dev/aguada/prove/security"
)

// Probes returns every probe that there is, family by family.
func Probes() []probe.Probe {
	return slices.Concat(
		security.Probes(),
		carriers.Probes(),
		input.Probes(),
		resilience.Probes(),
		observability.Probes(),
		lifecycle.Probes(),
	)
}
