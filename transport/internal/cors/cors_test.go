package cors

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aguada-dev/aguada/policy"
)

const page = "https://shop.example"

func asked(origins ...string) http.Header { return http.Header{"Origin": origins} }

// What a page is told is exactly what its origin gets.
func TestShare(t *testing.T) {
	named := New(&policy.CORS{Origins: []string{page}}, nil, []string{"X-Seen"})
	trusted := New(&policy.CORS{Origins: []string{page}, Credentials: true}, nil, nil)
	all := New(&policy.CORS{Origins: []string{policy.AnyOrigin}}, nil, nil)
	merged := New(&policy.CORS{}, nil, nil)
	if !merged.Empty() || named.Empty() || all.Empty() {
		t.Error("only rules without origins are empty")
	}
	for _, other := range []*Rules{trusted, named, all} {
		merged.Merge(other)
	}
	const exposed = "Allow, Ratelimit, Ratelimit-Limit, Ratelimit-Policy, Ratelimit-Remaining, Ratelimit-Reset, Retry-After, Www-Authenticate, X-Request-Id"
	told := func(origin string, credentials bool, headers string) http.Header {
		h := http.Header{"Vary": {"Origin"}, "Access-Control-Allow-Origin": {origin}, "Access-Control-Expose-Headers": {headers}}
		if credentials {
			h["Access-Control-Allow-Credentials"] = []string{"true"}
		}
		return h
	}
	nothing := http.Header{"Vary": {"Origin"}}
	for name, tt := range map[string]struct {
		rules   *Rules
		request http.Header
		want    http.Header
	}{
		"named":               {named, asked(page), told(page, false, exposed+", X-Seen")},
		"with credentials":    {trusted, asked(page), told(page, true, exposed)},
		"another":             {named, asked("https://shop.example.evil"), nothing},
		"none":                {named, asked(), nothing},
		"two":                 {all, asked(page, page), nothing},
		"any":                 {all, asked(page), told("*", false, exposed)},
		"null":                {all, asked("null"), nothing},
		"merged":              {merged, asked(page), told(page, true, exposed)},
		"merged with any":     {merged, asked("https://a.example"), told("*", false, exposed)},
		"merged without null": {merged, asked("null"), nothing},
	} {
		for range 2 { // whatever becomes of an answer, the next is the same
			got := http.Header{}
			g := tt.rules.Share(got, tt.request)
			if diff := cmp.Diff(tt.want, got); diff != "" || (g == nil) != (len(got) == 1) {
				t.Errorf("%s (-want +got): %s", name, diff)
			}
			for header := range got {
				got.Add(header, "more")
			}
		}
	}
}

func TestPreflight(t *testing.T) {
	x := New(&policy.CORS{Origins: []string{page}, Credentials: true}, []string{"If-Match", "Accept"}, nil)
	vary := []string{"Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"}
	got := http.Header{}
	if g := x.Preflight(got, asked("https://evil.example")); g != nil {
		t.Errorf("a stranger gets %v", g)
	}
	if diff := cmp.Diff(http.Header{"Vary": vary}, got); diff != "" {
		t.Errorf("a stranger (-want +got): %s", diff)
	}
	x.Allow(got, x.Preflight(got, asked(page)), "GET, PUT")
	if diff := cmp.Diff(http.Header{
		"Vary": vary, "Access-Control-Allow-Origin": {page}, "Access-Control-Allow-Credentials": {"true"}, "Access-Control-Allow-Methods": {"GET, PUT"},
		"Access-Control-Allow-Headers": {"Accept, Content-Type, If-Match, Traceparent, Tracestate, X-Request-Id"}, "Access-Control-Max-Age": {"600"},
	}, got); diff != "" {
		t.Errorf("(-want +got): %s", diff)
	}
}

// FuzzOrigin looks for an origin that gets something, and is none of those named.
func FuzzOrigin(f *testing.F) {
	origins := []string{page, "http://localhost:3000"}
	for _, o := range append(origins, "null", "*", "", "https://Shop.example", page+"/", page+",https://evil.example", " "+page, page+"\x00") {
		f.Add(o)
	}
	named, all := New(&policy.CORS{Origins: origins}, nil, nil), New(&policy.CORS{Origins: []string{policy.AnyOrigin}}, nil, nil)
	f.Fuzz(func(t *testing.T, o string) {
		if g := named.Find(asked(o)); (g != nil) != (o == origins[0] || o == origins[1]) || g != nil && g.origin[0] != o {
			t.Errorf("%q gets %v", o, g)
		}
		if g := all.Find(asked(o)); (g != nil) != (o != "null") || g != nil && g.Credentials {
			t.Errorf("%q gets %v of all", o, g)
		}
	})
}
