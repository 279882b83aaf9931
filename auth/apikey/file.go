package apikey

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aguada-dev/aguada/auth/internal/object"
)

// File is the content of a file of API keys, in JSON.
type File struct {
	Keys []Record `json:"keys"`
}

// maxFile is the largest file that is read, in bytes.
const maxFile = 16 << 20

// keyring is the content of a file by the ids of its keys. It is never modified.
type keyring map[string]*known

// parseFile reads a file of API keys.
func parseFile(data []byte) (File, error) {
	var file File
	if err := json.Unmarshal(data, &file); err != nil {
		return File{}, fmt.Errorf("parse JSON: %w", err)
	}
	if err := exact(data); err != nil {
		return File{}, fmt.Errorf("parse JSON: %w", err)
	}
	if file.Keys == nil {
		return File{}, errors.New(`there is no list "keys"`)
	}
	return file, nil
}

// parseKeys reads a file of API keys for verification.
func parseKeys(data []byte, scheme string) (*keyring, error) {
	file, err := parseFile(data)
	if err != nil {
		return nil, err
	}
	return file.ring(scheme)
}

func (f *File) ring(scheme string) (*keyring, error) {
	ring := keyring{}
	for i := range f.Keys {
		k, err := f.Keys[i].compile(scheme)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		id := f.Keys[i].ID
		if ring[id] != nil {
			return nil, fmt.Errorf("key %d: its id is there already", i+1)
		}
		ring[id] = k
	}
	return &ring, nil
}

// exact refuses a file with members that are unknown, twice there or in other
// letters than they should be: encoding/json would merge the last two, and a
// key could get the scopes of another.
func exact(data []byte) error {
	file, err := object.Decode(data)
	if err != nil {
		return err
	}
	if err := only(file, "keys"); err != nil {
		return err
	}
	list, _ := file["keys"].([]any)
	for i, v := range list {
		record, _ := v.(map[string]any)
		err := only(record, "id", "hmac", "pepper", "owner", "scopes", "label", "created_at", "expires_at", "revoked_at",
			"retires_at", "replaces", "replaced_by", "last_used_at")
		if err != nil {
			return fmt.Errorf("key %d: %w", i+1, err)
		}
	}
	return nil
}

// only refuses members with other names.
func only(members map[string]any, names ...string) error {
	for name := range members {
		if !slices.Contains(names, name) {
			return fmt.Errorf("a member is not one of %s", strings.Join(names, ", "))
		}
	}
	return nil
}
