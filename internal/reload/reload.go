// Package reload keeps what a file says up to date, without a goroutine.
//
//	f, err := reload.Open("users", parse, reload.Config{})
//	...
//	users := f.Value()
//
// [File.Value] looks at the file's metadata at most once per interval and
// reads it again when they changed. A file that turned bad never replaces a
// good one: the old value stays and the reason is reported.
package reload

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

// Config tunes a File. The zero value works.
type Config struct {
	// Interval is how often the file is looked at, at most; 1 s if 0.
	Interval time.Duration
	// MaxBytes is the largest file that is read; 16 MiB if 0.
	MaxBytes int64
	// Report is told, once, why a changed file was not taken, and is called
	// by the goroutine that found out. It may be nil.
	Report func(error)
}

// File is the value of a file. It is safe for concurrent use.
type File[T any] struct {
	path  string
	parse func([]byte) (*T, error)
	cfg   Config
	start time.Time

	value atomic.Pointer[T]
	next  atomic.Int64 // when to look again, since start
	mu    sync.Mutex   // held while looking; guards the rest
	info  fs.FileInfo  // of the last look; nil if there was no file
	read  time.Time    // when the file was last read
	sum   [sha256.Size]byte
	told  string // the last error that was reported
}

// Open reads the file. The parse function gets its bytes; its value must not
// be modified afterwards.
func Open[T any](path string, parse func([]byte) (*T, error), cfg Config) (*File[T], error) {
	if cfg.Interval == 0 {
		cfg.Interval = time.Second
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 16 << 20
	}
	f := &File[T]{path: path, parse: parse, cfg: cfg, start: time.Now()}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.look(); err != nil {
		return nil, err
	}
	f.next.Store(int64(cfg.Interval))
	return f, nil
}

// Value returns what the file says now, or said when it was last good. At most
// one caller at a time looks at the file; the others do not wait for it.
func (f *File[T]) Value() *T {
	if int64(time.Since(f.start)) >= f.next.Load() && f.mu.TryLock() {
		if err := f.refresh(); err != nil && f.cfg.Report != nil {
			f.cfg.Report(fmt.Errorf("reload %s, keep the old one: %w", f.path, err))
		}
	}
	return f.value.Load()
}

// refresh looks at the file and unlocks mu. It returns an error once.
func (f *File[T]) refresh() error {
	defer f.mu.Unlock() // also when parse panics: else the file would never be read again
	defer func() { f.next.Store(int64(time.Since(f.start) + f.cfg.Interval)) }()
	err := f.look()
	if err == nil {
		f.told = ""
		return nil
	}
	if err.Error() == f.told {
		return nil
	}
	f.told = err.Error()
	return err
}

// look reads the file if it changed.
func (f *File[T]) look() error {
	info, err := os.Stat(f.path)
	if err != nil {
		f.info = nil
		return err
	}
	if f.same(info) {
		if f.told != "" {
			return errors.New(f.told)
		}
		return nil
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("read %s: not a regular file", f.path)
	}
	f.info, f.read = nil, time.Now()
	data, err := f.bytes()
	if err != nil {
		return err
	}
	f.info = info
	sum := sha256.Sum256(data)
	if f.value.Load() != nil && sum == f.sum {
		return nil
	}
	v, err := f.parse(data)
	if err != nil {
		return fmt.Errorf("read %s: %w", f.path, err)
	}
	f.sum = sum
	f.value.Store(v)
	return nil
}

// same reports whether the file is the one last read. A file that was written
// just before it was read may change again within the resolution of its
// timestamp: it is read again until it has aged.
func (f *File[T]) same(info fs.FileInfo) bool {
	return f.info != nil && os.SameFile(f.info, info) && f.info.Size() == info.Size() &&
		f.info.ModTime().Equal(info.ModTime()) && f.read.Sub(info.ModTime()) > 2*time.Second
}

// bytes reads the whole file.
func (f *File[T]) bytes() ([]byte, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, f.cfg.MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.path, err)
	}
	if int64(len(data)) > f.cfg.MaxBytes {
		return nil, fmt.Errorf("read %s: larger than %d bytes", f.path, f.cfg.MaxBytes)
	}
	return data, nil
}
