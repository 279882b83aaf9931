package admin

import (
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/policy"
)

// index answers /.
func (s *Server) index(w http.ResponseWriter, r *http.Request, _ string) {
	form, ok := formOf(w, r, asText)
	if !ok {
		return
	}
	type entry struct {
		Path    string   `json:"path"`
		Methods []string `json:"methods"`
		Meaning string   `json:"meaning"`
	}
	var all []entry
	t := newTable("PAGE", "METHODS", "WHAT IT SHOWS")
	for i := range s.pages {
		if p := &s.pages[i]; p.meaning != "" {
			all = append(all, entry{p.path, strings.Split(p.allow(), ", "), p.meaning})
			t.row(p.path, p.allow(), p.meaning)
		}
	}
	if form != asText {
		writeJSON(w, http.StatusOK, struct {
			API   policy.API `json:"api"`
			Pages []entry    `json:"pages"`
		}{s.contract.API, all})
		return
	}
	head := printable(s.contract.API.Name+" "+s.contract.API.Version) + ", the admin port. JSON: ?format=json\n\n"
	writeText(w, http.StatusOK, append([]byte(head), t.bytes()...))
}

// settings answers /config.
func (s *Server) settings(w http.ResponseWriter, r *http.Request, _ string) {
	form, ok := formOf(w, r, asText)
	if !ok {
		return
	}
	rows := s.cfg.Settings()
	if form != asText {
		writeJSON(w, http.StatusOK, append([]Setting{}, rows...))
		return
	}
	t := newTable("NAME", "VALUE", "SOURCE", "DEFAULT", "REQUIRED", "TYPE", "MEANING")
	for _, v := range rows {
		t.row(v.Name, v.Value, v.Source, v.Default, v.Required, v.Type, v.Meaning)
	}
	writeText(w, http.StatusOK, t.bytes())
}

// methods answers /methods.
func (s *Server) methods(w http.ResponseWriter, r *http.Request, _ string) {
	form, ok := formOf(w, r, asText)
	if !ok {
		return
	}
	if form != asText {
		writeJSON(w, http.StatusOK, s.contract)
		return
	}
	t := newTable("METHOD", "KIND", "ROUTE", "ACCESS", "NEEDS", "DEADLINE", "MAX BODY", "IN FLIGHT", "AUDIT")
	for _, service := range s.contract.Services {
		for i := range service.Methods {
			m := &service.Methods[i]
			deadline, flight, audit := "", "", ""
			if m.Deadline > 0 {
				deadline = time.Duration(m.Deadline).String()
			}
			if m.MaxInFlight > 0 {
				flight = strconv.Itoa(m.MaxInFlight)
			}
			if m.Audit {
				audit = "yes"
			}
			t.row(service.Name+"."+m.Name, string(m.Kind), routes(m.Routes), string(m.Access), needs(m.Requirements),
				deadline, strconv.FormatInt(m.MaxBody, 10), flight, audit)
		}
	}
	writeText(w, http.StatusOK, t.bytes())
}

func routes(all []policy.Route) string {
	var texts []string
	for _, r := range all {
		texts = append(texts, r.Verb+" "+r.Pattern)
	}
	return strings.Join(texts, ", ")
}

// needs writes security alternatives as one line: "jwt[read] or key+basic".
func needs(all []policy.Requirement) string {
	var texts []string
	for _, r := range all {
		var schemes []string
		for _, u := range r.Schemes {
			schemes = append(schemes, u.Scheme)
		}
		text := strings.Join(schemes, "+")
		if len(r.Scopes) > 0 {
			text += "[" + strings.Join(r.Scopes, " ") + "]"
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, " or ")
}

// Build is what /build answers as JSON.
type Build struct {
	API     policy.API `json:"api"`
	Chassis string     `json:"chassis"`
	// Generator is the version that wrote the contract, Source what from.
	Generator string         `json:"generator"`
	Source    *policy.Source `json:"source,omitempty"`
	Go        string         `json:"go"`
	Platform  string         `json:"platform"`
	Main      string         `json:"main"`
	Version   string         `json:"version"`
	Settings  []Pair         `json:"settings"`
	Modules   []Pair         `json:"modules"`
	Host      string         `json:"host"`
	PID       int            `json:"pid"`
	Procs     int            `json:"gomaxprocs"`
	Started   time.Time      `json:"started"`
}

// Pair is a name and its value.
type Pair struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// shown are the build settings that are shown. Flags of the linker and of C
// compilers are not: they may carry secrets and paths of the builder.
var shown = []string{
	"-buildmode", "-compiler", "-race", "-tags", "-trimpath", "CGO_ENABLED", "DefaultGODEBUG", "GOAMD64", "GOARCH", "GOARM64",
	"GOEXPERIMENT", "GOFIPS140", "GOOS", "vcs", "vcs.modified", "vcs.revision", "vcs.time",
}

// build answers /build.
func (s *Server) build(w http.ResponseWriter, r *http.Request, _ string) {
	form, ok := formOf(w, r, asText)
	if !ok {
		return
	}
	host, _ := os.Hostname()
	b := Build{
		API: s.contract.API, Chassis: s.cfg.Version, Generator: s.contract.Generator, Source: s.contract.Source,
		Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Settings: []Pair{}, Modules: []Pair{},
		Host: host, PID: os.Getpid(), Procs: runtime.GOMAXPROCS(0), Started: s.begun,
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		b.Main, b.Version = info.Path, info.Main.Version
		for _, v := range info.Settings {
			if slices.Contains(shown, v.Key) {
				b.Settings = append(b.Settings, Pair{v.Key, v.Value})
			}
		}
		for _, m := range info.Deps {
			for m.Replace != nil {
				m = m.Replace
			}
			b.Modules = append(b.Modules, Pair{m.Path, m.Version})
		}
	}
	if form != asText {
		writeJSON(w, http.StatusOK, b)
		return
	}
	t := newTable("WHAT", "VALUE")
	for _, p := range []Pair{
		{"service", b.API.Name + " " + b.API.Version}, {"chassis", b.Chassis}, {"generator", b.Generator}, {"go", b.Go}, {"platform", b.Platform},
		{"main", b.Main + " " + b.Version}, {"host", b.Host}, {"pid", strconv.Itoa(b.PID)}, {"gomaxprocs", strconv.Itoa(b.Procs)},
		{"started", stamp(b.Started)},
	} {
		t.row(p.Name, p.Value)
	}
	if b.Source != nil {
		t.row("design", b.Source.Dir+" "+b.Source.SHA256)
	}
	for _, p := range slices.Concat(b.Settings, b.Modules) {
		t.row(p.Name, p.Value)
	}
	writeText(w, http.StatusOK, t.bytes())
}
