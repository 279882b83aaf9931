package idempotency_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/aguada-dev/aguada/idempotency"
)

func TestParseKey(t *testing.T) {
	long := strings.Repeat("k", idempotency.MaxKey)
	for text, want := range map[string]string{
		`"8e03978e-40d5-43e8-bc93-6894a57f9324"`: "8e03978e-40d5-43e8-bc93-6894a57f9324",
		`8e03978e-40d5-43e8-bc93-6894a57f9324`:   "8e03978e-40d5-43e8-bc93-6894a57f9324",
		`  "k"  `:                                "k",
		`" "`:                                    " ",
		`"a b, c; d=e"`:                          "a b, c; d=e",
		`"a\"b\\c"`:                              `a"b\c`,
		`"\\"`:                                   `\`,
		`order:4711/retry=1_~!*`:                 "order:4711/retry=1_~!*",
		"k":                                      "k",
		long:                                     long,
		`"` + long + `"`:                         long,
		`"` + long[1:] + `\"` + `"`:              long[1:] + `"`,
	} {
		got, err := idempotency.ParseKey([]string{text})
		if err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", text, got, err, want)
		}
	}
	if _, err := idempotency.ParseKey(nil); !errors.Is(err, idempotency.ErrMissing) {
		t.Errorf("no header: %v", err)
	}
	for _, values := range [][]string{
		{""}, {" "}, {`""`}, {`" `}, {`"`}, {`"a`}, {`a"`}, {`"a"b`}, {`"a" "b"`}, {`"a", "b"`}, {"a, b"}, {"a,b"}, {"a b"}, {`"a";p=1`}, {"a;p=1"},
		{`"a\`}, {`"a\"`}, {`"a\b"`}, {`a\b`}, {"\"a\x00\""}, {"a\x00"}, {"a\r\nb"}, {"\"a\nb\""}, {"\ta"}, {"\"a\tb\""}, {"\"\x7f\""}, {"\x7f"},
		{`"ü"`}, {"ü"}, {"\xff"}, {long + "k"}, {`"` + long + `k"`}, {"a", "a"}, {"a", ""}, {"", ""}, {`"\x61"`}, {strings.Repeat("k", 1<<20)},
	} {
		key, err := idempotency.ParseKey(values)
		if !errors.Is(err, idempotency.ErrMalformed) || key != "" {
			t.Errorf("%.80q: got %q, %v, want ErrMalformed", values, key, err)
		} else if len(err.Error()) > 100 {
			t.Errorf("%.80q: a long error", values)
		}
	}
}

// A key is at most as long as allowed, printable ASCII, and read the same when it
// is written as the draft has it.
func FuzzParseKey(f *testing.F) {
	for _, text := range []string{`"a"`, "a", `"a\"\\"`, `"a`, "", "a,b", `"` + strings.Repeat("k", 300) + `"`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, err := idempotency.ParseKey([]string{text})
		if err != nil {
			if key != "" || !errors.Is(err, idempotency.ErrMalformed) {
				t.Fatalf("%q, %v", key, err)
			}
			return
		}
		if key == "" || len(key) > idempotency.MaxKey || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("%q is a key", key)
		}
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(key) + `"`
		if again, err := idempotency.ParseKey([]string{quoted}); err != nil || again != key {
			t.Fatalf("%s: %q, %v, want %q", quoted, again, err, key)
		}
		if _, err := idempotency.ParseKey([]string{text, text}); !errors.Is(err, idempotency.ErrMalformed) {
			t.Fatalf("twice: %v", err)
		}
	})
}
