package transport

import (
	"encoding/json"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/telemetry"
)

// Every value that a caller sends wrongly holds one of these marks.
const (
	mark   = "M4RK"
	digits = "7777777777777777777777"
)

// echoed are what is sent: short, long, and shaped like a part of one of Goa's
// messages or of a terminal's commands.
var echoed = []string{
	mark, mark + strings.Repeat("y", 300), mark + "\x07\x1b[31m\x00\r\n", mark + "\u202e\u2028", mark + "\xff\xfe",
	mark + `" but got value "` + mark, `"` + mark + `" for "num", must be a integer; ` + mark, mark + "%!d(float64=1)", digits, "-" + digits + ".5e5", "1e" + digits,
}

// jsonText is a value as a JSON string.
func jsonText(v string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range v {
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r < ' ':
			b.WriteString(`\u00` + string("0123456789abcdef"[r>>4]) + string("0123456789abcdef"[r&15]))
		default:
			b.WriteRune(r)
		}
	}
	return b.String() + `"`
}

// wrong are the ways to get a value wrong: for each kind of constraint, in
// each place. What they return is never accepted.
var wrong = map[string]func(v string) *http.Request{
	"path integer":     func(v string) *http.Request { return edit(pathRequest(v), "") },
	"query boolean":    func(v string) *http.Request { return query("flag", v) },
	"query number":     func(v string) *http.Request { return query("ratio", "x"+v) },
	"query range":      func(v string) *http.Request { return query("ratio", "-"+digits) },
	"query integers":   func(v string) *http.Request { return query("counts", "-"+v) },
	"query booleans":   func(v string) *http.Request { return query("flags", v) },
	"query numbers":    func(v string) *http.Request { return query("ratios", "x"+v) },
	"query format":     func(v string) *http.Request { return query("day", v) },
	"header integer":   func(v string) *http.Request { return edit(nil, "", "X-Level", "-"+v) },
	"header enum":      func(v string) *http.Request { return edit(nil, "", "X-Kind", v) },
	"header sensitive": func(v string) *http.Request { return edit(nil, "", "X-Pin", v) },
	"cookie integer":   func(v string) *http.Request { return edit(nil, "", "Cookie", "SID="+cookieText(v)) },
	"body pattern":     func(v string) *http.Request { return sent(`{"name":` + jsonText("0"+v) + `}`) },
	"body length":      func(v string) *http.Request { return sent(`{"name":` + jsonText(v+strings.Repeat("y", 41)) + `}`) },
	"body format":      func(v string) *http.Request { return sent(`{"name":"bob","email":` + jsonText(v) + `}`) },
	"body range":       func(string) *http.Request { return sent(`{"name":"bob","amount":` + digits + `}`) },
	"body overflow":    func(string) *http.Request { return sent(`{"name":"bob","tags":{"a":` + digits + `}}`) },
	"body huge":        func(string) *http.Request { return sent(`{"name":"bob","amount":` + digits + `e999}`) },
	"body elements":    func(v string) *http.Request { return sent(`{"name":"bob","codes":[` + jsonText("x"+v) + `]}`) },
	"body count": func(v string) *http.Request {
		t := jsonText(v)
		return sent(`{"name":"bob","codes":[` + t + "," + t + "," + t + "," + t + `]}`)
	},
	"body key":         func(v string) *http.Request { return sent(`{"name":"bob","tags":{` + jsonText("0"+v) + `:1}}`) },
	"body value":       func(v string) *http.Request { return sent(`{"name":"bob","tags":{` + jsonText(v) + `:99}}`) },
	"body value type":  func(v string) *http.Request { return sent(`{"name":"bob","tags":{` + jsonText(v) + `:"x"}}`) },
	"body base64":      func(v string) *http.Request { return sent(`{"name":"bob","data":` + jsonText("!"+v) + `}`) },
	"body nested":      func(v string) *http.Request { return sent(`{"name":"bob","item":{"sku":` + jsonText(v) + `}}`) },
	"body object":      func(v string) *http.Request { return sent(`{"name":"bob","item":` + jsonText(v) + `}`) },
	"body sensitive":   func(v string) *http.Request { return sent(`{"name":"bob","card":` + jsonText(v) + `}`) },
	"body text type":   func(string) *http.Request { return sent(`{"name":` + digits + `}`) },
	"body number type": func(v string) *http.Request { return sent(`{"name":"bob","amount":` + jsonText(v) + `}`) },
	"union kind": func(v string) *http.Request {
		return sent(`{"name":"bob","choice":{"type":` + jsonText(v) + `,"value":1}}`)
	},
	"union value": func(v string) *http.Request {
		return sent(`{"name":"bob","choice":{"type":"word","value":` + jsonText("0"+v) + `}}`)
	},
	"union type": func(v string) *http.Request {
		return sent(`{"name":"bob","choice":{"type":"item","value":` + jsonText(v) + `}}`)
	},
	"union":          func(v string) *http.Request { return sent(`{"name":"bob","choice":` + jsonText(v) + `}`) },
	"missing":        func(v string) *http.Request { return sent(`{"email":` + jsonText(v) + `}`) },
	"no JSON":        func(v string) *http.Request { return sent(`{"name":` + v + "}") },
	"unknown escape": func(v string) *http.Request { return sent(`{"name":"\q` + v) },
	"trailing":       func(v string) *http.Request { return sent(`{"name":"bob"}` + jsonText(v)) },
	"whole body":     func(v string) *http.Request { return sent(jsonText(v)) },
	"many at once": func(v string) *http.Request {
		return edit(query("day", v), `{"name":`+jsonText("0"+v)+`,"email":`+jsonText(v)+`,"card":`+jsonText(v)+`}`, "X-Kind", v, "X-Level", "-"+v)
	},
	"media type":      func(v string) *http.Request { return edit(nil, "", "Content-Type", "application/"+v) },
	"media parameter": func(v string) *http.Request { return edit(nil, "", "Content-Type", "application/json; charset="+v) },
	"media coding":    func(v string) *http.Request { return edit(nil, "", "Content-Encoding", v) },
	"credential": func(v string) *http.Request {
		r := request("GET", "/orders/1", "", "")
		r.Header.Set("Authorization", "Bearer "+v)
		return r
	},
	"scheme": func(v string) *http.Request {
		r := request("GET", "/orders/1", "", "")
		r.Header.Set("Authorization", v)
		return r
	},
	"request id": func(v string) *http.Request {
		r := request("GET", "/find?limit=101", "", "")
		r.Header.Set("X-Request-Id", v+strings.Repeat("z", maxID))
		return r
	},
}

