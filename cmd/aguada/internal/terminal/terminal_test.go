package terminal

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := env[name]; return v, ok }
}

func TestColour(t *testing.T) {
	for _, test := range []struct {
		name string
		tty  bool
		env  map[string]string
		want bool
	}{
		{"terminal", true, nil, true},
		{"pipe", false, nil, false},
		{"NO_COLOR", true, map[string]string{"NO_COLOR": "1"}, false},
		{"empty NO_COLOR", true, map[string]string{"NO_COLOR": ""}, true},
		{"dumb", true, map[string]string{"TERM": "dumb"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := New(&bytes.Buffer{}, lookup(test.env))
			o.settle(test.tty, lookup(test.env))
			if got := strings.Contains(o.Bold("x"), "\x1b"); got != test.want {
				t.Errorf("colour %t, want %t", got, test.want)
			}
		})
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = errors.Join(r.Close(), w.Close()) }()
	if Is(w) || Is(&bytes.Buffer{}) {
		t.Error("a pipe is no terminal")
	}
}

func shown(t *testing.T, tty bool, took time.Duration, err error) string {
	t.Helper()
	var b bytes.Buffer
	synctest.Test(t, func(*testing.T) {
		o := New(&b, lookup(nil))
		o.settle(tty, lookup(map[string]string{"NO_COLOR": "1"}))
		done := o.Progress("building", "a minute")
		time.Sleep(took) // of the bubble's clock
		done(err)
	})
	return b.String()
}

func TestProgress(t *testing.T) {
	if got, want := shown(t, false, 1500*time.Millisecond, nil), "building …\nbuilding: done in 1.5s\n"; got != want {
		t.Errorf("short: %q, want %q", got, want)
	}
	want := "building …\n  a minute\nbuilding … 10s\nbuilding … 20s\nbuilding: failed after 25s\n"
	if got := shown(t, false, 25*time.Second, errors.New("x")); got != want {
		t.Errorf("long: %q, want %q", got, want)
	}
	want = "building …\r\x1b[Kbuilding … 1s\r\x1b[Kbuilding … 2s\r\x1b[Kbuilding: done in 2.5s\n"
	if got := shown(t, true, 2500*time.Millisecond, nil); got != want {
		t.Errorf("terminal: %q, want %q", got, want)
	}
}

func TestShareKeepsTheCursorStill(t *testing.T) {
	var b bytes.Buffer
	o := New(&b, lookup(nil))
	o.settle(true, lookup(nil))
	o.Share(true)
	o.Progress("building", "")(nil)
	if strings.Contains(b.String(), "\r") {
		t.Errorf("rewrites a line: %q", b.String())
	}
}
