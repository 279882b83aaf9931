package route

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	goahttp "goa.design/goa/v3/http"
)

// routed is what a muxer made of a request.
type routed struct {
	Route  string
	Vars   map[string]string
	Status int
}

// ours routes a request by a tree.
func ours(t *Tree[string], verb string, u *url.URL) routed {
	m := Match{Verb: verb}
	switch r := t.Find(&m, u); {
	case r != nil:
		return routed{Route: r.Value, Vars: r.Vars(&m), Status: http.StatusOK}
	case m.Allow() != "":
		return routed{Status: http.StatusMethodNotAllowed}
	default:
		return routed{Status: http.StatusNotFound}
	}
}

// goas routes a request by Goa's muxer.
func goas(mux goahttp.Muxer, verb string, u *url.URL) routed {
	w := httptest.NewRecorder()
	r := &http.Request{Method: verb, URL: u, Header: http.Header{}}
	mux.ServeHTTP(w, r)
	if route := w.Header().Get("Route"); route != "" {
		vars := map[string]string{}
		for k, values := range w.Header() {
			if name, ok := strings.CutPrefix(k, "Var_"); ok {
				vars[name] = values[0]
			}
		}
		if len(vars) == 0 {
			vars = nil
		}
		return routed{Route: route, Vars: vars, Status: http.StatusOK}
	}
	return routed{Status: w.Code}
}

// echoRoute is a handler of Goa's muxer that tells what it was called for.
func echoRoute(mux goahttp.Muxer, name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Route"] = []string{name}
		for k, v := range mux.Vars(r) {
			w.Header()["Var_"+k] = []string{v}
		}
	}
}

func TestRoutes(t *testing.T) {
	var tr Tree[string]
	mux := goahttp.NewMuxer()
	for _, route := range []string{
		"GET /", "GET /orders", "GET /orders/", "POST /orders", "GET /orders/{id}", "GET /orders/new", "GET /orders/{id}/items",
		"POST /orders/{id}:cancel", "POST /orders/{id}:close", "GET /orders/{order_id}/items/{item_id}", "DELETE /orders/{oid}",
		"GET /reports/{name}.json", "GET /files/{*path}", "GET /files/{dir}/index", "PUT /a/{a}/{b}/{c}/{d}/{e}/{f}", "GET /users/{*rest}",
	} {
		verb, pattern, _ := strings.Cut(route, " ")
		if err := tr.Add(named(verb, pattern)); err != nil {
			t.Fatal(err)
		}
		mux.Handle(verb, pattern, echoRoute(mux, route))
	}
	tests := []struct {
		verb, target string
		want         routed
	}{
		{"GET", "/", routed{Route: "GET /"}},
		{"GET", "/orders", routed{Route: "GET /orders"}},
		{"GET", "/orders/", routed{Route: "GET /orders/"}},
		{"GET", "/orders/new", routed{Route: "GET /orders/new"}},
		{"GET", "/orders/17", routed{Route: "GET /orders/{id}", Vars: map[string]string{"id": "17"}}},
		{"GET", "/orders/a%2Fb%20c", routed{Route: "GET /orders/{id}", Vars: map[string]string{"id": "a/b c"}}},
		{"GET", "/orders/new/items", routed{Route: "GET /orders/{id}/items", Vars: map[string]string{"id": "new"}}},
		{"GET", "/orders/1/items/2", routed{Route: "GET /orders/{order_id}/items/{item_id}", Vars: map[string]string{"order_id": "1", "item_id": "2"}}},
		{"POST", "/orders/1:cancel", routed{Route: "POST /orders/{id}:cancel", Vars: map[string]string{"id": "1"}}},
		{"POST", "/orders/1:close", routed{Route: "POST /orders/{id}:close", Vars: map[string]string{"id": "1"}}},
		{"POST", "/orders/1:other", routed{Status: 405}},
		{"DELETE", "/orders/9", routed{Route: "DELETE /orders/{oid}", Vars: map[string]string{"oid": "9"}}},
		{"DELETE", "/orders", routed{Status: 405}},
		{"HEAD", "/orders", routed{Status: 405}},
		{"OPTIONS", "/orders", routed{Status: 405}},
		{"GET", "/reports/q1.json", routed{Route: "GET /reports/{name}.json", Vars: map[string]string{"name": "q1"}}},
		{"GET", "/reports/q1.xml", routed{Status: 404}},
		{"GET", "/files/", routed{Route: "GET /files/{*path}", Vars: map[string]string{"path": ""}}},
		{"GET", "/files/a/b.txt", routed{Route: "GET /files/{*path}", Vars: map[string]string{"path": "a/b.txt"}}},
		{"GET", "/files/a/index", routed{Route: "GET /files/{dir}/index", Vars: map[string]string{"dir": "a"}}},
		{"GET", "/files", routed{Status: 404}},
		{"PUT", "/a/1/2/3/4/5/6", routed{Route: "PUT /a/{a}/{b}/{c}/{d}/{e}/{f}", Vars: map[string]string{"a": "1", "b": "2", "c": "3", "d": "4", "e": "5", "f": "6"}}},
		{"GET", "/nothing", routed{Status: 404}},
	}
	for _, test := range tests {
		u, err := url.ParseRequestURI(test.target)
		if err != nil {
			t.Fatal(err)
		}
		if test.want.Status == 0 {
			test.want.Status = 200
		}
		if diff := cmp.Diff(test.want, ours(&tr, test.verb, u)); diff != "" {
			t.Errorf("%s %s: %s", test.verb, test.target, diff)
		}
		if diff := cmp.Diff(test.want, goas(mux, test.verb, u)); diff != "" {
			t.Errorf("Goa's muxer, %s %s: %s", test.verb, test.target, diff)
		}
	}
}

