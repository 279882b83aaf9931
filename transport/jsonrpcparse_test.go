package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"goa.design/goa/v3/jsonrpc"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/transport/internal/jsonscan"
)

// FuzzJSONRPCSplit compares what is made of a body with what encoding/json, and
// Goa's own reader of calls, make of it.
func FuzzJSONRPCSplit(f *testing.F) {
	for _, body := range []string{
		putNote, "[" + putNote + "," + putNote + "]", `[1,[2],{"a":"}"},"]",null,true,-1.5e3]`, ` [ { } , [ ] ] `, `{"method":"a\"b","id":"\ud800","jsonrpc":"2\u002e0"}`,
		`[]`, `[,]`, `{"id":1,"id":2}`, `{"params":[[[]]],"method":"x","jsonrpc":"2.0","id":-0.0}`, "\xff", `"`, `{"\u0069d":7}`, strings.Repeat("[", 250),
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		calls, batch, r := splitCalls(body)
		valid := json.Valid(body) && utf8.Valid(body) && !jsonscan.TooDeep(body)
		if valid == (r != nil && r.Answer == &notJSON) {
			t.Fatalf("valid %t, refused %v", valid, r)
		}
		if !valid {
			return
		}
		var all []json.RawMessage
		isArray := bytes.TrimLeft(body, " \t\r\n")[0] == '['
		if isArray {
			if err := json.Unmarshal(body, &all); err != nil {
				t.Fatal(err)
			}
		} else {
			all = []json.RawMessage{bytes.Trim(body, " \t\r\n")}
		}
		if batch != isArray || (len(all) == 0 || len(all) > policy.MaxBatch) != (r != nil) {
			t.Fatalf("batch %t, %d calls, refused %v", batch, len(all), r)
		}
		if r != nil {
			return
		}
		if len(calls) != len(all) {
			t.Fatalf("%d calls, want %d", len(calls), len(all))
		}
		for i := range calls {
			if !bytes.Equal(calls[i], all[i]) {
				t.Fatalf("call %d is %q, want %q", i, calls[i], all[i])
			}
			compareEnvelope(t, calls[i])
		}
	})
}

// compareEnvelope compares what is read of a call with what Goa reads.
func compareEnvelope(t *testing.T, text []byte) {
	var e envelope
	r := e.parse(text)
	if e.ref != nil && (len(e.ref) > maxCallID || !json.Valid(e.ref) || e.ref[0] == '{' || e.ref[0] == '[') {
		t.Fatalf("the id is %q", e.ref)
	}
	if r != nil {
		return
	}
	var goa jsonrpc.RawRequest
	if err := json.Unmarshal(text, &goa); err != nil {
		t.Fatalf("Goa refuses %q: %v", text, err)
	}
	if goa.JSONRPC != "2.0" || goa.Method != e.method || !bytes.Equal(goa.Params, e.params) || goa.HasID != (e.ref != nil) {
		t.Fatalf("%q is read as %+v, by Goa as %+v", text, e, goa)
	}
}

