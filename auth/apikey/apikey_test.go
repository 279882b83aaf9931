package apikey_test

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/apikey"
)

const pepper = "0123456789abcdef"

// fixed returns peppers that do not change.
func fixed(text string) apikey.Peppers {
	return apikey.Peppers{Current: func() string { return text }}
}

func newKey(t testing.TB, expires time.Time) (string, apikey.Record) {
	t.Helper()
	key, r, err := apikey.Mint(pepper, apikey.Request{Owner: "ann", Scopes: []string{"write", "read", "read"}, ExpiresAt: expires})
	if err != nil {
		t.Fatal(err)
	}
	return key, r
}

func keyText(t testing.TB, records ...apikey.Record) string {
	t.Helper()
	text, err := json.Marshal(apikey.File{Keys: records})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// keyFile returns a key and a verifier that knows it.
func keyFile(t testing.TB, cfg apikey.Config) (string, *apikey.Verifier) {
	t.Helper()
	key, r := newKey(t, time.Time{})
	path := filepath.Join(t.TempDir(), "keys.json")
	write(t, path, keyText(t, r))
	k, err := apikey.Open(path, fixed(pepper), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return key, k
}

func TestAPIKeys(t *testing.T) {
	key, k := keyFile(t, apikey.Config{Scheme: "key"})
	p, err := k.Verify(t.Context(), auth.Credential{Token: key})
	if err != nil {
		t.Fatal(err)
	}
	want := &auth.Principal{Subject: "ann", Scheme: "key", CredentialID: strings.Split(key, "_")[1], Scopes: []string{"read", "write"}}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("principal (-want +got):\n%s", diff)
	}
	other, r := newKey(t, time.Time{})
	id := strings.Split(key, "_")[1]
	stolen := apikey.Prefix + id + "_" + strings.Split(other, "_")[2]
	flip := func(i int) string {
		b := []byte(key)
		if b[i]++; b[i] > 'z' || b[i] == '8' {
			b[i] = 'a'
		}
		return string(b)
	}
	for name, tt := range map[string]struct{ key, want string }{
		"nothing":          {"", "!malformed"},
		"another's":        {other, "!unknown"},
		"secret of other":  {stolen, "!malformed"}, // the check covers the id
		"typo in secret":   {flip(len(key) - 20), "!malformed"},
		"typo in check":    {flip(len(key) - 1), "!malformed"},
		"typo in id":       {flip(5), "!malformed"},
		"truncated":        {key[:len(key)-1], "!malformed"},
		"longer":           {key + "a", "!malformed"},
		"upper case":       {strings.ToUpper(key), "!malformed"},
		"no prefix":        {strings.TrimPrefix(key, apikey.Prefix), "!malformed"},
		"prefix only":      {apikey.Prefix, "!malformed"},
		"no id":            {strings.Replace(key, id, "", 1), "!malformed"},
		"another part":     {key + "_a", "!malformed"},
		"the stored HMAC":  {r.HMAC, "!malformed"},
		"spaces":           {" " + key, "!malformed"},
		"not ASCII":        {strings.Replace(key, "_", "＿", 1), "!malformed"},
		"8 KiB":            {apikey.Prefix + strings.Repeat("a", 8<<10), "!malformed"},
		"the one it knows": {key, "ann"},
	} {
		if got := reason(k.Verify(t.Context(), auth.Credential{Token: tt.key})); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

func TestAPIKeysWrongSecret(t *testing.T) {
	key, r := newKey(t, time.Time{})
	path := filepath.Join(t.TempDir(), "keys.json")
	_, other := newKey(t, time.Time{})
	r.HMAC = other.HMAC
	write(t, path, keyText(t, r))
	k, err := apikey.Open(path, fixed(pepper), apikey.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if got := reason(k.Verify(t.Context(), auth.Credential{Token: key})); got != "!unknown" {
		t.Errorf("got %q, want !unknown", got)
	}
	k, err = apikey.Open(path, fixed("another pepper, long enough"), apikey.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if got := reason(k.Verify(t.Context(), auth.Credential{Token: key})); got != "!unknown" {
		t.Errorf("another pepper: got %q, want !unknown", got)
	}
}

func TestAPIKeysExpire(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		key, r := newKey(t, time.Now().Add(time.Minute))
		path := filepath.Join(dir, "keys.json")
		write(t, path, keyText(t, r))
		k, err := apikey.Open(path, fixed(pepper), apikey.Config{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute - 1)
		if got := reason(k.Verify(t.Context(), auth.Credential{Token: key})); got != "ann" {
			t.Errorf("just before: got %q", got)
		}
		time.Sleep(time.Nanosecond)
		if got := reason(k.Verify(t.Context(), auth.Credential{Token: key})); got != "!expired" {
			t.Errorf("at its end: got %q", got)
		}
	})
}

func TestAPIKeysReload(t *testing.T) {
	one, r1 := newKey(t, time.Time{})
	two, r2 := newKey(t, time.Time{})
	path := filepath.Join(t.TempDir(), "keys.json")
	write(t, path, keyText(t, r1))
	var log records
	k, err := apikey.Open(path, fixed(pepper), apikey.Config{Interval: soon, Logger: log.logger()})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ text, one, two string }{
		{keyText(t, r1), "ann", "!unknown"},
		{keyText(t, r1, r2), "ann", "ann"},
		{keyText(t, r1, r2)[1:], "ann", "ann"},
		{keyText(t, r2), "!unknown", "ann"},
		{`{"keys":[]}`, "!unknown", "!unknown"},
	} {
		write(t, path, step.text)
		for key, want := range map[string]string{one: step.one, two: step.two} {
			if got := reason(k.Verify(t.Context(), auth.Credential{Token: key})); got != want {
				t.Errorf("%.20s: got %q, want %q", step.text, got, want)
			}
		}
	}
	if !strings.Contains(log.String(), "parse JSON") {
		t.Errorf("the broken file is not logged: %s", &log)
	}
}

func TestAPIKeysFileRefused(t *testing.T) {
	key, r := newKey(t, time.Time{})
	change := func(f func(*apikey.Record)) string {
		c := r
		f(&c)
		return keyText(t, c)
	}
	for name, tt := range map[string]struct{ text, want string }{
		"empty":           {"", "parse JSON"},
		"no list":         {"{}", `no list "keys"`},
		"two values":      {`{"keys":[]}{}`, "after top-level value"},
		"unknown member":  {`{"keys":[],"x":1}`, "a member is not one of keys"},
		"list twice":      {`{"keys":[],"keys":[]}`, "duplicate members"},
		"other letters":   {`{"keys":[],"Keys":[]}`, "a member is not one of keys"},
		"member twice":    {strings.Replace(keyText(t, r), `"owner"`, `"owner":"eve","owner"`, 1), "duplicate members"},
		"member's letter": {strings.Replace(keyText(t, r), `"owner"`, `"Owner":"eve","owner"`, 1), "key 1: a member is not one of id"},
		"id twice":        {keyText(t, r, r), "key 2: its id is there already"},
		"bad id":          {change(func(r *apikey.Record) { r.ID = "A_b" }), "key 1: id"},
		"key for an HMAC": {change(func(r *apikey.Record) { r.HMAC = key }), "key 1: hmac"},
		"short HMAC":      {change(func(r *apikey.Record) { r.HMAC = "00" }), "key 1: hmac"},
		"no owner":        {change(func(r *apikey.Record) { r.Owner = "" }), "key 1: owner"},
		"bad scope":       {change(func(r *apikey.Record) { r.Scopes = []string{"a b"} }), "key 1: a scope"},
		"bad expiry":      {strings.Replace(keyText(t, r), `"owner"`, `"expires_at":"tomorrow","owner"`, 1), "parse JSON"},
	} {
		path := filepath.Join(t.TempDir(), "keys.json")
		write(t, path, tt.text)
		_, err := apikey.Open(path, fixed(pepper), apikey.Config{})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), key) {
			t.Errorf("%s: the error holds the key", name)
		}
	}
	path := filepath.Join(t.TempDir(), "keys.json")
	write(t, path, keyText(t, r))
	if _, err := apikey.Open(path, fixed(pepper[:15]), apikey.Config{}); err == nil {
		t.Error("a short pepper is taken")
	}
	if _, _, err := apikey.Mint(pepper[:15], apikey.Request{Owner: "ann"}); err == nil {
		t.Error("a key is made with a short pepper")
	}
	if _, _, err := apikey.Mint(pepper, apikey.Request{}); err == nil {
		t.Error("a key is made without an owner")
	}
}

// encoding/json decodes a second list into the records of the first: a key
// without scopes would get those of the key whose place it takes.
func TestAPIKeysTakeNoScopesOfOthers(t *testing.T) {
	_, admin, err := apikey.Mint(pepper, apikey.Request{Owner: "root", Scopes: []string{"admin"}})
	if err != nil {
		t.Fatal(err)
	}
	_, plain, err := apikey.Mint(pepper, apikey.Request{Owner: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"keys", "Keys"} {
		text := strings.TrimSuffix(keyText(t, admin), "}") + "," + strings.Replace(keyText(t, plain), "{\"keys\"", `"`+name+`"`, 1)
		path := filepath.Join(t.TempDir(), "keys.json")
		write(t, path, text)
		if _, err := apikey.Open(path, fixed(pepper), apikey.Config{}); err == nil {
			t.Errorf("two lists, the second as %q, are taken", name)
		}
	}
}

func FuzzAPIKey(f *testing.F) {
	key, k := keyFile(f, apikey.Config{})
	f.Add(key)
	f.Add(key[:20])
	f.Add("agd__")
	f.Add("agd_a_" + strings.Repeat("a", 39))
	f.Fuzz(func(t *testing.T, s string) {
		p, err := k.Verify(t.Context(), auth.Credential{Token: s})
		if (err == nil) != (s == key) || (p != nil) != (s == key) {
			t.Errorf("%q: got %v, %v", s, p, err)
		}
	})
}

// A refusal names the key whose id is there, for logs and audit events, and
// nothing that somebody made up.
func TestRefusalsNameTheKey(t *testing.T) {
	m := &apikey.Memory{}
	good, _ := create(t, m, apikey.Request{})
	revoked, r := create(t, m, apikey.Request{})
	if _, err := apikey.NewRegistry(m, nil).Revoke(t.Context(), r.ID); err != nil {
		t.Fatal(err)
	}
	id, err := apikey.ID(good)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		v            *apikey.Verifier
		key, account string
		want         string
	}{
		"revoked":          {replica(t, m, apikey.Config{}), revoked, r.ID, "!expired"},
		"made up":          {replica(t, m, apikey.Config{}), madeUp(), "", "!unknown"},
		"malformed":        {replica(t, m, apikey.Config{}), good[1:], "", "!malformed"},
		"of another store": {replica(t, swapped(t, m, id), apikey.Config{}), good, id, "!unknown"},
	} {
		_, err := tt.v.Verify(t.Context(), auth.Credential{Token: tt.key})
		e, ok := errors.AsType[*auth.Error](err)
		if !ok || e.Account != tt.account || "!"+string(e.Reason) != tt.want {
			t.Errorf("%s: got %v, account %q", name, err, e.Account)
		}
	}
}

// swapped is a store whose key of that id has another HMAC.
func swapped(t *testing.T, m *apikey.Memory, id string) *apikey.Memory {
	t.Helper()
	r, err := m.Lookup(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	r.HMAC = strings.Repeat("0", len(r.HMAC))
	other := &apikey.Memory{}
	if err := other.Insert(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return other
}

// late is a store that takes its time to tell what it read, whatever the context
// says.
type late struct {
	*apikey.Memory
	takes time.Duration
}

func (s late) Lookup(ctx context.Context, id string) (apikey.Record, error) {
	r, err := s.Memory.Lookup(ctx, id)
	time.Sleep(s.takes)
	return r, err
}

// A key that ends while the store is asked for it has ended.
func TestKeyEndsMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &apikey.Memory{}
		key, _ := create(t, m, apikey.Request{ExpiresAt: time.Now().Add(time.Second)})
		v := replica(t, late{m, 1500 * time.Millisecond}, apikey.Config{})
		if got := verify(t, v, key); got != "!expired" {
			t.Errorf("got %s, want !expired", got)
		}
	})
}

// What a store read long ago is nothing that a key is accepted by, though it
// has only just said so.
func TestLateAnswerIsNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &apikey.Memory{}
		key, r := create(t, m, apikey.Request{})
		v := replica(t, late{m, apikey.Limit + time.Second}, apikey.Config{})
		time.AfterFunc(time.Millisecond, func() { _, _ = apikey.NewRegistry(m, nil).Revoke(t.Context(), r.ID) })
		if got := verify(t, v, key); got != "!unavailable" {
			t.Errorf("got %s, want !unavailable", got)
		}
		if got := verify(t, v, key); got != "!unavailable" {
			t.Errorf("again: got %s, want !unavailable", got)
		}
	})
}
