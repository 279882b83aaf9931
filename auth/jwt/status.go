package jwt

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/aguada-dev/aguada/internal/reload"
)

// Status tells how a key set is doing.
type Status struct {
	// Source is the file, the URL or the issuer that the set is from.
	Source string
	// Keys is how many of its keys may verify tokens.
	Keys int
	// Fetched is when the set was last confirmed by its server: the zero time
	// before the first success, and for a file.
	Fetched time.Time
	// Err is why the last look at the source failed; nil if it did not.
	Err error
	// Since is when looking first failed after Fetched; the zero time where
	// Err is nil, and for a file.
	Since time.Time
	// Until is when the set stops being used unless its server confirms it: the
	// zero time where there is no set yet, and for a file, whose last good
	// version stays.
	Until time.Time
}

// Note says in a sentence what an operator should know though tokens may still
// be verified; it is empty where all is well.
func (s Status) Note() string {
	switch {
	case s.Err == nil:
		return ""
	case s.Until.IsZero() && s.Keys > 0:
		return fmt.Sprintf("key set %s: the last good version is in use: %v", s.Source, s.Err)
	case s.Until.IsZero():
		return fmt.Sprintf("key set %s: not fetched yet: %v", s.Source, s.Err)
	default:
		return fmt.Sprintf("key set %s: failing since %s, in use until %s: %v",
			s.Source, s.Since.UTC().Format(time.RFC3339), s.Until.UTC().Format(time.RFC3339), s.Err)
	}
}

// Status returns how the set is doing, for a metric and for what readiness
// tells. It does not wait; a file is read.
func (k *KeySet) Status() Status {
	if k.remote == nil {
		s := Status{Source: k.path, Keys: len(k.file.Value().keys)}
		s.Err = judgeFile(k.path)
		return s
	}
	r := k.remote
	now := r.state.Load()
	s := Status{Source: r.name, Fetched: now.at, Err: now.err, Since: now.since}
	if now.set != nil {
		s.Keys, s.Until = len(now.set.keys), now.at.Add(r.cfg.MaxStale)
	}
	return s
}

// judgeFile returns why a file is no key set.
func judgeFile(path string) error {
	info, err := os.Stat(path) // first: opening a pipe would wait for its writer
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return reload.ErrIrregular
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxSet+1))
	if err != nil {
		return err
	}
	_, err = parseSet(data)
	return err
}

// Fetched returns when the set was last confirmed by its server: the zero time
// before the first success, and for a set from a file.
func (k *KeySet) Fetched() time.Time {
	if k.remote == nil {
		return time.Time{}
	}
	return k.remote.state.Load().at
}
