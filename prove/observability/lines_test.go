package observability

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/prove/model"
	"github.com/aguada-dev/aguada/prove/target"
)

func line(text string) target.Line { return target.Line{Text: text} }

// What a line says of a request: the address that a caller claims, the status, and
// whether it tells of the request as a whole.
func TestLines(t *testing.T) {
	for _, c := range []struct {
		text      string
		claimed   string
		status    float64
		describes bool
	}{
		{`{"http.remote_addr":"203.0.113.77","http.status":0}`, "http.remote_addr", 0, false},
		{`{"client":{"address":"203.0.113.77:1234"}}`, "client.address", -1, false},
		{`{"http.request.header.x-forwarded-for":"203.0.113.77"}`, "", -1, false},
		{`{"client.address":"127.0.0.1","note":"from 203.0.113.77"}`, "", -1, false},
		{`{"http.method":"GET","http.url":"/orders","http.status":500}`, "", 500, true},
		{`{"http":{"request":{"method":"GET"},"route":"/orders","response":{"status_code":201}}}`, "", 201, true},
		{`{"method":"orders.create","status":"ok"}`, "", -1, false},
		{`{"rpc.grpc.status_code":0}`, "", -1, false},
		{`no JSON`, "", -1, false},
	} {
		l := line(c.text)
		if got := claimed(l.Fields()); got != c.claimed {
			t.Errorf("%s: the claimed address is in %q, not %q", c.text, got, c.claimed)
		}
		status, ok := statusOf(l)
		if !ok {
			status = -1
		}
		if status != c.status {
			t.Errorf("%s: the status is %v, not %v", c.text, status, c.status)
		}
		if got := describes(l); got != c.describes {
			t.Errorf("%s: describes a request: %t", c.text, got)
		}
	}
}

// Members that may be any text are those that nothing constrains.
func TestFree(t *testing.T) {
	var s model.Schema
	err := json.Unmarshal([]byte(`{"type":"object","properties":{"note":{"type":"string"},"kind":{"type":"string","enum":["a"]},
		"code":{"type":"string","pattern":"^a"},"day":{"type":"string","format":"date"},"short":{"type":"string","maxLength":8},
		"long":{"type":"string","minLength":40},"type":{"type":"string","maxLength":32},"n":{"type":"integer"}}}`), &s)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := free(&model.Method{Method: policy.Method{}, Body: &s}), []string{"note", "type"}; !slices.Equal(got, want) {
		t.Errorf("free are %v, not %v", got, want)
	}
}
