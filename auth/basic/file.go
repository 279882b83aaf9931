package basic

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/auth/basic/internal/password"
	"github.com/aguada-dev/aguada/internal/reload"
)

// FileConfig tunes a [File]. The zero value works.
type FileConfig struct {
	// Interval is how often the file is looked at, at most; 1 s if 0.
	Interval time.Duration
	// Logger is told why a changed file was not taken; slog.Default() if nil.
	Logger *slog.Logger
}

// File is a users file: a [Store] that is followed when it changes. It is safe
// for concurrent use, and needs no closing.
//
// A line of the file is NAME:HASH, where HASH is the PHC string of argon2id
// that [HashPassword] makes, or a hash of bcrypt; empty lines and those that
// begin with # are skipped. A file that cannot be read or parsed leaves the old
// one in force and is logged; to lock everybody out, leave it empty rather than
// remove it.
type File struct {
	path string
	file *reload.File[directory]
}

var (
	_ Store    = (*File)(nil)
	_ Upgrader = (*File)(nil)
)

// directory is what one version of a users file says.
type directory struct {
	hashes  map[string]string
	recipes []password.Recipe // of all users, in the order of their names
}

// OpenFile reads a users file. One that is missing or broken is an error.
func OpenFile(path string, cfg FileConfig) (*File, error) {
	report := func(err error) {
		l := cfg.Logger
		if l == nil {
			l = slog.Default()
		}
		l.Error("credential file not reloaded", "error", err)
	}
	file, err := reload.Open(path, parseDirectory, reload.Config{Interval: cfg.Interval, Report: report})
	if err != nil {
		return nil, fmt.Errorf("open users file: %w", err)
	}
	return &File{path: path, file: file}, nil
}

// Lookup implements [Store]. It never fails.
func (f *File) Lookup(_ context.Context, name string) (hash string, ok bool, err error) {
	hash, ok = f.file.Value().hashes[name]
	return hash, ok, nil
}

// Upgrade implements [Upgrader] by [EditFile]. A file that may not be written,
// such as a secret of Kubernetes, is an error.
func (f *File) Upgrade(ctx context.Context, name, old, next string) error {
	return EditFile(ctx, f.path, func(t *FileText) error {
		if now, ok := t.Hash(name); !ok || now != old {
			return nil
		}
		return t.Set(name, next)
	})
}

// recipe returns that of an unknown user. Where users have different ones,
// every unknown name has that of one of them, always the same, so that its time
// tells nothing.
func (f *File) recipe(account [sha256.Size]byte) password.Recipe {
	r := f.file.Value().recipes
	if len(r) == 0 {
		return password.Standard()
	}
	return r[binary.BigEndian.Uint64(account[24:])%uint64(len(r))]
}

// parseDirectory reads a users file whose every hash is good. Its errors name
// the line and never hold its text.
func parseDirectory(data []byte) (*directory, error) {
	t, err := parseText(data)
	if err != nil {
		return nil, err
	}
	d := &directory{hashes: make(map[string]string, len(t.at))}
	for _, name := range slices.Sorted(maps.Keys(t.at)) {
		h, err := password.Parse(t.lines[t.at[name]].hash)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", t.at[name]+1, err)
		}
		d.hashes[name] = t.lines[t.at[name]].hash
		d.recipes = append(d.recipes, h.Recipe())
	}
	return d, nil
}

// parseText reads a users file whatever its hashes are.
func parseText(data []byte) (*FileText, error) {
	t := &FileText{at: map[string]int{}}
	for raw := range bytes.Lines(data) {
		l := line{raw: string(raw)}
		text := strings.TrimRight(l.raw, "\r\n")
		if strings.TrimSpace(text) != "" && !strings.HasPrefix(text, "#") {
			var ok bool
			l.name, l.hash, ok = strings.Cut(text, ":")
			if !ok || !validUser(l.name) {
				return nil, fmt.Errorf("line %d: not NAME:HASH", len(t.lines)+1)
			}
			if _, ok := t.at[l.name]; ok {
				return nil, fmt.Errorf("line %d: the user is there already", len(t.lines)+1)
			}
			t.at[l.name] = len(t.lines)
		}
		t.lines = append(t.lines, l)
	}
	return t, nil
}
