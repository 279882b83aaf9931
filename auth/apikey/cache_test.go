package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/apikey"
)

// watched is a store that counts, and that can be made to hang or to fail.
type watched struct {
	apikey.Memory
	lookups, running, most atomic.Int64
	hang                   atomic.Bool // a lookup lasts until its context ends
	slow                   atomic.Int64
	fail                   atomic.Pointer[error]
	mu                     sync.Mutex
	batches                [][]apikey.Use
}

func (w *watched) Lookup(ctx context.Context, id string) (apikey.Record, error) {
	w.lookups.Add(1)
	n := w.running.Add(1)
	defer w.running.Add(-1)
	for most := w.most.Load(); n > most && !w.most.CompareAndSwap(most, n); most = w.most.Load() {
	}
	if w.hang.Load() {
		<-ctx.Done()
		return apikey.Record{}, ctx.Err()
	}
	r, err := w.Memory.Lookup(ctx, id)
	time.Sleep(time.Duration(w.slow.Load())) // the answer travels: what is said is older than when it comes
	if p := w.fail.Load(); p != nil {
		if *p == nil {
			panic("of the store")
		}
		return apikey.Record{}, *p
	}
	return r, err
}

func (w *watched) Used(ctx context.Context, uses []apikey.Use) error {
	if p := w.fail.Load(); p != nil {
		return *p
	}
	w.mu.Lock()
	w.batches = append(w.batches, uses)
	w.mu.Unlock()
	return w.Memory.Used(ctx, uses)
}

func (w *watched) written() [][]apikey.Use {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.batches
}

func (w *watched) breaks(err error) { w.fail.Store(&err) }

// replica returns a verifier of a store, and closes it with the test.
func replica(t testing.TB, s apikey.Store, cfg apikey.Config) *apikey.Verifier {
	t.Helper()
	cfg.Scheme = "key"
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	v, err := apikey.New(s, fixed(pepper), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

func create(t testing.TB, l apikey.Ledger, q apikey.Request) (string, apikey.Record) {
	t.Helper()
	if q.Owner == "" {
		q.Owner = "ann"
	}
	key, r, err := apikey.NewRegistry(l, fixed(pepper).Current).Create(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return key, r
}

func verify(t testing.TB, v *apikey.Verifier, key string) string {
	t.Helper()
	return reason(v.Verify(t.Context(), auth.Credential{Token: key}))
}

// The path of an answer of the store through its three ages.
func TestStoreIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watched{}
		key, _ := create(t, w, apikey.Request{})
		v := replica(t, w, apikey.Config{})
		for _, step := range []struct {
			wait    time.Duration
			lookups int64
		}{
			{0, 1},
			{apikey.Fresh, 1},
			{1, 2},                     // in the background
			{apikey.Fresh, 2},          // counted from that
			{apikey.Limit - 2, 3},      // not hot, yet within the limit
			{apikey.Limit + 1, 4},      // nobody used it: this use waits
			{24 * time.Hour, 5},        // likewise
			{apikey.Limit / 2, 5},      //
			{time.Second, 6},           //
			{apikey.Limit / 2, 6},      //
			{time.Millisecond, 7},      //
			{apikey.Fresh / 2, 7},      //
			{apikey.Fresh / 2, 7},      //
			{apikey.Limit, 8},          //
			{100 * apikey.Limit, 9},    //
			{apikey.Fresh, 9},          //
			{1000 * time.Hour, 10},     //
			{time.Nanosecond, 10},      //
			{apikey.Fresh - 1, 10},     //
			{time.Nanosecond, 11},      //
			{apikey.Fresh * 3 / 2, 12}, //
		} {
			time.Sleep(step.wait)
			if got := verify(t, v, key); got != "ann" {
				t.Fatalf("after another %s: %s", step.wait, got)
			}
			synctest.Wait()
			if n := w.lookups.Load(); n != step.lookups {
				t.Fatalf("after another %s: asked %d times, want %d", step.wait, n, step.lookups)
			}
		}
	})
}

// Whatever the rhythm of its uses, and however long answers take, a key is not
// accepted when its revocation is older than Limit: by no replica.
func TestRevocationIsSeenWithinLimit(t *testing.T) {
	for _, every := range []time.Duration{time.Millisecond * 10, time.Second, 4999 * time.Millisecond, 6 * time.Second, 9999 * time.Millisecond, 11 * time.Second} {
		for _, slow := range []time.Duration{0, 300 * time.Millisecond, 1900 * time.Millisecond} {
			t.Run(fmt.Sprint(every, slow), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { revokeWhileUsed(t, every, slow) })
			})
		}
	}
}

