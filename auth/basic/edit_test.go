package basic_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/aguada-dev/aguada/auth/basic"
)

const phc = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

func usersFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users")
	write(t, path, text)
	return path
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Many who change a file at once all get their turn, and whoever reads it
// meanwhile never reads half of it.
func TestEditFileConcurrently(t *testing.T) {
	path := usersFile(t, "# the team\n")
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := basic.OpenFile(path, basic.FileConfig{}); err != nil {
				t.Error(err)
			}
		}
	}()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 5 {
				err := basic.EditFile(t.Context(), path, func(x *basic.FileText) error { return x.Set(fmt.Sprintf("user%d.%d", i, n), phc) })
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	<-ended
	if n := strings.Count(content(t, path), phc+"\n"); n != 40 {
		t.Errorf("%d users, want 40", n)
	}
	if all, _ := os.ReadDir(filepath.Dir(path)); len(all) != 1 {
		t.Errorf("left behind: %v", all)
	}
}

// Who waits for another lets go when its context ends, and nothing is changed.
func TestEditFileWaits(t *testing.T) {
	path := usersFile(t, "ann:"+phc)
	inside, leave, done := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		done <- basic.EditFile(context.Background(), path, func(x *basic.FileText) error {
			close(inside)
			<-leave
			x.Remove("ann")
			return nil
		})
	}()
	<-inside
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := basic.EditFile(ctx, path, func(x *basic.FileText) error { return x.Set("bob", phc) })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(leave)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := content(t, path); got != "" {
		t.Errorf("the file is %q", got)
	}
}

func TestEditFileRefuses(t *testing.T) {
	no := errors.New("no")
	path := usersFile(t, "ann:"+phc)
	err := basic.EditFile(t.Context(), path, func(x *basic.FileText) error { x.Remove("ann"); return no })
	if err != no {
		t.Errorf("got %v", err)
	}
	for _, tt := range []struct{ name, hash string }{{"a:b", phc}, {"#a", phc}, {" a", phc}, {"", phc}, {"a\nb", phc}, {"a", "hunter2"}, {"a", phc + "\nb:" + phc}} {
		err := basic.EditFile(t.Context(), path, func(x *basic.FileText) error { return x.Set(tt.name, tt.hash) })
		if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "AAAA") {
			t.Errorf("%q %q: got %v", tt.name, tt.hash, err)
		}
	}
	if got := content(t, path); got != "ann:"+phc {
		t.Errorf("the file is %q", got)
	}
	never := func(*basic.FileText) error { t.Error("edited"); return nil }
	for _, p := range []string{filepath.Join(t.TempDir(), "none"), t.TempDir(), os.DevNull, usersFile(t, "hunter2")} {
		if err := basic.EditFile(t.Context(), p, never); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v", p, err)
		}
	}
}

// Whatever a file is and whatever is done to it, all other lines stay as they
// are, and a service that took it before takes it still.
func TestEditFileKeepsTheRest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	rapid.Check(t, func(r *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"ann", "bob", "eve", "kim", "o'brien", "é"}), 0, 4, rapid.ID[string]).Draw(r, "names")
		var lines []string
		for _, n := range names {
			if rapid.Bool().Draw(r, "comment") {
				lines = append(lines, rapid.SampledFrom([]string{"", "# ann:x", "  ", "#"}).Draw(r, "text"))
			}
			lines = append(lines, n+":"+phc)
		}
		text := ""
		for i, l := range lines {
			if text += l; i < len(lines)-1 || rapid.Bool().Draw(r, "last end") {
				text += rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(r, "end")
			}
		}
		write(t, path, text)
		name := rapid.SampledFrom([]string{"ann", "bob", "zoe"}).Draw(r, "name")
		hash := strings.Replace(phc, "c2FsdHNhbHQ", "c2FsdHNhbHRzYWx0", 1)
		at := slices.Index(lines, name+":"+phc)
		remove := rapid.Bool().Draw(r, "remove")
		err := basic.EditFile(t.Context(), path, func(x *basic.FileText) error {
			if remove {
				if x.Remove(name) != (at >= 0) {
					r.Error("removed what is not there, or not what is")
				}
				return nil
			}
			return x.Set(name, hash)
		})
		if err != nil {
			r.Fatal(err)
		}
		switch {
		case remove && at >= 0:
			lines = slices.Delete(lines, at, at+1)
		case remove:
		case at >= 0:
			lines[at] = name + ":" + hash
		default:
			lines = append(lines, name+":"+hash)
		}
		got := content(t, path)
		plain := strings.ReplaceAll(got, "\r\n", "\n")
		if want := strings.Join(lines, "\n"); plain != want && plain != want+"\n" {
			r.Fatalf("%q became %q, want lines %q", text, got, lines)
		}
		if _, err := basic.OpenFile(path, basic.FileConfig{}); err != nil {
			r.Error(err)
		}
	})
}
