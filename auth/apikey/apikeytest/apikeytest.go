// Package apikeytest holds what every store of API keys must do.
//
//	func TestStore(t *testing.T) {
//		apikeytest.Run(t, apikeytest.Config{}, func(t *testing.T) apikeytest.Store { return mystore.New(t.TempDir()) })
//	}
//
// A team's own store that implements [apikey.Store] and [apikey.Ledger] passes
// this suite or does not fit.
package apikeytest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/apikey"
)

// Store is what the suite tests.
type Store interface {
	apikey.Store
	apikey.Ledger
}

// Config says what a store need not do.
type Config struct {
	// ForgetsUses is set for a store that does not keep when a key was last
	// used.
	ForgetsUses bool
}

// Pepper is the one that the suite makes keys with.
const Pepper = "the pepper of the suite of stores"

func pepper() string { return Pepper }

// Run runs the suite. The function returns a new, empty store; called twice
// within one test it need not.
func Run(t *testing.T, cfg Config, open func(t *testing.T) Store) {
	t.Run("Record", func(t *testing.T) { testRecord(t, open(t)) })
	t.Run("Refused", func(t *testing.T) { testRefused(t, open(t)) })
	t.Run("List", func(t *testing.T) { testList(t, open(t)) })
	t.Run("Update", func(t *testing.T) { testUpdate(t, open(t)) })
	t.Run("Isolated", func(t *testing.T) { testIsolated(t, open(t)) })
	t.Run("Life", func(t *testing.T) { testLife(t, open(t)) })
	t.Run("Used", func(t *testing.T) { testUsed(t, cfg, open(t)) })
	t.Run("Concurrent", func(t *testing.T) { testConcurrent(t, open(t)) })
	t.Run("RotatedOnce", func(t *testing.T) { testRotatedOnce(t, open(t)) })
}

