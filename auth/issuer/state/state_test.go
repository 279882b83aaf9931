package state_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/aguada-dev/aguada/auth/issuer/state"
)

func open(t testing.TB, file string) *state.State {
	t.Helper()
	s, err := state.Open(context.Background(), file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func update(t testing.TB, s *state.State, f func(*state.Tx) error) {
	t.Helper()
	if err := s.Update(context.Background(), f); err != nil {
		t.Fatal(err)
	}
}

func signer(t testing.TB, s *state.State) (id string) {
	t.Helper()
	update(t, s, func(tx *state.Tx) error {
		k, err := tx.SigningKey(time.Now(), time.Now())
		id = k.ID
		return err
	})
	return id
}

// Everybody who opens a new file at once finds the same key.
func TestOpenAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a b?c#d%20.db")
	ids := make([]string, 8)
	var wait sync.WaitGroup
	for i := range ids {
		wait.Go(func() {
			s, err := state.Open(context.Background(), file)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = signer(t, s)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Fatalf("keys %v", ids)
		}
	}
	if info, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("file: %v %v", info, err)
	}
}

// A file that others could read is closed to them; one that is no database is
// an error that names it.
func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "x.db")
	_ = open(t, file).Close()
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	open(t, file)
	if info, _ := os.Stat(file); runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("garbage", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := state.Open(context.Background(), garbage); !errors.Is(err, state.ErrUnusable) || !strings.Contains(err.Error(), garbage) {
		t.Errorf("garbage: %v", err)
	}
	if _, err := state.Open(context.Background(), filepath.Join(dir, "none", "x.db")); err == nil {
		t.Error("a missing folder was made")
	}
}

// A file that somebody else holds for too long is no reason to delete it.
func TestOpenLocked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.db")
	s := open(t, file)
	update(t, s, func(*state.Tx) error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if other, err := state.Open(ctx, file); err == nil {
			_ = other.Close()
			t.Error("opened while another one writes")
		} else if errors.Is(err, state.ErrUnusable) {
			t.Errorf("a locked file is called unusable: %v", err)
		}
		return nil
	})
}

