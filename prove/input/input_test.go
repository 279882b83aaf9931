package input

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/model"
	"github.com/aguada-dev/aguada/prove/payload"
	"github.com/aguada-dev/aguada/prove/wire"
)

const document = `{"openapi":"3.0.3","info":{"title":"t","version":"1"},"paths":{"/things/{id}/{*rest}":{"post":{
	"operationId":"s#m","responses":{},
	"parameters":[
		{"name":"id","in":"path","required":true,"schema":{"type":"string","pattern":"^[a-z]+$"}},
		{"name":"rest","in":"path","required":true,"schema":{"type":"string"}},
		{"name":"size","in":"query","schema":{"type":"integer","minimum":1,"maximum":100}},
		{"name":"must","in":"query","required":true,"schema":{"type":"boolean"}},
		{"name":"X-Kind","in":"header","schema":{"type":"string","enum":["a","b"]}}],
	"requestBody":{"required":true,"content":{"application/json":{"schema":{"type":"object","required":["name"],"properties":{
		"name":{"type":"string","maxLength":9},"note":{"type":"string"},"n":{"type":"integer"},"code":{"type":"string","pattern":"^[0-9]{4}$"},
		"lines":{"type":"array","minItems":1,"items":{"type":"object","required":["text"],"properties":{"text":{"type":"string"}}}}}}}}}}}}}`

func thing(t *testing.T) method {
	t.Helper()
	s, err := model.Read(nil, []byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return s.Methods[0]
}

func request(m method) lab.Request {
	r := lab.Request{Verb: m.Verb, Path: "/things/abc/x/y?must=true", Header: http.Header{}}
	return with(r, []byte(`{"name":"abc"}`))
}

func TestProbesAreDescribed(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, p := range Probes() {
		if p.Code == "" || seen[p.Code] || !strings.HasSuffix(p.Question, "?") || p.Why == "" || p.Fix == "" || len(p.References) == 0 || p.Run == nil || p.Family != "input" {
			t.Errorf("%q: %+v", p.Code, p.Probe)
		}
		seen[p.Code] = true
	}
}

func TestRefusedAndUnharmed(t *testing.T) {
	t.Parallel()
	for status, want := range map[int][2]bool{200: {false, true}, 303: {false, true}, 400: {true, true}, 413: {true, true}, 501: {true, true}, 500: {false, false}, 503: {false, false}, 0: {false, false}} {
		a := &lab.Answer{Status: status}
		if status == 0 {
			a.Err = io.EOF
		}
		if got := [2]bool{refused(a) == "", unharmed(a) == ""}; got != want {
			t.Errorf("%d: %v", status, got)
		}
	}
}

func TestInsides(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`"message":"json: cannot unmarshal string into Go value of type server.CreateOrderRequestBody"`, "invalid character 'x' looking for beginning of value",
		"unexpected EOF", `strconv.ParseInt: parsing "x": invalid syntax`, "runtime error: index out of range", "goroutine 17 [running]", "/src/service/orders.go:17",
		"UNIQUE constraint failed: orders.id (1555)", `pq: duplicate key value violates unique constraint`, "sql: no rows in result set", "XML syntax error on line 1", "gob: unknown type id", "ERROR: value too long (SQLSTATE 22001)",
	} {
		if tells(text) == "" {
			t.Errorf("%q tells nothing", text)
		}
	}
	for _, text := range []string{
		"the body is not valid JSON (at byte 7)", "items must be an array", "want application/json: see the documentation", `{"name":"not_found","message":"no such order"}`,
		"length of name must be at most 9", "Content-Type: application/json", "the value must be one of a, b", "too many requests", "an order cannot be cancelled twice", "go.dev:80",
	} {
		if said := tells(text); said != "" {
			t.Errorf("%q tells %s", text, said)
		}
	}
}

