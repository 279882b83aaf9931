package dsl

import (
	"errors"
	"fmt"
	"math"
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
