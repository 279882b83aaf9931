package apikey

import (
	"encoding/json"
	"slices"
	"testing"
	"time"
)

// FuzzFile feeds files to the parser. What it takes says the same after a
// FileStore has changed and written it.
func FuzzFile(f *testing.F) {
	_, r, err := Mint("a pepper of 16 bytes", Request{Owner: "ann", Scopes: []string{"b", "a"}})
	if err != nil {
		f.Fatal(err)
	}
	full := r
	full.Label, full.CreatedAt, full.RevokedAt, full.RetiresAt = "x", time.Unix(1, 0), time.Unix(2, 0), time.Unix(3, 0)
	full.ID, full.Replaces, full.ReplacedBy, full.LastUsedAt = "full", "a", "b", time.Unix(4, 0)
	for _, records := range [][]Record{{}, {r}, {full, r}} {
		text, err := json.Marshal(File{Keys: records})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"keys":[{"id":"a","ID":"b"}],"Keys":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		ring, err := parseKeys(data, "s")
		file, fileErr := parseFile(data)
		if err == nil && fileErr != nil {
			t.Fatalf("parsed for one and not for the other: %v", fileErr)
		}
		if err != nil {
			return
		}
		text, err := json.MarshalIndent(file, "", "  ")
		if err != nil {
			t.Skip() // a time beyond what RFC 3339 can say
		}
		again, err := parseKeys(text, "s")
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, text)
		}
		if len(*again) != len(*ring) {
			t.Fatalf("%d keys became %d", len(*ring), len(*again))
		}
		for id, k := range *ring {
			other := (*again)[id]
			if other == nil || other.sum != k.sum || other.revoked != k.revoked || other.pepper != k.pepper ||
				!slices.Equal(other.principal.Scopes, k.principal.Scopes) || other.principal.Subject != k.principal.Subject ||
				!other.principal.ExpiresAt.Equal(k.principal.ExpiresAt) || k.principal.CredentialID != id {
				t.Errorf("%+v became %+v", k, other)
			}
		}
	})
}
