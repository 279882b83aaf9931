package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/transport/internal/jsonrpcsvc/gen/desk"
)

func TestJSONRPCSingle(t *testing.T) {
	r := newDesk(t, nil)
	for _, c := range []struct{ name, token, body, result, id string }{
		{"structured", r.token, `{"jsonrpc":"2.0","method":"put","params":{"id":"abc","text":"hi"},"id":"7"}`, `{"id":"abc","text":"hi"}`, `"7"`},
		{"by position", "", ` {"id":12345678901234567890,"params":[1,2,3],"method":"sum","jsonrpc":"2.0"} `, `6`, `12345678901234567890`},
		{"without params", "", `{"jsonrpc":"2.0","method":"ping","id":1.50}`, `"pong"`, `1.50`},
		{"without a result", "", `{"jsonrpc":"2.0","method":"tell","params":{"text":"x"},"id":-1}`, `null`, `-1`},
		{"id null", "", `{"jsonrpc":"2.0","method":"ping","id":null}`, `"pong"`, `null`},
		{"id empty", "", `{"jsonrpc":"2.0","method":"ping","id":""}`, `"pong"`, `""`},
		{"id escaped", "", `{"jsonrpc":"2.0","method":"ping","id":"<\u0061\"\n>"}`, `"pong"`, `"<\u0061\"\n>"`},
		{"id in the payload", "", `{"jsonrpc":"2.0","method":"named","params":{"ref":"x"},"id":9007199254740993}`, `{"ref":"another","text":"9007199254740993"}`, `9007199254740993`},
		{"credential in params", "", `{"jsonrpc":"2.0","method":"login","params":{"secret":"` + r.key + `"},"id":1}`, `"hello kim"`, `1`},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := r.call(t, c.token, c.body)
			if a.Error != nil || string(a.Result) != c.result || string(a.ID) != c.id {
				t.Errorf("%+v %s: %s", a.Error, a.ID, a.Result)
			}
		})
	}
}

// invalid requests, as JSON-RPC 2.0 (section 7) and more have them.
func TestJSONRPCInvalid(t *testing.T) {
	r := newDesk(t, nil)
	deep := strings.Repeat("[", 300) + strings.Repeat("]", 300)
	for _, c := range []struct {
		name, body string
		code       int
		id         string
	}{
		{"empty", ``, -32700, `null`},
		{"blank", " \n", -32700, `null`},
		{"no JSON", `{"jsonrpc": "2.0", "method": "sum, "params": "bar", "baz]`, -32700, `null`},
		{"two values", `{"jsonrpc":"2.0","method":"ping","id":1}{}`, -32700, `null`},
		{"not UTF-8", "{\"jsonrpc\":\"2.0\",\"method\":\"p\xff\",\"id\":1}", -32700, `null`},
		{"too deep", `{"jsonrpc":"2.0","method":"sum","id":1,"params":` + deep + `}`, -32700, `null`},
		{"no object", `1`, -32600, `null`},
		{"null", `null`, -32600, `null`},
		{"a string", `"ping"`, -32600, `null`},
		{"empty object", `{}`, -32600, `null`},
		{"no version", `{"method":"ping","id":1}`, -32600, `1`},
		{"another version", `{"jsonrpc":"1.0","method":"ping","id":1}`, -32600, `1`},
		{"version a number", `{"jsonrpc":2.0,"method":"ping","id":1}`, -32600, `1`},
		{"method a number", `{"jsonrpc":"2.0","method":1,"params":"bar"}`, -32600, `null`},
		{"method null", `{"jsonrpc":"2.0","method":null,"id":1}`, -32600, `1`},
		{"method empty", `{"jsonrpc":"2.0","method":"","id":1}`, -32601, `1`},
		{"id an object", `{"jsonrpc":"2.0","method":"ping","id":{}}`, -32600, `null`},
		{"id an array", `{"jsonrpc":"2.0","method":"ping","id":[1]}`, -32600, `null`},
		{"id true", `{"jsonrpc":"2.0","method":"ping","id":true}`, -32600, `null`},
		{"id too long", `{"jsonrpc":"2.0","method":"ping","id":"` + strings.Repeat("x", 300) + `"}`, -32600, `null`},
		{"id a long number", `{"jsonrpc":"2.0","method":"ping","id":1` + strings.Repeat("0", 300) + `}`, -32600, `null`},
		{"id twice", `{"jsonrpc":"2.0","method":"ping","id":1,"id":2}`, -32600, `null`},
		{"method twice", `{"jsonrpc":"2.0","method":"ping","method":"put","id":1}`, -32600, `null`},
		{"method twice, escaped", `{"jsonrpc":"2.0","method":"ping","\u006dethod":"put","id":1}`, -32600, `null`},
		{"other spelling", `{"jsonrpc":"2.0","Method":"ping","id":1}`, -32600, `1`},
		{"unknown method", `{"jsonrpc":"2.0","method":"foobar","id":"1"}`, -32601, `"1"`},
		{"method of another service", `{"jsonrpc":"2.0","method":"last","id":1}`, -32601, `1`},
		{"empty batch", `[]`, -32600, `null`},
		{"no params", `{"jsonrpc":"2.0","method":"sum","id":1}`, -32602, `1`},
		{"params of another type", `{"jsonrpc":"2.0","method":"sum","params":{"a":1},"id":1}`, -32602, `1`},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := r.call(t, r.token, c.body)
			if a.Error == nil || a.Error.Code != c.code || string(a.ID) != c.id {
				t.Fatalf("%+v %s: %s", a.Error, a.ID, a.Result)
			}
			for _, name := range []string{"name", "id", "message", "temporary", "timeout", "fault"} {
				if _, ok := a.Error.Data[name]; !ok {
					t.Errorf("the data lacks %s: %v", name, a.Error.Data)
				}
			}
		})
	}
	if r.count() != 0 {
		t.Errorf("methods were called: %v", r.calls)
	}
}

