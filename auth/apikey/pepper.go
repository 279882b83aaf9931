package apikey

import (
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aguada-dev/aguada/auth/internal/digest"
)

// MinPepper is the least length of the pepper of API keys, in bytes. It should
// be random: openssl rand -base64 32 makes a good one.
const MinPepper = 16

// PepperOverlap is how long a pepper that was replaced is still in force
// without being the old one: the files of the two may change in any order, and
// are not read at the same moment.
const PepperOverlap = 10 * time.Second

// Peppers are the keys of the HMACs that are stored. The functions are called
// for every key that is verified, from many goroutines, and must be quick; what
// they return is followed without a restart, as that of a secret which follows
// its file does.
//
// To replace the pepper, make the present one Old and another one Current. New
// keys are made with Current; existing ones are verified with the pepper that
// they were made with, which is the one of the two that their record names. A
// stored HMAC cannot be made again without its key, so that a key made with the
// old pepper must be rotated before the old pepper goes: then it is refused.
//
// A change to a pepper that is too short is not taken: it is logged, and what
// was in force stays.
type Peppers struct {
	// Current makes and verifies keys. Required; at least MinPepper bytes.
	Current func() string
	// Old verifies keys made with it. Nil, or a function that returns nothing,
	// if no pepper is being replaced.
	Old func() string
}

// PepperID returns what a record says of the pepper that its HMAC was made
// with: the first 6 bytes of the HMAC-SHA256 of a constant, in hexadecimal. It
// tells peppers apart and is not secret.
func PepperID(pepper string) string {
	sum := digest.New([]byte(pepper)).Text("aguada: id of a pepper of API keys")
	return hex.EncodeToString(sum[:6])
}

var errPepper = fmt.Errorf("the pepper is shorter than %d bytes", MinPepper)

// pepper is one that is ready for use.
type pepper struct {
	id     string
	digest *digest.Digest
}

func newPepper(text string) (*pepper, error) {
	if len(text) < MinPepper {
		return nil, errPepper
	}
	return &pepper{PepperID(text), digest.New([]byte(text))}, nil
}

// rack holds the peppers and follows them.
type rack struct {
	source Peppers
	report func(error)
	set    atomic.Pointer[pepperSet]
	mu     sync.Mutex // held while the set is replaced
}

// pepperSet is never modified.
type pepperSet struct {
	currentText, oldText string // as last seen, also if they were not taken
	current, old         *pepper
	replaced             *pepper // the last current one
	until                time.Time
}

func newRack(source Peppers, report func(error)) (*rack, error) {
	if source.Current == nil {
		return nil, errors.New("there is no pepper")
	}
	if source.Old == nil {
		source.Old = func() string { return "" }
	}
	r := &rack{source: source, report: report}
	current, old := source.Current(), source.Old()
	s, err := newPepperSet(current, old)
	if err != nil {
		return nil, err
	}
	r.set.Store(s)
	return r, nil
}

func newPepperSet(current, old string) (_ *pepperSet, err error) {
	s := &pepperSet{currentText: current, oldText: old}
	if s.current, err = newPepper(current); err != nil {
		return nil, err
	}
	if old == "" {
		return s, nil
	}
	if s.old, err = newPepper(old); err != nil {
		return nil, fmt.Errorf("old pepper: %w", err)
	}
	return s, nil
}

// by returns the pepper that a record names, or nil. A record that names none
// was made before records did: its pepper is the current one.
func (r *rack) by(id string, now time.Time) *pepper {
	s := r.set.Load()
	if current, old := r.source.Current(), r.source.Old(); current != s.currentText || old != s.oldText {
		s = r.change(current, old, now)
	}
	switch {
	case id == "" || id == s.current.id:
		return s.current
	case s.old != nil && id == s.old.id:
		return s.old
	case s.replaced != nil && id == s.replaced.id && now.Before(s.until):
		return s.replaced
	}
	return nil
}

// change takes other peppers if they are good.
func (r *rack) change(current, old string, now time.Time) *pepperSet {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.set.Load()
	if current == was.currentText && old == was.oldText {
		return was // somebody else did it
	}
	s, err := newPepperSet(current, old)
	if err != nil {
		kept := *was
		kept.currentText, kept.oldText = current, old
		r.set.Store(&kept)
		r.report(fmt.Errorf("change pepper, keep what was in force: %w", err))
		return &kept
	}
	s.replaced, s.until = was.replaced, was.until
	if s.current.id != was.current.id {
		s.replaced, s.until = was.current, now.Add(PepperOverlap)
	}
	r.set.Store(s)
	return s
}
