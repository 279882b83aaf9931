package traces_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/aguada-dev/aguada/console/store"
	"github.com/aguada-dev/aguada/console/traces"
)

// read returns the trace of spans written as "id<parent start-end", such as
// "b<a 2-5".
func read(t testing.TB, text string) *traces.Trace {
	t.Helper()
	st, err := store.Open(store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	b := &store.Batch{Sources: []store.Source{{}}}
	for _, line := range strings.Split(text, ",") {
		var name string
		v := store.Span{Trace: store.TraceID{1}}
		if _, err := fmt.Sscanf(strings.ReplaceAll(line, "-", " "), "%s %d %d", &name, &v.Start, &v.End); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		id, parent, _ := strings.Cut(name, "<")
		copy(v.ID[:], id)
		copy(v.Parent[:], parent)
		v.Name = []byte(id)
		b.Spans = append(b.Spans, v)
	}
	st.Add(b)
	refs, evicted := st.Of(store.Traces, store.TraceID{1})
	return traces.New(refs, evicted)
}

func TestTraces(t *testing.T) {
	for _, test := range []struct {
		name, spans    string
		order, path    string
		root           string
		orphans, lasts int
	}{
		{"one span", "a 1-5", "a", "a1-5", "a", 0, 4},
		{"one after the other", "b<a 2-4,a 1-9,c<a 5-8", "a b c", "a1-2 b2-4 a4-5 c5-8 a8-9", "a", 0, 8},
		{"beside each other: the one that ends last", "a 0-10,b<a 1-9,c<a 2-5", "a b c", "a0-1 b1-9 a9-10", "a", 0, 10},
		{"below each other", "a 0-10,b<a 1-9,c<b 2-8", "a b c", "a0-1 b1-2 c2-8 b8-9 a9-10", "a", 0, 10},
		{"a child that outlives its parent", "a 0-5,b<a 1-9", "a b", "a0-1 b1-5", "a", 0, 9},
		{"a child from before its parent", "a 3-5,b<a 1-4", "a b", "b3-4 a4-5", "a", 0, 4},
		{"a parent that never came", "b<a 2-4,c<b 3-4", "b c", "b2-3 c3-4", "b", 1, 2},
		{"its own child", "a<a 1-5", "a", "a1-5", "a", 1, 4},
		{"each other's children", "a<b 1-5,b<a 2-4", "a b", "a1-2 b2-4 a4-5", "a", 1, 4},
		{"sent twice", "a 1-5,a 1-5", "a", "a1-5", "a", 0, 4},
		{"overlapping: the first did not wait for the second", "a 0-10,b<a 0-8,c<a 5-10", "a b c", "a0-5 c5-10", "a", 0, 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := read(t, test.spans)
			var order, path []string
			for _, s := range v.Spans {
				order = append(order, string(s.Name))
			}
			for _, p := range v.CriticalPath() {
				path = append(path, fmt.Sprintf("%s%d-%d", v.Spans[p.Span].Name, p.Start, p.End))
			}
			if got := strings.Join(order, " "); got != test.order {
				t.Errorf("spans are %s, want %s", got, test.order)
			}
			if got := strings.Join(path, " "); got != test.path {
				t.Errorf("the critical path is %s, want %s", got, test.path)
			}
			if got := string(v.Root().Name); got != test.root || v.Orphans != test.orphans || v.Duration() != int64(test.lasts) {
				t.Errorf("root %s, %d orphans, lasts %d; want %s, %d, %d", got, v.Orphans, v.Duration(), test.root, test.orphans, test.lasts)
			}
			if v.Partial() != (test.orphans > 0) {
				t.Errorf("partial: %v", v.Partial())
			}
		})
	}
}

// Whatever spans there are: each is there once, a parent comes before its
// children, and the critical path fills the root from its start to its end.
func TestAnySpans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "spans")
		st, err := store.Open(store.Config{})
		if err != nil {
			t.Fatal(err)
		}
		b := &store.Batch{Sources: []store.Source{{}}}
		for i := range n {
			v := store.Span{Trace: store.TraceID{1}, ID: store.SpanID{byte(i + 1)}, Parent: store.SpanID{byte(rapid.IntRange(0, n+1).Draw(t, "parent"))}}
			v.Start = int64(rapid.IntRange(0, 20).Draw(t, "start"))
			v.End = v.Start + int64(rapid.IntRange(0, 10).Draw(t, "length"))
			b.Spans = append(b.Spans, v)
		}
		st.Add(b)
		refs, _ := st.Of(store.Traces, store.TraceID{1})
		v := traces.New(refs, 0)
		if len(v.Spans) != n {
			t.Fatalf("%d of %d spans are there", len(v.Spans), n)
		}
		for i, s := range v.Spans {
			if s.Above >= i || s.Above >= 0 && (v.Spans[s.Above].ID != s.Parent || s.Depth != v.Spans[s.Above].Depth+1) {
				t.Fatalf("span %d is below %d", i, s.Above)
			}
		}
		at := v.Root().Start
		for _, p := range v.CriticalPath() {
			if p.Start != at || p.End <= p.Start {
				t.Fatalf("a part from %d to %d follows %d", p.Start, p.End, at)
			}
			at = p.End
		}
		if at != v.Root().End {
			t.Fatalf("the path ends at %d, the root at %d", at, v.Root().End)
		}
	})
}
