package health

import (
	"io"
	"net/http"
)

// Live returns the handler of the liveness probe: it answers 200 as long as
// the process serves requests at all. No check can make it fail, since a
// restart repairs no database.
func (c *Checks) Live() http.Handler {
	return probe(func(*http.Request) bool { return true })
}

// Readiness returns the handler of the readiness probe: 200 if Ready, else
// 503. Neither answer names a check.
func (c *Checks) Readiness() http.Handler {
	return probe(func(r *http.Request) bool { return c.Ready(r.Context()) })
}

// probe answers GET and HEAD.
func probe(ok func(*http.Request) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "no-store")
		status, text := http.StatusOK, "ok"
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			status, text = http.StatusMethodNotAllowed, "method not allowed"
		case !ok(r):
			status, text = http.StatusServiceUnavailable, "unavailable"
		}
		w.WriteHeader(status)
		if r.Method != http.MethodHead {
			_, _ = io.WriteString(w, `{"status":"`+text+`"}`+"\n")
		}
	})
}
