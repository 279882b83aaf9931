package apikey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/aguada-dev/aguada/auth/internal/replace"
)

// FileStore keeps keys in a file that [Open] reads (see [File]). It is for the
// command line: a service only reads the file, so that it may lie where the
// service cannot write; when a key was last used is therefore not kept.
//
// A change is one rename, so that a reader sees all of it or nothing, and a
// crash leaves the old file or the new one. Writers, of any process of this
// machine, wait for each other by a lock on a second file, NAME.lock, which
// stays. A new file is readable by its owner only; one that exists keeps its
// owner and its permissions, and what is a symbolic link stays one.
//
// It is safe for concurrent use.
type FileStore struct{ path string }

var (
	_ Store  = (*FileStore)(nil)
	_ Ledger = (*FileStore)(nil)
)

// NewFileStore returns the store of a file, which is made with the first key.
// Its folder must exist.
func NewFileStore(path string) *FileStore { return &FileStore{path: path} }

// Lookup implements [Store]. It reads the whole file: a service uses [Open].
func (s *FileStore) Lookup(ctx context.Context, id string) (Record, error) {
	found, err := s.List(ctx, Filter{ID: id})
	if err != nil {
		return Record{}, err
	}
	if id == "" || len(found) == 0 {
		return Record{}, ErrNotFound
	}
	return found[0], nil
}

// Used implements [Store]: it does nothing.
func (s *FileStore) Used(context.Context, []Use) error { return nil }

// Insert implements [Ledger].
func (s *FileStore) Insert(_ context.Context, r Record) error {
	return s.change(func(f *File) error { return f.insert(r) })
}

// Update implements [Ledger].
func (s *FileStore) Update(_ context.Context, id string, change func(*Record) (*Record, error)) error {
	return s.change(func(f *File) error {
		for i := range f.Keys {
			if f.Keys[i].ID != id {
				continue
			}
			changed := f.Keys[i].clone()
			add, err := change(&changed)
			if err != nil {
				return err
			}
			f.Keys[i] = merge(f.Keys[i], changed)
			if add != nil {
				return f.insert(*add)
			}
			return nil
		}
		return ErrNotFound
	})
}

// List implements [Ledger]. A file that is not there has no keys.
func (s *FileStore) List(_ context.Context, filter Filter) ([]Record, error) {
	file, err := s.read(s.path)
	if err != nil {
		return nil, err
	}
	var found []Record
	for i := range file.Keys {
		if filter.fits(&file.Keys[i]) {
			found = append(found, normal(file.Keys[i]))
		}
	}
	SortRecords(found)
	return found, nil
}

func (f *File) insert(r Record) error {
	for i := range f.Keys {
		if f.Keys[i].ID == r.ID {
			return ErrExists
		}
	}
	r = normal(r)
	r.LastUsedAt = time.Time{}
	f.Keys = append(f.Keys, r)
	return nil
}

// read returns the content of a file, checked as a verifier checks it.
func (s *FileStore) read(path string) (File, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return File{Keys: []Record{}}, nil
	}
	if err != nil {
		return File{}, fmt.Errorf("read API keys: %w", err)
	}
	file, err := parseFile(data)
	if err == nil {
		_, err = file.ring("")
	}
	if err != nil {
		return File{}, fmt.Errorf("read API keys: %s: %w", path, err)
	}
	return file, nil
}

// change rewrites the file while nobody else does.
func (s *FileStore) change(edit func(*File) error) error {
	path, err := filepath.EvalSymlinks(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		path, err = s.path, nil
	}
	if err != nil {
		return fmt.Errorf("change API keys: %w", err)
	}
	unlock, err := lockFile(path + ".lock")
	if err != nil {
		return fmt.Errorf("change API keys: %w", err)
	}
	defer unlock()
	file, err := s.read(path)
	if err != nil {
		return err
	}
	if err := edit(&file); err != nil {
		return err
	}
	if _, err := file.ring(""); err != nil { // what nobody could read is not written
		return err
	}
	data, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return fmt.Errorf("change API keys: %w", err)
	}
	if len(data) >= maxFile {
		return fmt.Errorf("change API keys: %s would be larger than %d bytes: keep them in a database", path, maxFile)
	}
	old, err := os.Stat(path)
	if err != nil { // it is made
		old = nil
	}
	if err := replace.File(path, old, append(data, '\n')); err != nil {
		return fmt.Errorf("change API keys: %w", err)
	}
	return nil
}
