package admin

import (
	"context"
	"net/http"
	"time"
)

// State is where the service stands.
type State struct {
	// Name is the state's: "starting", "ready", "draining".
	Name string
	// Started is set once the service has started, and stays set. Ready is
	// set while it serves; whether it should get requests is also up to the
	// checks.
	Started, Ready bool
	// Version is the service's own.
	Version string
	// Uptime is how long the process has run.
	Uptime time.Duration
}

// Check is the latest result of one check.
type Check struct {
	Name string
	OK   bool
	// LastError is what the check failed with the last time that it did; it
	// stays when the check passes again.
	LastError string
	// Note is what an operator should know though the check may pass.
	Note string
	// Duration is how long it took, or has taken so far.
	Duration time.Duration
	// Checked is when the result was known, Since when it last changed
	// between good and bad.
	Checked, Since time.Time
}

// checkJSON is a Check in an answer.
type checkJSON struct {
	Name      string    `json:"name"`
	Status    string    `json:"status"`
	LastError string    `json:"last_error,omitempty"`
	Note      string    `json:"note,omitempty"`
	Duration  float64   `json:"duration_ms"`
	Checked   time.Time `json:"checked,omitzero"`
	Since     time.Time `json:"since,omitzero"`
}

// probeJSON is the answer of a probe.
type probeJSON struct {
	Status string      `json:"status"`
	State  string      `json:"state"`
	Uptime int64       `json:"uptime"`
	Checks []checkJSON `json:"checks,omitzero"`
}

// clueJSON is the answer of Clue's health package, with details.
type clueJSON struct {
	Uptime  int64             `json:"uptime"`
	Version string            `json:"version"`
	Status  map[string]string `json:"status,omitempty"`
	State   string            `json:"state"`
	Checks  []checkJSON       `json:"checks"`
}

// state returns where the service stands.
func (s *Server) state() State {
	if s.cfg.State == nil {
		return State{Name: "ready", Started: true, Ready: true, Version: s.contract.API.Version, Uptime: time.Since(s.begun)}
	}
	return s.cfg.State()
}

// checks returns the results of the checks, never nil, and whether the service
// should get requests.
func (s *Server) checks(ctx context.Context, st State) (all []Check, ready bool) {
	all, ready = []Check{}, st.Ready
	if s.cfg.Checks != nil {
		all = append(all, s.cfg.Checks(ctx)...)
	}
	for _, c := range all {
		ready = ready && c.OK
	}
	return all, ready
}

// live asks no check: a restart repairs no database.
func (s *Server) live(w http.ResponseWriter, r *http.Request, _ string) {
	probe(w, r, s.state(), nil, true)
}

func (s *Server) started(w http.ResponseWriter, r *http.Request, _ string) {
	st := s.state()
	probe(w, r, st, nil, st.Started)
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request, _ string) {
	st := s.state()
	all, ready := s.checks(r.Context(), st)
	probe(w, r, st, all, ready)
}

// probe answers 200 if ok, else 503; as JSON unless asked otherwise.
func probe(w http.ResponseWriter, r *http.Request, st State, all []Check, ok bool) {
	form, known := formOf(w, r, asJSON)
	status, text := verdict(ok)
	switch {
	case !known:
	case form == asText:
		writeProbe(w, status, text, st, all)
	default:
		writeJSON(w, status, probeJSON{Status: text, State: st.Name, Uptime: int64(st.Uptime.Seconds()), Checks: details(all)})
	}
}

func verdict(ok bool) (status int, text string) {
	if ok {
		return http.StatusOK, "ok"
	}
	return http.StatusServiceUnavailable, "unavailable"
}

func (s *Server) healthz(w http.ResponseWriter, r *http.Request, _ string) {
	st := s.state()
	all, ready := s.checks(r.Context(), st)
	form, known := formOf(w, r, asJSON)
	status, text := verdict(ready)
	switch {
	case !known:
	case form == asText:
		writeProbe(w, status, text, st, all)
	default:
		named := make(map[string]string)
		for _, c := range all {
			if !c.OK {
				named[c.Name] = "NOT OK"
			} else if named[c.Name] == "" {
				named[c.Name] = "OK"
			}
		}
		writeJSON(w, status, clueJSON{int64(st.Uptime.Seconds()), st.Version, named, st.Name, details(all)})
	}
}

func details(all []Check) []checkJSON {
	if all == nil {
		return nil
	}
	out := make([]checkJSON, len(all))
	for i, c := range all {
		_, text := verdict(c.OK)
		out[i] = checkJSON{c.Name, text, c.LastError, c.Note, float64(c.Duration.Microseconds()) / 1000, c.Checked, c.Since}
	}
	return out
}

func writeProbe(w http.ResponseWriter, status int, text string, st State, all []Check) {
	head := text + ": " + printable(st.Name) + ", up " + st.Uptime.Round(time.Second).String() + "\n"
	if len(all) == 0 {
		writeText(w, status, []byte(head))
		return
	}
	t := newTable("CHECK", "STATUS", "SINCE", "TOOK", "NOTE", "LAST ERROR")
	for _, c := range all {
		_, text := verdict(c.OK)
		t.row(c.Name, text, stamp(c.Since), c.Duration.Round(time.Microsecond).String(), c.Note, c.LastError)
	}
	writeText(w, status, append([]byte(head+"\n"), t.bytes()...))
}

// stamp writes a time; "" if there is none.
func stamp(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}
