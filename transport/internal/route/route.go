// Package route finds what serves a request by its verb and its path.
//
//	var tree route.Tree[http.Handler]
//	err := tree.Add(route.New("GET", "/orders/{id}", handler))
//
//	m := route.Match{Verb: r.Method}
//	if found := tree.Find(&m, r.URL); found != nil {
//		found.Value.ServeHTTP(w, r) // with found.Vars(&m)
//	} else if allow := m.Allow(); allow != "" {
//		// the path has other verbs
//	}
//
// Patterns are Goa's, and so is what they match, but for a path that net/url
// decoded, which is not decoded once more. It knows nothing of what a route is
// for, redirects nobody and cleans no path.
package route

import (
	"net/url"
	"slices"
	"strings"
)

// Route is one verb of one pattern, with what serves it.
type Route[T any] struct {
	Verb    string
	Pattern string
	Name    string   // "VERB /pattern", as http.Request.Pattern has it
	Params  []string // names, in order; known once the route was added
	Value   T
}

// New returns a route that is in no tree. Whether its verb and its pattern are
// good, [Tree.Add] says.
func New[T any](verb, pattern string, value T) *Route[T] {
	return &Route[T]{Verb: verb, Pattern: pattern, Name: verb + " " + pattern, Value: value}
}

// Vars returns the path parameters that m found, unescaped; nil if there are
// none. Of a nil route there are none.
func (r *Route[T]) Vars(m *Match) map[string]string {
	if r == nil || m.values.n == 0 {
		return nil
	}
	vars := make(map[string]string, m.values.n)
	for i, name := range r.Params {
		vars[name] = m.value(i)
	}
	return vars
}

// Var returns the path parameter of the name that m found, unescaped, and whether
// the route has it. A nil route has none.
func (r *Route[T]) Var(m *Match, name string) (string, bool) {
	if r == nil {
		return "", false
	}
	if i := slices.Index(r.Params, name); i >= 0 {
		return m.value(i), true
	}
	return "", false
}

// Match is a lookup. Verb is what is looked for; the rest is what [Tree.Find]
// found, once.
type Match struct {
	Verb    string
	escaped bool     // the values are as in a raw path
	values  values   // of the route's parameters, in order
	allowed []string // verbs of the routes that fit but for the verb
}

// Allow returns the verbs that the path has, where it has not the one that was
// looked for, as the value of an Allow header: sorted, each verb once. It is empty
// where no verb of the path is known.
func (m *Match) Allow() string {
	slices.Sort(m.allowed)
	return strings.Join(slices.Compact(m.allowed), ", ")
}

// value returns the value of a parameter, unescaped.
func (m *Match) value(i int) string {
	value := m.values.at(i)
	if m.escaped && strings.IndexByte(value, '%') >= 0 {
		if plain, err := url.PathUnescape(value); err == nil {
			return plain
		}
	}
	return value
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
