package model

import (
	"time"

	"github.com/aguada-dev/aguada/policy"
)

// reach is the largest burst that one caller can use up in reasonable time.
const reach = 500

// Reachable returns a limit of the method that calls from one address, by one
// principal, can reach before any other; nil where there is none.
func (m *Method) Reachable() *policy.RateLimit {
	var found *policy.RateLimit
	for i := range m.RateLimits {
		if l := &m.RateLimits[i]; l.Burst <= reach && (found == nil || l.Burst < found.Burst) {
			found = l
		}
	}
	return found
}

// Beyond reports whether far more calls were served in a time than the limit
// allows, so that nobody can be holding to it.
func Beyond(l *policy.RateLimit, served int, in time.Duration) bool {
	allowed := float64(l.Burst) + float64(l.Rate)*in.Seconds()/time.Duration(l.Per).Seconds()
	return float64(served) > 1.5*allowed+50
}
