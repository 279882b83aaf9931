package admin

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"slices"
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

// Profiles stop the program for moments and are audited: they are taken as
// often as this, at most, and garbage is collected for them less often still.
// It is enough for a collector that fetches five of them every ten seconds.
const (
	profileBurst = 30
	profileEvery = time.Second
	collectBurst = 3
	collectEvery = 10 * time.Second
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
		Name    string `json:"name"`
		Count   int    `json:"count"`
		Meaning string `json:"meaning,omitempty"`
	}
	all := []entry{{Name: "profile", Meaning: meanings["profile"]}, {Name: "trace", Meaning: meanings["trace"]}}
	for _, p := range pprof.Profiles() {
		all = append(all, entry{p.Name(), p.Count(), meanings[p.Name()]})
	}
	if form != asText {
		writeJSON(w, http.StatusOK, struct {
			Profiles []entry `json:"profiles"`
		}{all})
		return
	}
	t := newTable("PROFILE", "COUNT", "WHAT IT SHOWS")
	for _, e := range all {
		count := strconv.Itoa(e.Count)
		if e.Name == "profile" || e.Name == "trace" {
			count = ""
		}
		t.row(e.Name, count, e.Meaning)
	}
	writeText(w, http.StatusOK, slices.Concat(t.bytes(), []byte("\nWhere does it hang? All stacks as text:\n\n"+
		s.curl(r, "/debug/pprof/goroutine?debug=2")+
		"\n\nWhat burns the CPU, what holds the memory (?gc=1 collects garbage first):\n\n"+
		s.curl(r, "/debug/pprof/profile?seconds=30", "-fo cpu.pprof")+" && go tool pprof -top cpu.pprof\n"+
		s.curl(r, "/debug/pprof/heap", "-fo heap.pprof")+" && go tool pprof -top heap.pprof\n"+
		"\nWhat happens when:\n\n"+
		s.curl(r, "/debug/pprof/trace?seconds=1", "-fo trace.out")+" && go tool trace trace.out\n"+
		"\nOne profile or trace at a time. go tool pprof fetches by itself too; with a token, from http://x:TOKEN@ADDRESS/.\n")))
}

// meanings of the profiles.
var meanings = map[string]string{
	"profile":      "what the CPU does, for ?seconds=30",
	"trace":        "every step of the scheduler and the collector, for ?seconds=1",
	"allocs":       "where memory was allocated, since the start",
	"block":        "where goroutines waited; empty unless the program has set a rate",
	"goroutine":    "what every goroutine does now",
	"heap":         "what holds memory, as of the last collection",
	"mutex":        "who held locks that others wanted; empty unless the program has set a rate",
	"threadcreate": "what made threads",
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
	collect := name == "heap" && q.Has("gc") && q.Get("gc") != "0"
	if collect && !spend(w, &s.collects, "garbage was collected too often") || !spend(w, &s.profiled, tooManyProfiles) {
		return
	}
	select { // others wait: go tool pprof -diff_base fetches two at once
	case s.snapping <- struct{}{}:
	case <-r.Context().Done():
		return
	}
	var b bytes.Buffer // so that a slow client holds nobody up
	func() {
		defer func() { <-s.snapping }()
		if collect {
			runtime.GC()
		}
		_ = p.WriteTo(&b, debug) // a buffer does not fail
	}()
	detail, media := name, "application/octet-stream"
	if collect {
		detail += " after collecting garbage"
	}
	if debug > 0 {
		media = "text/plain; charset=utf-8"
	} else {
		w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	}
	s.record(r.Context(), Event{Action: "profile", User: who, Client: address(r), Outcome: Success, Detail: detail})
	write(w, http.StatusOK, media, b.Bytes())
}

const tooManyProfiles = "too many profiles were taken"

// spend reports whether the meter allows something; it has answered if not.
func spend(w http.ResponseWriter, m *meter, text string) bool {
	ok, _ := m.take(time.Now())
	if !ok {
		w.Header().Set("Retry-After", strconv.Itoa(int(m.every/time.Second)))
		failProfile(w, http.StatusTooManyRequests, text+": try again in "+m.every.String())
	}
	return ok
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
	if !spend(w, &s.profiled, tooManyProfiles) {
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
