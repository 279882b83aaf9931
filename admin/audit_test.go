package admin

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

func seqs(events []Event) string {
	var all []string
	for _, e := range events {
		all = append(all, fmt.Sprint(e.Seq))
	}
	return strings.Join(all, " ")
}

func TestRing(t *testing.T) {
	r := NewRing(3)
	if got := r.Events(0, 0); len(got) != 0 || r.Total() != 0 {
		t.Errorf("empty: %v", got)
	}
	for i := range 5 {
		r.Add(Event{Action: "call", Detail: fmt.Sprint(i + 1)})
	}
	for _, c := range []struct {
		after uint64
		limit int
		want  string
	}{
		{0, 0, "3 4 5"}, {0, 2, "4 5"}, {3, 0, "4 5"}, {4, 0, "5"}, {5, 0, ""}, {99, 0, ""}, {1, 1, "5"}, {0, 100, "3 4 5"}, {1<<64 - 1, 0, ""},
	} {
		if got := seqs(r.Events(c.after, c.limit)); got != c.want {
			t.Errorf("after %d, limit %d: %s, want %s", c.after, c.limit, got, c.want)
		}
	}
	for _, e := range r.Events(0, 0) {
		if e.Detail != fmt.Sprint(e.Seq) || e.Time.IsZero() {
			t.Errorf("%+v", e)
		}
	}
	r.Add(Event{User: strings.Repeat("ü", 1000)})
	if u := r.Events(5, 0)[0].User; len(u) > MaxText || !utf8.ValidString(u) {
		t.Errorf("%d bytes", len(u))
	}
	if len(NewRing(0).slots) != DefaultEvents {
		t.Error("no default")
	}
}

func TestRingConcurrently(t *testing.T) {
	r := NewRing(100)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				r.Add(Event{Action: "call", RequestID: "r"})
				if n := len(r.Events(0, 10)); n == 0 || n > 10 {
					t.Error(n)
				}
			}
		})
	}
	wg.Wait()
	events := r.Events(0, 0)
	if r.Total() != 8000 || len(events) != 100 || events[99].Seq != 8000 || events[0].Seq != 7901 {
		t.Errorf("%d, %d events", r.Total(), len(events))
	}
}

// Adding does not allocate: an audited call pays for nothing but its line.
func TestRingAllocates(t *testing.T) {
	r := NewRing(10)
	e := Event{Action: "call", User: "ann", Service: "orders", Method: "create", Outcome: Success, Status: 201, RequestID: "r"}
	if n := testing.AllocsPerRun(100, func() { r.Add(e) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRing(b *testing.B) {
	r := NewRing(0)
	e := Event{Action: "call", User: "ann", Service: "orders", Method: "create", Outcome: Success, Status: 201, RequestID: "r"}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r.Add(e)
		}
	})
}

func TestAudit(t *testing.T) {
	g := newRig(t, nil)
	for range 3 {
		g.ring.Add(Event{Action: "call", User: "ann", Service: "orders", Method: "create", Outcome: Denied, Status: 403, RequestID: "r1"})
	}
	var all struct {
		Total  uint64
		Events []Event
	}
	g.get("/audit?format=json&after=1").into(t, &all)
	if all.Total != 3 || seqs(all.Events) != "2 3" || all.Events[0].User != "ann" {
		t.Errorf("%+v", all)
	}
	for query, want := range map[string]string{
		"action=call": "1 2 3", "outcome=success": "", "action=call&limit=1": "3", "action=lockout": "", "after=1&outcome=denied": "2 3",
	} {
		var some struct{ Events []Event }
		g.get("/audit?format=json&"+query).into(t, &some)
		if got := seqs(some.Events); got != want {
			t.Errorf("%s: events %s, want %s", query, got, want)
		}
	}
	a := g.get("/audit?limit=2", "Accept", "application/x-ndjson")
	lines := strings.Split(strings.TrimSpace(a.body), "\n")
	if len(lines) != 2 || a.header.Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("%s", a.body)
	}
	for _, l := range lines {
		var e Event
		if err := json.Unmarshal([]byte(l), &e); err != nil || e.Status != 403 || e.RequestID != "r1" {
			t.Errorf("%s: %v", l, err)
		}
	}
	text := strings.Split(g.get("/audit").body, "\n")
	if !strings.HasPrefix(text[1], "3") || !strings.Contains(text[1], "orders.create") {
		t.Errorf("%q", text)
	}
	for _, q := range []string{"after=x", "after=-1", "limit=0", "limit=x", "limit=-5", "after="} {
		if a := g.get("/audit?" + q); a.status != 400 {
			t.Errorf("%s: %d", q, a.status)
		}
	}
}

// The names in the log are those of the JSON form.
func TestEventNames(t *testing.T) {
	e := Event{
		Seq: 1, Action: "a", User: "b", Scheme: "c", Client: "d", Service: "e", Method: "f", Outcome: "g",
		Status: 1, ErrorType: "h", RequestID: "i", TraceID: "j", Detail: "k",
		LeaseID: "l", LeaseKind: "m", LeaseLevel: "n", LeaseScheme: "o", LeasePrincipal: "p", LeaseOpenedBy: "q",
		LeaseExpires: time.Unix(1, 0).UTC(),
	}
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	delete(m, "seq")
	delete(m, "time")
	delete(m, "count")
	for _, a := range e.LogValue().Group() {
		if a.Value.Kind() == slog.KindString && m[a.Key] != a.Value.String() {
			t.Errorf("%s is %v", a.Key, m[a.Key])
		}
		delete(m, a.Key)
	}
	if len(m) > 0 {
		t.Errorf("the log lacks %v", m)
	}
}
