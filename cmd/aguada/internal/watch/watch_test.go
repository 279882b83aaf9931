package watch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func goFiles(name string) bool { return strings.HasSuffix(name, ".go") }

func hidden(name string) bool { return strings.HasPrefix(name, ".") }

func start(t *testing.T, dir string) *Watcher {
	t.Helper()
	w, err := New(dir, Config{IgnoreDir: hidden, Match: goFiles, Settle: 30 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func write(t *testing.T, parts ...string) {
	t.Helper()
	file := filepath.Join(parts...)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(time.Now().String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

func changed(t *testing.T, w *Watcher, what string) {
	t.Helper()
	select {
	case <-w.Changes():
	case <-time.After(time.Minute):
		t.Fatalf("no change after %s", what)
	}
}

func TestChanges(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a", "a.go")
	write(t, dir, ".hidden", "a.go")
	w := start(t, dir)
	write(t, dir, "a", "a.go")
	changed(t, w, "a write")
	write(t, dir, "a", "b.go")
	changed(t, w, "a new file")
	write(t, dir, "new", "deep", "c.go")
	changed(t, w, "a file in a new folder")
	write(t, dir, "new", "deep", "c.go")
	changed(t, w, "a write in a new folder")
	if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "newer")); err != nil {
		t.Fatal(err)
	}
	changed(t, w, "the renaming of a folder")
	if err := os.Remove(filepath.Join(dir, "a", "b.go")); err != nil {
		t.Fatal(err)
	}
	changed(t, w, "a removal")
}

func TestIgnored(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, ".hidden", "a.go")
	write(t, dir, "data.db")
	if err := os.MkdirAll(filepath.Join(dir, "empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	w := start(t, dir)
	for _, event := range []fsnotify.Event{
		{Name: filepath.Join(dir, ".hidden"), Op: fsnotify.Create},
		{Name: filepath.Join(dir, ".hidden"), Op: fsnotify.Remove},
		{Name: filepath.Join(dir, "empty"), Op: fsnotify.Create},
		{Name: filepath.Join(dir, "data.db"), Op: fsnotify.Write},
		{Name: filepath.Join(dir, "data.db"), Op: fsnotify.Remove},
		{Name: filepath.Join(dir, "a.go"), Op: fsnotify.Chmod},
	} {
		if w.matters(event) {
			t.Errorf("%s matters", event)
		}
	}
	for _, watched := range w.fs.WatchList() {
		if hidden(filepath.Base(watched)) {
			t.Errorf("%s is watched", watched)
		}
	}
}

// A burst is one change.
func TestBurst(t *testing.T) {
	dir := t.TempDir()
	w, err := New(dir, Config{Match: goFiles, Settle: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		write(t, dir, "a.go")
	}
	changed(t, w, "a burst")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-w.Changes():
		t.Error("a second change")
	default:
	}
	if err := w.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}

func TestNewRefusesWhatIsMissing(t *testing.T) {
	if _, err := New(filepath.Join(t.TempDir(), "missing"), Config{}); err == nil {
		t.Error("no error")
	}
}