func TestPlace(t *testing.T) {
	t.Parallel()
	m := thing(t)
	by := map[string]model.Parameter{}
	for _, p := range m.Parameters {
		by[p.Name] = p
	}
	for _, c := range []struct{ name, value, want string }{
		{"id", "a/b c", "/things/a%2Fb%20c/x/y?must=true"},
		{"rest", "z", "/things/abc/z?must=true"},
		{"size", "17&x=1", "/things/abc/x/y?must=true&size=17%26x=1"},
		{"must", "false", "/things/abc/x/y?must=false"},
	} {
		r := request(m)
		got, ok := place(m, r, by[c.name], c.value)
		if !ok || got.Path != c.want || r.Path != "/things/abc/x/y?must=true" {
			t.Errorf("%s: %s", c.name, got.Path)
		}
	}
	if got, ok := place(m, request(m), by["X-Kind"], "c"); !ok || got.Header.Get("X-Kind") != "c" {
		t.Errorf("%v", got.Header)
	}
	if _, ok := place(m, request(m), model.Parameter{Name: "other", In: "path"}, "x"); ok {
		t.Error("a parameter that the path does not have was placed")
	}
}

func TestBrokenParameters(t *testing.T) {
	t.Parallel()
	m := thing(t)
	got := map[string]string{}
	for _, x := range brokenParameters(payload.New(1), m, request(m)) {
		got[x.name] = x.Path + " " + x.Header.Get("X-Kind")
	}
	for name, want := range map[string]string{
		"path id against pattern": "/things/%21%21%21%21%21%21%21%21/x/y?must=true", "query size against minimum": "/things/abc/x/y?must=true&size=0",
		"query size against maximum": "/things/abc/x/y?must=true&size=101", "query must missing": "/things/abc/x/y?",
	} {
		if strings.TrimSpace(got[name]) != want && escaped(got[name]) != want {
			t.Errorf("%s: %q", name, got[name])
		}
	}
	if !strings.Contains(got["header X-Kind against enum"], "prover-") {
		t.Errorf("%v", got)
	}
	if _, ok := got["path id against type"]; ok {
		t.Error("every text in a path is a text")
	}
}

// escaped undoes the one difference between two right ways to write an address.
func escaped(s string) string { return strings.ReplaceAll(strings.TrimSpace(s), "!", "%21") }

func docs(t *testing.T) *documents {
	t.Helper()
	m := thing(t)
	return &documents{schema: m.Body, fixed: payload.New(1).Complete(m.Body, map[string]any{"name": "abc"})}
}

func TestPutAll(t *testing.T) {
	t.Parallel()
	d := docs(t)
	all := d.putAll(0, isText, "NOT JSON")
	if len(all) != 3 { // name, note and the text of a line; not the code
		t.Fatalf("%d places: %s", len(all), all)
	}
	for i, part := range []string{`"lines":[{"text":NOT JSON}]`, `"name":NOT JSON`, `"note":NOT JSON`} {
		if !strings.Contains(string(all[i]), part) || strings.Count(string(all[i]), "NOT JSON") != 1 {
			t.Errorf("%s", all[i])
		}
	}
	if _, ok := d.put(func(*model.Schema) bool { return false }, "x"); ok {
		t.Error("put where nothing is wanted")
	}
}

// Documents that must differ do, and each case has another.
func TestFreshDocuments(t *testing.T) {
	t.Parallel()
	d := &documents{schema: thing(t).Body, seed: 7}
	if bytes.Equal(d.valid(0), d.valid(1)) {
		t.Error("two documents are the same")
	}
	same := &documents{schema: d.schema, seed: 7}
	if diff := cmp.Diff(d.boundaries(), same.boundaries()); diff != "" {
		t.Errorf("the same seed, and other cases: %s", diff)
	}
	if len(d.boundaries()) < 2 || len(d.violations()) < 8 {
		t.Errorf("%d limits, %d violations", len(d.boundaries()), len(d.violations()))
	}
}

// What is sent as no JSON is none, as the standard library reads it.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	m := thing(t)
	d := docs(t)
	for _, x := range unreadable(m, d, request(m)) {
		var v struct {
			Name *string  `json:"name"`
			N    *int64   `json:"n"`
			F    *float64 `json:"f"`
		}
		if json.Unmarshal(x.Body, &v) == nil && v.Name != nil {
			t.Errorf("%s is JSON of the design: %s", x.name, x.Body)
		}
	}
	for _, x := range nested(d, request(m)) {
		if len(x.Body) > 1<<20 {
			t.Errorf("%s has %d bytes, more than usual limits", x.name, len(x.Body))
		}
	}
}

