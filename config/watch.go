package config

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// lookEvery is how often files are read again, at most.
	lookEvery = time.Second
	// maxFile bounds what is read of a file, which may be a device.
	maxFile = 1 << 20
)

const (
	errLong      = fileError("names a file that is longer than 1 MiB")
	errIrregular = fileError("does not name a regular file")
)

// reporter is told about files that turned bad.
type reporter struct{ f atomic.Pointer[func(error)] }

func (r *reporter) report(err error) {
	if r == nil {
		return
	}
	if f := r.f.Load(); f != nil {
		(*f)(err)
	}
}

// watched is a value made of files, kept up to date without a goroutine: who
// asks for it also reads the files again, once a second at most. They are
// read whole, since their times and sizes may stay what they were. Files that
// turned bad never replace good ones: the old value stays, and the reason is
// reported once.
type watched[T any] struct {
	name   string // of the variable that names the (first) file
	paths  []string
	parse  func(contents [][]byte) (*T, error)
	report *reporter
	start  time.Time

	value atomic.Pointer[T]
	next  atomic.Int64 // when to look again, since start
	mu    sync.Mutex   // held while looking; guards the rest
	sum   [sha256.Size]byte
	told  string // the last error that was reported
}

// watch reads the files.
func watch[T any](report *reporter, name string, parse func([][]byte) (*T, error), paths ...string) (*watched[T], error) {
	w := &watched[T]{name: name, paths: paths, parse: parse, report: report, start: time.Now()}
	if err := w.look(); err != nil {
		return nil, err
	}
	w.next.Store(int64(lookEvery))
	return w, nil
}

// get returns the value. One caller at a time looks at the files; the others
// do not wait for it.
func (w *watched[T]) get() *T {
	if int64(time.Since(w.start)) >= w.next.Load() && w.mu.TryLock() {
		wrong := ""
		if err := w.look(); err != nil {
			wrong = wrongFile(err)
		}
		news := wrong != "" && wrong != w.told
		w.told = wrong
		w.next.Store(int64(time.Since(w.start) + lookEvery))
		w.mu.Unlock()
		if news {
			w.report.report(fmt.Errorf("%s: %s: the old content stays in use", w.name, wrong))
		}
	}
	return w.value.Load()
}

// look takes the files as they are now.
func (w *watched[T]) look() error {
	contents := make([][]byte, len(w.paths))
	var sums []byte
	for i, path := range w.paths {
		content, err := readRegular(path)
		if err != nil {
			return err
		}
		contents[i] = content
		sum := sha256.Sum256(content)
		sums = append(sums, sum[:]...)
	}
	sum := sha256.Sum256(sums)
	if w.value.Load() != nil && sum == w.sum {
		return nil
	}
	v, err := w.parse(contents)
	if err != nil {
		return err
	}
	w.sum = sum
	w.value.Store(v)
	return nil
}

// readRegular reads a file that can be read again, which a pipe cannot.
func readRegular(path string) ([]byte, error) {
	info, err := os.Stat(path) // first: opening a pipe would wait for its writer
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errIrregular
	}
	return readFile(path)
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(content) > maxFile {
		err = errLong
	}
	return content, err
}

// fileError says what is wrong with the content of a file, after its variable.
type fileError string

func (e fileError) Error() string { return string(e) }

// wrongFile says why a file is of no use, after its variable and without its
// name and content.
func wrongFile(err error) string {
	why := "cannot be read"
	var content fileError
	var path *fs.PathError
	switch {
	case errors.As(err, &content):
		return string(content)
	case errors.Is(err, fs.ErrNotExist):
		why = "does not exist"
	case errors.Is(err, fs.ErrPermission):
		why = "may not be read by this process"
	case errors.As(err, &path):
		why += " (" + path.Err.Error() + ")"
	}
	return "names a file that " + why
}
