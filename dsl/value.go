package dsl

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/policy"
)

// shortestDeadline is the shortest deadline that a call can meet.
const shortestDeadline = time.Millisecond

// parseDeadline reads the argument of Deadline.
func parseDeadline(s string) (policy.Duration, error) {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, errors.New(`not a duration; write numbers with the units ms, s, m or h, such as "500ms", "5s" or "1m30s"`)
	case d < 0:
		return 0, errors.New(`negative; write a positive duration, or "0s" for no deadline`)
	case d > 0 && d < shortestDeadline:
		return 0, fmt.Errorf(`no call ends that soon; write at least %q, or "0s" for no deadline`, shortestDeadline)
	}
	return policy.Duration(d), nil
}

// What a rate limit can hold; package limit refuses more.
const (
	shortestWindow = time.Second
	longestWindow  = 24 * time.Hour
	mostCalls      = 1_000_000_000
	mostPerSecond  = 1_000_000
	longestRefill  = 366 * 24 * time.Hour
	mostRateLimits = 4 // of one method
)

// parseWindow reads the second argument of RateLimit.
func parseWindow(s string) (policy.Duration, error) {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, errors.New(`the window is not a duration; write numbers with the units s, m or h, such as "1s", "1m" or "24h"`)
	case d < shortestWindow || d > longestWindow:
		return 0, errors.New(`the window must be of "1s" to "24h"`)
	case d%time.Second != 0:
		return 0, errors.New("the window must be of whole seconds")
	}
	return policy.Duration(d), nil
}

// checkRate returns why that many calls or messages in a window, or at once,
// cannot be counted; unbounded says how a design asks for no bound.
func checkRate(rate, burst int, window policy.Duration, unbounded string) error {
	switch {
	case rate < 1:
		return errors.New("the rate must be at least 1; " + unbounded)
	case rate > mostCalls:
		return fmt.Errorf("the rate must be at most %d", mostCalls)
	case time.Duration(window)/time.Duration(rate) < time.Second/mostPerSecond:
		return fmt.Errorf("the rate must be at most %d a second", mostPerSecond)
	case burst < 1:
		return errors.New("the burst must be at least 1; leave Burst out for one as large as the rate")
	case burst > mostCalls:
		return fmt.Errorf("the burst must be at most %d", mostCalls)
	}
	each := (time.Duration(window) + time.Duration(rate) - 1) / time.Duration(rate)
	if time.Duration(burst) > longestRefill/each {
		return errors.New("a burst that large takes more than a year to come back at this rate; lower the burst")
	}
	return nil
}

// What an idempotency key and a silent stream can be given.
const (
	shortestKeep = time.Second
	longestKeep  = 366 * 24 * time.Hour
	shortestWait = time.Millisecond
	shortestIdle = time.Second
)

// parseKeep reads the argument of KeepFor.
func parseKeep(s string) (policy.Duration, error) {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, errors.New(`not a duration; write numbers with the units s, m or h, such as "30m" or "24h"`)
	case d < shortestKeep || d > longestKeep:
		return 0, errors.New(`answers can be kept for "1s" to "8784h"`)
	}
	return policy.Duration(d), nil
}

// parseWait reads the argument of WaitFor.
func parseWait(s string) (policy.Duration, error) {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, errors.New(`not a duration; write numbers with the units ms or s, such as "500ms" or "5s"`)
	case d < shortestWait:
		return 0, errors.New(`write at least "1ms"; leave WaitFor out for an answer at once`)
	}
	return policy.Duration(d), nil
}

// parseIdle reads the argument of StreamIdle.
func parseIdle(s string) (policy.Duration, error) {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, errors.New(`not a duration; write numbers with the units s, m or h, such as "30s" or "5m"`)
	case d != 0 && d < shortestIdle:
		return 0, errors.New(`write at least "1s", or "0s" for streams that may be silent`)
	}
	return policy.Duration(d), nil
}

