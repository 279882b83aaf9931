//go:build !unix

package telemetry

import "time"

// cpuTime knows nothing here.
func cpuTime() (user, system time.Duration, ok bool) { return 0, 0, false }
