package admin

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// Calls, refusals and profiles, however many, do not drive out the leases.
func TestManyDoNotDriveOutFew(t *testing.T) {
	r := NewRing(100)
	r.Add(Event{Action: "lease.opened", LeaseID: "l1"})
	r.Add(Event{Action: "profile", Detail: "heap"})
	for i := range 1000 {
		r.Add(Event{Action: "call", RequestID: fmt.Sprint(i)})
	}
	for i := range 1000 {
		r.Add(Event{Action: "admin.access", Detail: fmt.Sprint("GET /", i)})
	}
	r.Add(Event{Action: "lease.ended", LeaseID: "l1"})
	n := make(map[string]int)
	all := r.Events(0, 0)
	for i, e := range all {
		n[e.Action]++
		if i > 0 && all[i-1].Seq >= e.Seq {
			t.Errorf("out of order: %s", seqs(all))
		}
	}
	if n["lease.opened"] != 1 || n["lease.ended"] != 1 || n["profile"] != 1 || n["call"] < 48 || n["admin.access"] < 48 || len(all) != 100 {
		t.Errorf("%v", n)
	}
	if all[len(all)-2].Detail != "GET /999" || r.Total() != 2003 {
		t.Errorf("%+v, %d", all[len(all)-2], r.Total())
	}
}

// Strangers who are denied do not drive out what callers have done.
func TestDenialsDoNotDriveOutSuccesses(t *testing.T) {
	r := NewRing(100)
	for i := range 20 {
		r.Add(Event{Action: "call", Outcome: Success, User: "ann", RequestID: fmt.Sprint("a", i)})
	}
	for i := range 10000 {
		r.Add(Event{Action: "call", Outcome: Denied, RequestID: fmt.Sprint("d", i)})
	}
	n := 0
	for _, e := range r.Events(0, 0) {
		if e.User == "ann" {
			n++
		}
	}
	if n != 20 {
		t.Errorf("%d of 20", n)
	}
}

// What repeats itself is one event that counts, with the times of the first
// and the last, and is seen again by whoever asks for what is new.
func TestRepeatedEventsAreCounted(t *testing.T) {
	r := NewRing(8)
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	for i := range 300 { // what a collector of profiles does
		r.Add(Event{Time: at(i), Action: "profile", User: "token", Detail: []string{"heap", "allocs", "goroutine"}[i%3]})
	}
	all := r.Events(0, 0)
	if len(all) != 3 || r.Total() != 300 || seqs(all) != "298 299 300" {
		t.Fatalf("%+v", all)
	}
	if e := all[2]; e.Count != 100 || !e.First.Equal(at(2)) || !e.Time.Equal(at(299)) || e.Detail != "goroutine" {
		t.Errorf("%+v", e)
	}
	r.Add(Event{Time: at(300), Action: "profile", User: "token", Detail: "allocs"})
	if all := r.Events(300, 0); len(all) != 1 || all[0].Count != 101 || all[0].Seq != 301 {
		t.Errorf("%+v", all)
	}
	r.Add(Event{Action: "profile", User: "certificate ann", Detail: "allocs"})
	r.Add(Event{Action: "call", RequestID: "r1"})
	r.Add(Event{Action: "call", RequestID: "r1"})
	if all := r.Events(301, 0); len(all) != 3 || all[0].Count != 1 || !all[0].First.IsZero() {
		t.Errorf("what differs, or belongs to a request, was merged: %+v", all)
	}
}

// Whatever is added: the ring holds what it holds in order, linked both ways,
// and counts every event that it has not dropped once.
func TestRingHolds(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		r := NewRing(1 + random.IntN(20))
		actions := 1 + random.IntN(2*maxKinds)
		for range random.IntN(300) {
			e := Event{Action: fmt.Sprint("a", random.IntN(actions)), Detail: fmt.Sprint(random.IntN(3))}
			if random.IntN(2) == 0 {
				e.RequestID = "r"
			}
			r.Add(e)
			if all := r.Events(r.Total()-1, 0); len(all) != 1 || all[0].Detail != e.Detail {
				t.Fatalf("seed %d: the latest is missing", seed)
			}
			n := 0
			for i := range r.queues {
				q, last := &r.queues[i], uint64(0)
				for j, k := 0, q.oldest; j < q.n; j, k = j+1, r.slots[k].next {
					if s := r.slots[k]; s.Seq <= last || s.next >= 0 && r.slots[s.next].prev != k {
						t.Fatalf("seed %d: queue %d is broken", seed, i)
					}
					last = r.slots[k].Seq
				}
				n += q.n
			}
			if n != r.used || n != len(r.Events(0, 0)) || n > len(r.slots) {
				t.Fatalf("seed %d: %d linked, %d used, %d listed", seed, n, r.used, len(r.Events(0, 0)))
			}
		}
	}
}

// Everything about a lease is kept, however long its principal is.
func TestLeaseEventsAreWhole(t *testing.T) {
	g := newRig(t, nil)
	who, why := strings.Repeat("p", MaxText), strings.Repeat("r", MaxText)
	g.ring.Add(Event{
		Action: "lease.opened", Outcome: Success, Detail: why, LeaseID: "l1", LeaseKind: LevelLease, LeaseLevel: "debug",
		LeaseScheme: "jwt", LeasePrincipal: who, LeaseOpenedBy: "token 10.0.0.1", LeaseExpires: time.Unix(1e9, 0).UTC(),
	})
	for _, path := range []string{"/audit", "/audit?format=json", "/audit?format=ndjson"} {
		body := g.get(path).body
		for _, want := range []string{who, why, "l1", LevelLease, "debug", "jwt", "2001-09-09T01:46:40Z"} {
			if !strings.Contains(body, want) {
				t.Errorf("%s lacks %s:\n%s", path, want, body)
			}
		}
	}
}