// named is a route whose value is its name.
func named(verb, pattern string) *Route[string] {
	return New(verb, pattern, verb+" "+pattern)
}

// A path that net/url decoded is not decoded once more, as Goa's muxer does.
func TestPathIsDecodedOnce(t *testing.T) {
	var tr Tree[string]
	if err := tr.Add(named("GET", "/{id}")); err != nil {
		t.Fatal(err)
	}
	u, _ := url.ParseRequestURI("/a%2541")
	if got := ours(&tr, "GET", u); got.Vars["id"] != "a%41" {
		t.Errorf("id = %q, want a%%41", got.Vars["id"])
	}
}

// A parameter is found by its name, and a path knows all of its verbs.
func TestLookups(t *testing.T) {
	var tr Tree[string]
	for _, name := range []string{"GET /a/{id}", "PUT /a/{id}", "GET /a/new", "DELETE /{x}/new", "POST /b"} {
		verb, pattern, _ := strings.Cut(name, " ")
		if err := tr.Add(named(verb, pattern)); err != nil {
			t.Fatal(err)
		}
	}
	u, m := &url.URL{Path: "/a/b c", RawPath: "/a/b%20c"}, Match{Verb: "PUT"}
	r := tr.Find(&m, u)
	if id, ok := r.Var(&m, "id"); id != "b c" || !ok {
		t.Errorf("id = %q, %t", id, ok)
	}
	if other, ok := r.Var(&m, "x"); other != "" || ok {
		t.Errorf("x = %q, %t", other, ok)
	}
	var none *Route[string]
	if value, ok := none.Var(&m, "id"); value != "" || ok || none.Vars(&m) != nil {
		t.Errorf("no route has %q, %v", value, none.Vars(&m))
	}
	for path, want := range map[string]string{"/a/b": "GET PUT", "/a/new": "DELETE GET PUT", "/b": "POST", "/c": "", "": "", "b": ""} {
		verbs := tr.Verbs(&url.URL{Path: path})
		slices.Sort(verbs)
		if got := strings.Join(slices.Compact(verbs), " "); got != want {
			t.Errorf("%q has %q, want %q", path, got, want)
		}
	}
}

