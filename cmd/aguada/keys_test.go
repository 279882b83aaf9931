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

// Whoever gives a key, or the secret part of one, instead of its id does not
// find it in the messages, nor an escape sequence of the terminal.
func TestIDArgumentIsNotRepeated(t *testing.T) {
	key, r, err := apikey.Mint("0123456789abcdef", apikey.Request{Owner: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.TrimPrefix(key, apikey.Prefix+r.ID+"_")
	for _, text := range []string{key, key[:len(key)-1], strings.ToUpper(key), secret, secret[1:], r.ID + "-" + secret, "\x1b[2J"} {
		err := idArgument(nil, []string{text})
		if err == nil || strings.Contains(err.Error(), text) || strings.Contains(err.Error(), secret[1:]) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := idArgument(nil, []string{r.ID}); err != nil {
		t.Error(err)
	}
}
