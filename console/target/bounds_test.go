package target_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/pprof/profile"

	"github.com/aguada-dev/aguada/console/target"
)

// Many pages that are open are one request.
func TestPagesShareAnAnswer(t *testing.T) {
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"status":"unavailable","state":"starting"}`))
	}))
	t.Cleanup(s.Close)
	v := find(t, target.Config{Service: "shop", Admin: s.URL})
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if state, err := v.State(t.Context()); err != nil || state.State != "starting" {
				t.Errorf("%+v, %v", state, err)
			}
		})
	}
	wg.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("10 pages were %d requests", n)
	}
}

// A page that is closed while it waits takes no answer from the others.
func TestAPageThatGoes(t *testing.T) {
	v := find(t, target.Config{Service: "shop", Admin: serve(t), Token: func() string { return token }})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, _ = v.State(gone)
	if _, err := v.State(t.Context()); err != nil {
		t.Error(err)
	}
	_, _, _ = v.Contract(gone)
	if _, _, err := v.Contract(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	block := make([]byte, 1<<20)
	_, _ = zip.Write(block)
	_ = zip.Close()
	bomb := bytes.Repeat(packed.Bytes(), 512) // small, until it is unpacked
	sent := make(chan int, 1)
	large := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/debug/pprof/") {
			_, _ = w.Write(bomb)
			return
		}
		n := 0
		for range 256 {
			if _, err := w.Write(block); err != nil {
				break
			}
			n++
		}
		sent <- n
	}))
	t.Cleanup(large.Close)
	v := find(t, target.Config{Service: "shop", Admin: large.URL})
	var why *target.Error
	if _, err := v.Settings(t.Context()); !errors.As(err, &why) || !strings.Contains(why.Text, "too much") {
		t.Errorf("an answer that does not end: %v", err)
	}
	if n := <-sent; n > 64 {
		t.Errorf("%d MB were read of an answer that does not end", n)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := v.Profile(t.Context(), "heap", 0); !errors.As(err, &why) || !strings.Contains(why.Text, "no profile") {
		t.Errorf("a profile that unpacks to too much: %v", err)
	}
	if runtime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc > 1<<30 {
		t.Errorf("%d MB were allocated for a profile that unpacks to too much", (after.TotalAlloc-before.TotalAlloc)>>20)
	}
}

// FuzzProfile: whatever a private port sends is refused, or is a tree that adds
// up.
func FuzzProfile(f *testing.F) {
	for _, kind := range []string{"heap", "goroutine"} {
		var b bytes.Buffer
		if err := pprof.Lookup(kind).WriteTo(&b, 0); err != nil {
			f.Fatal(err)
		}
		p, err := profile.Parse(&b)
		if err != nil {
			f.Fatal(err)
		}
		p.Sample = p.Sample[:min(len(p.Sample), 3)]
		var plain bytes.Buffer
		if err := p.Compact().WriteUncompressed(&plain); err != nil {
			f.Fatal(err)
		}
		f.Add(plain.Bytes(), kind)
	}
	f.Add([]byte{0x1f, 0x8b}, "cpu")
	f.Fuzz(func(t *testing.T, b []byte, kind string) {
		p, err := target.Read(b, kind)
		if err == nil && p.Total != 0 && len(p.Frames) > 1 {
			adds(t, kind, p)
		}
	})
}
