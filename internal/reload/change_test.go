package reload_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aguada-dev/aguada/internal/reload"
)

// present lets the bubble's clock reach the present, which the file system's
// times are of.
func present(t *testing.T, now time.Time) {
	t.Helper()
	time.Sleep(time.Until(now))
}

// change is a way to give two files new contents.
type change struct {
	name string
	// setup returns the paths of two files with the contents.
	setup func(t *testing.T, dir, text string) []string
	// to changes both files, which may take its time.
	to func(t *testing.T, dir, text string)
}

func check(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// touch gives a file the bubble's present as its time.
func touch(path string) error { return os.Chtimes(path, time.Now(), time.Now()) }

func both(dir string) []string { return []string{filepath.Join(dir, "a"), filepath.Join(dir, "b")} }

// changes are the ways in which deployments replace files.
var changes = []change{
	{
		"rewrite in place, in parts",
		func(t *testing.T, dir, text string) []string {
			for _, p := range both(dir) {
				check(t, os.WriteFile(p, []byte(text), 0o600))
			}
			return both(dir)
		},
		func(t *testing.T, dir, text string) {
			for _, p := range both(dir) {
				f, err := os.Create(p)
				check(t, err, touch(p))
				for _, part := range []string{text[:len(text)/2], text[len(text)/2:]} {
					time.Sleep(time.Duration(rand.IntN(400)) * time.Millisecond)
					_, err := f.WriteString(part)
					check(t, err, touch(p))
				}
				check(t, f.Close())
				time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
			}
		},
	},
	{
		"rename, one after the other",
		func(t *testing.T, dir, text string) []string {
			for _, p := range both(dir) {
				check(t, os.WriteFile(p, []byte(text), 0o600))
			}
			return both(dir)
		},
		func(t *testing.T, dir, text string) {
			for _, p := range both(dir) {
				check(t, os.WriteFile(p+".new", []byte(text), 0o600), touch(p+".new"), os.Rename(p+".new", p))
				time.Sleep(time.Duration(rand.IntN(2000)) * time.Millisecond) // longer than it takes to be noticed
			}
		},
	},
	{
		"a symbolic link to their folder is turned, as Kubernetes does",
		func(t *testing.T, dir, text string) []string {
			data := filepath.Join(dir, "..first")
			check(t, os.Mkdir(data, 0o700), os.Symlink("..first", filepath.Join(dir, "..data")))
			for _, p := range both(data) {
				check(t, os.WriteFile(p, []byte(text), 0o600), os.Symlink(filepath.Join("..data", filepath.Base(p)), filepath.Join(dir, filepath.Base(p))))
			}
			return both(dir)
		},
		func(t *testing.T, dir, text string) {
			data, err := os.MkdirTemp(dir, "..2026_")
			check(t, err)
			for _, p := range both(data) {
				check(t, os.WriteFile(p, []byte(text), 0o600), touch(p))
			}
			old, err := os.Readlink(filepath.Join(dir, "..data"))
			check(t, err,
				os.Symlink(filepath.Base(data), filepath.Join(dir, "..data_tmp")),
				os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")),
				os.RemoveAll(filepath.Join(dir, old)))
		},
	},
}

// text is a list of which the half parses as well as the whole.
func text(n int) string { return strings.Repeat(fmt.Sprintf("%04d\n", n), 20) }

// whole takes two files that belong together.
func whole(contents [][]byte) (*string, error) {
	a, b := string(contents[0]), string(contents[1])
	if a != b || a == "" {
		return nil, errors.New("they do not belong together")
	}
	return &a, nil
}

// list takes whatever a file holds.
func list(content []byte) (*string, error) {
	s := string(content)
	return &s, nil
}

// However two files are changed, and whenever they are asked for: a value is
// never made of parts of a change, never goes back, and is the newest two
// intervals after the change.
func TestChanges(t *testing.T) {
	for _, how := range changes {
		t.Run(how.name, func(t *testing.T) {
			dir, now := t.TempDir(), time.Now()
			paths := how.setup(t, dir, text(0))
			synctest.Test(t, func(t *testing.T) {
				present(t, now)
				pair, err := reload.OpenAll(paths, whole, reload.Config{})
				if err != nil {
					t.Fatal(err)
				}
				one, err := reload.Open(paths[0], list, reload.Config{})
				if err != nil {
					t.Fatal(err)
				}
				var users sync.WaitGroup
				stop := make(chan struct{})
				for _, f := range []*reload.File[string]{pair, one, pair, one, pair} {
					users.Go(func() { use(t, f, stop) })
				}
				for n := 1; n <= 40; n++ {
					how.to(t, dir, text(n))
					time.Sleep(2 * time.Second)
					if a, b := *pair.Value(), *one.Value(); a != text(n) || b != text(n) {
						t.Errorf("2 s after change %d they are %.4s… and %.4s…", n, a, b)
						break
					}
					time.Sleep(time.Duration(rand.IntN(3000)) * time.Millisecond)
				}
				close(stop)
				users.Wait()
			})
		})
	}
}

// use asks for the value every now and then.
func use(t *testing.T, f *reload.File[string], stop chan struct{}) {
	last := ""
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(rand.IntN(300)) * time.Millisecond):
		}
		got := *f.Value()
		if len(got) != len(text(0)) || got != strings.Repeat(got[:5], 20) || got < last {
			t.Errorf("got %q after %.4s", got, last)
		}
		last = got
	}
}

