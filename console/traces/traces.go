// Package traces puts spans together.
//
//	refs, evicted := st.Of(store.Traces, id)
//	t := traces.New(refs, evicted)
//	fmt.Println(t.Root().Name, t.Duration(), t.Partial())
//
// Spans are what others sent: a parent may be missing, or be its own child, and
// clocks differ between machines. Every span is in the result all the same.
package traces

import (
	"cmp"
	"slices"

	"github.com/aguada-dev/aguada/console/store"
)

// Trace is a trace as far as it is known.
type Trace struct {
	// Spans are in order of their start; a parent comes before its children.
	Spans []Span
	// Start and End are those of all spans, in nanoseconds since 1970.
	Start, End int64
	// Evicted is how many spans gave way, Orphans how many have a parent that
	// is not here.
	Evicted, Orphans int
}

// Span is a span of a trace.
type Span struct {
	store.Span
	Ref   store.Ref
	Above int // index of its parent; -1 if that is not here
	Depth int
}

// New returns the trace of the given spans. A span that was sent twice is in it
// once.
func New(refs []store.Ref, evicted int) *Trace {
	t := &Trace{Evicted: evicted}
	seen := make(map[store.SpanID]bool, len(refs))
	for _, r := range refs {
		v := r.Span()
		if seen[v.ID] {
			continue
		}
		seen[v.ID] = true
		t.Spans = append(t.Spans, Span{Ref: r, Span: v, Above: -1})
	}
	slices.SortStableFunc(t.Spans, func(a, b Span) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(b.End, a.End))
	})
	t.order(seen)
	for i := range t.Spans {
		s := &t.Spans[i]
		if i == 0 || s.Start < t.Start {
			t.Start = s.Start
		}
		t.End = max(t.End, s.End)
	}
	return t
}

// order puts parents before their children, each with its children behind it.
func (t *Trace) order(there map[store.SpanID]bool) {
	children := make(map[store.SpanID][]int)
	var roots []int
	for i := range t.Spans {
		s := &t.Spans[i]
		switch {
		case s.Parent == store.SpanID{}:
			roots = append(roots, i)
		case !there[s.Parent] || s.Parent == s.ID:
			t.Orphans++
			roots = append(roots, i)
		default:
			children[s.Parent] = append(children[s.Parent], i)
		}
	}
	sorted := make([]Span, 0, len(t.Spans))
	done := make([]bool, len(t.Spans))
	type visit struct{ span, parent, depth int }
	walk := func(from []int) {
		var todo []visit
		for _, i := range slices.Backward(from) {
			todo = append(todo, visit{i, -1, 0})
		}
		for len(todo) > 0 {
			v := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			if done[v.span] {
				continue
			}
			done[v.span] = true
			s := t.Spans[v.span]
			s.Above, s.Depth = v.parent, v.depth
			sorted = append(sorted, s)
			at := len(sorted) - 1
			for _, i := range slices.Backward(children[s.ID]) {
				todo = append(todo, visit{i, at, v.depth + 1})
			}
		}
	}
	walk(roots)
	for i := range t.Spans { // spans that are each other's ancestors have no root
		if !done[i] {
			t.Orphans++
			walk([]int{i})
		}
	}
	t.Spans = sorted
}

// Root returns the span that stands for the trace: the longest of those that
// have no parent here.
func (t *Trace) Root() *Span {
	var root *Span
	for i := range t.Spans {
		s := &t.Spans[i]
		if s.Above >= 0 {
			continue
		}
		alone := s.Parent == store.SpanID{}
		if root == nil || alone && root.Parent != (store.SpanID{}) ||
			alone == (root.Parent == store.SpanID{}) && s.End-s.Start > root.End-root.Start {
			root = s
		}
	}
	return root
}

// Duration is from the first start to the last end, in nanoseconds.
func (t *Trace) Duration() int64 { return max(t.End-t.Start, 0) }

// Partial reports whether something of the trace is known to be missing.
func (t *Trace) Partial() bool { return t.Evicted > 0 || t.Orphans > 0 }

// Part is a time in which a trace waited for one of its spans itself.
type Part struct {
	Span       int
	Start, End int64
}

// CriticalPath returns what the trace waited for: the parts of its spans such
// that each, had it been shorter, would have ended the root earlier. From the
// end of a span backwards, that is the child that ended last, and so on; between
// children it is the span itself. What children do after their parent has ended
// is not on it.
func (t *Trace) CriticalPath() []Part {
	root := t.Root()
	if root == nil {
		return nil
	}
	children := make([][]int, len(t.Spans))
	first := 0
	for i := range t.Spans {
		if &t.Spans[i] == root {
			first = i
		}
		if p := t.Spans[i].Above; p >= 0 {
			children[p] = append(children[p], i)
		}
	}
	for _, c := range children {
		slices.SortFunc(c, func(a, b int) int { return cmp.Compare(t.Spans[b].End, t.Spans[a].End) })
	}
	var path []Part
	// A part waits for its turn: until is where it ends, the next child to look
	// at is at.
	type frame struct {
		span, at          int
		start, end, until int64
	}
	stack := []frame{{first, 0, root.Start, root.End, root.End}}
	for len(stack) > 0 {
		f := &stack[len(stack)-1]
		if f.until <= f.start || f.at == len(children[f.span]) {
			if f.until > f.start {
				path = append(path, Part{f.span, f.start, f.until})
			}
			stack = stack[:len(stack)-1]
			continue
		}
		i := children[f.span][f.at]
		f.at++
		c := &t.Spans[i]
		start, end := max(c.Start, f.start), min(c.End, f.until)
		if start >= end || c.End > f.until && f.until < f.end { // what came next did not wait for it
			continue
		}
		if f.until > end {
			path = append(path, Part{f.span, end, f.until})
		}
		f.until = start
		stack = append(stack, frame{i, 0, start, end, end})
	}
	slices.Reverse(path)
	return path
}
