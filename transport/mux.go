package transport

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/aguada-dev/aguada/telemetry"
)

// tree finds routes by path. A node is one segment; literal segments are tried
// before parameters, parameters before a wildcard, with backtracking. A lookup
// takes a step per segment of the path, unless routes differ only behind a
// segment that fits both a text and a parameter; it sees no node twice.
type tree struct{ root node }

// route is one verb of one pattern.
type route struct {
	verb    string
	pattern string
	name    string   // "VERB /pattern", for http.Request.Pattern
	params  []string // names, in order
	m       *method
	f       http.HandlerFunc
	ask     *route // preflights about it; nil where it has no origins

	instruments *telemetry.MethodInstruments
}

type node struct {
	static   []edge           // literal segments
	index    map[string]*node // the same, once they are many
	params   []param          // longest suffix first, the bare parameter last
	wildcard []*route         // {*name}, one per verb
	routes   []*route         // routes that end here, one per verb
}

type edge struct {
	segment string
	n       *node
}

// param is {name} with the literal text that follows it in its segment.
type param struct {
	suffix string
	n      *node
}

// manyEdges is the number of literal segments from which a map is faster.
const manyEdges = 8

// segment is one part of a parsed pattern.
type segment struct {
	literal  string // the text, or the suffix of a parameter
	param    string // name, or ""
	wildcard bool
}

// parsePattern reads Goa's pattern language: {name} starts a segment, alone or
// before literal text; {*name} is the last segment.
func parsePattern(pattern string) ([]segment, error) {
	if !strings.HasPrefix(pattern, "/") {
		return nil, fmt.Errorf("pattern %q does not begin with a slash", pattern)
	}
	var segments []segment
	var names []string
	rest := pattern[1:]
	for more := true; more; {
		var text string
		text, rest, more = strings.Cut(rest, "/")
		s, err := parseSegment(text)
		if err == nil && s.wildcard && more {
			err = fmt.Errorf("wildcard %q is not the last segment", text)
		}
		if err == nil && s.param != "" && slices.Contains(names, s.param) {
			err = fmt.Errorf("parameter %q is there twice", s.param)
		}
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %w", pattern, err)
		}
		names = append(names, s.param)
		segments = append(segments, s)
	}
	return segments, nil
}

func parseSegment(text string) (segment, error) {
	if !strings.HasPrefix(text, "{") {
		if strings.ContainsAny(text, "{}*") {
			return segment{}, fmt.Errorf("segment %q: a parameter begins its segment", text)
		}
		return segment{literal: text}, nil
	}
	name, suffix, ok := strings.Cut(text[1:], "}")
	if !ok || strings.ContainsAny(suffix, "{}*") {
		return segment{}, fmt.Errorf("segment %q is not one parameter", text)
	}
	name, wildcard := strings.CutPrefix(name, "*")
	if wildcard && suffix != "" {
		return segment{}, fmt.Errorf("wildcard %q is followed by text", text)
	}
	if name == "" || strings.ContainsFunc(name, notWord) {
		return segment{}, fmt.Errorf("%q is not the name of a parameter", name)
	}
	return segment{literal: suffix, param: name, wildcard: wildcard}, nil
}

func notWord(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_'
}

