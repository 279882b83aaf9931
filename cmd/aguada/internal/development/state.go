package development

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A CorruptError is a file of the state folder that cannot be used. Its text
// says which file to delete; deleting it is safe, as it is made again.
type CorruptError struct {
	File string
	Err  error
}

// Error names the cause and the cure, never a secret.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("read %s: %s; delete this file and run again: it is made anew", e.File, e.Err)
}

// Unwrap returns the cause.
func (e *CorruptError) Unwrap() error { return e.Err }

// MakeState makes the state folder of the project in dir, readable by its
// owner alone and invisible to git, and returns its path. A folder that others
// can read is closed to them.
func MakeState(dir string) (string, error) {
	state := filepath.Join(dir, StateDir)
	err := os.Mkdir(state, 0o700)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("make state folder: %w", err)
	}
	info, err := os.Lstat(state)
	if err != nil {
		return "", fmt.Errorf("make state folder: %w", err)
	}
	if !info.IsDir() {
		return "", fmt.Errorf("make state folder: %s is not a folder; move it away", state)
	}
	if info.Mode().Perm() != 0o700 {
		if err := os.Chmod(state, 0o700); err != nil { //nolint:gosec // a folder needs its x bit
			return "", fmt.Errorf("close state folder to others: %w", err)
		}
	}
	if err := os.MkdirAll(filepath.Join(state, "bin"), 0o700); err != nil {
		return "", fmt.Errorf("make state folder: %w", err)
	}
	ignore := filepath.Join(state, ".gitignore")
	if _, err := os.Stat(ignore); errors.Is(err, fs.ErrNotExist) {
		if err := write(ignore, []byte("*\n")); err != nil {
			return "", err
		}
	}
	return state, nil
}

// write replaces a file by one that only its owner can read. Nobody ever sees
// half of it.
func write(file string, content []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(file), ".new-*") // made with mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	_, err = temp.Write(content)
	err = errors.Join(err, temp.Sync(), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), file)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", file, errors.Join(err, os.Remove(temp.Name())))
	}
	return nil
}

// read reads a secret file and closes it to others. A missing file is
// fs.ErrNotExist.
func read(file string) ([]byte, error) {
	info, err := os.Lstat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &CorruptError{File: file, Err: errors.New("not a regular file")}
	}
	if info.Mode().Perm()&0o077 != 0 {
		if err := os.Chmod(file, 0o600); err != nil {
			return nil, fmt.Errorf("close %s to others: %w", file, err)
		}
	}
	return os.ReadFile(file)
}

// readJSON reads a secret file into v; exists is false when there is none.
func readJSON(file string, v any) (exists bool, err error) {
	content, err := read(file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(content, v); err != nil {
		return false, &CorruptError{File: file, Err: errors.New("not the JSON that was written there")}
	}
	return true, nil
}

func writeJSON(file string, v any) error {
	content, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return write(file, append(content, '\n'))
}
