package resilience

import (
	"context"
	"regexp"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
)

// panicked matches what Go and its servers write of a panic, also as a value of a
// structured line.
var panicked = regexp.MustCompile(`panic serving |goroutine \d+ \[running|panic: |runtime error: |invalid memory address`)

var panics = probe.Probe{
	Probe: describe("call.panic", "Has nothing that was sent made the service panic, and is it the same process still?",
		"A panic is a mistake that any caller may repeat: each takes a call's answer away, and one in a goroutine of the service's own takes the process.",
		"Recover from panics around each call, answer 500 and count it; then mend what panics.",
		"CWE-248", "CWE-476"),
	Needs: lab.Log,
	Alone: true, // at the end, when most has been sent
	Run: func(_ context.Context, t *probe.Try) finding.Outcome {
		lines := t.Main.Log.Since(0)
		for _, l := range lines {
			if panicked.MatchString(l.Text) {
				return probe.Fail([]finding.Evidence{{Label: "log line", Text: l.Text}}, "the log tells of a panic")
			}
		}
		return probe.Pass("%d lines of the log tell of none", len(lines))
	},
}
