// Package reload keeps what files say up to date, without a goroutine.
//
//	f, err := reload.Open("users", parse, reload.Config{})
//	...
//	users := f.Value()
//
// [File.Value] looks at the files' metadata at most once per interval and
// reads them again when they changed, however they did: by a rename, by a
// symbolic link that was turned (Kubernetes' ..data), or by a rewrite in place.
// What Value returns is never older than two intervals, after any time of
// idleness. Content that turned bad never replaces a good one: the old value
// stays, the reason is reported, and the files are read again until they parse.
//
// It watches nothing by itself: a change of files that nobody asks for is not
// noticed, nor is an error in them.
package reload

import (
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"
)

// Config tunes a File. The zero value works.
type Config struct {
	// Interval is how often the files are looked at, at most; 1 s if 0.
	Interval time.Duration
	// MaxBytes is the largest file that is read; 16 MiB if 0.
	MaxBytes int64
	// Report is told, once, why changed files were not taken, and is called
	// by the goroutine that found out. It may be nil.
	Report func(error)
}

// File is the value of one or several files. It is safe for concurrent use and
// needs no closing.
type File[T any] struct {
	paths []string
	parse func([][]byte) (*T, error)
	cfg   Config
	start time.Time

	value  atomic.Pointer[T]
	next   atomic.Int64 // when to look again, since start
	late   atomic.Int64 // when the value is too old to be used without a look, since start
	hung   atomic.Bool  // a look takes so long that nobody waits for it any more
	turn   chan struct{}
	stamps []stamp   // guarded by turn, as all below: of what was last read well; nil for nothing
	read   time.Time // when that was
	sum    [sha256.Size]byte
	seen   time.Time // when unsettled content was first seen; zero if there is none
	told   string    // the last error that was reported
}

// Open reads the file. The parse function gets its bytes; the value that it
// returns must not be modified afterwards.
func Open[T any](path string, parse func([]byte) (*T, error), cfg Config) (*File[T], error) {
	return OpenAll([]string{path}, func(contents [][]byte) (*T, error) { return parse(contents[0]) }, cfg)
}

// OpenAll is Open for files that make a value together, such as a certificate
// and its key. The parse function gets their contents in the order of the
// paths, and has to refuse those that do not belong together: files that are
// replaced one after the other do not, for a while.
func OpenAll[T any](paths []string, parse func([][]byte) (*T, error), cfg Config) (*File[T], error) {
	if cfg.Interval == 0 {
		cfg.Interval = time.Second
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 16 << 20
	}
	f := &File[T]{paths: slices.Clone(paths), parse: parse, cfg: cfg, start: time.Now(), turn: make(chan struct{}, 1)}
	if err := f.look(); err != nil {
		return nil, err
	}
	f.schedule(cfg.Interval)
	return f, nil
}

// Value returns what the files say now, or said when they were last good. One
// caller at a time looks at them. The others do not wait for it, unless what
// they have is more than two intervals old: then they do, for a quarter of an
// interval at most, so that a file system that hangs is like a file that
// cannot be read.
func (f *File[T]) Value() *T {
	now := int64(time.Since(f.start))
	if now < f.next.Load() {
		return f.value.Load()
	}
	select {
	case f.turn <- struct{}{}:
		f.refresh()
	default:
		if now >= f.late.Load() && !f.hung.Load() {
			f.wait()
		}
	}
	return f.value.Load()
}

// wait waits for the caller that looks.
func (f *File[T]) wait() {
	timer := time.NewTimer(f.cfg.Interval / 4)
	defer timer.Stop()
	select {
	case f.turn <- struct{}{}:
		<-f.turn
	case <-timer.C:
		f.hung.Store(true)
	}
}

// refresh looks at the files and gives the turn back.
func (f *File[T]) refresh() {
	if err := f.turnOver(); err != nil && f.cfg.Report != nil {
		f.cfg.Report(err)
	}
}

// turnOver does the work of refresh, and returns an error once.
func (f *File[T]) turnOver() (err error) {
	f.hung.Store(false)
	again := f.cfg.Interval
	defer func() { // also when parse panics: else the files would never be read again
		f.schedule(again)
		<-f.turn
	}()
	err = f.look()
	if !f.seen.IsZero() {
		again /= 4
	}
	if err == nil {
		if f.seen.IsZero() {
			f.told = ""
		}
		return nil
	}
	if err.Error() == f.told {
		return nil
	}
	f.told = err.Error()
	return fmt.Errorf("reload %s, keep the old one: %w", f.paths[0], err)
}

func (f *File[T]) schedule(after time.Duration) {
	now := time.Since(f.start)
	f.next.Store(int64(now + after))
	f.late.Store(int64(now + 2*f.cfg.Interval))
}

// look reads the files if they changed.
func (f *File[T]) look() error {
	if f.stamps != nil && f.unchanged() {
		f.seen = time.Time{}
		return nil
	}
	now := time.Now()
	contents, stamps, err := f.contents()
	if err != nil {
		f.stamps, f.seen = nil, time.Time{}
		return err
	}
	sum := digest(contents)
	if f.value.Load() != nil {
		if sum == f.sum {
			f.settle(now, stamps, sum)
			return nil
		}
		if f.postpone(now, stamps) {
			return nil
		}
	}
	f.stamps, f.seen = nil, time.Time{} // read again until it parses
	v, err := f.parse(contents)
	if err != nil {
		return fmt.Errorf("read %s: %w", f.paths[0], err)
	}
	f.settle(now, stamps, sum)
	f.value.Store(v)
	return nil
}

func (f *File[T]) settle(now time.Time, stamps []stamp, sum [sha256.Size]byte) {
	f.read, f.stamps, f.sum, f.seen = now, stamps, sum, time.Time{}
}

// postpone reports whether new content is still too young to be taken. Whoever
// rewrites a file in place, or several one after the other, may be in the
// middle of it, and half of a list parses as well as the whole. It is looked
// at again soon, and taken once it has rested for three quarters of an interval,
// or as long after it was first seen: never later than two after the change.
func (f *File[T]) postpone(now time.Time, stamps []stamp) bool {
	rest := f.cfg.Interval * 3 / 4
	young := slices.ContainsFunc(stamps, func(s stamp) bool { return now.Sub(s.changed).Abs() < rest })
	if f.seen.IsZero() {
		f.seen = now
	}
	return young && now.Sub(f.seen) < rest
}

// unchanged reports whether the files are those last read. One that was
// written just before it was read may change again within the resolution of
// its times: it is read again until it has aged.
func (f *File[T]) unchanged() bool {
	for i, path := range f.paths {
		info, err := os.Stat(path)
		if err != nil || !f.stamps[i].is(info) || f.read.Sub(f.stamps[i].changed) <= 2*time.Second {
			return false
		}
	}
	return true
}

// contents reads all the files.
func (f *File[T]) contents() (contents [][]byte, stamps []stamp, err error) {
	contents, stamps = make([][]byte, len(f.paths)), make([]stamp, len(f.paths))
	for i, path := range f.paths {
		if contents[i], stamps[i], err = read(path, f.cfg.MaxBytes); err != nil {
			return nil, nil, &FileError{Path: path, Err: err}
		}
	}
	return contents, stamps, nil
}

// digest tells contents apart, also where one goes on with another's bytes.
func digest(contents [][]byte) [sha256.Size]byte {
	sums := make([]byte, 0, len(contents)*sha256.Size)
	for _, content := range contents {
		sum := sha256.Sum256(content)
		sums = append(sums, sum[:]...)
	}
	return sha256.Sum256(sums)
}
