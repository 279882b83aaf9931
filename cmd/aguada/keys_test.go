package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/aguada-dev/aguada/auth/apikey"
)

func TestKeys(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:  filepath.Join("testdata", "keys"),
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"mode": mode, "take": take},
	})
}

// take FILE ID KEY sets two variables to the id of the key in a file and to the
// key.
func take(ts *testscript.TestScript, _ bool, args []string) {
	key := strings.TrimSuffix(ts.ReadFile(args[0]), "\n")
	id, err := apikey.ID(key)
	ts.Check(err)
	ts.Setenv(args[1], id)
	ts.Setenv(args[2], key)
}

func TestParseExpiry(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"never":                     {},
		"90d":                       now.AddDate(0, 0, 90),
		"1h30m":                     now.Add(90 * time.Minute),
		"2027-01-01T00:00:00Z":      now.AddDate(1, 0, 0),
		"2026-01-01T01:00:01+01:00": now.Add(time.Second),
	} {
		if got, err := parseExpiry(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%s: got %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0", "0d", "-1d", "-1h", "1", "d", "1.5d", "+ 1d", "99999d", "2026-01-01T00:00:00Z", "2027-01-01", "Never"} {
		if got, err := parseExpiry(text, now); err == nil {
			t.Errorf("%q: got %s, want an error", text, got)
		}
	}
}
