package route

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Tree finds routes by path. A node is one segment; literal segments are tried
// before parameters, parameters before a wildcard, with backtracking. A lookup
// takes a step per segment of the path, unless routes differ only behind a
// segment that fits both a text and a parameter; it sees no node twice. The zero
// value has no routes. Once nothing is added any more, it is safe for concurrent
// use.
type Tree[T any] struct{ root node[T] }

type node[T any] struct {
	static   []edge[T]           // literal segments
	index    map[string]*node[T] // the same, once they are many
	params   []param[T]          // longest suffix first, the bare parameter last
	wildcard []*Route[T]         // {*name}, one per verb
	routes   []*Route[T]         // routes that end here, one per verb
}

type edge[T any] struct {
	segment string
	n       *node[T]
}

// param is {name} with the literal text that follows it in its segment.
type param[T any] struct {
	suffix string
	n      *node[T]
}

// manyEdges is the number of literal segments from which a map is faster.
const manyEdges = 8

// Add inserts the route. It fails on a bad verb or pattern, and on a route that is
// there already; parameters may be named differently at the same place.
func (t *Tree[T]) Add(r *Route[T]) error {
	if r.Verb == "" || strings.ContainsAny(r.Verb, " /") {
		return fmt.Errorf("route %q: bad verb", r.Name)
	}
	segments, err := parsePattern(r.Pattern)
	if err != nil {
		return err
	}
	n := &t.root
	for _, s := range segments {
		if s.param != "" {
			r.Params = append(r.Params, s.param)
		}
		if s.wildcard {
			return insert(&n.wildcard, r)
		}
		if s.param != "" {
			n = n.param(s.literal)
		} else {
			n = n.literal(s.literal)
		}
	}
	return insert(&n.routes, r)
}

func insert[T any](routes *[]*Route[T], r *Route[T]) error {
	if other := byVerb(*routes, r.Verb); other != nil {
		return fmt.Errorf("route %q is mounted twice (as %q)", r.Name, other.Name)
	}
	*routes = append(*routes, r)
	return nil
}

func (n *node[T]) literal(segment string) *node[T] {
	if child := n.child(segment); child != nil {
		return child
	}
	child := &node[T]{}
	n.static = append(n.static, edge[T]{segment, child})
	if len(n.static) > manyEdges {
		if n.index == nil {
			n.index = make(map[string]*node[T], 2*manyEdges)
		}
		for _, e := range n.static {
			n.index[e.segment] = e.n
		}
	}
	return child
}

func (n *node[T]) param(suffix string) *node[T] {
	for _, p := range n.params {
		if p.suffix == suffix {
			return p.n
		}
	}
	child := &node[T]{}
	n.params = append(n.params, param[T]{suffix, child})
	slices.SortStableFunc(n.params, func(a, b param[T]) int { return len(b.suffix) - len(a.suffix) })
	return child
}

func (n *node[T]) child(segment string) *node[T] {
	if n.index != nil {
		return n.index[segment]
	}
	for i := range n.static {
		if n.static[i].segment == segment {
			return n.static[i].n
		}
	}
	return nil
}

func byVerb[T any](routes []*Route[T], verb string) *Route[T] {
	for _, r := range routes {
		if r.Verb == verb {
			return r
		}
	}
	return nil
}

// Find returns the route for m.Verb and the path of u, or nil; then [Match.Allow]
// says which verbs the path has. Where the path is there as it was sent, it is
// that one: an escaped slash does not separate segments.
func (t *Tree[T]) Find(m *Match, u *url.URL) *Route[T] {
	path := u.Path
	if u.RawPath != "" {
		path, m.escaped = u.RawPath, true
	}
	if path == "" {
		path = "/" // as Goa's muxer does
	}
	if path[0] != '/' {
		return nil
	}
	return t.root.find(m, path[1:])
}

// Verbs returns the verbs of the path, in no order; a verb that several patterns
// have may be there as often.
func (t *Tree[T]) Verbs(u *url.URL) []string {
	all := Match{} // no route has the empty verb
	t.Find(&all, u)
	return all.allowed
}

// find matches the rest of a path, which begins with a segment.
func (n *node[T]) find(m *Match, rest string) *Route[T] {
	text, after, more := strings.Cut(rest, "/")
	if child := n.child(text); child != nil {
		if r := child.step(m, after, more); r != nil {
			return r
		}
	}
	for i := range n.params {
		value, ok := n.params[i].value(text, more)
		if !ok {
			continue
		}
		m.values.push(value)
		if r := n.params[i].n.step(m, after, more); r != nil {
			return r
		}
		m.values.n--
	}
	if len(n.wildcard) == 0 {
		return nil
	}
	r := pick(m, n.wildcard)
	if r != nil {
		m.values.push(rest)
	}
	return r
}

// step goes on below a segment that fits.
func (n *node[T]) step(m *Match, after string, more bool) *Route[T] {
	if more {
		return n.find(m, after)
	}
	return pick(m, n.routes)
}

// value returns what the parameter takes of a segment. A suffix begins where
// its first byte is first seen, and the last segment of a path is not a bare
// parameter when it is empty: both as in Goa's muxer.
func (p *param[T]) value(text string, more bool) (string, bool) {
	if p.suffix == "" {
		return text, text != "" || more
	}
	at := strings.IndexByte(text, p.suffix[0])
	if at < 0 || text[at:] != p.suffix {
		return "", false
	}
	return text[:at], true
}

// pick returns the route of the verb, or nil, and then keeps the verbs.
func pick[T any](m *Match, routes []*Route[T]) *Route[T] {
	if r := byVerb(routes, m.Verb); r != nil {
		return r
	}
	for _, r := range routes {
		m.allowed = append(m.allowed, r.Verb)
	}
	return nil
}
