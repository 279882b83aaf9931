package aguada

import (
	"context"
	"log/slog"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aguada-dev/aguada/health"
)

// The private port is asked what there is to know while the service still finds
// that out.
func TestNotesWhileStarting(t *testing.T) {
	rt := &Runtime{checks: health.New(health.Config{Logger: slog.New(slog.DiscardHandler)})}
	var asking sync.WaitGroup
	var asked atomic.Int64
	done := make(chan struct{})
	asking.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				rt.results(t.Context())
				asked.Add(1)
			}
		}
	})
	for i := 0; asked.Load() < 20; i++ {
		rt.note("check "+strconv.Itoa(i%100), nil, func() string { return "" })
		runtime.Gosched()
	}
	close(done)
	asking.Wait()

	for _, c := range []struct{ first, second, want string }{
		{"", "", ""}, {"a", "", "a"}, {"", "b", "b"}, {"a", "b", "a; b"},
	} {
		rt := &Runtime{checks: health.New(health.Config{Logger: slog.New(slog.DiscardHandler)})}
		rt.note("keys", nil, func() string { return c.first })
		rt.note("keys", nil, func() string { return c.second })
		if all := rt.results(context.Background()); len(all) != 1 || all[0].Note != c.want {
			t.Errorf("%q and %q: %+v", c.first, c.second, all)
		}
	}
}
