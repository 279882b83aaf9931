package reload_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/internal/reload"
)

func parse(data []byte) (*string, error) {
	if s := string(data); s != "bad" {
		return &s, nil
	}
	return nil, errors.New("it is bad")
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestValue(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "one")
	var told []string
	f, err := reload.Open(path, parse, reload.Config{Interval: 1, Report: func(err error) { told = append(told, err.Error()) }})
	if err != nil {
		t.Fatal(err)
	}
	expect := func(want string, reports int) {
		t.Helper()
		for range 3 {
			if got := *f.Value(); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		if len(told) != reports {
			t.Errorf("%d reports, want %d: %q", len(told), reports, told)
		}
	}
	expect("one", 0)
	write(t, path, "two")
	expect("two", 0)
	write(t, path, "bad")
	expect("two", 1)
	write(t, path, "two")
	expect("two", 1)
	write(t, path, "bad") // bad again, told again
	expect("two", 2)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	expect("two", 3)
	write(t, path, "three")
	expect("three", 3)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	expect("three", 4)
}

// A file may change in place, with the same size and within the resolution of
// its timestamp.
func TestValueSameStamp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "one")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := reload.Open(path, parse, reload.Config{Interval: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("two"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if got := *f.Value(); got != "two" {
		t.Errorf("got %q, want two", got)
	}
}

// A file may change in place at any time after it was read, within a tick of
// the file system's clock too.
func TestValueSameTick(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for range 300 {
		if err := os.WriteFile(path, []byte("one"), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := reload.Open(path, parse, reload.Config{Interval: 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("two"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := *f.Value(); got != "two" {
			t.Fatalf("got %q, want two", got)
		}
	}
}

func TestValueFollowsLinks(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "file")
	write(t, filepath.Join(dir, "a"), "one")
	write(t, filepath.Join(dir, "b"), "two")
	if err := os.Symlink("a", link); err != nil {
		t.Fatal(err)
	}
	f, err := reload.Open(link, parse, reload.Config{Interval: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Symlink("b", link+".new"), os.Rename(link+".new", link)); err != nil {
		t.Fatal(err)
	}
	if got := *f.Value(); got != "two" {
		t.Errorf("got %q, want two", got)
	}
}

func TestValueWaitsForTheInterval(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "one")
	f, err := reload.Open(path, parse, reload.Config{Interval: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, "two")
	if got := *f.Value(); got != "one" {
		t.Errorf("got %q, want one", got)
	}
}

func TestValueConcurrently(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "one")
	f, err := reload.Open(path, parse, reload.Config{Interval: 1})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				if got := *f.Value(); got != "one" && got != "two" {
					t.Errorf("got %q", got)
				}
			}
		})
	}
	write(t, path, "two")
	wg.Wait()
	if got := *f.Value(); got != "two" {
		t.Errorf("got %q, want two", got)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	write(t, path, "bad")
	for _, p := range []string{path, dir, filepath.Join(dir, "none")} {
		if f, err := reload.Open(p, parse, reload.Config{}); err == nil || f != nil {
			t.Errorf("%s: got %v, %v", p, f, err)
		}
	}
	write(t, path, "12345")
	if _, err := reload.Open(path, parse, reload.Config{MaxBytes: 4}); err == nil {
		t.Error("a file that is too large is taken")
	}
}

func TestValueSurvivesPanic(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "one")
	f, err := reload.Open(path, func(data []byte) (*string, error) {
		if string(data) == "panic" {
			panic("parse")
		}
		return parse(data)
	}, reload.Config{Interval: 1})
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, "panic")
	func() {
		defer func() { _ = recover() }()
		f.Value()
	}()
	write(t, path, "two")
	if got := *f.Value(); got != "two" {
		t.Errorf("got %q, want two", got)
	}
}
