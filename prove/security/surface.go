package security

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
)

func surface() []probe.Probe {
	return []probe.Probe{inside, origins, otherPaths, otherVerbs, headers, sniffing}
}

// insides are paths that belong to operators, on the ports of services in the
// field.
var insides = []string{
	"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/vars", "/debug", "/debug?debug-logs=on", "/debug/requests", "/metrics",
	"/admin", "/admin/", "/config", "/env", "/actuator", "/actuator/env", "/audit", "/leases", "/methods", "/profile", "/internal", "/server-status",
	"/.env", "/.git/HEAD", "/.git/config", "/credentials.json", "/api-keys.json", "/users.htpasswd",
}

var inside = probe.Probe{
	Probe: describe("surface.operators", "Is nothing that belongs to operators on the public port?",
		"Profiles hold the memory of the process, credentials included; a debug switch writes payloads into the log; metrics tell a stranger what the service does.",
		"Serve metrics, profiles and debug switches on a listener of their own, on loopback or behind authentication, and never on the DefaultServeMux.",
		"OWASP API8:2023", "OWASP API9:2023", "CWE-489", "CWE-215"),
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		var served []string
		var seen []finding.Evidence
		for _, path := range insides {
			if slices.ContainsFunc(t.Service.Methods, func(m method) bool { return strings.HasPrefix(path, m.Pattern) && m.Pattern != "/" }) {
				continue // the design's own
			}
			r := lab.Request{Verb: http.MethodGet, Path: path}
			if a := t.Client.Do(ctx, r); a.Status != http.StatusNotFound && a.Status != http.StatusUnauthorized && a.Status != http.StatusForbidden {
				served = append(served, fmt.Sprintf("GET %s is answered %s", path, a))
				if len(served) == 1 {
					seen = t.Client.Show(r, a)
				}
			}
		}
		if len(served) > 0 {
			return probe.Fail(seen, "%s", strings.Join(served, "; "))
		}
		return probe.Pass("%d paths, none served", len(insides))
	},
}

var otherPaths = probe.Probe{
	Probe: describe("surface.paths", "Are spellings of a path that the design does not have refused?",
		"A proxy that guards /admin does not guard /Admin, //admin or /x/../admin: what the service takes for the same path is then open.",
		"Match paths exactly as the design writes them; do not clean, decode or fold them before.",
		"RFC 9110 §4.2.3", "CWE-41", "CWE-647"),
	Each: probe.Secured,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		r, err := t.Valid(ctx, t.Client, t.Method)
		if err != nil {
			return probe.Skip("%v", err)
		}
		path, query, _ := strings.Cut(r.Path, "?")
		if query != "" {
			query = "?" + query
		}
		tried := []string{"/" + path, path + "/", "/x/.." + path, path + "/.", "/%2e" + path, strings.ToUpper(path), path + "%00", path + ";x=y", path + "%2f"}
		if last := strings.LastIndexByte(path, '/'); last > 0 {
			tried = append(tried, path[:last]+"%2F"+path[last+1:], path[:last]+"%5C"+path[last+1:])
		}
		for _, p := range tried {
			if t.Service.Serves(t.Method.Verb, p) {
				continue
			}
			bad := r.Clone()
			bad.Path = p + query
			a := t.Client.Do(ctx, bad)
			if a.Status < 300 && a.Err == nil || a.Status >= 500 {
				return probe.Fail(t.Client.Show(bad, a), "%s is answered %s without credentials", p, a)
			}
			if a.Status != http.StatusUnauthorized {
				continue
			}
			bad = t.Sign(bad, t.Method, lab.Good) // somebody is asked who they are: for what?
			if a = t.Client.Do(ctx, bad); lab.Succeeds(t.Method, a) {
				return probe.Fail(t.Client.Show(bad, a), "%s is served as %s", p, path)
			}
		}
		return probe.Pass("%d spellings, none served", len(tried))
	},
}