func revokeWhileUsed(t *testing.T, every, slow time.Duration) {
	w := &watched{}
	key, r := create(t, w, apikey.Request{})
	w.slow.Store(int64(slow))
	var revoked time.Time
	var mu sync.Mutex
	var wg sync.WaitGroup
	for n := range 2 {
		v := replica(t, w, apikey.Config{})
		wg.Go(func() {
			time.Sleep(time.Duration(n) * every / 3)
			for range int(40*time.Second/every) + 3 {
				got := verify(t, v, key)
				mu.Lock()
				since := time.Since(revoked)
				if revoked.IsZero() {
					since = -1
				}
				mu.Unlock()
				switch {
				case since < 0 && got != "ann":
					t.Errorf("before: %s", got)
				case since > apikey.Limit && got == "ann":
					t.Errorf("accepted %s after its revocation", since)
				}
				time.Sleep(every)
			}
		})
	}
	time.Sleep(12345 * time.Millisecond)
	if _, err := apikey.NewRegistry(w, nil).Revoke(t.Context(), r.ID); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	revoked = time.Now()
	mu.Unlock()
	wg.Wait()
}

// A store that fails or hangs: hot keys go on until the limit, and not beyond;
// after it the service recovers by itself.
func TestOutageFailsClosed(t *testing.T) {
	for name, begin := range map[string]func(*watched){
		"fails":  func(w *watched) { w.breaks(errors.New("connection refused")) },
		"panics": func(w *watched) { w.breaks(nil) },
		"hangs":  func(w *watched) { w.hang.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &watched{}
				var log records
				key, _ := create(t, w, apikey.Request{})
				other, _ := create(t, w, apikey.Request{})
				v := replica(t, w, apikey.Config{Logger: log.logger()})
				if got := verify(t, v, key); got != "ann" {
					t.Fatal(got)
				}
				start := time.Now()
				begin(w)
				for time.Since(start) <= apikey.Limit {
					if got := verify(t, v, key); got != "ann" {
						t.Fatalf("%s into the outage: %s", time.Since(start), got)
					}
					time.Sleep(100 * time.Millisecond)
				}
				if n := w.lookups.Load(); n > 1+6 {
					t.Errorf("asked %d times in the background: want about once a second", n)
				}
				for range 20 {
					if got := verify(t, v, key); got != "!unavailable" {
						t.Fatalf("%s into the outage: %s", time.Since(start), got)
					}
					if got := verify(t, v, other); got != "!unavailable" {
						t.Fatalf("never seen: %s", got)
					}
				}
				w.hang.Store(false)
				w.fail.Store(nil)
				if got := verify(t, v, key) + verify(t, v, other); got != "annann" {
					t.Errorf("after it: %s", got)
				}
				if text := log.String(); strings.Count(text, "cannot be looked up") != 1 || strings.Count(text, "again") != 1 {
					t.Errorf("want one line at its begin and one at its end:\n%s", text)
				}
			})
		})
	}
}

// A caller that goes away does not fail the others that wait for the same key.
func TestLookupIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watched{}
		key, _ := create(t, w, apikey.Request{})
		w.slow.Store(int64(time.Second))
		v := replica(t, w, apikey.Config{})
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan string, 1)
		go func() { first <- reason(v.Verify(ctx, auth.Credential{Token: key})) }()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if got := verify(t, v, key); got != "ann" {
					t.Error(got)
				}
			})
		}
		synctest.Wait()
		cancel()
		if got := <-first; got != "!unavailable" {
			t.Errorf("the caller that went away: %s", got)
		}
		wg.Wait()
		if n := w.lookups.Load(); n != 1 {
			t.Errorf("asked %d times, want once", n)
		}
	})
}

func TestUnknownIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watched{}
		v := replica(t, w, apikey.Config{})
		key, r, err := apikey.Mint(pepper, apikey.Request{Owner: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			if got := verify(t, v, key); got != "!unknown" {
				t.Fatal(got)
			}
		}
		if n := w.lookups.Load(); n != 1 {
			t.Errorf("asked %d times, want once", n)
		}
		if err := w.Insert(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		time.Sleep(apikey.Absent)
		if got := verify(t, v, key); got != "ann" {
			t.Errorf("%s after it was made: %s", apikey.Absent, got)
		}
	})
}