func sent(text string) *http.Request { return checkRequest(text) }

func pathRequest(v string) *http.Request {
	r := checkRequest(`{"name":"bob"}`)
	r.URL.Path, r.URL.RawPath = "/check/x"+v, "/check/x"+url.PathEscape(v)
	return r
}

func query(name, v string) *http.Request {
	r := checkRequest(`{"name":"bob"}`)
	r.URL.RawQuery = url.Values{name: {v}}.Encode()
	return r
}

// edit returns a request with another body and other headers.
func edit(r *http.Request, text string, header ...string) *http.Request {
	if r == nil {
		r = checkRequest(`{"name":"bob"}`)
	}
	if text != "" {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	}
	for i := 0; i < len(header); i += 2 {
		r.Header[header[i]] = []string{header[i+1]}
	}
	return r
}

func cookieText(v string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f || r == '"' || r == ';' || r == ',' || r == '\\' {
			return 'x'
		}
		return r
	}, v)
}

// No answer and no line of the log holds a part of what was sent wrongly,
// whatever is wrong with it, in all forms that an answer has.
func TestNothingIsEchoed(t *testing.T) {
	for _, strictly := range []bool{false, true} {
		r := newRig(t, func(r *rig) { r.policyOf("check").StrictBody = strictly })
		for name, make := range wrong {
			for _, v := range echoed {
				for _, accept := range []string{"", "application/problem+json", "application/xml"} {
					req := make(v)
					if accept != "" {
						req.Header.Set("Accept", accept)
					}
					r.log.reset()
					w := r.do(req)
					if w.Code < 400 || w.Code > 499 {
						t.Errorf("%s: %q: %d %s", name, v, w.Code, w.Body)
					}
					refuseEcho(t, name, v, w)
					if text := r.log.String(); strings.Contains(text, mark) || strings.Contains(text, digits) {
						t.Errorf("%s: %q is in the log: %s", name, v, text)
					}
				}
			}
		}
	}
}