// A service that was idle takes the new file with the first request, not the
// second.
func TestIdle(t *testing.T) {
	for _, how := range changes {
		dir, now := t.TempDir(), time.Now()
		paths := how.setup(t, dir, text(0))
		synctest.Test(t, func(t *testing.T) {
			present(t, now)
			f, err := reload.OpenAll(paths, whole, reload.Config{})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
			how.to(t, dir, text(1))
			time.Sleep(2 * time.Second)
			var users sync.WaitGroup
			for range 50 { // all at once: nobody gets what was good an hour ago
				users.Go(func() {
					if got := *f.Value(); got != text(1) {
						t.Errorf("%s: the value is %.4s", how.name, got)
					}
				})
			}
			users.Wait()
		})
	}
}

// Files that are written without a rest are taken all the same.
func TestRestless(t *testing.T) {
	path, now := filepath.Join(t.TempDir(), "file"), time.Now()
	write(t, path, "old")
	synctest.Test(t, func(t *testing.T) {
		present(t, now)
		f, err := reload.Open(path, parse, reload.Config{})
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			write(t, path, "new")
			check(t, touch(path))
			f.Value()
			time.Sleep(100 * time.Millisecond)
		}
		if got := *f.Value(); got != "new" {
			t.Errorf("got %q after 2 s", got)
		}
	})
}

// What cannot be parsed yet is parsed again, though the file stays as it is.
func TestRefusedIsTriedAgain(t *testing.T) {
	path, now := filepath.Join(t.TempDir(), "file"), time.Now()
	write(t, path, "one")
	synctest.Test(t, func(t *testing.T) {
		present(t, now)
		later := time.Now().Add(time.Minute)
		f, err := reload.Open(path, func(b []byte) (*string, error) {
			if string(b) == "two" && time.Now().Before(later) {
				return nil, errors.New("too early")
			}
			return parse(b)
		}, reload.Config{})
		if err != nil {
			t.Fatal(err)
		}
		write(t, path, "two")
		for range 70 {
			time.Sleep(time.Second)
			f.Value()
		}
		if got := *f.Value(); got != "two" {
			t.Errorf("got %q", got)
		}
	})
}

// A file system that hangs keeps nobody: the old value is used, as if the file
// could not be read.
func TestHangs(t *testing.T) {
	path, now := filepath.Join(t.TempDir(), "file"), time.Now()
	write(t, path, "one")
	synctest.Test(t, func(t *testing.T) {
		present(t, now)
		release := make(chan struct{})
		f, err := reload.Open(path, func(b []byte) (*string, error) {
			if string(b) == "hang" {
				<-release
			}
			return parse(b)
		}, reload.Config{})
		if err != nil {
			t.Fatal(err)
		}
		write(t, path, "hang")
		time.Sleep(time.Minute)
		go f.Value()
		synctest.Wait()
		before := time.Now()
		for range 1000 {
			if got := *f.Value(); got != "one" {
				t.Errorf("got %q", got)
			}
		}
		if took := time.Since(before); took > 250*time.Millisecond {
			t.Errorf("callers waited %s", took)
		}
		close(release)
		synctest.Wait()
		if got := *f.Value(); got != "hang" {
			t.Errorf("got %q", got)
		}
	})
}

// An error names the file of several that it is about.
func TestFileError(t *testing.T) {
	dir := t.TempDir()
	paths := both(dir)
	check(t, os.WriteFile(paths[0], []byte("12345"), 0o600))
	_, err := reload.OpenAll(paths, whole, reload.Config{})
	e, ok := errors.AsType[*reload.FileError](err)
	if !ok || e.Path != paths[1] || !errors.Is(err, os.ErrNotExist) || strings.Count(err.Error(), dir) != 1 {
		t.Errorf("missing: %v", err)
	}
	check(t, os.Mkdir(paths[1], 0o700))
	if _, err = reload.OpenAll(paths, whole, reload.Config{}); !errors.Is(err, reload.ErrIrregular) || !strings.Contains(err.Error(), paths[1]) {
		t.Errorf("a folder: %v", err)
	}
	if _, err = reload.OpenAll(paths, whole, reload.Config{MaxBytes: 4}); !errors.Is(err, reload.ErrTooLong) {
		t.Errorf("too long: %v", err)
	}
}

func BenchmarkValue(b *testing.B) {
	path := filepath.Join(b.TempDir(), "file")
	if err := os.WriteFile(path, []byte("one"), 0o600); err != nil {
		b.Fatal(err)
	}
	f, err := reload.Open(path, parse, reload.Config{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		f.Value()
	}
}
