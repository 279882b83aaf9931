package input

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/model"
	"github.com/aguada-dev/aguada/prove/probe"
)

func answers() []probe.Probe { return []probe.Probe{inner, echo} }

// insides are texts of decoders, of the runtime and of databases, which are
// meant for who wrote the service.
var insides = []struct {
	what string
	form *regexp.Regexp
}{
	{"an error of encoding/json", regexp.MustCompile(`(^|[^/\w])json: |cannot unmarshal|invalid character '|looking for beginning of|unexpected end of JSON`)},
	{"an error of another decoder", regexp.MustCompile(`(^|[^/\w])(gob|xml|strconv|base64|hex|gzip): |XML syntax error|strconv\.\w+`)},
	{"an error of Go's input and output", regexp.MustCompile(`unexpected EOF|http: request body too large|multipart: |malformed MIME`)},
	{"a Go type", regexp.MustCompile(`Go (value|struct field)|of type (\*|\[\]|map\[)?[a-z]\w*\.[A-Z]\w*|\*?\bgoa\.\w+Error`)},
	{"a panic", regexp.MustCompile(`runtime error|goroutine \d+|nil pointer dereference|panic(:|ked)`)},
	{"a file of the source", regexp.MustCompile(`[\w/.-]+\.go:\d+`)},
	{"an error of a database", regexp.MustCompile(`(?i)\bsql: |sqlite|sqlstate|\bpq: |\bpgx\b|constraint failed|syntax error at or near|violates (unique|foreign|check)|duplicate key value|no rows in result`)},
}

// tells returns what a text tells of the inside, "" for nothing.
func tells(text string) string {
	for _, x := range insides {
		if found := x.form.FindString(text); found != "" {
			return x.what + fmt.Sprintf(" (%q)", strings.TrimSpace(found))
		}
	}
	return ""
}

var inner = probe.Probe{
	Probe: describe("answer.inside", "Do answers to bad input keep quiet about the code behind them?",
		"Names of types, texts of the decoder and of the database tell an attacker what is there and which versions, and are no help to a caller.",
		"Answer with texts of your own, and give an id under which the log has the rest.",
		"OWASP API8:2023", "CWE-209", "CWE-497"),
	Each: called,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		list, err := everything(ctx, t)
		if err != nil {
			return probe.Skip("%v", err)
		}
		return verdict(ctx, t, func(a *lab.Answer) string {
			if a.Status < 400 {
				return "" // the design's own
			}
			if said := tells(shown(a)); said != "" {
				return "answered with " + said
			}
			return ""
		}, "none tells", list)
	},
}

// shown is what an answer says, in header and body.
func shown(a *lab.Answer) string {
	var b strings.Builder
	_ = a.Header.Write(&b) // a Builder takes all
	b.Write(a.Body)
	return b.String()
}

// everything returns each kind of bad request to the method.
func everything(ctx context.Context, t *probe.Try) ([]attempt, error) {
	r, err := ready(ctx, t)
	if err != nil {
		return nil, err
	}
	list := slices.Concat(brokenParameters(t.Payload, t.Method, r), oddParameters(t, r), unknownNames(t, r))
	list = append(list, attempt{"a path that does not exist", nowhere(r, "/prover/'\"<>")}, attempt{"an unknown verb", verb(r, "PROVE")})
	if probe.WithBody(t.Method) {
		d, err := accepted(ctx, t, "answer.inside")
		if err != nil {
			return nil, err
		}
		list = slices.Concat(list, broken(d, r), unreadable(t.Method, d, r), lenient(d, r), unusual(d, r), typed(t.Method, d, r),
			[]attempt{{"what was sent before", with(r, d.valid(0))}, {"what was sent before", with(r, d.valid(0))}})
	}
	return list, nil
}

func verb(r lab.Request, name string) lab.Request {
	r = r.Clone()
	r.Verb, r.Body = name, nil
	return r
}

// word is repeated in what is sent, and counted in what comes back.
const (
	word = "Qk7xVhproverZw3m"
	most = 256
)

// canary is a text of n bytes.
func canary(n int) string { return strings.Repeat(word, n/len(word)+1)[:n] }

var echo = probe.Probe{
	Probe: describe("answer.echo", "Do refusals give back no more than a little of what was sent?",
		"An answer that repeats what it refuses is as long as a caller likes, ends up in logs with whatever was in it, and runs in a browser that takes it for a page.",
		"Name the field and the rule in errors, not the value; cut what has to be quoted.",
		"CWE-79", "CWE-209", "CWE-405"),
	Each: called,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		list, err := canaries(ctx, t)
		if err != nil {
			return probe.Skip("%v", err)
		}
		return verdict(ctx, t, func(a *lab.Answer) string {
			if n := strings.Count(shown(a), word) * len(word); a.Status >= 400 && n > most {
				return fmt.Sprintf("answered with %d bytes of it", n)
			}
			return ""
		}, "none gives it back", list)
	},
}

// canaries returns bad requests with a long text in each place that a caller
// fills.
func canaries(ctx context.Context, t *probe.Try) ([]attempt, error) {
	r, err := ready(ctx, t)
	if err != nil {
		return nil, err
	}
	long := canary(6000)
	list := []attempt{
		{"a path that does not exist", nowhere(r, "/"+long)}, {"an unknown verb", verb(r, canary(200))},
		{"an unknown parameter", nowhere(r, r.Path+"?"+long+"="+long)}, {"a request id", verb(r.With("X-Request-Id", long), "PROVE")},
		{"an origin", verb(r.With("Origin", "https://"+long), "PROVE")}, {"a type", with(r, []byte("x")).With("Content-Type", "prover/"+long)},
		{"a wanted type", r.With("Accept", "prover/"+long)},
	}
	for _, p := range t.Method.Parameters {
		if x, ok := place(t.Method, r, p, long); ok {
			list = append(list, attempt{p.In + " " + p.Name, x})
		}
	}
	if !probe.WithBody(t.Method) {
		return list, nil
	}
	d, err := accepted(ctx, t, "answer.echo")
	if err != nil {
		return nil, err
	}
	long = canary(60_000)
	add := func(name string, body []byte, ok bool) {
		if ok {
			list = append(list, attempt{name, with(r, body)})
		}
	}
	add("a body of another type", encode(long), true)
	add("a body that ends in the middle", []byte(`{"`+long), true)
	b, ok := d.member(`"` + long + `":"` + long + `"`)
	add("an unknown member", b, ok)
	for i, want := range []func(*model.Schema) bool{anyText, isNumber, isArray} {
		b, ok = d.put(want, `"`+long+`"`)
		add([]string{"a text", "a text instead of a number", "a text instead of a list"}[i], b, ok)
	}
	for _, c := range d.violations() {
		if c.Constraint == "maxLength" || c.Constraint == "pattern" || c.Constraint == "enum" || c.Constraint == "format" {
			add(c.Where+" against "+c.Constraint, encode(swap(c.Value, d.nth(0), long)), true)
		}
	}
	return list, nil
}

// swap returns the broken document with long instead of the text in which it
// differs from the valid one.
func swap(bad, good any, long string) any {
	switch x := bad.(type) {
	case map[string]any:
		y, _ := good.(map[string]any)
		all := make(map[string]any, len(x))
		for name, v := range x {
			all[name] = swap(v, y[name], long)
		}
		return all
	case []any:
		y, _ := good.([]any)
		all := make([]any, len(x))
		for i, v := range x {
			if i < len(y) {
				all[i] = swap(v, y[i], long)
			}
		}
		return all
	case string:
		if y, ok := good.(string); !ok || x != y {
			return long
		}
	}
	return bad
}