// FuzzJSONRPC sends whatever there is: each answer is one of JSON-RPC 2.0, and
// repeats an id that was sent.
func FuzzJSONRPC(f *testing.F) {
	for _, body := range []string{
		putNote, `[{"jsonrpc":"2.0","method":"sum","params":[1,101],"id":"\u0041"},{"jsonrpc":"2.0","method":"named","params":{"ref":"x"},"id":1e400}]`,
		`{"jsonrpc":"2.0","method":"login","params":{"secret":"x"},"id":null}`, `{"jsonrpc":"2.0","method":"tell","params":{"text":"x"}}`,
	} {
		f.Add([]byte(body))
	}
	r := newDesk(f, nil)
	f.Fuzz(func(t *testing.T, body []byte) {
		req := httptest.NewRequest("POST", "/rpc", bytes.NewReader(body))
		req.Header["Authorization"] = []string{"Bearer " + r.token}
		w := httptest.NewRecorder()
		r.h.ServeHTTP(w, req)
		r.log.reset()
		r.calls = nil
		switch {
		case w.Code == http.StatusNoContent && w.Body.Len() == 0:
			return
		case w.Code == http.StatusRequestEntityTooLarge && len(body) > 4<<10:
		case w.Code != http.StatusOK:
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if w.Body.Bytes()[0] != '[' {
			rpcAnswer{}.read(t, w.Body.Bytes())
			return
		}
		var all []json.RawMessage
		if err := json.Unmarshal(w.Body.Bytes(), &all); err != nil || len(all) > policy.MaxBatch {
			t.Fatalf("%v: %s", err, w.Body)
		}
		for _, one := range all {
			if a := (rpcAnswer{}).read(t, one); !bytes.Contains(body, a.ID) && string(a.ID) != "null" {
				t.Fatalf("the id %s was not sent", a.ID)
			}
		}
	})
}

// An answer can be as long as its ids, no longer.
func TestJSONRPCAmplification(t *testing.T) {
	r := newDesk(t, func(m *policy.Method) { m.MaxBody = 4 << 20 })
	id := `"` + strings.Repeat("i", 1<<20) + `"`
	for _, body := range []string{
		`{"jsonrpc":"2.0","method":"ping","id":` + id + `}`, `{"jsonrpc":"2.0","method":` + id + `,"id":1}`,
		`{"jsonrpc":"2.0","method":"put","params":{"id":` + id + `},"id":1}`, `{` + id + `:1,` + id + `:2}`, `[` + strings.Repeat("1,", 200000) + `1]`,
		`{"jsonrpc":"2.0","method":"put","params":{"nobody":` + id + `},"id":1}`,
	} {
		if w := r.post("/rpc", r.token, body); w.Body.Len() > 2000 || w.Code != 200 || !strings.Contains(w.Body.String(), "error") {
			t.Errorf("%d: %d bytes of %.80s", w.Code, w.Body.Len(), w.Body)
		}
	}
	if got := len(r.log.String()); got > 20<<10 {
		t.Errorf("%d bytes of log", got)
	}
	members := make([]string, 20000)
	for i := range members {
		members[i] = `"m` + strings.Repeat("x", i%50) + string(rune('a'+i%26)) + `":1`
	}
	if a := r.call(t, "", "{"+strings.Join(members, ",")+"}"); a.Error == nil || a.Error.Code != -32600 {
		t.Errorf("%+v", a)
	}
}

// Under StrictBody neither the call nor its params have members that nobody
// reads.
func TestJSONRPCStrict(t *testing.T) {
	r := newDesk(t, func(m *policy.Method) { m.StrictBody = true })
	for _, c := range []struct {
		body string
		code int
	}{
		{`{"jsonrpc":"2.0","method":"put","params":{"id":"abc","more":1},"id":1}`, -32602},
		{`{"jsonrpc":"2.0","method":"put","params":{"id":"abc","id":"abd"},"id":1}`, -32602},
		{`{"jsonrpc":"2.0","method":"put","params":{"Id":"abc"},"id":1}`, -32602},
		{`{"jsonrpc":"2.0","method":"put","params":{"id":"abc"},"id":1,"more":1}`, -32600},
	} {
		if a := r.call(t, r.token, c.body); a.Error == nil || a.Error.Code != c.code {
			t.Errorf("%s: %+v", c.body, a)
		}
	}
	if a := r.call(t, r.token, putNote); a.Error != nil || r.count() != 1 {
		t.Errorf("%+v", a)
	}
}

// A guess is one attempt, however many calls of a batch rest on it; those in
// params are each their own.
func TestJSONRPCGuessing(t *testing.T) {
	tries := 0
	r := newDesk(t, nil, func(c *Config) {
		c.Verifiers = maps.Clone(c.Verifiers)
		c.Verifiers["jwt"] = refusing{&tries}
	})
	body := "[" + strings.TrimSuffix(strings.Repeat(putNote+",", 20), ",") + "]"
	all := r.batch(t, "guess", body)
	for _, a := range all {
		if a.Error == nil || a.Error.Code != -32001 {
			t.Errorf("%+v", a)
		}
	}
	if len(all) != 20 || tries != 1 {
		t.Errorf("%d answers, %d attempts", len(all), tries)
	}
}

// refusing proves nothing, and counts the attempts.
type refusing struct{ tries *int }

func (r refusing) Verify(context.Context, auth.Credential) (*auth.Principal, error) {
	*r.tries++
	return nil, auth.Refuse(auth.Unknown, "unknown")
}
