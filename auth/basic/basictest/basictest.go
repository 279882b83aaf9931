// Package basictest says whether something is a good [basic.Store].
//
//	func TestStore(t *testing.T) {
//		basictest.Run(t, func(t *testing.T) basictest.Harness {
//			s := openStore(t)
//			return basictest.Harness{Store: s, Put: s.put, Remove: s.remove}
//		})
//	}
package basictest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/basic"
)

// Harness is an empty store and how to change it from outside.
type Harness struct {
	Store basic.Store
	// Put adds a user or replaces the hash of one. The store must know once
	// it has returned.
	Put func(name, hash string) error
	// Remove removes a user likewise.
	Remove func(name string) error
}

// Two hashes of the password "correct horse", by argon2id and bcrypt.
const (
	argon2id = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$k9ohroejZy1PN5E1SbHNPug6vB8eQAahb5SOAp6iGF4"
	bcrypt   = "$2a$10$VZRsCIa1KMbERpFjgpJF0ObOl4xfUD1teS1gZRczR.QnbKdzpdYr2"
)

const correct = "correct horse"

// Run runs the suite; open returns a new harness for each test.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	t.Run("Lookup", func(t *testing.T) { testLookup(t, open(t)) })
	t.Run("Names", func(t *testing.T) { testNames(t, open(t)) })
	t.Run("Ended", func(t *testing.T) { testEnded(t, open(t)) })
	t.Run("Verify", func(t *testing.T) { testVerify(t, open(t)) })
	t.Run("Upgrade", func(t *testing.T) { testUpgrade(t, open(t)) })
	t.Run("Concurrently", func(t *testing.T) { testConcurrently(t, open(t)) })
}

// expect looks a user up; an empty hash stands for none.
func expect(t *testing.T, s basic.Store, name, want string) {
	t.Helper()
	hash, ok, err := s.Lookup(t.Context(), name)
	if err != nil || ok != (want != "") || hash != want {
		t.Errorf("%q: got a hash of %d bytes, %v, %v, want %d bytes", name, len(hash), ok, err, len(want))
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// What was put is found, what was removed is not, and neither is an error.
func testLookup(t *testing.T, h Harness) {
	expect(t, h.Store, "ann", "")
	check(t, h.Put("ann", argon2id))
	check(t, h.Put("bob", bcrypt))
	expect(t, h.Store, "ann", argon2id)
	expect(t, h.Store, "bob", bcrypt)
	check(t, h.Put("ann", bcrypt))
	expect(t, h.Store, "ann", bcrypt)
	check(t, h.Remove("ann"))
	expect(t, h.Store, "ann", "")
	expect(t, h.Store, "bob", bcrypt)
}

// Names are compared byte by byte, and never as a pattern or a statement.
func testNames(t *testing.T, h Harness) {
	const composed, decomposed = "\u00e9", "e\u0301"
	check(t, h.Put("ann", argon2id))
	check(t, h.Put("o'brien", bcrypt))
	check(t, h.Put(composed, argon2id))
	expect(t, h.Store, "o'brien", bcrypt)
	expect(t, h.Store, composed, argon2id)
	for _, name := range []string{
		"Ann", "ANN", "an", "annn", "ann ", " ann", "a%", "%", "_nn", "*", "ann'--", "' OR '1'='1", "o''brien", "\u0430nn", decomposed, "e",
	} {
		expect(t, h.Store, name, "")
	}
}

// A call that has ended may fail, but never says that a user is not there.
func testEnded(t *testing.T, h Harness) {
	check(t, h.Put("ann", argon2id))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, ok, err := h.Store.Lookup(ctx, "ann"); !ok && err == nil {
		t.Error("a user is unknown because the call has ended")
	}
}

// The store serves a verifier.
func testVerify(t *testing.T, h Harness) {
	check(t, h.Put("ann", argon2id))
	u, err := basic.New(h.Store, basic.Config{})
	check(t, err)
	for range 2 {
		p, err := u.Verify(t.Context(), auth.Credential{Username: "ann", Password: correct})
		if err != nil || p.Subject != "ann" {
			t.Errorf("got %v, %v", p, err)
		}
	}
	for _, name := range []string{"ann", "eve"} {
		if p, err := u.Verify(t.Context(), auth.Credential{Username: name, Password: "wrong"}); err == nil {
			t.Errorf("%s: got %v", name, p)
		}
	}
}

// Where hashes can be replaced, only the one that was meant is.
func testUpgrade(t *testing.T, h Harness) {
	s, ok := h.Store.(basic.Upgrader)
	if !ok {
		t.Skip("no basic.Upgrader")
	}
	eventually := func(name, want string) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
			if hash, _, err := h.Store.Lookup(t.Context(), name); err == nil && hash == want {
				break
			}
		}
		expect(t, h.Store, name, want)
	}
	check(t, h.Put("ann", bcrypt))
	check(t, h.Put("bob", bcrypt))
	check(t, s.Upgrade(t.Context(), "ann", bcrypt, argon2id))
	eventually("ann", argon2id)
	expect(t, h.Store, "bob", bcrypt)
	check(t, s.Upgrade(t.Context(), "ann", bcrypt, argon2id+"A")) // it is no longer the old one
	check(t, s.Upgrade(t.Context(), "eve", bcrypt, argon2id))     // there is no such user
	check(t, s.Upgrade(t.Context(), "bob", bcrypt, argon2id))
	eventually("bob", argon2id)
	expect(t, h.Store, "ann", argon2id)
	expect(t, h.Store, "eve", "")
}

// Calls at once do not disturb each other.
func testConcurrently(t *testing.T, h Harness) {
	hash := func(i int) string { return strings.Replace(argon2id, "$c29t", fmt.Sprintf("$%d29t", i), 1) }
	for i := range 4 {
		check(t, h.Put(fmt.Sprintf("user%d", i), hash(i)))
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 50 {
				expect(t, h.Store, fmt.Sprintf("user%d", i%4), hash(i%4))
			}
		})
	}
	wg.Wait()
}
