package input

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/model"
	"github.com/aguada-dev/aguada/prove/payload"
	"github.com/aguada-dev/aguada/prove/probe"
)

func parameters() []probe.Probe {
	return []probe.Probe{violatedParameters, parameterBoundaries, hostileParameters, unknown}
}

func parameterized(m method) bool { return called(m) && len(m.Parameters) > 0 }

func inPath(m method) bool {
	return called(m) && slices.ContainsFunc(m.Parameters, func(p model.Parameter) bool { return p.In == "path" })
}

// each makes a Run of probes whose attempts are made of a valid request.
func each(want expect, good string, attempts func(t *probe.Try, r lab.Request) []attempt) func(context.Context, *probe.Try) finding.Outcome {
	return func(ctx context.Context, t *probe.Try) finding.Outcome {
		r, err := ready(ctx, t)
		if err != nil {
			return probe.Skip("%v", err)
		}
		return verdict(ctx, t, want, good, attempts(t, r))
	}
}

var violatedParameters = probe.Probe{
	Probe: describe("param.constraints", "Is every value of path, query and header refused that breaks a constraint of the design?",
		"A page size of a billion, an id that is none: what stands in an address is written by the caller as much as a body is.",
		"Validate parameters against the design before the method is called, and answer 400.",
		"OWASP API8:2023", "CWE-20", "CWE-1284"),
	Each: func(m method) bool {
		return parameterized(m) && len(brokenParameters(payload.New(0), m, lab.Request{Path: m.Pattern, Header: http.Header{}})) > 0
	},
	Run: each(refused, "each refused", func(t *probe.Try, r lab.Request) []attempt { return brokenParameters(t.Payload, t.Method, r) }),
}

func brokenParameters(maker *payload.Maker, m method, r lab.Request) []attempt {
	var list []attempt
	for _, p := range m.Parameters {
		for _, c := range maker.Violations(p.Schema) {
			v, ok := text(c.Value)
			if !ok || c.Where != "" && !strings.HasPrefix(c.Where, "/0") || c.Constraint == "type" && p.Schema.Resolved().Type == "string" {
				continue
			}
			if v == "" && (!p.Required || p.In == "path") || p.In == "header" && !sendable(v) {
				continue // absent, or nothing that can be sent
			}
			if x, ok := place(m, r, p, v); ok {
				list = append(list, attempt{p.In + " " + p.Name + " against " + c.Constraint, x})
			}
		}
		if p.Required && p.In == "query" {
			path, query, _ := strings.Cut(r.Path, "?")
			values, _ := url.ParseQuery(query)
			values.Del(p.Name)
			x := r.Clone()
			x.Path = path + "?" + values.Encode()
			list = append(list, attempt{"query " + p.Name + " missing", x})
		}
		if p.Required && p.In == "header" {
			list = append(list, attempt{"header " + p.Name + " missing", r.With(p.Name, "")})
		}
	}
	return list
}

// sendable reports whether a text arrives unchanged as the value of a header.
func sendable(v string) bool {
	return strings.TrimSpace(v) == v && !strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// text writes a value as addresses and headers hold it; false for what has no
// such form.
func text(v any) (string, bool) {
	switch x := v.(type) {
	case string:
		return x, true
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64), true
	case bool:
		return strconv.FormatBool(x), true
	case []any:
		if len(x) == 1 {
			return text(x[0])
		}
	}
	return "", false
}

// place puts a value into a request, in the place of the parameter; false where
// the path does not show where that is.
func place(m method, r lab.Request, p model.Parameter, v string) (lab.Request, bool) {
	return raw(m, r, p, v, url.PathEscape(v))
}

// raw is place with the value as it stands in an address.
func raw(m method, r lab.Request, p model.Parameter, v, escaped string) (lab.Request, bool) {
	r = r.Clone()
	path, query, _ := strings.Cut(r.Path, "?")
	switch p.In {
	case "header":
		r.Header.Set(p.Name, v)
	case "query":
		values, _ := url.ParseQuery(query)
		values.Del(p.Name)
		if query = values.Encode(); query != "" {
			query += "&"
		}
		r.Path = path + "?" + query + url.QueryEscape(p.Name) + "=" + strings.ReplaceAll(escaped, "&", "%26")
	case "path":
		want, have := strings.Split(m.Pattern, "/"), strings.Split(path, "/")
		i := slices.IndexFunc(want, func(s string) bool { return s == "{"+p.Name+"}" || s == "{*"+p.Name+"}" })
		if i < 0 || i >= len(have) || strings.Contains(strings.Join(want[:i], "/"), "{*") {
			return r, false
		}
		have[i] = escaped
		if want[i][1] == '*' {
			have = have[:i+1]
		}
		r.Path = strings.Join(have, "/")
		if query != "" {
			r.Path += "?" + query
		}
	}
	return r, true
}