func TestBadPatterns(t *testing.T) {
	for _, pattern := range []string{
		"", "orders", "/{", "/}", "/{id", "/id}", "/{}", "/{*}", "/{i-d}", "/x{id}", "/{a}{b}", "/{*a}/b", "/{*a}.json", "/{id}/{id}", "/*", "/{id:[0-9]+}",
	} {
		var tr Tree[string]
		if err := tr.Add(named("GET", pattern)); err == nil {
			t.Errorf("pattern %q is accepted", pattern)
		}
	}
	var tr Tree[string]
	if err := tr.Add(named("GET", "/a/{x}")); err != nil {
		t.Fatal(err)
	}
	if err := tr.Add(named("GET", "/a/{y}")); err == nil {
		t.Error("two handlers of one route are accepted")
	}
	if err := tr.Add(named("G T", "/b")); err == nil {
		t.Error("a bad verb is accepted")
	}
}

// FuzzRoutes compares with Goa's muxer: same route, same parameters, same
// status, for any set of routes.
func FuzzRoutes(f *testing.F) {
	f.Add([]byte{0, 1, 2, 9, 3, 4}, []byte{1, 2, 3})
	f.Add([]byte{7, 3, 9, 3, 9, 8, 9, 5, 9, 6}, []byte{8, 1, 1})
	f.Add([]byte{3, 0, 9, 0, 3, 9, 3, 3}, []byte{0, 7, 0})
	patterns := []string{"a", "b", "ab", "{x}", "{y}", "{x}:c", "{x}:d", "{*w}", ""}
	paths := []string{"a", "b", "ab", "", "a:c", ":c", "a:b:c", "x", "a%2Fb", "%61", "é"}
	f.Fuzz(func(t *testing.T, routes, path []byte) {
		if len(routes) > 40 || len(path) > 8 {
			return
		}
		var tr Tree[string]
		mux := goahttp.NewMuxer()
		var all []string
		for i, part := range split(routes, 9) {
			pattern := ""
			for _, b := range part {
				pattern += "/" + patterns[int(b)%len(patterns)]
			}
			if pattern == "" {
				continue
			}
			r := named([]string{"GET", "POST"}[i%2], pattern)
			if tr.Add(r) != nil {
				continue // Goa's muxer would panic or overwrite
			}
			all = append(all, r.Name)
			mux.Handle(r.Verb, pattern, echoRoute(mux, r.Name))
		}
		target := ""
		for _, b := range path {
			target += "/" + paths[int(b)%len(paths)]
		}
		if target == "" || strings.HasPrefix(target, "//") {
			target = "/a" + target
		}
		u, err := url.ParseRequestURI(target)
		if err != nil || len(all) == 0 {
			return
		}
		for _, verb := range []string{"GET", "POST"} {
			want, got := goas(mux, verb, u), ours(&tr, verb, u)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s %s by %q: -goa +ours: %s", verb, target, all, diff)
			}
		}
	})
}

// split cuts at every multiple of sep.
func split(b []byte, sep byte) [][]byte {
	var parts [][]byte
	var part []byte
	for _, c := range b {
		if c%(sep+1) == sep {
			parts, part = append(parts, part), nil
		} else {
			part = append(part, c)
		}
	}
	return append(parts, part)
}

// BenchmarkRoutes shows that the cost does not grow with the number of routes.
func BenchmarkRoutes(b *testing.B) {
	for _, n := range []int{1, 500} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var tr Tree[string]
			for i := range n {
				if err := tr.Add(named("GET", fmt.Sprintf("/service%d/things/{id}/parts/{part}", i))); err != nil {
					b.Fatal(err)
				}
			}
			u := &url.URL{Path: fmt.Sprintf("/service%d/things/17/parts/23", n-1)}
			b.ReportAllocs()
			for b.Loop() {
				m := Match{Verb: "GET"}
				if tr.Find(&m, u) == nil {
					b.Fatal("not found")
				}
			}
		})
	}
}
