package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"

	"github.com/aguada-dev/aguada/internal/reload"
)

// maxFile bounds what is read of a file, which may be a device.
const maxFile = 1 << 20

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

// source is a file, and the variable that names it.
type source struct{ variable, path string }

// watch reads files that make a value together, and follows them. What is
// wrong with the content of one is said of the first.
func watch[T any](report *reporter, parse func(contents [][]byte) (*T, error), files ...source) (*reload.File[T], error) {
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = f.path
	}
	return reload.OpenAll(paths, parse, reload.Config{
		MaxBytes: maxFile,
		Report: func(err error) {
			report.report(fmt.Errorf("%w: the old content stays in use", named(err, files...)))
		},
	})
}

// named says what is wrong with files by their variables, without their names
// and contents.
func named(err error, files ...source) error {
	variable := files[0].variable
	if e, ok := errors.AsType[*reload.FileError](err); ok {
		for _, f := range files {
			if f.path == e.Path {
				variable = f.variable
				break
			}
		}
	}
	return errors.New(variable + ": " + wrongFile(err))
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
	case errors.Is(err, reload.ErrIrregular):
		return string(errIrregular)
	case errors.Is(err, reload.ErrTooLong):
		return string(errLong)
	case errors.Is(err, fs.ErrNotExist):
		why = "does not exist"
	case errors.Is(err, fs.ErrPermission):
		why = "may not be read by this process"
	case errors.As(err, &path):
		why += " (" + path.Err.Error() + ")"
	}
	return "names a file that " + why
}
