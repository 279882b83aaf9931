package basic_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/basic"
)

func hashed(t testing.TB, password string) string {
	t.Helper()
	h, err := basic.HashPassword(password)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// bcrypted returns what other tools made of a password.
func bcrypted(t testing.TB, password string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), 10)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

func TestUsers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	write(t, path, "# the team\n\nann:"+hashed(t, "s3cret pässword")+"\r\nbob:"+hashed(t, "b")+"\n")
	u, err := basic.Open(path, basic.Config{Scheme: "basic"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ user, password, want string }{
		{"ann", "s3cret pässword", "ann"},
		{"bob", "b", "bob"},
		{"ann", "s3cret pässword", "ann"}, // remembered
		{"ann", "b", "!unknown"},
		{"bob", "s3cret pässword", "!unknown"},
		{"eve", "b", "!unknown"},
		{"Ann", "s3cret pässword", "!unknown"},
		{"an", "ns3cret pässword", "!unknown"},
		{"ann", "", "!malformed"},
		{"", "b", "!malformed"},
		{"ann", "b\x00", "!malformed"},
		{"a:nn", "b", "!malformed"},
		{"# the team", "b", "!unknown"},
		{"ann", strings.Repeat("x", 1025), "!malformed"},
		{strings.Repeat("x", 257), "b", "!malformed"},
	} {
		p, err := u.Verify(t.Context(), auth.Credential{Username: tt.user, Password: tt.password})
		if got := reason(p, err); got != tt.want {
			t.Errorf("%q %q: got %q, want %q", tt.user, tt.password, got, tt.want)
		}
		if p != nil && p.Scheme != "basic" {
			t.Errorf("scheme %q", p.Scheme)
		}
		e, _ := errors.AsType[*auth.Error](err)
		account := ""
		if tt.want == "!unknown" && (tt.user == "ann" || tt.user == "bob") {
			account = tt.user
		}
		if e != nil && e.Account != account {
			t.Errorf("%q %q: the error names the account %q", tt.user, tt.password, e.Account)
		}
		if err != nil && tt.password != "" && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the error holds the password: %v", err)
		}
	}
}

func TestUsersReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	one, two := hashed(t, "one"), hashed(t, "two")
	write(t, path, "ann:"+one+"\n")
	var log records
	u, err := basic.Open(path, basic.Config{Interval: soon, Logger: log.logger()})
	if err != nil {
		t.Fatal(err)
	}
	try := func(password, want string) {
		t.Helper()
		if got := reason(u.Verify(t.Context(), auth.Credential{Username: "ann", Password: password})); got != want {
			t.Errorf("%s: got %q, want %q", password, got, want)
		}
	}
	try("one", "ann")
	try("one", "ann")
	write(t, path, "ann:"+two+"\n")
	try("one", "!unknown") // a remembered success went with the file
	try("two", "ann")
	write(t, path, "ann:"+two+"\nann:"+one+"\n")
	try("two", "ann") // the old file stays in force
	try("two", "ann")
	if n := strings.Count(log.String(), "line 2: the user is there already"); n != 1 {
		t.Errorf("the broken file is logged %d times, want once: %s", n, &log)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	try("two", "ann")
	write(t, path, "")
	try("two", "!unknown")
	if strings.Contains(log.String(), "argon2id$") {
		t.Errorf("the log holds a hash: %s", &log)
	}
}

