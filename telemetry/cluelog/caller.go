package cluelog

import (
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// The functions of Clue's that an entry comes from.
const (
	clueLog  = "goa.design/clue/log.log"
	clueInfo = "goa.design/clue/log.Info"
)

// calls tells entries of log.Info from those of log.Print: nothing in an entry
// does, but who called Clue's log. It remembers the answer for each place in
// the program, of which there are as many as the program has.
type calls struct {
	mu    sync.Mutex
	known atomic.Pointer[map[site]bool]
}

// site is the frames above route: Clue's writeEntry and log, its function that
// the service called, and the service's own.
type site [4]uintptr

// fromInfo reports whether the entry that is being routed is of log.Info. If
// that cannot be seen it is not, and its line is not held.
func (c *calls) fromInfo() bool {
	var at site
	n := runtime.Callers(3, at[:]) // without Callers, fromInfo and route
	known := c.known.Load()
	if known != nil {
		if is, ok := (*known)[at]; ok {
			return is
		}
	}
	is := infoCalls(slices.Clone(at[:n])) // a copy, so that at stays on the stack
	c.mu.Lock()
	defer c.mu.Unlock()
	next := map[site]bool{}
	if known = c.known.Load(); known != nil {
		maps.Copy(next, *known)
	}
	next[at] = is
	c.known.Store(&next)
	return is
}

func infoCalls(pcs []uintptr) bool {
	frames := runtime.CallersFrames(pcs)
	for {
		frame, more := frames.Next()
		if frame.Function == clueLog {
			frame, _ = frames.Next()
			return frame.Function == clueInfo
		}
		if !more {
			return false
		}
	}
}