// XML is such that Go's decoder takes it.
func TestAsXML(t *testing.T) {
	t.Parallel()
	text, ok := asXML(map[string]any{"name": "a<b", "n": 7.5, "lines": []any{map[string]any{"text": "x"}, map[string]any{"text": "y"}}})
	var got struct {
		Name  *string  `xml:"name"`
		N     *float64 `xml:"n"`
		Lines []struct {
			Text string `xml:"text"`
		} `xml:"lines"`
	}
	if err := xml.Unmarshal(text, &got); err != nil || !ok || *got.Name != "a<b" || *got.N != 7.5 || len(got.Lines) != 2 || got.Lines[1].Text != "y" {
		t.Errorf("%s: %+v, %v", text, got, err)
	}
	if _, ok := asXML("text"); ok {
		t.Error("a text has no members")
	}
}

func TestBombUnfolds(t *testing.T) {
	t.Parallel()
	packed := append(bytes.Clone(spacesBomb()), pack([]byte("end"))...)
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, r)
	if err != nil || n != bomb+3 || len(packed) > 1<<20 {
		t.Errorf("%d bytes become %d, %v", len(packed), n, err)
	}
}

func TestPadded(t *testing.T) {
	t.Parallel()
	if got := string(padded(5, []byte("{}")).all()); got != "   {}" {
		t.Errorf("%q", got)
	}
	body := padded(100_000, []byte("{}"))
	if got := body.all(); len(got) != 100_000 || body.taken.Load() != 100_000 || !json.Valid(got) {
		t.Errorf("%d bytes", len(got))
	}
}

func TestSwap(t *testing.T) {
	t.Parallel()
	got := swap(map[string]any{"a": "bad", "b": "same", "c": []any{map[string]any{"d": "bad"}}}, map[string]any{"a": "x", "b": "same", "c": []any{map[string]any{"d": "y"}}}, "LONG")
	if diff := cmp.Diff(map[string]any{"a": "LONG", "b": "same", "c": []any{map[string]any{"d": "LONG"}}}, got); diff != "" {
		t.Errorf("%s", diff)
	}
}

func TestJudgingBytes(t *testing.T) {
	t.Parallel()
	const bad, good, missing = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
	for _, c := range []struct {
		name, text                   string
		turned, stands, alone, apart bool
	}{
		{"refused", bad, true, true, true, true},
		{"ended", "", true, true, true, true},
		{"served", good, false, true, false, true},
		{"served, and what was within", good + missing, false, true, false, false},
		{"refused, and what was within", bad + missing, true, true, false, false},
		{"served, and the rest is no request", good + bad, false, true, false, true},
		{"not of HTTP/1", "\x00\x00\x06\x04\x00", true, true, true, true},
		{"failed", "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", false, false, false, false},
		{"not implemented", "HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\n\r\n", true, true, true, true},
	} {
		r := wire.Parse([]byte(c.text))
		r.Ended = true
		got := [4]bool{turnedAway(r) == "", standing(r) == "", alone(nil, r) == "", apart(nil, r) == ""}
		if got != [4]bool{c.turned, c.stands, c.alone, c.apart} {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if standing(&wire.Reply{}) == "" {
		t.Error("a connection that is held open without an answer is all right")
	}
}

func TestWatched(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		lines         []string
		found, forged bool
	}{
		{"nothing", nil, false, false},
		{"another event", []string{"data: x", ""}, false, false},
		{"in one piece", []string{`data: {"type":"AB\n\ndata:zAB"}`, ""}, true, false},
		{"as lines of one event", []string{"data: AB", "data: ", "data: data:zAB", ""}, true, false},
		{"an event of its own", []string{"data: AB", "", "data:zAB", ""}, true, true},
		{"by a lone CR", []string{"data: AB\r\rdata: zAB", ""}, true, true},
	} {
		lines := make(chan string, len(c.lines))
		for _, l := range c.lines {
			lines <- l
		}
		close(lines)
		found, forged := watched(lines, "AB")
		if found != c.found || (forged != "") != c.forged {
			t.Errorf("%s: found %v, forged %q", c.name, found, forged)
		}
	}
}

func TestKinds(t *testing.T) {
	t.Parallel()
	m := thing(t)
	if !called(m) || !parameterized(m) || !inPath(m) {
		t.Errorf("%+v", m)
	}
	m.Kind = policy.WebSocket
	if called(m) || parameterized(m) || inPath(m) {
		t.Error("a socket is called by one request")
	}
}
