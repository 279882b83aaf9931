package config_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/aguada-dev/aguada/config"
)

func TestSecretIsNeverPrinted(t *testing.T) {
	const text = "hunter2"
	s := config.NewSecret(text)
	type holder struct {
		Exported config.Secret
		hidden   config.Secret
		Pointer  *config.Secret
		List     []config.Secret
		Map      map[string]config.Secret
		Any      any
	}
	h := holder{s, s, &s, []config.Secret{s}, map[string]config.Secret{"a": s}, s}
	hex := fmt.Sprintf("%x", text)
	check := func(how, out string) {
		t.Helper()
		if low := strings.ToLower(out); strings.Contains(low, text) || strings.Contains(low, hex) {
			t.Errorf("%s shows the secret: %s", how, out)
		}
	}
	for _, v := range []any{s, &s, h, &h, []any{h}} {
		for _, verb := range "vTtbcdoOqxXUeEfFgGsp" {
			for _, flags := range []string{"", "+", "#", "-20", ".3", "+#", "0", " "} {
				format := "%" + flags + string(verb)
				check(format, fmt.Sprintf(format, v))
			}
		}
		check("Println", fmt.Sprintln(v))
		check("Errorf", fmt.Errorf("open %v", v).Error())
		var out bytes.Buffer
		slog.New(slog.NewTextHandler(&out, nil)).Info("m", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "v", v)
		check("slog", out.String())
		j, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		check("JSON", string(j))
	}
	x, err := xml.Marshal(s)
	if err != nil {
		t.Error(err)
	}
	check("XML", string(x))
	if got := fmt.Sprintf("%v %s %q %d %#v", s, s, s, s, s); got != strings.TrimSpace(strings.Repeat("[redacted] ", 5)) {
		t.Errorf("printed as %s", got)
	}
	if s.Reveal() != text || !s.Equal(config.NewSecret(text)) || s.Equal(config.Secret{}) || s.IsZero() {
		t.Error("the secret does not hold its text")
	}
	if z := (config.Secret{}); !z.IsZero() || z.Reveal() != "" || fmt.Sprint(z) != "[redacted]" {
		t.Error("the zero value is not an empty secret")
	}
}

func FuzzSize(f *testing.F) {
	for _, s := range []string{"1MiB", "1", "0", "10kB", "-1", "1.5MiB", "KiB", "9223372036854775807", "9007199254740992KiB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var size, again config.Size
		if err := size.UnmarshalText([]byte(text)); err != nil {
			return
		}
		if size < 0 {
			t.Fatalf("%q: %d", text, size)
		}
		if err := again.UnmarshalText([]byte(size.String())); err != nil || again != size {
			t.Errorf("%q: %d is written as %s and read as %d, %v", text, size, size, again, err)
		}
	})
}

func TestSize(t *testing.T) {
	for text, want := range map[string]config.Size{
		"0": 0, "1": 1, "7B": 7, "1kB": 1000, "1KB": 1000, "1KiB": 1024, "3MB": 3e6, "1MiB": 1 << 20, "2GiB": 2 << 30, "1GB": 1e9,
	} {
		var got config.Size
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "MiB", "1 MiB", "1.5MiB", "-1", "+1", "1M", "0x10", "1_000", "1MiBB", "9223372036854775808", "9GiBGiB"} {
		var got config.Size
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is read as %d", text, got)
		}
	}
}