// keyHeader is what idempotency keys may be sent in: header names that proxies
// let pass, and that are metadata keys of gRPC in lower case.
var keyHeader = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,63}$`)

// takenHeaders are request headers whose meaning is fixed: by HTTP (RFC 9110,
// RFC 9112), by browsers (the fetch standard's forbidden headers), by gRPC or
// by the chassis. They are canonical; what ends in '-' begins such names.
var takenHeaders = []string{
	"Accept", "Accept-", "Access-Control-", "Authorization", "Cache-Control", "Connection", "Content-", "Cookie", "Cookie2", "Date", "Dnt",
	"Expect", "Forwarded", "From", "Grpc-", "Host", "If-", "Keep-Alive", "Max-Forwards", "Origin", "Pragma", "Priority", "Proxy-", "Range", "Referer",
	"Sec-", "Set-Cookie", "Te", "Traceparent", "Tracestate", "Baggage", "Trailer", "Transfer-Encoding", "Upgrade", "User-Agent", "Via", "Warning",
	"X-Forwarded-", "X-Request-Id",
}

// refuseKeyHeader returns why idempotency keys cannot be sent in a header of
// that name, or "".
func refuseKeyHeader(name string) string {
	if !keyHeader.MatchString(name) {
		return `not the name of a header for keys; use up to 64 letters, digits and '-', beginning with a letter, such as "Idempotency-Key"`
	}
	canonical := http.CanonicalHeaderKey(name)
	if strings.HasSuffix(canonical, "-Bin") {
		return `gRPC sends metadata whose name ends in "-bin" in another form; use another name, such as "Idempotency-Key"`
	}
	for _, h := range takenHeaders {
		if canonical == h || strings.HasSuffix(h, "-") && strings.HasPrefix(canonical, h) {
			return `the header means something else already; use another one, such as "Idempotency-Key"`
		}
	}
	return ""
}

// priorities are the arguments of ShedPriority.
var priorities = []policy.Priority{policy.HighPriority, policy.NormalPriority, policy.LowPriority}

// parsePriority reads the argument of ShedPriority.
func parsePriority(s string) (policy.Priority, error) {
	if !slices.Contains(priorities, policy.Priority(s)) {
		return "", errors.New(`unknown priority; use "high", "normal" or "low"`)
	}
	return policy.Priority(s), nil
}

// sizeUnits are the units of MaxBody, in bytes.
var sizeUnits = map[string]int64{
	"B":  1,
	"KB": 1e3, "MB": 1e6, "GB": 1e9,
	"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
}

var errTooLarge = fmt.Errorf("too large; write at most %q", strconv.FormatInt(math.MaxInt64, 10)+"B")

// parseSize reads the argument of MaxBody.
func parseSize(s string) (int64, error) {
	digits := strings.TrimRight(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
	unit := s[len(digits):]
	factor, known := sizeUnits[unit]
	n, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, errTooLarge
	case err != nil:
		return 0, errors.New(`not a size; write a whole number and a unit without a space, such as "512KiB" or "1MiB"`)
	case unit == "":
		return 0, fmt.Errorf("no unit; write %q for bytes, or use KB, MB, GB, KiB, MiB or GiB", s+"B")
	case !known:
		return 0, fmt.Errorf("unknown unit %q; use B, KB, MB, GB, KiB, MiB or GiB", unit)
	case n <= 0:
		return 0, errors.New(`must be positive; write at least "1B"`)
	case n > math.MaxInt64/factor:
		return 0, errTooLarge
	}
	return n * factor, nil
}

// partitions are the third arguments of RateLimit, as designs write them.
var partitions = []struct {
	partition policy.Partition
	text      string
}{
	{PerPrincipal, "PerPrincipal"}, {PerClientIP, "PerClientIP"}, {PerCredential, "PerCredential"}, {Global, "Global"},
}

// partitionText returns a partition as a design writes it.
func partitionText(p policy.Partition) string {
	for _, known := range partitions {
		if known.partition == p {
			return known.text
		}
	}
	return strconv.Quote(string(p))
}

func checkPartition(p policy.Partition) error {
	for _, known := range partitions {
		if known.partition == p {
			return nil
		}
	}
	return fmt.Errorf("unknown partition %q; use PerPrincipal, PerClientIP, PerCredential or Global", string(p))
}
