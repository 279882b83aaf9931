package admin

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bounds of what takes time. The defaults are those of net/http/pprof.
const (
	defaultProfile = 30 * time.Second
	maxProfile     = 5 * time.Minute
	defaultTrace   = time.Second
	maxTrace       = time.Minute
	stalled        = 5 * time.Second // a client that takes nothing for so long is gone
)

// profile answers /debug/pprof/ as net/http/pprof does, so that `go tool pprof`
// works, but for: cmdline, whose arguments may be secrets; symbol, which
// profiles of Go programs do not need; and ?seconds= on anything but profile
// and trace, for which `go tool pprof -diff_base` compares two profiles.
func (s *Server) profile(w http.ResponseWriter, r *http.Request, who string) {
	switch name := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/debug/pprof"), "/"); name {
	case "":
		s.profiles(w, r)
	case "profile":
		s.capture(w, r, who, name, defaultProfile, maxProfile, pprof.StartCPUProfile, pprof.StopCPUProfile)
	case "trace":
		s.capture(w, r, who, name, defaultTrace, maxTrace, trace.Start, trace.Stop)
	default:
		s.snapshot(w, r, who, name)
	}
}

// profiles lists what there is.
func (s *Server) profiles(w http.ResponseWriter, r *http.Request) {
	form, ok := formOf(w, r, asText)
	if !ok {
		return
	}
	type entry struct {
		Name  string `json:"name"`
		Count int    `json:"count"`
	}
	all := []entry{{Name: "profile"}, {Name: "trace"}}
	for _, p := range pprof.Profiles() {
		all = append(all, entry{p.Name(), p.Count()})
	}
	if form != asText {
		writeJSON(w, http.StatusOK, struct {
			Profiles []entry `json:"profiles"`
		}{all})
		return
	}
	t := newTable("PROFILE", "COUNT")
	for _, e := range all {
		t.row(e.Name, strconv.Itoa(e.Count))
	}
	writeText(w, http.StatusOK, append(t.bytes(), `
go tool pprof http://ADDRESS/debug/pprof/profile?seconds=30   the CPU; with a token: http://x:TOKEN@ADDRESS
go tool pprof http://ADDRESS/debug/pprof/heap                 memory in use; ?gc=1 collects garbage first
curl -o trace.out http://ADDRESS/debug/pprof/trace?seconds=1  then go tool trace trace.out
curl http://ADDRESS/debug/pprof/goroutine?debug=2             all stacks as text

One profile or trace at a time. block and mutex are empty unless the program has set a rate.
`...))
}

// snapshot writes a profile of what has been so far.
func (s *Server) snapshot(w http.ResponseWriter, r *http.Request, who, name string) {
	p := pprof.Lookup(name)
	if p == nil {
		failProfile(w, http.StatusNotFound, "no such profile: GET /debug/pprof/ lists them")
		return
	}
	q := r.URL.Query()
	if q.Has("seconds") {
		failProfile(w, http.StatusBadRequest, "seconds is for profile and trace; for a difference fetch twice and use go tool pprof -diff_base")
		return
	}
	debug := 0
	if q.Has("debug") {
		var err error
		if debug, err = strconv.Atoi(q.Get("debug")); err != nil || debug < 0 || debug > 2 {
			failProfile(w, http.StatusBadRequest, "debug is 0, 1 or 2")
			return
		}
	}
	if name == "heap" && q.Has("gc") && q.Get("gc") != "0" {
		runtime.GC()
	}
	s.record(r.Context(), Event{Action: "profile", User: who, Client: address(r), Outcome: Success, Detail: name})
	media := "application/octet-stream"
	if debug > 0 {
		media = "text/plain; charset=utf-8"
	} else {
		w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	}
	w.Header().Set("Content-Type", media)
	_ = p.WriteTo(w, debug) // it fails when the client is gone
}

// capture writes what start records until stop, for as long as the request
// says: less when the client leaves or the service stops.
func (s *Server) capture(w http.ResponseWriter, r *http.Request, who, name string, usual, longest time.Duration,
	start func(io.Writer) error, stop func(),
) {
	d, err := seconds(r, usual, longest)
	if err != nil {
		failProfile(w, http.StatusBadRequest, err.Error())
		return
	}
	select {
	case s.busy <- struct{}{}:
		defer func() { <-s.busy }()
	default:
		w.Header().Set("Retry-After", "5")
		failProfile(w, http.StatusConflict, "another profile is being taken: one at a time")
		return
	}
	out := &steady{w: w, rc: http.NewResponseController(w), until: time.Now().Add(d + writeTimeout), failed: make(chan struct{})}
	_ = out.rc.SetWriteDeadline(out.until)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	if err := start(out); err != nil {
		w.Header().Del("Content-Disposition")
		failProfile(w, http.StatusConflict, "start "+name+": "+err.Error())
		return
	}
	s.record(r.Context(), Event{Action: "profile", User: who, Client: address(r), Outcome: Success, Detail: name + " for " + d.String()})
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	case <-out.failed:
	case <-s.cfg.Draining:
	}
	stop() // writes what is left
}

// seconds reads ?seconds=, a number that may have a fraction.
func seconds(r *http.Request, usual, longest time.Duration) (time.Duration, error) {
	q := r.URL.Query()
	if !q.Has("seconds") {
		return usual, nil
	}
	n, err := strconv.ParseFloat(q.Get("seconds"), 64)
	if err != nil || !(n > 0 && n <= longest.Seconds()) {
		return 0, fmt.Errorf("seconds must be above 0 and at most %.0f", longest.Seconds())
	}
	return time.Duration(n * float64(time.Second)), nil
}

// failProfile answers with an error in the form that `go tool pprof` shows.
func failProfile(w http.ResponseWriter, status int, text string) {
	w.Header().Set("X-Go-Pprof", "1")
	writeText(w, status, []byte(text+"\n"))
}

// steady writes to a client that must keep reading: otherwise a trace would
// pile up in memory.
type steady struct {
	w      io.Writer
	rc     *http.ResponseController
	until  time.Time // the deadline between writes: HTTP/2 resets a stream whose deadline passes, idle or not
	once   sync.Once
	failed chan struct{} // closed when the client is gone
}

// Write implements io.Writer.
func (s *steady) Write(p []byte) (int, error) {
	_ = s.rc.SetWriteDeadline(time.Now().Add(stalled))
	n, err := s.w.Write(p)
	_ = s.rc.SetWriteDeadline(s.until)
	if err != nil {
		s.once.Do(func() { close(s.failed) })
	}
	return n, err
}
