package lockout_test

import (
	"strconv"
	"testing"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/lockout"
)

func TestKnown(t *testing.T) {
	l := open(t, lockout.Config{})
	good := auth.Credential{Username: "ann", Password: "correct horse"}
	l.Remember(l.Fingerprint(good))
	if !l.Known(l.Fingerprint(auth.Credential{Username: "ann", Password: "correct horse"})) {
		t.Error("a verified credential is not known")
	}
	for _, c := range []auth.Credential{
		{}, {Username: "ann"}, {Password: "correct horse"}, {Username: "annc", Password: "orrect horse"},
		{Username: "ann", Password: "correct horse", Token: "x"}, {Token: "anncorrect horse"}, {Username: "correct horse", Password: "ann"},
		{Token: "ann", Username: "correct horse"}, {Username: "Ann", Password: "correct horse"},
	} {
		if l.Known(l.Fingerprint(c)) {
			t.Errorf("%q %q %q is known", c.Token, c.Username, c.Password)
		}
	}
	if other := open(t, lockout.Config{}); other.Fingerprint(good) == l.Fingerprint(good) {
		t.Error("two processes have one fingerprint")
	}
}

// The set is full some day: then the newest are known, and nearly as many as
// there is room for.
func TestKnownMakesRoom(t *testing.T) {
	if raced {
		t.Skip("does one thing at a time, often")
	}
	l := open(t, lockout.Config{})
	fp := func(i int) uint64 { return l.Fingerprint(auth.Credential{Token: strconv.Itoa(i)}) }
	const n = 300_000
	for i := range n {
		l.Remember(fp(i))
		if !l.Known(fp(i)) {
			t.Fatal("the newest is not known")
		}
	}
	known := 0
	for i := range n {
		if l.Known(fp(i)) {
			known++
		}
	}
	if known < 60_000 || known > 65_536 {
		t.Errorf("%d are known, want about 65,536", known)
	}
}