var parameterBoundaries = probe.Probe{
	Probe: describe("param.boundaries", "Are numbers and choices accepted in path, query and header that are exactly at the limits of the design?",
		"A limit that is off by one refuses what the design promises; callers find out when they ask for the largest page.",
		"Compare with the limits as the design writes them, inclusively.", "CWE-193"),
	Each: func(m method) bool {
		return parameterized(m) && !m.Changes() && slices.ContainsFunc(m.Parameters, limited)
	},
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		r, err := ready(ctx, t)
		if err != nil {
			return probe.Skip("%v", err)
		}
		var list []attempt
		ordinary := map[string]lab.Request{}
		for _, p := range t.Method.Parameters {
			if !limited(p) {
				continue
			}
			for _, c := range t.Payload.Boundaries(p.Schema) {
				name := p.In + " " + p.Name + " at " + c.Constraint
				if x, ok := at(t.Method, r, p, c.Value); ok {
					list = append(list, attempt{name, x})
				}
				if x, ok := at(t.Method, r, p, c.Ordinary); ok {
					ordinary[name] = x
				}
			}
		}
		var evidence []finding.Evidence
		var wrong []string
		for _, x := range list {
			a := ask(ctx, t, x.Request)
			if lab.Succeeds(t.Method, a) || ruled(a) {
				continue
			}
			if other, ok := ordinary[x.name]; ok && a.Status >= 400 && a.Status < 500 && refused(ask(ctx, t, other)) == "" {
				continue // the service has another rule
			}
			if len(wrong) == 0 {
				evidence = t.Client.Show(x.Request, a)
			}
			wrong = append(wrong, x.name+" is answered "+a.String())
		}
		return judge(evidence, wrong, len(list), "each accepted")
	},
}

// limited reports whether the design says exactly what the parameter takes: of
// numbers and choices, not of texts, which rarely have all their rules in it.
func limited(p model.Parameter) bool {
	s := p.Schema.Resolved()
	return s != nil && p.In != "path" && (isNumber(s) && (s.Minimum != nil || s.Maximum != nil) || len(s.Enum) > 0)
}

func at(m method, r lab.Request, p model.Parameter, v any) (lab.Request, bool) {
	s, ok := text(v)
	if !ok {
		return r, false
	}
	return place(m, r, p, s)
}

// hostile are values that some parsers, encoders and databases fail on; escaped
// is how they stand in an address.
var hostile = []struct{ name, value, escaped string }{
	{"a zero byte", "", "%00"},
	{"bytes that are no UTF-8", "\xff\xfe", "%ff%fe"},
	{"half of a surrogate pair", "\xed\xa0\x80", "%ed%a0%80"},
	{"a broken escape", "%zz", "%25zz"},
	{"a line end", "", "a%0d%0ab:%20c"},
	{"a quote", "'", "'"},
	{"a piece of SQL", "1' OR '1'='1", "1'%20OR%20'1'='1"},
	{"a path", "../../etc/passwd", "..%2f..%2fetc%2fpasswd"},
	{"a number beyond 64 bits", "9223372036854775808", "9223372036854775808"},
	{"1e999", "1e999", "1e999"},
	{"NaN", "NaN", "NaN"},
	{"a negative number", "-1", "-1"},
	{"4,000 letters", strings.Repeat("a", 4000), strings.Repeat("a", 4000)},
	{"4,000 digits", strings.Repeat("9", 4000), strings.Repeat("9", 4000)},
	{"brackets", "[$ne]=1", "%5b$ne%5d=1"},
	{"a percent sign", "%", "%25"},
	{"a date that is none", "2026-02-31", "2026-02-31"},
}

var hostileParameters = probe.Probe{
	Probe: describe("param.odd", "Does the service survive values of path, query and header that nobody expects?",
		"A zero byte that the database refuses, a number beyond 64 bits: where nobody thought of it the answer is a 500, or none.",
		"Parse parameters by the design's types and refuse with 400 what cannot be stored.",
		"CWE-20", "CWE-626", "CWE-755"),
	Each: parameterized,
	Run:  each(unharmed, "none failed", oddParameters),
}

func oddParameters(t *probe.Try, r lab.Request) []attempt {
	var list []attempt
	for _, p := range t.Method.Parameters {
		for _, h := range hostile {
			if p.In == "header" && h.value == "" {
				continue
			}
			if x, ok := raw(t.Method, r, p, h.value, h.escaped); ok {
				list = append(list, attempt{p.In + " " + p.Name + ": " + h.name, x})
			}
		}
		if p.In == "query" {
			if x, ok := raw(t.Method, r, p, "", "1&"+p.Name+"=2"); ok {
				list = append(list, attempt{"query " + p.Name + " twice", x})
			}
			x := r.Clone()
			x.Path += "?" + p.Name + "=%zz&;=&" + strings.Repeat("a=1&", 500)
			list = append(list, attempt{"a query of no form", x})
		}
	}
	return list
}

var unknown = probe.Probe{
	Probe: describe("param.unknown", "Is the name of something that does not exist answered without a failure?",
		"The commonest wrong request there is. Where the code does not expect it, the answer is a panic or a 500 instead of a 404.",
		"Return the design's not-found error where the database has no such row.",
		"RFC 9110 §15.5.5", "CWE-476", "CWE-755"),
	Each: inPath,
	Run:  each(unharmed, "none failed", unknownNames),
}

func unknownNames(t *probe.Try, r lab.Request) []attempt {
	var list []attempt
	for _, p := range t.Method.Parameters {
		if p.In != "path" {
			continue
		}
		for n := range uint64(3) {
			v, _ := text(payload.New(t.Seed ^ 0x9e3779b97f4a7c15 + n).Minimal(p.Schema))
			if x, ok := place(t.Method, r, p, v); ok && v != "" && x.Path != r.Path {
				list = append(list, attempt{fmt.Sprintf("%s %.40q", p.Name, v), x})
			}
		}
	}
	return list
}

// nowhere is a request to what the design does not have.
func nowhere(r lab.Request, path string) lab.Request {
	r = r.Clone()
	r.Verb, r.Path, r.Body = http.MethodGet, path, nil
	return r
}
