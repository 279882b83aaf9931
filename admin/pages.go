package admin

import (
	"cmp"
	"fmt"
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
	foot := "\nFrom a shell, the checks as text (probes answer JSON unless asked), the audit as JSON:\n\n" +
		s.curl(r, "/readyz?format=text") + "\n" + s.curl(r, "/audit?format=json") + "\n"
	writeText(w, http.StatusOK, slices.Concat([]byte(s.standing(r)), t.bytes(), []byte(foot)))
}

// standing says in a few lines what somebody who is woken asks first.
func (s *Server) standing(r *http.Request) string {
	st := s.state()
	all, ready := s.checks(r.Context(), st)
	_, text := verdict(ready)
	var b strings.Builder
	fmt.Fprintf(&b, "%s, the private port\n\n", printable(s.contract.API.Name+" "+s.contract.API.Version))
	fmt.Fprintf(&b, "%s: %s, up %s\n", text, printable(st.Name), st.Uptime.Round(time.Second))
	for _, c := range all {
		if !c.OK {
			fmt.Fprintf(&b, "check %s fails since %s: %s\n", printable(c.Name), cmp.Or(stamp(c.Since), "the start"), printable(c.LastError))
		}
		if c.Note != "" {
			fmt.Fprintf(&b, "%s: %s\n", printable(c.Name), printable(c.Note))
		}
	}
	if s.cfg.Leases != nil {
		if n := len(s.cfg.Leases.List()); n > 0 {
			fmt.Fprintf(&b, "debug leases that are open: %d, see /debug/leases\n", n)
		}
	}
	return b.String() + "\n"
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
	set, rest := newTable("SET", "VALUE", "SOURCE", "DEFAULT", "MEANING"), newTable("NOT SET", "DEFAULT", "MEANING")
	n := 0
	for _, v := range rows {
		if v.Source == "default" {
			rest.row(v.Name, v.Default, v.Meaning)
		} else {
			n++
			set.row(v.Name, v.Value, v.Source, v.Default, v.Meaning)
		}
	}
	head := fmt.Sprintf("%d settings are set, %d have their defaults. Secrets are masked.\n\n", n, len(rows)-n)
	writeText(w, http.StatusOK, slices.Concat([]byte(head), set.bytes(), []byte("\n"), rest.bytes()))
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
			p := Pair{m.Path, m.Version}
			if m.Replace != nil {
				p.Value += " => " + strings.TrimSpace(m.Replace.Path+" "+m.Replace.Version)
			}
			b.Modules = append(b.Modules, p)
		}
	}
	if form != asText {
		writeJSON(w, http.StatusOK, b)
		return
	}
	head, settings, modules := newTable("WHAT", "VALUE"), newTable("SETTING", "VALUE"), newTable("MODULE", "VERSION")
	for _, p := range []Pair{
		{"service", b.API.Name + " " + b.API.Version}, {"chassis", b.Chassis}, {"generator", b.Generator}, {"go", b.Go}, {"platform", b.Platform},
		{"main", b.Main + " " + b.Version}, {"host", b.Host}, {"pid", strconv.Itoa(b.PID)}, {"gomaxprocs", strconv.Itoa(b.Procs)},
		{"started", stamp(b.Started)},
	} {
		head.row(p.Name, p.Value)
	}
	if b.Source != nil {
		head.row("design", b.Source.Dir+" "+b.Source.SHA256)
	}
	for _, p := range b.Settings {
		settings.row(p.Name, p.Value)
	}
	for _, p := range b.Modules {
		modules.row(p.Name, p.Value)
	}
	writeText(w, http.StatusOK, slices.Concat(head.bytes(), []byte("\n"), settings.bytes(), []byte("\n"), modules.bytes()))
}