// add inserts the route. It fails on a bad pattern and on a route that is
// there already; parameters may be named differently at the same place.
func (t *tree) add(r *route) error {
	if r.verb == "" || strings.ContainsAny(r.verb, " /") {
		return fmt.Errorf("route %q: bad verb", r.name)
	}
	segments, err := parsePattern(r.pattern)
	if err != nil {
		return err
	}
	n := &t.root
	for _, s := range segments {
		if s.param != "" {
			r.params = append(r.params, s.param)
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

func insert(routes *[]*route, r *route) error {
	if other := byVerb(*routes, r.verb); other != nil {
		return fmt.Errorf("route %q is mounted twice (as %q)", r.name, other.name)
	}
	*routes = append(*routes, r)
	return nil
}

func (n *node) literal(segment string) *node {
	if child := n.child(segment); child != nil {
		return child
	}
	child := &node{}
	n.static = append(n.static, edge{segment, child})
	if len(n.static) > manyEdges {
		if n.index == nil {
			n.index = make(map[string]*node, 2*manyEdges)
		}
		for _, e := range n.static {
			n.index[e.segment] = e.n
		}
	}
	return child
}

func (n *node) param(suffix string) *node {
	for _, p := range n.params {
		if p.suffix == suffix {
			return p.n
		}
	}
	child := &node{}
	n.params = append(n.params, param{suffix, child})
	slices.SortStableFunc(n.params, func(a, b param) int { return len(b.suffix) - len(a.suffix) })
	return child
}

func (n *node) child(segment string) *node {
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

func byVerb(routes []*route, verb string) *route {
	for _, r := range routes {
		if r.verb == verb {
			return r
		}
	}
	return nil
}

// match is a lookup under way. Its values are those of the route's parameters,
// in order.
type match struct {
	verb    string
	values  values
	allowed []string // verbs of the routes that fit but for the verb
}

// values are the parameters of a request, as they are in the path.
type values struct {
	n      int
	inline [4]string
	more   []string
}

func (v *values) push(s string) {
	if v.n < len(v.inline) {
		v.inline[v.n] = s
	} else {
		v.more = append(v.more[:v.n-len(v.inline)], s)
	}
	v.n++
}

func (v *values) at(i int) string {
	if i < len(v.inline) {
		return v.inline[i]
	}
	return v.more[i-len(v.inline)]
}

// find returns the route of the path, or nil; then m.allowed says which verbs
// the path has.
func (t *tree) find(m *match, path string) *route {
	if path == "" {
		path = "/" // as Goa's muxer does
	}
	if path[0] != '/' {
		return nil
	}
	return t.root.find(m, path[1:])
}

// find matches the rest of a path, which begins with a segment.
func (n *node) find(m *match, rest string) *route {
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
	r := m.pick(n.wildcard)
	if r != nil {
		m.values.push(rest)
	}
	return r
}

// step goes on below a segment that fits.
func (n *node) step(m *match, after string, more bool) *route {
	if more {
		return n.find(m, after)
	}
	return m.pick(n.routes)
}

// value returns what the parameter takes of a segment. A suffix begins where
// its first byte is first seen, and the last segment of a path is not a bare
// parameter when it is empty: both as in Goa's muxer.
func (p *param) value(text string, more bool) (string, bool) {
	if p.suffix == "" {
		return text, text != "" || more
	}
	at := strings.IndexByte(text, p.suffix[0])
	if at < 0 || text[at:] != p.suffix {
		return "", false
	}
	return text[:at], true
}

func (m *match) pick(routes []*route) *route {
	if r := byVerb(routes, m.verb); r != nil {
		return r
	}
	for _, r := range routes {
		m.allowed = append(m.allowed, r.verb)
	}
	return nil
}

// allow returns the value of an Allow header: sorted, each verb once.
func (m *match) allow() string {
	slices.Sort(m.allowed)
	return strings.Join(slices.Compact(m.allowed), ", ")
}

// routingPath returns the path that routes are matched on, and whether it is
// still escaped: an escaped slash does not separate segments.
func routingPath(u *url.URL) (path string, escaped bool) {
	if u.RawPath != "" {
		return u.RawPath, true
	}
	return u.Path, false
}

// Vars returns the path parameters of the request, unescaped; nil if there are
// none.
func (h *HTTP) Vars(r *http.Request) map[string]string {
	c := callOf(r.Context())
	if c == nil || c.match.values.n == 0 {
		return nil
	}
	vars := make(map[string]string, c.match.values.n)
	for i, name := range c.route.params {
		vars[name] = c.param(i)
	}
	return vars
}

// param returns the value of a path parameter, unescaped.
func (c *call) param(i int) string {
	value := c.match.values.at(i)
	if c.escaped && strings.IndexByte(value, '%') >= 0 {
		if plain, err := url.PathUnescape(value); err == nil {
			return plain
		}
	}
	return value
}
