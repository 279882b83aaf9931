package apikey_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/auth/apikey"
)

// This program, started with the name of a file, makes keys in it.
func TestMain(m *testing.M) {
	if path := os.Getenv("APIKEY_TEST_WRITE"); path != "" {
		g := apikey.NewRegistry(apikey.NewFileStore(path), fixed(pepper).Current)
		for range 10 {
			if _, _, err := g.Create(context.Background(), apikey.Request{Owner: "ann"}); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Processes change one file at once: no change is lost, and a reader never sees
// half of one.
func TestFileStoreProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(path, []byte(`{"keys":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var reader, writers sync.WaitGroup
	reader.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := apikey.Open(path, fixed(pepper), apikey.Config{}); err != nil {
				t.Errorf("a reader: %v", err)
				return
			}
		}
	})
	for range 4 {
		writers.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), "APIKEY_TEST_WRITE="+path)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	writers.Wait()
	close(stop)
	reader.Wait()
	all, err := apikey.NewFileStore(path).List(t.Context(), apikey.Filter{})
	if err != nil || len(all) != 40 {
		t.Errorf("got %d keys, %v, want 40", len(all), err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v, %v, want the file and its lock", entries, err)
	}
}

func TestFileStoreKeepsPermissions(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "real", "keys.json"), filepath.Join(dir, "keys.json")
	if err := os.Mkdir(filepath.Join(dir, "real"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, link); err != nil {
		t.Skip(err)
	}
	perm := func(path string) os.FileMode {
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode()
	}
	create(t, apikey.NewFileStore(path), apikey.Request{})
	if got := perm(path); got != 0o600 {
		t.Errorf("new: %s, want 0600", got)
	}
	if err := os.Chmod(path, 0o640); err != nil { // a service's group reads it
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(path, 12345, 23456); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	create(t, apikey.NewFileStore(link), apikey.Request{})
	if got := perm(path); got != 0o640 {
		t.Errorf("changed: %s, want 0640 as it was", got)
	}
	after, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if owner(after) != owner(before) {
		t.Errorf("owner %s, want %s as it was", owner(after), owner(before))
	}
	if perm(link)&os.ModeSymlink == 0 {
		t.Error("the link became a file")
	}
	if all, err := apikey.NewFileStore(link).List(t.Context(), apikey.Filter{}); err != nil || len(all) != 2 {
		t.Errorf("got %d keys, %v, want 2", len(all), err)
	}
}

// What cannot be read is not overwritten, nor is what would be unreadable
// written.
func TestFileStoreLeavesBrokenFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	for _, text := range []string{"", "{", `{"keys":[{}]}`, `{"keys":[],"more":1}`} {
		write(t, path, text)
		_, _, err := apikey.NewRegistry(apikey.NewFileStore(path), fixed(pepper).Current).Create(t.Context(), apikey.Request{Owner: "ann"})
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: got %v, want an error that names the file", text, err)
		}
		if _, err := apikey.NewFileStore(path).Lookup(t.Context(), "a"); err == nil || errors.Is(err, apikey.ErrNotFound) {
			t.Errorf("%q: look up: %v", text, err)
		}
		if got, _ := os.ReadFile(path); string(got) != text {
			t.Errorf("%q became %q", text, got)
		}
	}
	missing := filepath.Join(t.TempDir(), "no", "folder", "keys.json")
	if err := apikey.NewFileStore(missing).Insert(t.Context(), apikey.Record{}); err == nil {
		t.Error("a folder was made up")
	}
}

// A change that fails half way leaves the old file.
func TestFileStoreDiskFull(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write anywhere")
	}
	path := filepath.Join(t.TempDir(), "keys.json")
	create(t, apikey.NewFileStore(path), apikey.Request{})
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(path), 0o500); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Chmod(filepath.Dir(path), 0o700) }()
	if _, _, err := apikey.NewRegistry(apikey.NewFileStore(path), fixed(pepper).Current).Create(t.Context(), apikey.Request{Owner: "ann"}); err == nil {
		t.Error("written where nothing can be")
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the file changed")
	}
}

// A key's life in a file, as the service that reads it sees it.
func TestFileFollowsLife(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	s := apikey.NewFileStore(path)
	key, r := create(t, s, apikey.Request{Scopes: []string{"a"}})
	v, err := apikey.Open(path, fixed(pepper), apikey.Config{Interval: soon})
	if err != nil {
		t.Fatal(err)
	}
	g := apikey.NewRegistry(s, fixed(pepper).Current)
	next, r2, _, err := g.Rotate(t.Context(), r.ID, apikey.Rotation{Grace: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if got := verify(t, v, key) + verify(t, v, next); got != "annann" {
		t.Errorf("rotated: %s", got)
	}
	if _, err := g.Revoke(t.Context(), r.ID); err != nil {
		t.Fatal(err)
	}
	last, _, _, err := g.Rotate(t.Context(), r2.ID, apikey.Rotation{})
	if err != nil {
		t.Fatal(err)
	}
	if got := verify(t, v, key) + verify(t, v, next) + verify(t, v, last); got != "!expired!expiredann" {
		t.Errorf("revoked, rotated without grace, new: %s", got)
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
}
