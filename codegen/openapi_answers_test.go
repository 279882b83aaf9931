package codegen

import (
	"testing"

	"github.com/aguada-dev/aguada/idempotency"
	"github.com/aguada-dev/aguada/policy"
)

// TestKeys: what the documents and the examples say of keys, the runtime takes.
func TestKeys(t *testing.T) {
	if longestKey != idempotency.MaxKey {
		t.Errorf("the documents allow keys of %d bytes, the runtime of %d", longestKey, idempotency.MaxKey)
	}
	if _, err := idempotency.ParseKey([]string{exampleKey}); err != nil {
		t.Errorf("the runtime refuses the key of examples: %v", err)
	}
}

// TestAnswers: every answer of the chassis is in the documents, or is one that
// no operation gives.
func TestAnswers(t *testing.T) {
	elsewhere := map[*policy.Answer]bool{
		&policy.NotFound: true, &policy.MethodNotAllowed: true, // there is no operation
		&policy.TooManyMessages: true, &policy.StreamIdled: true, // a stream has begun
		&policy.CertificateRefused: true, &policy.CertificateWithdrawn: true, // the deployment has client certificates
	}
	documented := make(map[*policy.Answer]bool)
	for _, g := range given {
		if documented[g.answer] {
			t.Errorf("%s is there twice", g.answer.Name)
		}
		documented[g.answer] = true
		if responseNames[g.answer.HTTP] == "" {
			t.Errorf("the response %d of %s has no name", g.answer.HTTP, g.answer.Name)
		}
	}
	for _, a := range policy.Answers {
		if documented[a] == elsewhere[a] {
			t.Errorf("%s: in the documents %t, given elsewhere %t", a.Name, documented[a], elsewhere[a])
		}
	}
}
