package carriers

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/model"
	"github.com/aguada-dev/aguada/prove/payload"
)

// TestProbes: codes are unique and of one form, and each says what to do.
func TestProbes(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range Probes() {
		carrier, _, _ := strings.Cut(p.Code, ".")
		if seen[p.Code] || carrier != "grpc" && carrier != "sse" && carrier != "ws" {
			t.Errorf("the code %s is there twice, or of another carrier", p.Code)
		}
		seen[p.Code] = true
		if p.Why == "" || p.Fix == "" || len(p.References) == 0 || !strings.HasSuffix(p.Question, "?") || p.Run == nil {
			t.Errorf("%s is incomplete", p.Code)
		}
		if p.Each == nil && p.Omit == nil {
			t.Errorf("%s is asked of services that do not have what it is about", p.Code)
		}
	}
}

// A violation that a message cannot tell from a value that is absent is none.
func TestBreaks(t *testing.T) {
	var s model.Schema
	text := `{"type":"object","required":["name","n"],"properties":{
		"name":{"type":"string","minLength":1,"maxLength":3},"n":{"type":"integer","minimum":1,"maximum":5},
		"note":{"type":"string","minLength":1},"inner":{"type":"object","required":["kind"],"properties":{"kind":{"type":"string","enum":["a"]}}},
		"list":{"type":"array","minItems":1,"maxItems":2,"items":{"type":"string","pattern":"^x$"}}}}`
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, c := range payload.New(1).Violations(&s) {
		if breaks(&s, c) {
			got[c.Where+" "+c.Constraint] = true
		}
	}
	for _, want := range []string{"/name minLength", "/name maxLength", "/n minimum", "/n maximum", "/inner/kind enum", "/list maxItems", "/list/0 pattern"} {
		if !got[want] {
			t.Errorf("%s is left out of %v", want, got)
		}
	}
	for _, not := range []string{"/note minLength", "/list minItems", "/name required", "/name type", " type"} {
		if got[not] {
			t.Errorf("%s is no violation in a message", not)
		}
	}
}

func TestUntold(t *testing.T) {
	for _, text := range []string{"proto: cannot parse invalid wire-format data", "runtime error: index out of range", "open /x.go:12", "rpc error: code = Internal"} {
		if untold(text) == "" {
			t.Errorf("%q tells nothing", text)
		}
	}
	for _, text := range []string{"", "authentication is required", `message.id must match the regexp "^[a-z]{1,12}$"`, "the message is no valid Protocol Buffer of its type"} {
		if tell := untold(text); tell != "" {
			t.Errorf("%q tells %q", text, tell)
		}
	}
}

func TestField(t *testing.T) {
	for _, line := range []string{"data: x", "data", "id:1", "event: placed", "retry: 10", ": alive", "", "\ufeffdata: x"} {
		if !field(line) {
			t.Errorf("%q is a field", line)
		}
	}
	for _, line := range []string{"{}", "<html>", "Data: x", "text", " data: x"} {
		if field(line) {
			t.Errorf("%q is no field", line)
		}
	}
}

// The frames that break the protocol do so in one thing: unbroken they are well
// formed.
func TestFrame(t *testing.T) {
	b := frame(final|textual, "{}")
	if len(b) != 8 || b[0] != 0x81 || b[1] != 0x82 {
		t.Fatalf("frame %x", b)
	}
	for i, c := range []byte("{}") {
		if b[6+i]^b[2+i] != c {
			t.Errorf("byte %d is %x", i, b[6+i])
		}
	}
	if !bytes.HasSuffix(wrong[5].bytes, make([]byte, 126)) {
		t.Errorf("the long ping is %x", wrong[5].bytes)
	}
}

func TestJudged(t *testing.T) {
	if o := judged(websocket.CloseGoingAway, "at the end", websocket.CloseGoingAway); o.Verdict != finding.Pass {
		t.Errorf("%+v", o)
	}
	for _, n := range []int{stillOpen, websocket.CloseAbnormalClosure, websocket.CloseInternalServerErr} {
		if o := judged(n, "at the end", websocket.CloseGoingAway); o.Verdict != finding.Fail {
			t.Errorf("%d: %+v", n, o)
		}
	}
}
