package idempotency_test

import (
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/aguada-dev/aguada/idempotency"
)

type nest struct {
	Any  any
	More []*nest
	Text string
}

// deep returns what a body of 200 levels becomes, around a text.
func deep(text string) *nest {
	n := &nest{Any: text}
	for range 198 {
		n.Any = map[string]any{"a": n.Any}
	}
	return n
}

// Whatever the transports decode has a fingerprint.
func TestDeepPayloads(t *testing.T) {
	one, err := idempotency.Fingerprint(deep("1"))
	if err != nil {
		t.Fatal(err)
	}
	if two, err := idempotency.Fingerprint(deep("2")); err != nil || one == two {
		t.Errorf("the depth hides a difference: %v", err)
	}
	n := &nest{}
	for range 100 {
		n = &nest{More: []*nest{n}}
	}
	if _, err := idempotency.Fingerprint(n); err != nil {
		t.Error(err)
	}
	n.More[0] = n
	if _, err := idempotency.Fingerprint(n); err == nil {
		t.Error("what contains itself has a fingerprint")
	}
}

// However it is nested, a payload is not copied at each level.
func TestFingerprintCost(t *testing.T) {
	n := deep(strings.Repeat("x", 512<<10))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := idempotency.Fingerprint(n); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 8<<20 {
		t.Errorf("a payload of 512 KiB takes %d KiB", n>>10)
	}
}

// choice is as Goa makes a OneOf.
type choice struct {
	kind string
	Word string
	Item *nest
}

func (c choice) MarshalJSON() ([]byte, error) {
	if c.kind == "" {
		return nil, errors.New("nothing is set")
	}
	return json.Marshal(c.kind)
}

// Unions tell requests apart, by which value is set too; one that is not set is
// no error.
func TestUnions(t *testing.T) {
	seen := map[[32]byte]int{}
	for i, c := range []choice{{}, {kind: "word"}, {kind: "other"}, {kind: "word", Word: "a"}, {kind: "item", Item: &nest{}}, {kind: "item", Item: &nest{Text: "a"}}} {
		print, err := idempotency.Fingerprint(&struct{ Choice choice }{c})
		if err != nil {
			t.Fatal(i, err)
		}
		if other, ok := seen[print]; ok {
			t.Errorf("%d is the same as %d", i, other)
		}
		seen[print] = i
	}
}
