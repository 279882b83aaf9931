// Package idempotencytest is the suite that every store of idempotency keys
// passes.
//
//	func TestStore(t *testing.T) {
//		idempotencytest.Run(t, func(t *testing.T) idempotencytest.Harness {
//			m, err := idempotency.NewMemory(idempotency.MemoryConfig{})
//			...
//			return idempotencytest.Harness{Replica: func() idempotency.Store { return m }, Advance: time.Sleep}
//		})
//	}
package idempotencytest

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/idempotency"
)

// Harness is a store that knows no key.
type Harness struct {
	// Replica returns the store, as one more process would have it.
	Replica func() idempotency.Store
	// Advance lets so much time pass by the store's clock, or a little more.
	Advance func(time.Duration)
}

// Run tests a store. Each test has one of its own, which open makes and cleans up
// with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Harness)
	}{
		{"gives the reply that was stored", stored},
		{"claims once", once},
		{"tells requests apart", mismatch},
		{"keeps records apart", apart},
		{"gives a key back", release},
		{"refuses what is another's", fencing},
		{"takes over when the lease has ended", takeover},
		{"lets a late owner finish that nobody replaced", late},
		{"extends a lease", extend},
		{"forgets after the time to keep", expiry},
		{"keeps from the end, not from the beginning", keeps},
		{"bears repetition by the owner", again},
		{"is atomic for replicas", atomically},
		{"runs a method once", exactly},
		{"lets a call wait", wait},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// Times that are short enough to pass in a test and long enough for a machine
// that does many things at once.
const (
	short = 500 * time.Millisecond
	long  = time.Hour
)

// ticket is a claim to a record by a new owner.
func ticket(record string, lease, keep time.Duration) idempotency.Ticket {
	t := idempotency.Ticket{Lease: lease, Keep: keep}
	copy(t.ID[:], record)
	copy(t.Fingerprint[:], "request")
	rand.Read(t.Owner[:])
	return t
}

// another is the same claim by another owner.
func another(t idempotency.Ticket) idempotency.Ticket {
	rand.Read(t.Owner[:])
	return t
}

func claim(t *testing.T, s idempotency.Store, k idempotency.Ticket, want idempotency.Status, reply string) {
	t.Helper()
	st, err := s.Claim(t.Context(), k)
	if err != nil {
		t.Fatalf("claim: %v", err)
	}
	if st.Status != want || string(st.Reply) != reply {
		t.Fatalf("claim: status %d with a reply of %d bytes, want %d with %d", st.Status, len(st.Reply), want, len(reply))
	}
}

func finish(t *testing.T, s idempotency.Store, k idempotency.Ticket, reply string) {
	t.Helper()
	if err := s.Finish(t.Context(), k, []byte(reply)); err != nil {
		t.Fatalf("finish: %v", err)
	}
}

func giveBack(t *testing.T, s idempotency.Store, k idempotency.Ticket) {
	t.Helper()
	if err := s.Finish(t.Context(), k, nil); err != nil {
		t.Fatalf("release: %v", err)
	}
}

func superseded(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, idempotency.ErrSuperseded) {
		t.Fatalf("%s: got %v, want ErrSuperseded", what, err)
	}
}

func stored(t *testing.T, h Harness) {
	s, other := h.Replica(), h.Replica()
	big := make([]byte, 1<<20+100)
	rand.Read(big)
	for name, reply := range map[string]string{
		"one byte": "\x00", "text": "hello", "binary": "\x00\xff\r\n'\"\\\x1a$1?", "big": string(big), "all bytes": string(allBytes()),
	} {
		k := ticket(name, long, long)
		claim(t, s, k, idempotency.Claimed, "")
		finish(t, s, k, reply)
		for range 3 {
			claim(t, other, another(k), idempotency.Done, reply)
		}
		claim(t, s, k, idempotency.Done, reply)
	}
	// What a store gave is the caller's.
	k := ticket("own", long, long)
	claim(t, s, k, idempotency.Claimed, "")
	reply := []byte("reply")
	if err := s.Finish(t.Context(), k, reply); err != nil {
		t.Fatal(err)
	}
	clear(reply)
	st, err := s.Claim(t.Context(), another(k))
	if err != nil || !bytes.Equal(st.Reply, []byte("reply")) {
		t.Fatalf("the reply changed with the caller's: %q, %v", st.Reply, err)
	}
	clear(st.Reply)
	claim(t, s, another(k), idempotency.Done, "reply")
}