// A notification is never answered, whatever becomes of it.
func TestJSONRPCNotification(t *testing.T) {
	r := newDesk(t, nil)
	r.tell = func(context.Context, *desk.TellPayload) error { return errors.New("the secret reason") }
	for _, body := range []string{
		`{"jsonrpc":"2.0","method":"ping"}`, `{"jsonrpc":"2.0","method":"nobody"}`, `{"jsonrpc":"2.0","method":"tell","params":{"text":"x"}}`,
		`{"jsonrpc":"2.0","method":"tell","params":{"text":1}}`, `{"jsonrpc":"2.0","method":"put","params":{"id":"abc"}}`,
		`[{"jsonrpc":"2.0","method":"ping"},{"jsonrpc":"2.0","method":"sum","params":"x"}]`,
	} {
		r.log.reset()
		w := r.post("/rpc", "", body)
		if w.Code != http.StatusNoContent || w.Body.Len() != 0 || w.Header().Get("Content-Type") != "" {
			t.Errorf("%s: %d %v %q", body, w.Code, w.Header(), w.Body)
		}
		if lines := r.log.lines(t, "request"); len(lines) == 0 || lines[0]["rpc.system.name"] != "jsonrpc" {
			t.Errorf("%s: %v", body, lines)
		}
	}
	if !strings.Contains(r.log.String(), "rpc.response.status_code") {
		t.Errorf("the log does not have the error: %s", r.log)
	}
}

// The example batch of JSON-RPC 2.0, section 7, with methods of ours.
func TestJSONRPCBatch(t *testing.T) {
	r := newDesk(t, func(m *policy.Method) { m.MaxBody = 16 << 10 })
	all := r.batch(t, r.token, `[
		{"jsonrpc":"2.0","method":"sum","params":[1,2,4],"id":"1"},
		{"jsonrpc":"2.0","method":"tell","params":{"text":"x"}},
		{"foo":"boo"},
		1,
		{"jsonrpc":"2.0","method":"foo.get","params":{"name":"myself"},"id":"5"},
		{"jsonrpc":"2.0","method":"put","params":{"id":"abc"},"id":9}
	]`)
	var got []string
	for _, a := range all {
		if a.Error != nil {
			got = append(got, fmt.Sprintf("%s %d", a.ID, a.Error.Code))
		} else {
			got = append(got, fmt.Sprintf("%s %s", a.ID, a.Result))
		}
	}
	want := []string{`"1" 7`, `null -32600`, `null -32600`, `"5" -32601`, `9 {"id":"abc"}`}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if !slices.Equal(r.calls, []string{"sum", "tell x", "put abc"}) {
		t.Errorf("%q", r.calls)
	}
	one := `{"jsonrpc":"2.0","method":"ping","id":1}`
	full := "[" + strings.TrimSuffix(strings.Repeat(one+",", policy.MaxBatch), ",") + "]"
	if n := len(r.batch(t, "", full)); n != policy.MaxBatch {
		t.Errorf("%d answers", n)
	}
	r.calls = nil
	if a := r.call(t, "", "["+one+","+full[1:]); a.Error == nil || a.Error.Code != -32600 || a.Error.Data["name"] != "batch_too_large" || r.count() != 0 {
		t.Errorf("%+v, %d calls", a, r.count())
	}
}

