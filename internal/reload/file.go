package reload

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

// Reasons why a file is not read.
var (
	ErrIrregular = errors.New("not a regular file")
	ErrTooLong   = errors.New("larger than it may be")
)

// FileError says which file could not be read. Where parse refused the
// contents, its own error is returned instead.
type FileError struct {
	Path string
	Err  error // ErrIrregular, ErrTooLong, or package os's
}

// Error names the file once.
func (e *FileError) Error() string {
	if _, ok := errors.AsType[*fs.PathError](e.Err); ok {
		return e.Err.Error()
	}
	return "read " + e.Path + ": " + e.Err.Error()
}

// Unwrap returns Err.
func (e *FileError) Unwrap() error { return e.Err }

// stamp is what tells a file from another, and from itself at another time. It
// is taken before the file is read, so that a change meanwhile is seen later.
type stamp struct {
	info    fs.FileInfo
	changed time.Time // the newest of its times
}

func stampOf(info fs.FileInfo) stamp {
	changed := info.ModTime()
	if t := statusChange(info); t.After(changed) {
		changed = t
	}
	return stamp{info: info, changed: changed}
}

// is reports whether info describes the same file, unchanged.
func (s stamp) is(info fs.FileInfo) bool {
	return os.SameFile(s.info, info) && s.info.Size() == info.Size() &&
		s.info.ModTime().Equal(info.ModTime()) && statusChange(s.info).Equal(statusChange(info))
}

// read reads a whole regular file.
func read(path string, most int64) ([]byte, stamp, error) {
	info, err := os.Stat(path) // first: opening a pipe would wait for its writer
	if err != nil {
		return nil, stamp{}, err
	}
	if !info.Mode().IsRegular() {
		return nil, stamp{}, ErrIrregular
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, stamp{}, err
	}
	defer func() { _ = file.Close() }()
	if info, err = file.Stat(); err != nil {
		return nil, stamp{}, err
	}
	data, err := io.ReadAll(io.LimitReader(file, most+1))
	if err != nil {
		return nil, stamp{}, err
	}
	if int64(len(data)) > most {
		return nil, stamp{}, ErrTooLong
	}
	return data, stampOf(info), nil
}