func TestUsersFileRefused(t *testing.T) {
	good, old := hashed(t, "x"), bcrypted(t, "x")
	change := func(old, new string) string { return "ann:" + strings.Replace(good, old, new, 1) }
	sum := good[strings.LastIndex(good, "$")+1:]
	for name, tt := range map[string]struct{ text, want string }{
		"no colon":           {"ann", "line 1: not NAME:HASH"},
		"no name":            {":" + good, "line 1: not NAME:HASH"},
		"spaced name":        {"ann :" + good, "line 1: not NAME:HASH"},
		"control in name":    {"a\x01nn:" + good, "line 1: not NAME:HASH"},
		"plain password":     {"#\nann:hunter2", "line 2: not a PHC string"},
		"cut bcrypt":         {"ann:$2y$10$abcdefghijklmnopqrstuv", "not a hash of bcrypt"},
		"bcrypt with a bug":  {"ann:" + strings.Replace(old, "$2a$", "$2x$", 1), "not a hash of bcrypt"},
		"weak bcrypt":        {"ann:" + strings.Replace(old, "$10$", "$09$", 1), "the cost of bcrypt"},
		"endless bcrypt":     {"ann:" + strings.Replace(old, "$10$", "$31$", 1), "the cost of bcrypt"},
		"bcrypt, loose bits": {"ann:" + old[:len(old)-1] + "9", "not a hash that bcrypt makes"},
		"argon2i":            {change("argon2id", "argon2i"), "not a PHC string"},
		"old version":        {change("v=19", "v=16"), "not version 19"},
		"10 GiB":             {change("m=19456", "m=10485760"), "m is over"},
		"overflow":           {change("m=19456", "m=99999999999999999999"), "parameter 1"},
		"negative":           {change("m=19456", "m=-1"), "parameter 1"},
		"leading zero":       {change("t=2", "t=02"), "parameter 2"},
		"weak":               {change("m=19456", "m=8"), "is weaker than OWASP recommends"},
		"once enough":        {change("m=19456,t=2", "m=7168,t=2"), "is weaker than OWASP recommends"},
		"one pass":           {change("m=19456,t=2", "m=46080,t=1"), "is weaker than OWASP recommends"},
		"no passes":          {change("t=2", "t=0"), "is weaker than"},
		"many passes":        {change("t=2", "t=1000000"), "t is over"},
		"too much work":      {change("m=19456,t=2", "m=131072,t=16"), "m × t"},
		"no lanes":           {change("p=1", "p=0"), "p is not within"},
		"many lanes":         {change("p=1", "p=255"), "p is not within"},
		"order":              {change("m=19456,t=2", "t=2,m=19456"), "parameter 1"},
		"more parameters":    {change("p=1", "p=1,x=1"), "parameters are not"},
		"no hash":            {change(sum, ""), "hash: not within"},
		"short hash":         {change(sum, "AAAA"), "hash: not within"},
		"padded hash":        {change(sum, sum+"="), "hash: not base64"},
		"trailing newline":   {change(sum, sum) + "\n \nx", "line 3"},
		"too large":          {strings.Repeat("#\n", 9<<20), "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "users")
			write(t, path, tt.text)
			_, err := basic.Open(path, basic.Config{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want an error with %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), sum) {
				t.Errorf("the error holds a secret: %v", err)
			}
		})
	}
	if _, err := basic.Open(filepath.Join(t.TempDir(), "none"), basic.Config{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: got %v, want ErrNotExist", err)
	}
	if _, err := basic.Open(t.TempDir(), basic.Config{}); err == nil {
		t.Error("a folder is taken for a users file")
	}
}

func TestUsersBusy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	// A hash that takes long enough for others to queue behind it.
	write(t, path, "ann:"+strings.Replace(hashed(t, "x"), "m=19456,t=2", "m=65536,t=16", 1))
	u, err := basic.Open(path, basic.Config{Hashing: 1, Wait: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	const calls = 4
	results := make(chan string, calls)
	for i := range calls {
		go func() {
			results <- reason(u.Verify(context.Background(), auth.Credential{Username: "ann", Password: fmt.Sprint(i)}))
		}()
	}
	count := map[string]int{}
	for range calls {
		count[<-results]++
	}
	if count["!unavailable"] == 0 || count["!unknown"] == 0 || len(count) != 2 {
		t.Errorf("got %v, want some unavailable and some decided", count)
	}
}

func TestUsersCallerLeaves(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	write(t, path, "ann:"+hashed(t, "x"))
	u, err := basic.Open(path, basic.Config{Hashing: 1, Wait: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error)
	const calls = 16
	for i := range calls {
		go func() {
			_, err := u.Verify(ctx, auth.Credential{Username: "ann", Password: fmt.Sprint(i)})
			done <- err
		}()
	}
	left := 0
	for range calls {
		if errors.Is(<-done, context.Canceled) {
			left++
		}
		cancel() // once one is through, the others are queued
	}
	if left == 0 {
		t.Error("no call in the queue noticed that its caller left")
	}
}

func TestUsersConcurrently(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	text := "ann:" + hashed(t, "one") + "\n"
	write(t, path, text)
	u, err := basic.Open(path, basic.Config{Interval: soon, Wait: time.Minute, Cache: 1})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 20 {
				password, want := "one", "ann"
				if i == 0 && n%10 == 0 {
					password, want = "wrong", "!unknown"
				}
				if got := reason(u.Verify(context.Background(), auth.Credential{Username: "ann", Password: password})); got != want {
					t.Errorf("%s: got %q, want %q", password, got, want)
				}
			}
		})
	}
	for i := range 5 {
		write(t, path, text+strings.Repeat("#\n", i))
	}
	wg.Wait()
}

func TestHashPassword(t *testing.T) {
	for _, bad := range []string{"", strings.Repeat("x", 1025), "a\nb", "\xff"} {
		if _, err := basic.HashPassword(bad); err == nil {
			t.Errorf("%.10q is hashed", bad)
		}
	}
	a, b := hashed(t, "x"), hashed(t, "x")
	if a == b || !strings.HasPrefix(a, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("got %s and %s", a, b)
	}
}

func FuzzUsersFile(f *testing.F) {
	f.Add("ann:$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n")
	f.Add("# x\n\nann:$argon2id$v=19$m=4294967295,t=4294967295,p=255$$\n")
	f.Add("ann:x\nann:x")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(dir, "users")
		write(t, path, text)
		u, err := basic.Open(path, basic.Config{})
		if (u == nil) == (err == nil) {
			t.Errorf("got %v and %v", u, err)
		}
	})
}