func refuseEcho(t *testing.T, name, v string, w *httptest.ResponseRecorder) {
	t.Helper()
	var all strings.Builder
	_ = w.Header().Write(&all)
	all.Write(w.Body.Bytes())
	for _, m := range []string{mark, digits} {
		if strings.Contains(all.String(), m) {
			t.Errorf("%s: %q is in the answer: %s", name, v, all.String())
		}
	}
	if strings.ContainsAny(w.Body.String(), "\x00\x07\x1b\x7f") {
		t.Errorf("%s: %q: the answer has control characters: %q", name, v, w.Body)
	}
}

// What matches no route, or not by its verb, is answered without what was
// asked for; Allow names the verbs of the contract. The log has the path, but
// never as it came to a terminal.
func TestUnmatchedIsNotEchoed(t *testing.T) {
	for _, format := range []telemetry.Format{telemetry.JSON, telemetry.Terminal} {
		r := newRig(t, func(r *rig) { r.cfg.Logger = slog.New(telemetry.NewHandler(r.log, format, nil)) })
		for _, v := range echoed {
			for name, tt := range map[string]struct {
				make   func() *http.Request
				status int
				allow  string
			}{
				"no route": {func() *http.Request { q := request("GET", "/", "", ""); q.URL.Path = "/" + v; return q }, 404, ""},
				"query":    {func() *http.Request { q := request("GET", "/none", "", ""); q.URL.RawQuery = v; return q }, 404, ""},
				"verb":     {func() *http.Request { q := request("GET", "/orders", "", ""); q.Method = v; return q }, 405, "POST"},
				"verbs":    {func() *http.Request { q := request("DELETE", "/orders/"+url.PathEscape(v), "", ""); return q }, 405, "GET"},
				"files":    {func() *http.Request { q := request("POST", "/", "", v); q.URL.Path = "/files/" + v; return q }, 405, "GET, HEAD"},
				"no file": {func() *http.Request {
					q := request("GET", "/", "", "")
					q.URL.Path = "/files/" + cookieText(v)
					return q
				}, 404, ""},
				"too large": {func() *http.Request {
					q := checkRequest(v)
					q.ContentLength = 1 << 30
					return q
				}, 413, ""},
				"media": {func() *http.Request { q := checkRequest(v); q.Header.Set("Content-Type", "text/plain; "+v); return q }, 415, ""},
			} {
				r.log.reset()
				w := r.do(tt.make())
				if w.Code != tt.status || w.Header().Get("Allow") != tt.allow {
					t.Errorf("%s: %q: %d, Allow %q", name, v, w.Code, w.Header().Get("Allow"))
				}
				refuseEcho(t, name, v, w)
				text := r.log.String()
				if strings.Count(text, "\n") != 1 || strings.ContainsAny(strings.TrimRight(text, "\n"), "\x00\x07\r\n") {
					t.Errorf("%s: %q: the log has more than one line or control characters: %q", name, v, text)
				}
				if strings.Contains(text, "\x1b[31m\x00") || name == "query" && strings.Contains(text, mark) {
					t.Errorf("%s: %q: the log has %q", name, v, text)
				}
			}
		}
	}
}

// Types that decode themselves, as a design may choose them, may quote the
// value in their errors.
func TestErrorsOfTypesAreNotEchoed(t *testing.T) {
	for _, v := range echoed {
		for name, into := range map[string]any{"time": new(struct{ V time.Time }), "address": new(struct{ V netip.Addr }), "number": new(struct{ V big.Int })} {
			err := json.Unmarshal([]byte(`{"V":`+jsonText("x"+v)+`}`), into)
			if err == nil {
				t.Fatalf("%s takes %q", name, v)
			}
			if text := explain(err).Error(); strings.Contains(text, mark) || strings.Contains(text, digits) {
				t.Errorf("%s: %s", name, text)
			}
		}
	}
}
