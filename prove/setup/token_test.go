package setup

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
)

// decode returns the claims of a token, whoever signed it.
func decode(t *testing.T, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("a token has %d parts", len(parts))
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(text, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// words are the texts of a list.
func words(v any) (all []string) {
	list, _ := v.([]any)
	for _, x := range list {
		text, _ := x.(string)
		all = append(all, text)
	}
	return all
}
