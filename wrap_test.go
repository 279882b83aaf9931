package aguada_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/aguada-dev/aguada"
)

// What is put in front sees every request first, the last one before the
// others, and may answer itself; the service's own gates stay behind it.
func TestWrap(t *testing.T) {
	s := run(t, own(contract(), func(_ context.Context, rt *aguada.Runtime, h *aguada.HTTP) error {
		rt.Verify("jwt", nobody{})
		h.Handle("GET", "/greet", answer)
		h.Handle("GET", "/whisper", answer)
		mark := func(name string) func(http.Handler) http.Handler {
			return func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Add("Passed", name)
					if r.URL.Path == "/page" && name == "inner" {
						_, _ = io.WriteString(w, "a page")
						return
					}
					next.ServeHTTP(w, r)
				})
			}
		}
		rt.Wrap(mark("inner"))
		rt.Wrap(mark("outer"))
		return nil
	}))
	for path, want := range map[string]int{"/page": 200, "/greet": 200, "/livez": 200, "/whisper": 401, "/nowhere": 404} {
		res, err := http.Get(s.url + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if got := res.Header.Values("Passed"); res.StatusCode != want || len(got) != 2 || got[0] != "outer" || got[1] != "inner" {
			t.Errorf("%s is answered %d after passing %v, want %d after outer and inner", path, res.StatusCode, got, want)
		}
	}
	if _, text := get(t, http.DefaultClient, s.url+"/page"); text != "a page" {
		t.Errorf("the page is %q", text)
	}
}