var otherVerbs = probe.Probe{
	Probe: describe("surface.verbs", "Are verbs that the design does not have refused, whatever headers ask for them?",
		"A guard by verb is passed by HEAD, by TRACE, by a made-up verb, or by a header that the framework takes for the verb.",
		"Answer 405 with Allow to every verb that the path does not have, and give X-HTTP-Method-Override no meaning.",
		"RFC 9110 §15.5.6", "CWE-650", "CWE-285"),
	Each: probe.Secured,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		r, err := t.Valid(ctx, t.Client, t.Method)
		if err != nil {
			return probe.Skip("%v", err)
		}
		path, _, _ := strings.Cut(r.Path, "?")
		for _, verb := range []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "PROVE", "get"} {
			if t.Service.Serves(verb, path) {
				continue
			}
			bad := r.Clone()
			bad.Verb, bad.Body = verb, nil
			a := t.Client.Do(ctx, bad)
			if a.Status < 300 && a.Err == nil || a.Status >= 500 {
				return probe.Fail(t.Client.Show(bad, a), "%s %s is answered %s without credentials", verb, path, a)
			}
			if verb == "TRACE" && strings.Contains(string(a.Body), "Traceparent") {
				return probe.Fail(t.Client.Show(bad, a), "TRACE echoes the request")
			}
		}
		for _, name := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
			bad := r.With(name, "OPTIONS")
			if a := t.Client.Do(ctx, bad); a.Status < 400 && a.Err == nil {
				return probe.Fail(t.Client.Show(bad, a), "with %s the answer is %s without credentials", name, a)
			}
		}
		return probe.Pass("none served")
	},
}

var headers = probe.Probe{
	Probe: describe("surface.errors", "Is a path or a verb that does not exist refused in the form of the other errors?",
		"Clients parse errors; a page of text, or an empty one, is a crash in theirs.",
		"Answer 404 and 405 with the same body as other errors, and 405 with Allow.",
		"RFC 9110 §15.5.6", "RFC 9457"),
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		missing := lab.Request{Verb: http.MethodGet, Path: "/prover-has-no-such-path"}
		a := t.Client.Do(ctx, missing)
		if a.Status != http.StatusNotFound || !structured(a) {
			return probe.Fail(t.Client.Show(missing, a), "the answer to an unknown path is %s with Content-Type %q", a, a.Header.Get("Content-Type"))
		}
		for _, m := range t.Service.Methods {
			if !m.HTTP() || !m.Fixed() || t.Service.Serves("PROVE", m.Pattern) {
				continue
			}
			r := lab.Request{Verb: "PROVE", Path: m.Pattern}
			a := t.Client.Do(ctx, r)
			if a.Status != http.StatusMethodNotAllowed || !structured(a) || a.Header.Get("Allow") == "" {
				return probe.Fail(t.Client.Show(r, a), "the answer to an unknown verb is %s with Allow %q and Content-Type %q", a, a.Header.Get("Allow"), a.Header.Get("Content-Type"))
			}
			return probe.Pass("404 and 405 as JSON, Allow: %s", a.Header.Get("Allow"))
		}
		return probe.Pass("404 as JSON")
	},
}

// structured reports whether the answer is a JSON object of some kind.
func structured(a *lab.Answer) bool {
	kind := a.Header.Get("Content-Type")
	return (strings.Contains(kind, "json") || strings.Contains(kind, "goa.error")) && strings.HasPrefix(strings.TrimSpace(string(a.Body)), "{")
}

var sniffing = probe.Probe{
	Probe: describe("surface.headers", "Do answers carry the headers that keep browsers from misusing them?",
		"Without nosniff a browser may run an answer as a script; without a policy for frames it can be drawn under another page.",
		"Set X-Content-Type-Options: nosniff on every answer, and do not name product and version in Server or X-Powered-By.",
		"OWASP API8:2023", "CWE-693", "CWE-200"),
	Each: probe.Unary,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		r, err := t.Valid(ctx, t.Client, t.Method)
		if err != nil {
			return probe.Skip("%v", err)
		}
		for _, r := range []lab.Request{t.Sign(r, t.Method, lab.Good), r} {
			a := t.Client.Do(ctx, r)
			if a.Err != nil {
				return probe.Skip("%s", a)
			}
			if a.Header.Get("X-Content-Type-Options") != "nosniff" {
				return probe.Fail(t.Client.Show(r, a), "X-Content-Type-Options is %q", a.Header.Get("X-Content-Type-Options"))
			}
			for _, name := range []string{"Server", "X-Powered-By"} {
				if v := a.Header.Get(name); strings.ContainsAny(v, "0123456789") {
					return probe.Fail(t.Client.Show(r, a), "%s tells %q", name, v)
				}
			}
		}
		return probe.Pass("nosniff, with and without credentials")
	},
}
