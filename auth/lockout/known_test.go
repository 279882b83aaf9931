package lockout_test

import (
	"strconv"
	"testing"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/lockout"
)

func TestKnown(t *testing.T) {
	home := addr("192.0.2.1")
	good := auth.Credential{Username: "ann", Password: "correct horse"}
	for _, tt := range []struct {
		name string
		from string
		c    auth.Credential
		want bool
	}{
		{"the same", "192.0.2.1", good, true},
		{"mapped address", "::ffff:192.0.2.1", good, true},
		{"neighbour", "192.0.2.2", good, false},
		{"IPv6 of the same bits", "::c000:201", good, false},
		{"nothing", "192.0.2.1", auth.Credential{}, false},
		{"no password", "192.0.2.1", auth.Credential{Username: "ann"}, false},
		{"no user", "192.0.2.1", auth.Credential{Password: "correct horse"}, false},
		{"moved border", "192.0.2.1", auth.Credential{Username: "annc", Password: "orrect horse"}, false},
		{"with a token", "192.0.2.1", auth.Credential{Username: "ann", Password: "correct horse", Token: "x"}, false},
		{"all as a token", "192.0.2.1", auth.Credential{Token: "anncorrect horse"}, false},
		{"changed places", "192.0.2.1", auth.Credential{Username: "correct horse", Password: "ann"}, false},
		{"token and user", "192.0.2.1", auth.Credential{Token: "ann", Username: "correct horse"}, false},
		{"other letters", "192.0.2.1", auth.Credential{Username: "Ann", Password: "correct horse"}, false},
	} {
		l := open(t, lockout.Config{})
		l.Remember(home, good)
		if got := l.Known(addr(tt.from), tt.c); got != tt.want {
			t.Errorf("%s: known %v, want %v", tt.name, got, tt.want)
		}
	}
}

// Whoever guesses the password of a user whom the client is known as has one
// try: then nobody there is known as that user, until the right password was
// verified again.
func TestKnownUserIsGuessed(t *testing.T) {
	l, home := open(t, lockout.Config{}), addr("2001:db8::1")
	ann, bob := auth.Credential{Username: "ann", Password: "right"}, auth.Credential{Username: "bob", Password: "right"}
	token := auth.Credential{Token: "ann"}
	for _, c := range []auth.Credential{ann, bob, token} {
		l.Remember(home, c)
	}
	if l.Known(home, auth.Credential{Username: "ann", Password: "wrong"}) {
		t.Error("a wrong password is known")
	}
	if l.Known(home, ann) {
		t.Error("a guesser could try again")
	}
	if !l.Known(home, bob) || !l.Known(home, token) {
		t.Error("others are known no longer")
	}
	l.Remember(home, ann)
	if !l.Known(home, ann) {
		t.Error("known no more after a success")
	}
	if l.Known(addr("192.0.2.1"), auth.Credential{Username: "ann", Password: "wrong"}) || !l.Known(home, ann) {
		t.Error("a stranger's guess takes back what another client has")
	}
}

// The set is full some day: then the newest are known, and nearly as many as
// there is room for.
func TestKnownMakesRoom(t *testing.T) {
	if raced {
		t.Skip("does one thing at a time, often")
	}
	l, home := open(t, lockout.Config{}), addr("192.0.2.1")
	const n = 300_000
	for _, made := range []func(i int) auth.Credential{
		func(i int) auth.Credential { return auth.Credential{Token: strconv.Itoa(i)} },
		func(i int) auth.Credential { return auth.Credential{Username: strconv.Itoa(i), Password: "x"} },
	} {
		for i := range n {
			l.Remember(home, made(i))
			if !l.Known(home, made(i)) {
				t.Fatal("the newest is not known")
			}
		}
		known := 0
		for i := range n {
			if l.Known(home, made(i)) {
				known++
			}
		}
		if known < 60_000 || known > 65_536 {
			t.Errorf("%d are known, want about 65,536", known)
		}
	}
}