// mint makes a record.
func mint(t *testing.T, q apikey.Request) apikey.Record {
	t.Helper()
	_, r, err := apikey.Mint(Pepper, q)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func same(a, b apikey.Record) bool {
	scopes := slices.Equal(a.Scopes, b.Scopes)
	a.Scopes, b.Scopes = nil, nil
	return scopes && fmt.Sprintf("%#v", a) == fmt.Sprintf("%#v", b)
}

// stored fails the test unless the store has the record.
func stored(t *testing.T, s Store, want apikey.Record) {
	t.Helper()
	got, err := s.Lookup(t.Context(), want.ID)
	if err != nil || !same(got, want) {
		t.Errorf("Lookup(%s):\n got %+v, %v\nwant %+v", want.ID, got, err, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func testRecord(t *testing.T, s Store) {
	at := func(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
	full := mint(t, apikey.Request{Owner: "Ann O'Hara; DROP TABLE \"x\" -- ñ 漢 🔑", Scopes: []string{"b:read", "a", `"'%_?$1`}, Label: `100% "done" \ 'it'`})
	full.CreatedAt, full.ExpiresAt, full.RevokedAt, full.RetiresAt = at(1), at(4102444800123), at(1700000000001), at(1700000000999)
	full.Replaces, full.ReplacedBy = "0", strings.Repeat("z9", 16)
	plain := apikey.Record{ID: "a", HMAC: strings.Repeat("0f", 32), Owner: "x"} // as files had them at first
	for _, r := range []apikey.Record{full, plain, mint(t, apikey.Request{Owner: "ann"})} {
		must(t, s.Insert(t.Context(), r))
		stored(t, s, r)
	}
	odd := mint(t, apikey.Request{Owner: "ann"})
	odd.ExpiresAt = time.Date(2030, 1, 2, 3, 4, 5, 678_999_999, time.FixedZone("", 3600))
	must(t, s.Insert(t.Context(), odd))
	odd.ExpiresAt = time.Date(2030, 1, 2, 2, 4, 5, 678_000_000, time.UTC)
	stored(t, s, odd)
}

func testRefused(t *testing.T, s Store) {
	r := mint(t, apikey.Request{Owner: "ann"})
	must(t, s.Insert(t.Context(), r))
	twice := mint(t, apikey.Request{Owner: "eve", Scopes: []string{"admin"}})
	twice.ID = r.ID
	if err := s.Insert(t.Context(), twice); !errors.Is(err, apikey.ErrExists) {
		t.Errorf("insert an id twice: got %v, want ErrExists", err)
	}
	stored(t, s, r)
	for _, id := range []string{"", "none", r.ID[1:], strings.ToUpper(r.ID), r.ID + "a", "%", "' OR '1'='1"} {
		if got, err := s.Lookup(t.Context(), id); !errors.Is(err, apikey.ErrNotFound) || got.ID != "" {
			t.Errorf("look up %q: got %+v, %v, want ErrNotFound", id, got, err)
		}
		called := false
		err := s.Update(t.Context(), id, func(*apikey.Record) (*apikey.Record, error) { called = true; return nil, nil })
		if !errors.Is(err, apikey.ErrNotFound) || called {
			t.Errorf("update %q: got %v, called %v, want ErrNotFound", id, err, called)
		}
	}
	for name, spoil := range map[string]func(*apikey.Record){
		"no id":      func(r *apikey.Record) { r.ID = "" },
		"id":         func(r *apikey.Record) { r.ID = "A b" },
		"no owner":   func(r *apikey.Record) { r.Owner = "" },
		"long owner": func(r *apikey.Record) { r.Owner = strings.Repeat("a", 1<<12) },
		"zero byte":  func(r *apikey.Record) { r.Owner = "a\x00b" },
		"not UTF-8":  func(r *apikey.Record) { r.Label = "\xff" },
		"scope":      func(r *apikey.Record) { r.Scopes = []string{"a b"} },
		"no scope":   func(r *apikey.Record) { r.Scopes = []string{""} },
		"hmac":       func(r *apikey.Record) { r.HMAC = "00" },
	} {
		bad := mint(t, apikey.Request{Owner: "ann"})
		spoil(&bad)
		if err := s.Insert(t.Context(), bad); err == nil {
			t.Errorf("%s: a record that nobody can verify is stored", name)
		}
	}
	all, err := s.List(t.Context(), apikey.Filter{})
	if err != nil || len(all) != 1 {
		t.Errorf("after that: got %d records, %v, want 1", len(all), err)
	}
}

func testList(t *testing.T, s Store) {
	if all, err := s.List(t.Context(), apikey.Filter{}); err != nil || len(all) != 0 {
		t.Errorf("empty: got %v, %v", all, err)
	}
	var want []apikey.Record
	for i, owner := range []string{"bob", "ann", "bob", "ann", "Ann"} {
		r := mint(t, apikey.Request{Owner: owner})
		r.CreatedAt = time.UnixMilli(int64(1000 * (i / 2))).UTC() // two of each
		want = append(want, r)
		must(t, s.Insert(t.Context(), r))
	}
	apikey.SortRecords(want)
	for _, tt := range []struct {
		filter apikey.Filter
		fits   func(apikey.Record) bool
	}{
		{apikey.Filter{}, func(apikey.Record) bool { return true }},
		{apikey.Filter{Owner: "ann"}, func(r apikey.Record) bool { return r.Owner == "ann" }},
		{apikey.Filter{Owner: "nobody"}, func(apikey.Record) bool { return false }},
		{apikey.Filter{ID: want[0].ID}, func(r apikey.Record) bool { return r.ID == want[0].ID }},
		{apikey.Filter{ID: want[0].ID, Owner: "nobody"}, func(apikey.Record) bool { return false }},
	} {
		expected := slices.DeleteFunc(slices.Clone(want), func(r apikey.Record) bool { return !tt.fits(r) })
		got, err := s.List(t.Context(), tt.filter)
		if err != nil || !slices.EqualFunc(got, expected, same) {
			t.Errorf("%+v:\n got %+v, %v\nwant %+v", tt.filter, got, err, expected)
		}
	}
}

func testUpdate(t *testing.T, s Store) {
	r := mint(t, apikey.Request{Owner: "ann", Scopes: []string{"a"}})
	must(t, s.Insert(t.Context(), r))
	failed := errors.New("changed my mind")
	err := s.Update(t.Context(), r.ID, func(r *apikey.Record) (*apikey.Record, error) {
		r.RevokedAt = time.Now()
		return nil, failed
	})
	if !errors.Is(err, failed) {
		t.Errorf("got %v, want the function's error", err)
	}
	stored(t, s, r)
	// Who a key stands for and what it may do are not a change but another key.
	next := mint(t, apikey.Request{Owner: "ann"})
	end := time.UnixMilli(1700000000123).UTC()
	must(t, s.Update(t.Context(), r.ID, func(r *apikey.Record) (*apikey.Record, error) {
		r.Owner, r.Scopes, r.HMAC, r.ExpiresAt = "eve", []string{"admin"}, strings.Repeat("00", 32), end
		r.RetiresAt, r.ReplacedBy = end, next.ID
		return &next, nil
	}))
	r.RetiresAt, r.ReplacedBy = end, next.ID
	stored(t, s, r)
	stored(t, s, next)
	// Both or neither.
	err = s.Update(t.Context(), next.ID, func(n *apikey.Record) (*apikey.Record, error) {
		n.RevokedAt = end
		return &r, nil
	})
	if !errors.Is(err, apikey.ErrExists) {
		t.Errorf("add an id twice: got %v, want ErrExists", err)
	}
	stored(t, s, next)
}

// What a caller has is its own.
func testIsolated(t *testing.T, s Store) {
	r := mint(t, apikey.Request{Owner: "ann", Scopes: []string{"a"}})
	want := r
	want.Scopes = []string{"a"}
	must(t, s.Insert(t.Context(), r))
	r.Scopes[0] = "admin"
	stored(t, s, want)
	got, err := s.Lookup(t.Context(), r.ID)
	must(t, err)
	got.Scopes[0] = "admin"
	stored(t, s, want)
	all, err := s.List(t.Context(), apikey.Filter{})
	must(t, err)
	all[0].Scopes[0] = "admin"
	stored(t, s, want)
}

// testLife follows keys from their making to their end as verifiers see them.
func testLife(t *testing.T, s Store) {
	g := apikey.NewRegistry(s, pepper)
	ctx := t.Context()
	one, r1, err := g.Create(ctx, apikey.Request{Owner: "ann", Scopes: []string{"b", "a"}, Label: "ci", ExpiresAt: time.Now().Add(time.Hour)})
	must(t, err)
	expect(t, s, map[string]string{one: "ann [a b]"})
	two, r2, old, err := g.Rotate(ctx, r1.ID, apikey.Rotation{Grace: time.Hour / 2})
	must(t, err)
	if old.State(time.Now()) != apikey.Retiring || r2.Label != "ci" || r2.Replaces != r1.ID || old.ReplacedBy != r2.ID ||
		!time.Now().Add(time.Hour-time.Minute).Before(r2.ExpiresAt) || r2.ExpiresAt.After(time.Now().Add(time.Hour)) {
		t.Errorf("rotated: got %+v for %+v", r2, old)
	}
	stored(t, s, r2)
	stored(t, s, old)
	expect(t, s, map[string]string{one: "ann [a b]", two: "ann [a b]"})
	if _, _, _, err := g.Rotate(ctx, r1.ID, apikey.Rotation{}); err == nil || !strings.Contains(err.Error(), r2.ID) {
		t.Errorf("rotate again: got %v, want an error that names the successor", err)
	}
	three, r3, _, err := g.Rotate(ctx, r2.ID, apikey.Rotation{}) // without grace
	must(t, err)
	expect(t, s, map[string]string{one: "ann [a b]", two: "expired", three: "ann [a b]"})
	first, err := g.Revoke(ctx, r3.ID)
	must(t, err)
	again, err := g.Revoke(ctx, r3.ID)
	must(t, err)
	if !same(first, again) || first.State(time.Now()) != apikey.Revoked {
		t.Errorf("revoked twice: got %+v, then %+v", first, again)
	}
	expect(t, s, map[string]string{one: "ann [a b]", three: "expired"})
	if _, _, _, err := g.Rotate(ctx, r3.ID, apikey.Rotation{}); err == nil {
		t.Error("a revoked key is rotated")
	}
	if _, err := g.Revoke(ctx, "none"); !errors.Is(err, apikey.ErrNotFound) {
		t.Errorf("revoke an unknown key: got %v, want ErrNotFound", err)
	}
}

// expect asks a new verifier about keys.
func expect(t *testing.T, s Store, want map[string]string) {
	t.Helper()
	v, err := apikey.New(s, apikey.Peppers{Current: pepper}, apikey.Config{Scheme: "key"})
	must(t, err)
	for key, want := range want {
		got := ""
		p, err := v.Verify(t.Context(), auth.Credential{Token: key})
		if e, ok := errors.AsType[*auth.Error](err); ok {
			got = string(e.Reason)
		} else {
			got = fmt.Sprint(p.Subject, " ", p.Scopes)
		}
		if got != want {
			t.Errorf("verify: got %s, want %s", got, want)
		}
	}
	must(t, v.Close())
}

func testUsed(t *testing.T, cfg Config, s Store) {
	var records []apikey.Record
	for range apikey.MaxUses {
		r := mint(t, apikey.Request{Owner: "ann"})
		records = append(records, r)
	}
	for _, r := range records[:5] {
		must(t, s.Insert(t.Context(), r))
	}
	at := time.UnixMilli(1700000000123).UTC()
	use := func(at time.Time) {
		uses := make([]apikey.Use, len(records)) // most of them of keys that are not there
		for i, r := range records {
			uses[i] = apikey.Use{ID: r.ID, At: at.Add(time.Duration(i) * time.Second)}
		}
		must(t, s.Used(t.Context(), uses))
	}
	must(t, s.Used(t.Context(), nil))
	use(at)
	use(at.Add(-time.Hour)) // late news
	must(t, s.Update(t.Context(), records[1].ID, func(r *apikey.Record) (*apikey.Record, error) {
		r.RevokedAt = at
		return nil, nil
	}))
	records[1].RevokedAt = at
	for i, r := range records[:5] {
		if !cfg.ForgetsUses {
			r.LastUsedAt = at.Add(time.Duration(i) * time.Second)
		}
		stored(t, s, r)
	}
	if _, err := s.Lookup(t.Context(), records[5].ID); !errors.Is(err, apikey.ErrNotFound) {
		t.Errorf("a use made a record: %v", err)
	}
}

// testConcurrent makes and revokes keys at once: no change is lost.
func testConcurrent(t *testing.T, s Store) {
	const writers, each = 4, 6
	g := apikey.NewRegistry(s, pepper)
	var wg sync.WaitGroup
	errs := make(chan error, writers)
	for range writers {
		wg.Go(func() { errs <- live(t.Context(), g, s, each) })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		must(t, err)
	}
	all, err := s.List(t.Context(), apikey.Filter{Owner: "ann"})
	must(t, err)
	states := map[apikey.State]int{}
	for _, r := range all {
		states[r.State(time.Now())]++
	}
	if n := writers * each; len(all) != 2*n || states[apikey.Retiring] != n || states[apikey.Revoked] != n {
		t.Errorf("got %d records, %v, want %d retiring and as many revoked", len(all), states, n)
	}
}

func live(ctx context.Context, g *apikey.Registry, s Store, n int) error {
	for range n {
		_, r, err := g.Create(ctx, apikey.Request{Owner: "ann"})
		if err != nil {
			return err
		}
		_, next, _, err := g.Rotate(ctx, r.ID, apikey.Rotation{Grace: time.Hour})
		if err != nil {
			return err
		}
		if err := s.Used(ctx, []apikey.Use{{ID: r.ID, At: time.Now()}}); err != nil {
			return err
		}
		if _, err := g.Revoke(ctx, next.ID); err != nil {
			return err
		}
	}
	return nil
}

// testRotatedOnce has many rotate one key: one of them does.
func testRotatedOnce(t *testing.T, s Store) {
	g := apikey.NewRegistry(s, pepper)
	_, r, err := g.Create(t.Context(), apikey.Request{Owner: "ann"})
	must(t, err)
	var wg sync.WaitGroup
	made := make(chan string, 4)
	for range cap(made) {
		wg.Go(func() {
			if _, next, _, err := g.Rotate(t.Context(), r.ID, apikey.Rotation{}); err == nil {
				made <- next.ID
			}
		})
	}
	wg.Wait()
	close(made)
	got, err := s.Lookup(t.Context(), r.ID)
	must(t, err)
	if len(made) != 1 || got.ReplacedBy != <-made {
		t.Errorf("%d successors, want one, and %+v to name it", len(made), got)
	}
	if all, err := s.List(t.Context(), apikey.Filter{}); err != nil || len(all) != 2 {
		t.Errorf("got %d records, %v, want 2", len(all), err)
	}
}