// A file of another version, or of another program, is unusable.
func TestOpenForeign(t *testing.T) {
	for name, statement := range map[string]string{
		"version": `PRAGMA user_version = 99`,
		"program": `PRAGMA user_version = 0`, // its tables are in the way
	} {
		file := filepath.Join(t.TempDir(), "x.db")
		_ = open(t, file).Close()
		db, err := sql.Open("sqlite", file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
		_ = db.Close()
		if _, err := state.Open(context.Background(), file); !errors.Is(err, state.ErrUnusable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Keys of a file that was deleted sign nothing: who opens the new one does not
// know them.
func TestDeletedFileSignsNothing(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("an open file cannot be deleted")
	}
	file := filepath.Join(t.TempDir(), "x.db")
	s := open(t, file)
	signer(t, s)
	for _, change := range []func(){func() { _ = os.Remove(file) }, func() { open(t, file) }} {
		change()
		if err := s.Update(context.Background(), func(*state.Tx) error { return nil }); !errors.Is(err, state.ErrGone) || !strings.Contains(err.Error(), file) {
			t.Errorf("a file that was deleted, then replaced: %v", err)
		}
	}
}

// A step that panics gives the file back.
func TestUpdateSurvivesPanic(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.db"))
	func() {
		defer func() { _ = recover() }()
		_ = s.Update(context.Background(), func(tx *state.Tx) error {
			_ = tx.SetSetting("a", "b")
			panic("a fault")
		})
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.Update(ctx, func(tx *state.Tx) error {
		v, err := tx.Setting("a")
		if v != "" {
			t.Errorf("it kept %q", v)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// A step that fails leaves nothing behind.
func TestUpdateIsWhole(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.db"))
	failure := errors.New("failure")
	err := s.Update(context.Background(), func(tx *state.Tx) error {
		if err := tx.SetSetting("a", "b"); err != nil {
			return err
		}
		return failure
	})
	if !errors.Is(err, failure) {
		t.Fatal(err)
	}
	update(t, s, func(tx *state.Tx) error {
		if v, err := tx.Setting("a"); err != nil || v != "" {
			t.Errorf("setting %q: %v", v, err)
		}
		return nil
	})
}

func TestClientValidate(t *testing.T) {
	good := state.Client{ID: "a", Grants: []string{state.AuthorizationCode}, RedirectURIs: []string{"http://127.0.0.1/cb"}}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*state.Client){
		"id":                     func(c *state.Client) { c.ID = "a b" },
		"no id":                  func(c *state.Client) { c.ID = "" },
		"no grant":               func(c *state.Client) { c.Grants = nil },
		"unknown grant":          func(c *state.Client) { c.Grants = append(c.Grants, "password") },
		"refresh alone":          func(c *state.Client) { c.Grants = []string{state.RefreshToken} },
		"machine without secret": func(c *state.Client) { c.Grants = []string{state.ClientCredentials} },
		"no redirect URI":        func(c *state.Client) { c.RedirectURIs = nil },
		"scope":                  func(c *state.Client) { c.Scopes = []string{"a b"} },
	} {
		c := good
		change(&c)
		if c.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for uri, want := range map[string]bool{
		"https://app.example/cb": true, "https://app.example:8443/cb?x=1": true, "com.example.app:/cb": true,
		"http://localhost:3000": true, "http://[::1]/cb": true,
		"http://app.example/cb": false, "https://app.example/cb#x": false, "https://u:p@app.example/cb": false,
		"javascript:alert(1)": false, "data:text/html,x": false, "file:///etc/passwd": false, "/cb": false, "": false,
		"https://": false, "https://a;b/cb": false, "https://app.example/a b": false, "http://127.0.0.1.example/cb": false,
		`https://app.example\@evil.example/`: false,
	} {
		c := good
		c.RedirectURIs = []string{uri}
		if got := c.Validate() == nil; got != want {
			t.Errorf("%q: accepted %t", uri, got)
		}
	}
}

// Only a loopback URI's port may vary: for any other change it is refused.
func TestRedirects(t *testing.T) {
	c := state.Client{RedirectURIs: []string{"http://127.0.0.1/cb?a=1", "http://[::1]:1/cb", "https://app.example/cb"}}
	for uri, want := range map[string]bool{
		"http://127.0.0.1/cb?a=1": true, "http://127.0.0.1:65535/cb?a=1": true, "http://[::1]:5/cb": true, "http://[::1]/cb": true,
		"https://app.example/cb": true, "https://app.example:443/cb": false, "http://127.0.0.1:65536/cb?a=1": false,
		"http://127.0.0.1:/cb?a=1": false, "http://127.0.0.1:5/cb": false, "http://127.0.0.2:5/cb?a=1": false,
		"HTTP://127.0.0.1/cb?a=1": false, "http://127.0.0.1:5/cb?a=1#f": false, "": false,
	} {
		if got := c.Redirects(uri); got != want {
			t.Errorf("%q: %t", uri, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		registered := rapid.SampledFrom(c.RedirectURIs).Draw(t, "registered")
		at := rapid.IntRange(0, len(registered)).Draw(t, "at")
		uri := registered[:at] + rapid.StringN(1, 6, 20).Draw(t, "inserted") + registered[at:]
		if !c.Redirects(uri) {
			return
		}
		// What is accepted and not registered is the same but for digits.
		strip := func(s string) string {
			return strings.Map(func(r rune) rune {
				if r == ':' || r >= '0' && r <= '9' {
					return -1
				}
				return r
			}, s)
		}
		if strip(uri) != strip(registered) {
			t.Fatalf("%q passes for %q", uri, registered)
		}
	})
}

// A client that is removed takes along what it has.
func TestDeleteClient(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.db"))
	later := time.Now().Add(time.Hour)
	update(t, s, func(tx *state.Tx) error {
		c := state.Client{ID: "a", Grants: []string{state.AuthorizationCode}, RedirectURIs: []string{"http://127.0.0.1/cb"}}
		g := state.Grant{ClientID: "a", Subject: "alice", Expires: later}
		if err := errors.Join(tx.PutClient(c), tx.SaveGrant(&g)); err != nil {
			return err
		}
		return errors.Join(
			tx.SaveCode("code", state.Code{GrantID: g.ID, Expires: later}),
			tx.SaveRefresh("refresh", state.Refresh{GrantID: g.ID, Expires: later}),
			tx.SaveAccess("access", state.Access{GrantID: g.ID, ClientID: "a", Expires: later}),
			tx.SaveAccess("own", state.Access{ClientID: "a", Expires: later}))
	})
	update(t, s, func(tx *state.Tx) error { return tx.DeleteClient("a") })
	update(t, s, func(tx *state.Tx) error {
		_, code := tx.Code("code")
		_, refresh := tx.Refresh("refresh")
		_, access := tx.Access("access")
		_, own := tx.Access("own")
		for _, err := range []error{code, refresh, access, own} {
			if !errors.Is(err, state.ErrNotFound) {
				t.Errorf("something stayed: %v", err)
			}
		}
		return nil
	})
	if err := s.Update(context.Background(), func(tx *state.Tx) error { return tx.DeleteClient("a") }); !errors.Is(err, state.ErrNotFound) {
		t.Errorf("again: %v", err)
	}
}

// Requests that nobody answers do not pile up.
func TestRequestsAreBounded(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.db"))
	later := time.Now().Add(time.Hour)
	update(t, s, func(tx *state.Tx) error {
		for i := range state.MaxRequests + 1 {
			if err := tx.SaveRequest(strconv.Itoa(i), i, later); err != nil {
				return err
			}
		}
		var n int
		if err := tx.TakeRequest("0", time.Now(), &n); !errors.Is(err, state.ErrNotFound) {
			t.Errorf("the oldest: %v", err)
		}
		for _, i := range []int{1, state.MaxRequests} {
			if err := tx.TakeRequest(strconv.Itoa(i), time.Now(), &n); err != nil || n != i {
				t.Errorf("request %d: %d %v", i, n, err)
			}
		}
		return nil
	})
}

// The file holds no secret that somebody could use.
func TestSecretsAreDigested(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.db")
	s := open(t, file)
	c := state.Client{ID: "a", Grants: []string{state.ClientCredentials}}
	secret := c.NewSecret()
	later := time.Now().Add(time.Hour)
	update(t, s, func(tx *state.Tx) error {
		g := state.Grant{ClientID: "a", Expires: later}
		if err := tx.SaveGrant(&g); err != nil {
			return err
		}
		return errors.Join(tx.PutClient(c), tx.SaveRequest("REQUESTSECRET", 1, later),
			tx.SaveCode("CODESECRET", state.Code{GrantID: g.ID, Expires: later}),
			tx.SaveRefresh("REFRESHSECRET", state.Refresh{GrantID: g.ID, Expires: later}),
			tx.SaveAccess("ACCESSSECRET", state.Access{ClientID: "a", Expires: later}))
	})
	for _, name := range []string{file, file + "-wal"} {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{secret, "REQUESTSECRET", "CODESECRET", "REFRESHSECRET", "ACCESSSECRET"} {
			if strings.Contains(string(content), s) {
				t.Errorf("%s holds %s", filepath.Base(name), s)
			}
		}
	}
}