func allBytes() []byte {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

func once(t *testing.T, h Harness) {
	s, other := h.Replica(), h.Replica()
	k := ticket("k", long, long)
	claim(t, s, k, idempotency.Claimed, "")
	for range 3 {
		claim(t, other, another(k), idempotency.Running, "")
		claim(t, s, another(k), idempotency.Running, "")
	}
	finish(t, s, k, "reply")
	claim(t, other, another(k), idempotency.Done, "reply")
}

func mismatch(t *testing.T, h Harness) {
	s := h.Replica()
	k := ticket("k", long, long)
	foreign := another(k)
	foreign.Fingerprint[31]++
	claim(t, s, k, idempotency.Claimed, "")
	claim(t, s, foreign, idempotency.Mismatch, "")
	finish(t, s, k, "reply")
	claim(t, s, foreign, idempotency.Mismatch, "")
	claim(t, s, another(k), idempotency.Done, "reply")
	// Also where the first request's process died.
	dead := ticket("dead", 30*time.Millisecond, long)
	foreign = another(dead)
	foreign.Fingerprint[0]++
	claim(t, s, dead, idempotency.Claimed, "")
	h.Advance(40 * time.Millisecond)
	claim(t, s, foreign, idempotency.Mismatch, "")
}

func apart(t *testing.T, h Harness) {
	s := h.Replica()
	var all []idempotency.Ticket
	for i := range 64 {
		k := ticket("", long, long)
		k.ID[i/2] = byte(1 + 127*(i%2))
		all = append(all, k)
		claim(t, s, k, idempotency.Claimed, "")
	}
	for i, k := range all {
		finish(t, s, k, string(rune('A'+i)))
	}
	for i, k := range all {
		claim(t, s, another(k), idempotency.Done, string(rune('A'+i)))
	}
}

func release(t *testing.T, h Harness) {
	s, other := h.Replica(), h.Replica()
	k := ticket("k", long, long)
	claim(t, s, k, idempotency.Claimed, "")
	giveBack(t, s, k)
	giveBack(t, s, k) // nothing is left
	superseded(t, "extend what was given back", s.Extend(t.Context(), k))
	superseded(t, "finish what was given back", s.Finish(t.Context(), k, []byte("reply")))
	// The next request may be another one: a corrected one.
	next := another(k)
	next.Fingerprint[0]++
	claim(t, other, next, idempotency.Claimed, "")
	finish(t, other, next, "reply")
	giveBack(t, other, next) // what is done stays
	claim(t, s, another(next), idempotency.Done, "reply")
}

func fencing(t *testing.T, h Harness) {
	s := h.Replica()
	k := ticket("k", long, long)
	claim(t, s, k, idempotency.Claimed, "")
	stranger := another(k)
	superseded(t, "finish another's", s.Finish(t.Context(), stranger, []byte("forged")))
	superseded(t, "extend another's", s.Extend(t.Context(), stranger))
	giveBack(t, s, stranger)
	claim(t, s, another(k), idempotency.Running, "")
	finish(t, s, k, "reply")
	superseded(t, "finish what another has done", s.Finish(t.Context(), stranger, []byte("forged")))
	superseded(t, "extend what is done", s.Extend(t.Context(), k))
	giveBack(t, s, stranger)
	claim(t, s, another(k), idempotency.Done, "reply")
	none := ticket("none", long, long)
	superseded(t, "finish what was never claimed", s.Finish(t.Context(), none, []byte("forged")))
	superseded(t, "extend what was never claimed", s.Extend(t.Context(), none))
	claim(t, s, none, idempotency.Claimed, "")
}

// takeover: a process died, or seemed to.
func takeover(t *testing.T, h Harness) {
	s, other := h.Replica(), h.Replica()
	dead := ticket("k", short, long)
	claim(t, s, dead, idempotency.Claimed, "")
	h.Advance(short)
	heir, third := another(dead), another(dead)
	heir.Lease = long
	claim(t, other, heir, idempotency.Claimed, "")
	claim(t, other, third, idempotency.Running, "")
	superseded(t, "finish after a takeover", s.Finish(t.Context(), dead, []byte("stale")))
	superseded(t, "extend after a takeover", s.Extend(t.Context(), dead))
	giveBack(t, s, dead)
	claim(t, s, dead, idempotency.Running, "") // it is a stranger now
	finish(t, other, heir, "reply")
	superseded(t, "finish after the heir", s.Finish(t.Context(), dead, []byte("stale")))
	claim(t, s, third, idempotency.Done, "reply")
}

func late(t *testing.T, h Harness) {
	s := h.Replica()
	k := ticket("k", 30*time.Millisecond, long)
	claim(t, s, k, idempotency.Claimed, "")
	h.Advance(40 * time.Millisecond)
	finish(t, s, k, "reply")
	h.Advance(40 * time.Millisecond)
	claim(t, s, another(k), idempotency.Done, "reply") // a reply has no lease
}

func extend(t *testing.T, h Harness) {
	s, other := h.Replica(), h.Replica()
	k := ticket("k", short, long)
	claim(t, s, k, idempotency.Claimed, "")
	longer := k
	longer.Lease = long
	if err := s.Extend(t.Context(), longer); err != nil {
		t.Fatal(err)
	}
	h.Advance(short)
	claim(t, other, another(k), idempotency.Running, "")
	finish(t, s, k, "reply")
}

func expiry(t *testing.T, h Harness) {
	s := h.Replica()
	k := ticket("k", short, short)
	claim(t, s, k, idempotency.Claimed, "")
	finish(t, s, k, "reply")
	h.Advance(short)
	next := another(k)
	next.Fingerprint[0]++
	next.Lease, next.Keep = long, long
	claim(t, s, next, idempotency.Claimed, "")
	superseded(t, "finish after expiry", s.Finish(t.Context(), k, []byte("stale")))
	finish(t, s, next, "new")
	if w, ok := s.(idempotency.Sweeper); ok {
		gone := ticket("gone", short, short)
		claim(t, s, gone, idempotency.Claimed, "")
		finish(t, s, gone, "reply")
		h.Advance(short)
		for more := true; more; {
			var err error
			if more, err = w.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		claim(t, s, gone, idempotency.Claimed, "")
	}
	claim(t, s, another(next), idempotency.Done, "new") // was not swept
}

func keeps(t *testing.T, h Harness) {
	s := h.Replica()
	k := ticket("k", short, short)
	claim(t, s, k, idempotency.Claimed, "")
	h.Advance(short + short/4) // running for longer than it will be kept
	finish(t, s, k, "reply")
	h.Advance(short / 4)
	claim(t, s, another(k), idempotency.Done, "reply")
}

func again(t *testing.T, h Harness) {
	s := h.Replica()
	k := ticket("k", long, long)
	for range 3 { // an answer was lost on its way
		claim(t, s, k, idempotency.Claimed, "")
	}
	for range 3 {
		finish(t, s, k, "reply")
	}
	claim(t, s, k, idempotency.Done, "reply")
}
