package media

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNegotiate(t *testing.T) {
	offers := Offers([]string{"application/json", "application/xml; charset=utf-8", "text/html", "text/plain"})
	if len(offers) != 3 {
		t.Fatalf("%d offers, want three: no markup", len(offers))
	}
	for accept, want := range map[string]string{
		"": "application/json", "*/*": "application/json", "application/json": "application/json", "application/xml": "application/xml",
		"application/*": "application/json", "text/*": "text/plain", "text/html": "application/json", "image/png, */*;q=0.1": "application/json",
		"application/json;q=0.5, application/xml": "application/xml", "application/json;q=0.5,\tApplication/XML ; Q=0.6": "application/xml",
		"*/*, application/json;q=0": "application/xml", "*/*;q=1, application/json;q=0, application/xml;q=0.0": "text/plain",
		"application/xml;q=2, text/plain;q=0.1": "text/plain", "application/xml;q=NaN, text/plain;q=0.1": "text/plain", "application/xml;q=-1": "application/json",
		"application/xml;v=1;q=0.2, text/plain;q=0.3": "text/plain", ",,;,=;q": "application/json", "application": "application/json", "application/": "application/json",
	} {
		if got := Negotiate(offers, []string{accept}); got.Media != want {
			t.Errorf("Accept %q: %s, want %s", accept, got.Media, want)
		}
	}
	if got := Negotiate(offers, []string{"text/plain;q=0.5", "application/xml"}); got.Media != "application/xml" {
		t.Errorf("two headers: %s", got.Media)
	}
	if got := Offers([]string{"text/html", "a b", ""}); len(got) != 1 || got[0].Media != TypeJSON || got[0].Kind != JSON {
		t.Errorf("nothing negotiable: %v", got)
	}
}

// FuzzNegotiate looks for an Accept header that has an answer in a type that it
// refuses, where there is another that it wants.
func FuzzNegotiate(f *testing.F) {
	for _, s := range []string{"*/*", "text/*;q=0.1,application/xml;q=0", "a/b;q=1;q=0", ";;q=,", "application/json;q=1e-1", "TEXT/PLAIN"} {
		f.Add(s, s)
	}
	offers := Offers([]string{"application/json", "application/xml", "text/plain"})
	f.Fuzz(func(t *testing.T, one, two string) {
		accept := []string{one, two}
		got := Negotiate(offers, accept)
		best := 0
		for i := range offers {
			q := quality(accept, offers[i].Media)
			if q < 0 || q > 1000 {
				t.Fatalf("%q weighs %d", offers[i].Media, q)
			}
			best = max(best, q)
		}
		if q := quality(accept, got.Media); q != best {
			t.Errorf("%q: %s weighs %d, the best %d", accept, got.Media, q, best)
		}
		if alone := Negotiate(offers, accept[:1]); quality(accept[:1], alone.Media) == 0 && alone != &offers[0] {
			t.Errorf("%q: %s, which it refuses", one, alone.Media)
		}
	})
}

func TestConsumed(t *testing.T) {
	design := []string{"application/json", "text/*"}
	for contentType, want := range map[string]struct {
		kind Kind
		ok   bool
	}{
		"application/json": {JSON, true}, "application/json; charset=UTF-8": {JSON, true}, "application/json; charset=us-ascii": {JSON, true},
		"application/merge-patch+json": {JSON, true}, "APPLICATION/JSON": {JSON, true}, "text/plain": {Other, true}, "text/csv; charset=latin1": {Other, true},
		"application/json; charset=utf-16": {}, "application/xml": {}, "application/jsonx": {}, "image/svg+json": {}, "application/x-www-form-urlencoded": {},
		"": {}, "application/json;": {JSON, true}, "application/json; charset": {}, "text": {}, "application/json, text/plain": {}, "json": {}, "*/*": {},
	} {
		kind, why := Consumed([]string{contentType}, design)
		if (why == "") != want.ok || kind != want.kind {
			t.Errorf("%q: %d, %q", contentType, kind, why)
		}
	}
	if kind, why := Consumed(nil, design); kind != JSON || why != "" {
		t.Errorf("no content type: %d, %q", kind, why)
	}
	if _, why := Consumed(nil, []string{"text/plain"}); why == "" {
		t.Error("no content type is taken for JSON, which is not consumed")
	}
	if _, why := Consumed([]string{TypeJSON, TypeJSON}, design); why == "" {
		t.Error("two content types are accepted")
	}
	for _, coding := range [][]string{{"gzip"}, {"identity", "identity"}, {"identity, gzip"}, {""}} {
		if !Compressed(http.Header{"Content-Encoding": coding}) {
			t.Errorf("Content-Encoding %q is taken for none", coding)
		}
	}
	if Compressed(http.Header{}) || Compressed(http.Header{"Content-Encoding": {"Identity"}}) {
		t.Error("an identity is taken for a compression")
	}
}

// FuzzConsumed takes nothing for a form of which the design does not know.
func FuzzConsumed(f *testing.F) {
	for _, s := range []string{TypeJSON, TypeProblem, "application/json; charset=utf-8", "text/plain", "multipart/form-data; boundary=x", "a/b;c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, contentType string) {
		kind, why := Consumed([]string{contentType}, []string{TypeJSON})
		if why == "" && (kind != JSON || !strings.Contains(strings.ToLower(contentType), "json")) {
			t.Errorf("%q is consumed, as %d", contentType, kind)
		}
	})
}

func TestAcceptsProblem(t *testing.T) {
	for accept, want := range map[string]bool{
		TypeProblem: true, "application/json, Application/Problem+JSON;q=0.1": true, TypeProblem + ";q=0": false, "*/*": false, "application/*": false, "": false,
	} {
		if got := AcceptsProblem(http.Header{"Accept": {accept}}); got != want {
			t.Errorf("Accept %q: %t", accept, got)
		}
	}
}

// What one answer says to caches, the next does not.
func TestVary(t *testing.T) {
	for range 2 {
		for _, tt := range []struct{ have, want []string }{
			{nil, []string{"Accept"}}, {[]string{"Origin"}, []string{"Origin", "Accept"}}, {[]string{"Accept"}, []string{"Accept"}},
			{[]string{"Cookie"}, []string{"Cookie", "Accept"}}, {[]string{"Origin", "Cookie"}, []string{"Origin", "Cookie", "Accept"}},
		} {
			h := http.Header{}
			if tt.have != nil {
				h["Vary"] = tt.have
			}
			Vary(h)
			Vary(h)
			if diff := cmp.Diff(tt.want, h["Vary"]); diff != "" {
				t.Errorf("%q: %s", tt.have, diff)
			}
			h.Add("Vary", "More")
		}
	}
}
