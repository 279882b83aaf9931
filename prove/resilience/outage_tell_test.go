package resilience

import "testing"

// Identifiers are random: what they happen to begin with is nobody's words.
func TestDriversAreKnownByTheirWords(t *testing.T) {
	for text, want := range map[string]bool{
		"X-Request-Id: pgxgmmh27g2gev93eeybbbwm": false,
		`{"id":"apgconnx"}`:                      false,
		"pgx: no rows":                           true,
		"(*pgconn.PgError)":                      true,
		"dial tcp 127.0.0.1:5432: connect: connection refused":       true,
		`{"name":"unavailable","message":"the service is stopping"}`: false,
	} {
		if got := driverText.MatchString(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
