package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes. As text it has a unit (512KiB, 1MiB, 1GiB, or the
// decimal kB, MB, GB) or is a plain number.
type Size int64

var units = []struct {
	name  string
	bytes int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1},
}

var errSize = errors.New("not a size")

// UnmarshalText reads a whole, unsigned number with an optional unit.
func (s *Size) UnmarshalText(text []byte) error {
	digits := strings.TrimRight(string(text), "BKMGik")
	unit := string(text)[len(digits):]
	for _, u := range units {
		if u.name != unit {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 63)
		if err != nil || n > uint64(math.MaxInt64/u.bytes) {
			return errSize // strconv's error holds the text
		}
		*s = Size(int64(n) * u.bytes)
		return nil
	}
	return errSize
}

// MarshalText writes what String returns.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String returns the size in the largest binary unit that divides it.
func (s Size) String() string {
	for _, u := range []int{2, 1, 0} {
		if u := units[u]; s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}
