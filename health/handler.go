package health

import (
	"encoding/json"
	"net/http"
	"time"
)

// Live returns the handler of the liveness probe: it answers 200 as long as
// the process serves requests at all. No check can make it fail, since a
// restart repairs no database.
func (c *Checks) Live() http.Handler {
	return probe(func(*http.Request) bool { return true }, status)
}

// Readiness returns the handler of the readiness probe: 200 if Ready, else
// 503. Neither answer names a check.
func (c *Checks) Readiness() http.Handler {
	return probe(func(r *http.Request) bool { return c.Ready(r.Context()) }, status)
}

// Startup returns the handler of the startup probe: 200 once Config.Started
// says so, else 503. No check can make it fail.
func (c *Checks) Startup() http.Handler {
	return probe(func(*http.Request) bool { return c.cfg.Started == nil || c.cfg.Started() }, status)
}

// Clue returns a handler with the answers of goa.design/clue/health: 200 if
// Ready, else 503, with uptime, version and status as JSON. Where Clue has one
// status for each dependency, this has one for the whole: it is meant for the
// public port.
func (c *Checks) Clue() http.Handler {
	return probe(func(r *http.Request) bool { return c.Ready(r.Context()) }, func(ok bool) any {
		text := "OK"
		if !ok {
			text = "NOT OK"
		}
		return struct {
			Uptime  int64             `json:"uptime"`
			Version string            `json:"version"`
			Status  map[string]string `json:"status"`
		}{int64(c.Uptime() / time.Second), c.cfg.Version, map[string]string{c.cfg.Service: text}}
	})
}

// answer is what the probes without details say.
type answer struct {
	Status string `json:"status"`
}

func status(ok bool) any {
	if ok {
		return answer{"ok"}
	}
	return answer{"unavailable"}
}

// probe answers GET and HEAD.
func probe(ok func(*http.Request) bool, body func(bool) any) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "no-store")
		code, v := http.StatusMethodNotAllowed, any(answer{"method not allowed"})
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			good := ok(r)
			code, v = http.StatusOK, body(good)
			if !good {
				code = http.StatusServiceUnavailable
			}
		} else {
			h.Set("Allow", "GET, HEAD")
		}
		w.WriteHeader(code)
		if r.Method != http.MethodHead {
			_ = json.NewEncoder(w).Encode(v)
		}
	})
}
