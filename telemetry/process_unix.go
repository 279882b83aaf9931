//go:build unix

package telemetry

import (
	"syscall"
	"time"
)

// cpuTime returns the time that the process has had of the processors, in user
// and in system mode.
func cpuTime() (user, system time.Duration, ok bool) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, 0, false
	}
	return time.Duration(u.Utime.Nano()), time.Duration(u.Stime.Nano()), true
}
