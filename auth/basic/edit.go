package basic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/auth/basic/internal/password"
	"github.com/aguada-dev/aguada/auth/internal/replace"
)

// FileText is the text of a users file, as people and [EditFile] change it:
// comments and order stay. Hashes that a [File] would refuse are kept, so that
// they can be replaced. It is not safe for concurrent use.
type FileText struct {
	lines   []line
	at      map[string]int // a user's line
	changed bool
}

type line struct {
	raw        string // with its end
	name, hash string // empty for a comment
}

// FileUser is one user of a [FileText].
type FileUser struct {
	Name string
	// Algorithm is "argon2id" or "bcrypt", and Cost its parameters, such as
	// "m=19456,t=2,p=1" (m in KiB) or "cost=10". Both are empty if Err is not
	// nil.
	Algorithm, Cost string
	// Err says why the hash is refused. It does not hold the hash.
	Err error
}

// Users returns the users in the order of the file.
func (t *FileText) Users() []FileUser {
	users := make([]FileUser, 0, len(t.at))
	for _, l := range t.lines {
		if l.name == "" {
			continue
		}
		u := FileUser{Name: l.name}
		h, err := password.Parse(l.hash)
		if err == nil {
			u.Algorithm, u.Cost = h.Recipe().Algorithm(), h.Recipe().Cost()
		}
		u.Err = err
		users = append(users, u)
	}
	return users
}

// Hash returns the hash of a user, and whether there is one.
func (t *FileText) Hash(name string) (hash string, ok bool) {
	at, ok := t.at[name]
	if !ok {
		return "", false
	}
	return t.lines[at].hash, true
}

// Set replaces the hash of a user, or appends one. A name or hash that a
// [File] would refuse is an error.
func (t *FileText) Set(name, hash string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if _, err := password.Parse(hash); err != nil {
		return fmt.Errorf("set user: %w", err)
	}
	l := line{raw: name + ":" + hash + "\n", name: name, hash: hash}
	if at, ok := t.at[name]; ok {
		if strings.HasSuffix(t.lines[at].raw, "\r\n") {
			l.raw = strings.TrimSuffix(l.raw, "\n") + "\r\n"
		}
		t.lines[at] = l
	} else {
		if n := len(t.lines); n > 0 && !strings.HasSuffix(t.lines[n-1].raw, "\n") {
			t.lines[n-1].raw += "\n"
		}
		t.at[name] = len(t.lines)
		t.lines = append(t.lines, l)
	}
	t.changed = true
	return nil
}

// Remove removes a user, and reports whether there was one.
func (t *FileText) Remove(name string) bool {
	at, ok := t.at[name]
	if !ok {
		return false
	}
	t.lines = slices.Delete(t.lines, at, at+1)
	delete(t.at, name)
	for other, i := range t.at {
		if i > at {
			t.at[other] = i - 1
		}
	}
	t.changed = true
	return true
}

// CheckName says why a name cannot be that of a user in a file; nil if it can.
func CheckName(name string) error {
	if validUser(name) && !strings.HasPrefix(name, "#") {
		return nil
	}
	return errors.New("a user name is 1 to 256 bytes of UTF-8 without colon, control characters, # at its begin or space around it")
}

// maxFile is the largest users file, in bytes.
const maxFile = 16 << 20

// ReadFile reads a users file to look at.
func ReadFile(path string) (*FileText, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read users file: %w", err)
	}
	defer func() { _ = f.Close() }()
	return readText(f)
}

func readText(f *os.File) (*FileText, error) {
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("larger than %d bytes", maxFile)
	}
	if err != nil {
		return nil, fmt.Errorf("read users file %s: %w", f.Name(), err)
	}
	t, err := parseText(data)
	if err != nil {
		return nil, fmt.Errorf("read users file %s: %w", f.Name(), err)
	}
	return t, nil
}

// EditFile changes a users file, which must exist and be writable: edit gets
// its text, and if it changes it and returns nil, the new text takes the place
// of the file in one step, with the same mode and owner. A symbolic link stays.
// Others who use EditFile wait meanwhile, until ctx ends; on systems without
// flock they do not. The error of edit is returned as it is.
func EditFile(ctx context.Context, path string, edit func(*FileText) error) error {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("change users file: %w", err)
	}
	f, err := openLocked(ctx, target)
	if err != nil {
		return fmt.Errorf("change users file: %w", err)
	}
	defer func() { _ = f.Close() }() // and so unlock it
	t, err := readText(f)
	if err != nil {
		return err
	}
	if err := edit(t); err != nil || !t.changed {
		return err
	}
	if err := t.replace(f, target); err != nil {
		return fmt.Errorf("change users file: %w", err)
	}
	return nil
}

// openLocked opens a file for this process alone.
func openLocked(ctx context.Context, path string) (*os.File, error) {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		locked, err := lock(f)
		if err == nil && locked {
			locked, err = current(f, path) // else it was replaced before it was locked
		}
		if err == nil && locked {
			return f, nil
		}
		_ = f.Close()
		if err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for another who changes %s: %w", path, ctx.Err())
		case <-again.C:
		}
	}
}

// current reports whether the open file is the one at path, and a regular one.
func current(f *os.File, path string) (bool, error) {
	open, err := f.Stat()
	if err != nil {
		return false, err
	}
	if !open.Mode().IsRegular() {
		return false, fmt.Errorf("%s is not a regular file", path)
	}
	there, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	return os.SameFile(open, there), nil
}

// replace puts the text in the place of the old file.
func (t *FileText) replace(old *os.File, path string) error {
	info, err := old.Stat()
	if err != nil {
		return err
	}
	var text []byte
	for _, l := range t.lines {
		text = append(text, l.raw...)
	}
	return replace.File(path, info, text)
}
