package limit

import (
	"strconv"
	"time"
)

// prepareHeaders writes what does not change.
func (l *Limiter) prepareHeaders() {
	var policy []byte
	for i, r := range l.rules {
		sep := ", "
		if i == 0 {
			sep = ""
		}
		l.items = append(l.items, sep+`"`+r.Name+`";r=`)
		quota, window := r.quota()
		policy = append(policy, sep+`"`+r.Name+`";q=`...)
		policy = strconv.AppendInt(policy, quota, 10)
		policy = append(policy, ";w="...)
		policy = strconv.AppendInt(policy, window, 10)
	}
	l.policy = string(policy)
}

// quota returns the rate as units in a window of whole seconds, the smallest
// that makes both whole numbers.
func (r Rule) quota() (units, window int64) {
	whole, ms := int64(time.Second/time.Millisecond), int64(r.Per/time.Millisecond)
	a, b := whole, ms
	for b != 0 {
		a, b = b, a%b
	}
	times := whole / a
	return int64(r.Rate) * times, ms * times / whole
}

// Policy is the value of the RateLimit-Policy header
// (draft-ietf-httpapi-ratelimit-headers-11, section 3): for each rule its Rate as q and Per,
// in seconds, as w. A burst is not in it. It is "" for a nil *Limiter.
func (l *Limiter) Policy() string {
	if l == nil {
		return ""
	}
	return l.policy
}

// AppendRateLimit appends the value of the RateLimit header
// (draft-ietf-httpapi-ratelimit-headers-11, section 4): for each rule how many units can be spent
// as r, and as t the seconds until all are back or, when r is 0, until one is.
// It appends nothing where the decision knows nothing: the header is left out
// then.
//
// For a refused call, the t of [Decision.Refused] is the same instant as
// [Decision.RetrySeconds], as the draft wants it (section 6).
func (l *Limiter) AppendRateLimit(b []byte, d *Decision) []byte {
	if l == nil {
		return b
	}
	for i := range min(d.Rules, len(l.items)) {
		st := &d.Status[i]
		t := st.Reset
		if st.Remaining == 0 {
			t = st.RetryAfter
		}
		b = append(b, l.items[i]...)
		b = strconv.AppendInt(b, int64(st.Remaining), 10)
		b = append(b, ";t="...)
		b = strconv.AppendInt(b, int64(seconds(t)), 10)
	}
	return b
}

// seconds rounds up.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
