package target

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/google/pprof/profile"
)

// Profile is a profile as a tree of calls.
type Profile struct {
	Kind     string
	Unit     string // nanoseconds, bytes or count
	Taken    time.Time
	Duration time.Duration
	Total    int64
	// Frames are in an order in which callers come before what they call; the
	// first is the root.
	Frames []Frame
	Top    []Function
}

// Frame is a function as it was called.
type Frame struct {
	Parent      int // index of the caller; -1 of the root
	Name, File  string
	Value, Self int64 // of it and what it called, and of it alone
}

// Function is a function, however it was called.
type Function struct {
	Name        string
	Self, Total int64
}

// Bounds of a profile.
const (
	maxFrames = 10_000
	maxTop    = 200
	maxDepth  = 512
	maxPlain  = 64 << 20 // bytes, not packed
)

// kinds are the profiles of Go: the name at the private port, and the values
// that are shown.
var kinds = map[string]struct{ path, value string }{
	"cpu":       {"profile", "cpu"},
	"heap":      {"heap", "inuse_space"},
	"allocs":    {"allocs", "alloc_space"},
	"goroutine": {"goroutine", "goroutine"},
	"block":     {"block", "delay"},
	"mutex":     {"mutex", "delay"},
}

// Profile takes a profile of a kind: cpu (for so many seconds), heap, allocs,
// goroutine, block or mutex.
func (v *Target) Profile(ctx context.Context, kind string, seconds int) (*Profile, error) {
	k, ok := kinds[kind]
	if !ok {
		return nil, fmt.Errorf("take profile: there is no kind %q", kind)
	}
	path := "/debug/pprof/" + k.path
	if kind == "cpu" {
		path += fmt.Sprintf("?seconds=%d", seconds)
	}
	b, status, err := v.do(ctx, "GET", path, "*/*", nil)
	if err != nil {
		return nil, err
	}
	if status != 200 {
		return nil, v.refused(status, b)
	}
	p, err := parse(b)
	if err != nil {
		return nil, &Error{Text: v.Admin + path + " answers something that is no profile"}
	}
	return fold(p, kind, k.value)
}

// parse reads a profile, packed or not, within bounds.
func parse(b []byte) (*profile.Profile, error) {
	if bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
		packed, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		if b, err = io.ReadAll(io.LimitReader(packed, maxPlain+1)); err != nil {
			return nil, err
		}
	}
	if len(b) > maxPlain {
		return nil, errors.New("read profile: it is too large")
	}
	p, err := profile.ParseUncompressed(b)
	if err != nil {
		return nil, err
	}
	return p, p.CheckValid()
}

// fold makes the tree of a profile.
func fold(p *profile.Profile, kind, value string) (*Profile, error) {
	at := slices.IndexFunc(p.SampleType, func(t *profile.ValueType) bool { return t.Type == value })
	if at < 0 {
		return nil, &Error{Text: "the profile has no values of type " + value}
	}
	out := &Profile{Kind: kind, Unit: p.SampleType[at].Unit, Taken: time.Unix(0, p.TimeNanos), Duration: time.Duration(p.DurationNanos)}
	t := &tree{nodes: []*node{{}}, by: make(map[child]*node)}
	totals := make(map[string]*Function)
	for _, s := range p.Sample {
		if v := s.Value[at]; v != 0 {
			t.add(s, v, totals)
		}
	}
	out.Total = t.nodes[0].value
	out.Frames = t.frames()
	for _, f := range totals {
		out.Top = append(out.Top, *f)
	}
	slices.SortFunc(out.Top, func(a, b Function) int {
		return cmp.Or(cmp.Compare(b.Self, a.Self), cmp.Compare(b.Total, a.Total), cmp.Compare(a.Name, b.Name))
	})
	out.Top = out.Top[:min(len(out.Top), maxTop)]
	return out, nil
}

// node is a frame that grows; the first one is the root.
type node struct {
	name, file  string
	value, self int64
	children    []*node
}

type child struct {
	parent *node
	name   string
}

// tree collects samples.
type tree struct {
	nodes []*node
	by    map[child]*node
}

// add adds a sample: its innermost function comes first, and what was inlined
// before what it was inlined into.
func (t *tree) add(s *profile.Sample, value int64, totals map[string]*Function) {
	at := t.nodes[0]
	at.value += value
	seen := make(map[string]bool) // a recursive function counts once
	var last *Function
	depth := 0
	for _, loc := range slices.Backward(s.Location) {
		for _, line := range slices.Backward(loc.Line) {
			name, file := fmt.Sprintf("0x%x", loc.Address), ""
			if line.Function != nil {
				name, file = line.Function.Name, fmt.Sprintf("%s:%d", line.Function.Filename, line.Line)
			}
			if last = totals[name]; last == nil {
				last = &Function{Name: name}
				totals[name] = last
			}
			if !seen[name] {
				seen[name] = true
				last.Total += value
			}
			if depth++; depth <= maxDepth {
				at = t.below(at, name, file)
				at.value += value
			}
		}
	}
	at.self += value
	if last != nil {
		last.Self += value
	}
}

func (t *tree) below(parent *node, name, file string) *node {
	n := t.by[child{parent, name}]
	if n == nil {
		n = &node{name: name, file: file}
		t.by[child{parent, name}] = n
		t.nodes = append(t.nodes, n)
		parent.children = append(parent.children, n)
	}
	return n
}

// frames lists the tree. Of too many, the smallest become part of their callers.
func (t *tree) frames() []Frame {
	least := int64(0)
	if len(t.nodes) > maxFrames {
		values := make([]int64, len(t.nodes))
		for i, n := range t.nodes {
			values[i] = size(n.value)
		}
		slices.Sort(values)
		least = values[len(values)-maxFrames] + 1
	}
	all := []Frame{{Parent: -1, Name: "all"}}
	type visit struct {
		*node
		at int
	}
	for todo := []visit{{t.nodes[0], 0}}; len(todo) > 0; {
		v := todo[0]
		todo = todo[1:]
		f := Frame{Parent: all[v.at].Parent, Name: all[v.at].Name, File: v.file, Value: v.value, Self: v.self}
		slices.SortFunc(v.children, func(a, b *node) int {
			return cmp.Or(cmp.Compare(size(b.value), size(a.value)), cmp.Compare(a.name, b.name))
		})
		for _, c := range v.children {
			if size(c.value) < least {
				f.Self += c.value
				continue
			}
			all = append(all, Frame{Parent: v.at, Name: c.name})
			todo = append(todo, visit{c, len(all) - 1})
		}
		all[v.at] = f
	}
	return all
}

// size is how large a value is; differences may be negative.
func size(v int64) int64 { return max(v, -v) }