// A record that is gone is unknown, and one that cannot be read is nobody's.
func TestRecordGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watched{}
		key, _ := create(t, w, apikey.Request{})
		v := replica(t, w, apikey.Config{})
		if got := verify(t, v, key); got != "ann" {
			t.Fatal(got)
		}
		w.breaks(apikey.ErrNotFound)
		time.Sleep(apikey.Fresh + 1)
		_ = verify(t, v, key)
		synctest.Wait()
		if got := verify(t, v, key); got != "!unknown" {
			t.Errorf("gone: %s", got)
		}
	})
	key, r, err := apikey.Mint(pepper, apikey.Request{Owner: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	broken, another := r, r
	broken.HMAC = ""
	another.ID = "another"
	for name, s := range map[string]storeOf{"broken": {broken}, "another": {another}} {
		if got := verify(t, replica(t, s, apikey.Config{}), key); got != "!unavailable" {
			t.Errorf("%s record: %s", name, got)
		}
	}
}

// storeOf answers everything with one record.
type storeOf struct{ r apikey.Record }

func (s storeOf) Lookup(context.Context, string) (apikey.Record, error) { return s.r, nil }
func (storeOf) Used(context.Context, []apikey.Use) error                { return nil }

// Those who make up ids wait for each other, and the store notices little. Keys
// that are known are refreshed all the same.
func TestFloodOfUnknownKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watched{}
		key, _ := create(t, w, apikey.Request{})
		v := replica(t, w, apikey.Config{MaxLookups: 4})
		if got := verify(t, v, key); got != "ann" {
			t.Fatal(got)
		}
		w.slow.Store(int64(900 * time.Millisecond))
		end := time.Now().Add(30 * time.Second)
		var got [2]atomic.Int64
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				for time.Now().Before(end) {
					bad := madeUp()
					switch r := verify(t, v, bad); r {
					case "!unknown":
						got[0].Add(1)
					case "!unavailable":
						got[1].Add(1)
						time.Sleep(100 * time.Millisecond)
					default:
						t.Errorf("made-up key: %s", r)
					}
				}
			})
		}
		for time.Now().Before(end) {
			if r := verify(t, v, key); r != "ann" {
				t.Errorf("a known key in the flood: %s", r)
			}
			time.Sleep(50 * time.Millisecond)
		}
		wg.Wait()
		if most := w.most.Load(); most > 4+1 {
			t.Errorf("%d lookups at once, want at most 4, and 1 of the known key", most)
		}
		if got[0].Load() == 0 || got[1].Load() == 0 {
			t.Errorf("%d unknown, %d unavailable: want some of both", got[0].Load(), got[1].Load())
		}
	})
}

var madeUpCount atomic.Uint64

// madeUp returns another key in the right form each time.
func madeUp() string {
	id := fmt.Sprintf("%032d", madeUpCount.Add(1))
	return apikey.Seal(apikey.Prefix + id + "_" + strings.Repeat("a", 32))
}

// A million of distinct bad keys, whether malformed, unknown or wrong, leave no
// more memory behind than the contract of New says.
func TestBadKeysLeaveMemoryBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("a million keys")
	}
	const n, bound = 1_000_000, 2 << 20
	s := &apikey.Memory{}
	key, r := create(t, s, apikey.Request{})
	v := replica(t, s, apikey.Config{})
	if got := verify(t, v, key); got != "ann" {
		t.Fatal(got)
	}
	before := heap()
	var most uint64
	for i := range n {
		bad := madeUp()
		switch i % 10 {
		case 8:
			bad = bad[:len(bad)-1] + "_"
		case 9:
			bad = apikey.Seal(fmt.Sprintf("%s%s_%s", apikey.Prefix, r.ID, strings.NewReplacer("0", "a", "1", "z", "8", "y", "9", "x").Replace(bad[4:36])))
		}
		if got := verify(t, v, bad); got == "ann" {
			t.Fatal("accepted")
		}
		if i%250_000 == 0 || i == n-1 {
			most = max(most, heap()-min(before, heap()))
		}
	}
	t.Logf("%d distinct bad keys leave %d KiB", n, most>>10)
	if most > bound {
		t.Errorf("%d bytes are left, want at most %d", most, bound)
	}
	if got := verify(t, v, key); got != "ann" {
		t.Error(got)
	}
	runtime.KeepAlive(v)
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// More keys than fit: all are accepted, and their last uses are kept within a
// bound.
func TestMoreKeysThanFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watched{}
		var keys []string
		for range 300 {
			key, _ := create(t, w, apikey.Request{})
			keys = append(keys, key)
		}
		v := replica(t, w, apikey.Config{MaxKeys: 100})
		for i, key := range keys {
			time.Sleep(time.Millisecond)
			if got := verify(t, v, key); got != "ann" {
				t.Fatalf("key %d: %s", i, got)
			}
		}
		time.Sleep(2 * time.Minute)
		all, err := w.List(t.Context(), apikey.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		lost := 0
		for _, r := range all {
			if r.LastUsedAt.IsZero() {
				lost++
			}
		}
		if lost > 100 { // 200 left the cache, and 100 of these are kept for the next write
			t.Errorf("%d of 300 uses are lost, want at most 100", lost)
		}
	})
}
