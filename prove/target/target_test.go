package target_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/prove/target"
)

func TestSecrets(t *testing.T) {
	var s target.Secrets
	s.Add("the password", "correct horse")
	s.Add("the longer one", "correct horse battery")
	s.Add("a word", "short")
	for text, want := range map[string]string{
		"":                               "",
		"correct":                        "",
		"of no concern":                  "",
		"x correct horse!":               "x ‹the password›!",
		"correct horse":                  "‹the password›",
		"correct horse battery, correct": "‹the longer one›, correct",
		"correct horscorrect horse":      "correct hors‹the password›",
		"Y29ycmVjdCBob3JzZQ==":           "‹the password, in base64›",
		"short":                          "short",
	} {
		if want == "" {
			want = text
		}
		if got := s.Mask(text); got != want {
			t.Errorf("Mask(%q) = %q, want %q", text, got, want)
		}
		if found := s.Find(text) != ""; found != (want != text) {
			t.Errorf("Find(%q) is %t", text, found)
		}
	}
}

// Find and Mask agree with a search for each secret by itself.
func FuzzSecrets(f *testing.F) {
	f.Add("secret-one secret-two", "say secret-one twice: secret-onesecret-one")
	f.Fuzz(func(t *testing.T, words, text string) {
		var s target.Secrets
		any := false
		for i, word := range strings.Fields(words) {
			s.Add(fmt.Sprint("number ", i), word)
			any = any || len(word) >= 8 && strings.Contains(text, word)
		}
		if any && s.Find(text) == "" {
			t.Errorf("Find(%q) misses one of %q", text, words)
		}
		if masked := s.Mask(text); any == (masked == text) && s.Find(text) == "" {
			t.Errorf("Mask(%q) = %q with %q", text, masked, words)
		}
	})
}

func TestLog(t *testing.T) {
	in, err := target.Launch(target.Recipe{Path: "/bin/sh", Args: []string{"-c", "echo '{\"a\":1}'; printf half; echo ' line' >&2; echo ' and half'; echo $GREETING ${dir}"}}, map[string]string{"GREETING": "at ${http}"})
	if err != nil {
		t.Skip(err)
	}
	defer in.Close()
	<-in.Done()
	var out, errs []string
	for _, l := range in.Log.Since(0) {
		if l.Error {
			errs = append(errs, l.Text)
		} else {
			out = append(out, l.Text)
		}
	}
	want := []string{`{"a":1}`, "half and half", "at " + in.HTTP + " " + in.Dir}
	if strings.Join(out, "|") != strings.Join(want, "|") || strings.Join(errs, "|") != " line" {
		t.Errorf("lines %q and %q, want %q", out, errs, want)
	}
	for _, l := range in.Log.Since(0) { // the two streams come in either order
		if l.Text == want[0] && l.Fields()["a"] != 1.0 {
			t.Errorf("fields %v", l.Fields())
		}
	}
}

// What the kernel tells of the other end of a connection: that it is open, what
// its process has not read, and that it was closed although it cannot say so.
func TestOther(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	dialled, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dialled.Close() }()
	conn := dialled.(*net.TCPConn)
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("five!")); err != nil {
		t.Fatal(err)
	}
	wait := func(want target.Held) {
		t.Helper()
		deadline := time.Now().Add(5 * time.Second)
		for {
			got, known := target.Other(conn)
			if !known {
				t.Skip("SKIPPED: this system does not tell which connections there are")
			}
			if got == want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the other end is %+v, want %+v", got, want)
			}
		}
	}
	wait(target.Held{Open: true, Unread: 5})
	if _, err := io.ReadFull(accepted, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	wait(target.Held{Open: true, Unread: 2})
	if err := accepted.Close(); err != nil {
		t.Fatal(err)
	}
	wait(target.Held{})
}
