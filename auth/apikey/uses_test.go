package apikey_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aguada-dev/aguada/auth/apikey"
)

func TestLastUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watched{}
		key, r := create(t, w, apikey.Request{})
		unused, _ := create(t, w, apikey.Request{})
		v := replica(t, w, apikey.Config{})
		start := time.Now()
		for time.Since(start) < 10*time.Minute {
			if got := verify(t, v, key) + verify(t, v, unused[:len(unused)-1]); got != "ann!malformed" {
				t.Fatal(got)
			}
			time.Sleep(500 * time.Millisecond)
		}
		if n := len(w.written()); n < 8 || n > 10 {
			t.Errorf("%d writes in 10 minutes, want one a minute", n)
		}
		last := time.Now()
		_ = verify(t, v, key)
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		all, err := w.List(t.Context(), apikey.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		for _, got := range all {
			if got.ID != r.ID {
				if !got.LastUsedAt.IsZero() {
					t.Errorf("a key that nobody used was used at %s", got.LastUsedAt)
				}
			} else if late := last.Sub(got.LastUsedAt); late < 0 || late > time.Second {
				t.Errorf("written at the end: %s before the last use", late)
			}
		}
		n := len(w.written())
		_ = verify(t, v, key)
		time.Sleep(time.Hour)
		if len(w.written()) != n || verify(t, v, key) != "!unavailable" || v.Close() != nil {
			t.Error("a closed verifier asks its store")
		}
	})
}

// Uses that cannot be written are written later, and refuse nobody.
func TestLastUseSurvivesOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watched{}
		var keys []string
		for range apikey.MaxUses + 10 {
			key, _ := create(t, w, apikey.Request{})
			keys = append(keys, key)
		}
		var log records
		v := replica(t, w, apikey.Config{Logger: log.logger(), MaxLookups: 1000})
		var wg sync.WaitGroup
		for _, key := range keys {
			wg.Go(func() {
				if got := verify(t, v, key); got != "ann" {
					t.Error(got)
				}
			})
		}
		wg.Wait()
		w.breaks(errors.New("disk full"))
		time.Sleep(5*time.Minute + time.Second)
		if n := strings.Count(log.String(), "cannot be written"); n != 1 {
			t.Errorf("logged %d times, want once", n)
		}
		w.fail.Store(nil)
		time.Sleep(time.Minute)
		total := 0
		for _, b := range w.written() {
			if len(b) > apikey.MaxUses {
				t.Errorf("%d uses at once", len(b))
			}
			total += len(b)
		}
		if total != len(keys) {
			t.Errorf("%d uses written, want %d", total, len(keys))
		}
	})
}