// Each call of a batch is let in by itself; what one presents proves nothing for
// another.
func TestJSONRPCBatchAuthentication(t *testing.T) {
	r := newDesk(t, func(m *policy.Method) { m.Audit = m.Name == "put" })
	put := `{"jsonrpc":"2.0","method":"put","params":{"id":"abc"},"id":1}`
	get := `{"jsonrpc":"2.0","method":"get","params":{"id":"abc"},"id":2}`
	ping := `{"jsonrpc":"2.0","method":"ping","id":3}`
	login := `{"jsonrpc":"2.0","method":"login","params":{"secret":"` + r.key + `"},"id":4}`
	guess := `{"jsonrpc":"2.0","method":"login","params":{"secret":"wrong"},"id":5}`
	codes := func(all []rpcAnswer) string {
		var s []string
		for _, a := range all {
			code := 0
			if a.Error != nil {
				code = a.Error.Code
			}
			s = append(s, fmt.Sprintf("%s:%d", a.ID, code))
		}
		return strings.Join(s, " ")
	}
	batch := "[" + strings.Join([]string{put, get, ping, login, guess, put}, ",") + "]"
	for _, c := range []struct{ who, token, want string }{
		{"nobody", "", "1:-32001 2:-32001 3:0 4:0 5:-32001 1:-32001"},
		{"a reader", r.reader, "1:-32003 2:0 3:0 4:0 5:-32001 1:-32003"},
		{"a writer", r.token, "1:0 2:0 3:0 4:0 5:-32001 1:0"},
		{"a stranger", "wrong", "1:-32001 2:-32001 3:0 4:0 5:-32001 1:-32001"},
	} {
		r.log.reset()
		if got := codes(r.batch(t, c.token, batch)); got != c.want {
			t.Errorf("%s: %s, want %s", c.who, got, c.want)
		}
		lines := r.log.lines(t, "request")
		if audits := r.log.lines(t, "audit"); len(lines) != 6 || len(audits) != 2 {
			t.Errorf("%s: %d lines, %d audit events", c.who, len(lines), len(audits))
		}
		if c.who == "a writer" && (lines[0]["enduser.id"] != "ann" || lines[2]["enduser.id"] != nil || lines[3]["enduser.id"] != "kim") {
			t.Errorf("%v", lines)
		}
	}
}

// A route without any public method reads nothing of strangers.
func TestJSONRPCEntrance(t *testing.T) {
	r := newDesk(t, nil)
	for _, token := range []string{"", "wrong"} {
		w := r.post("/tape", token, `{"jsonrpc":"2.0","method":"nobody","id":7`)
		a := rpcAnswer{}.read(t, w.Body.Bytes())
		if w.Code != 401 || a.Error.Code != -32001 || string(a.ID) != "null" || w.Header().Get("WWW-Authenticate") == "" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
		}
	}
	body := &counting{r: strings.NewReader(strings.Repeat(" ", 4000))}
	req := httptest.NewRequest("POST", "/tape", body)
	r.h.ServeHTTP(httptest.NewRecorder(), req)
	if body.n != 0 {
		t.Errorf("%d bytes of a stranger's request were read", body.n)
	}
	if w := r.post("/tape", r.token, `{"jsonrpc":"2.0","method":"last","id":7}`); w.Code != 200 || w.Body.String() != `{"jsonrpc":"2.0","result":{"text":"last"},"id":7}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// What is wrong with the request as a whole has a status of HTTP's.
func TestJSONRPCRefused(t *testing.T) {
	r := newDesk(t, func(m *policy.Method) {
		if m.Name == "ping" {
			m.MaxBody = 64
		}
	})
	ping := `{"jsonrpc":"2.0","method":"ping","id":1}`
	for _, c := range []struct {
		name, body string
		header     []string
		status     int
		code       int
	}{
		{"too large", strings.Repeat(" ", 5000) + ping, nil, 413, -32013},
		{"a form", ping, []string{"Content-Type", "text/plain"}, 415, -32015},
		{"urlencoded", ping, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, -32015},
		{"no type", ping, []string{"Content-Type", "application/json; charset=utf-16"}, 415, -32015},
		{"two types", ping, []string{"Content-Type", "application/json, text/plain"}, 415, -32015},
		{"a malformed type", ping, []string{"Content-Type", "application/json;;="}, 415, -32015},
		{"compressed", ping, []string{"Content-Encoding", "gzip"}, 415, -32015},
	} {
		w := r.post("/rpc", "", c.body, c.header...)
		a := rpcAnswer{}.read(t, w.Body.Bytes())
		if w.Code != c.status || a.Error.Code != c.code || string(a.ID) != "null" || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
		}
	}
	// of unknown length, and a byte too much
	req := httptest.NewRequest("POST", "/rpc", io.MultiReader(strings.NewReader(strings.Repeat(" ", 4096)), strings.NewReader("{")))
	w := httptest.NewRecorder()
	r.h.ServeHTTP(w, req)
	if w.Code != 413 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	// the bound of the call's own method
	if a := r.call(t, "", `{"jsonrpc":"2.0","method":"ping","id":1,"params":"`+strings.Repeat("x", 64)+`"}`); a.Error == nil || a.Error.Code != -32013 {
		t.Errorf("%+v", a)
	}
	if w := httptest.NewRecorder(); true {
		r.h.ServeHTTP(w, httptest.NewRequest("GET", "/rpc", nil))
		if w.Code != 405 || w.Header().Get("Allow") != "POST" {
			t.Errorf("%d %v", w.Code, w.Header())
		}
	}
	if r.count() != 0 {
		t.Errorf("called: %v", r.calls)
	}
}
