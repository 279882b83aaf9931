package api

import (
	"context"
	"time"

	"github.com/aguada-dev/aguada/console/gen/console"
	"github.com/aguada-dev/aguada/console/store"
)

// bars is into how many steps the histogram of log records is divided.
const bars = 60

// Logs implements console.Service.
func (s *Service) Logs(_ context.Context, p *console.LogsPayload) (*console.LogList, error) {
	f, err := s.logFilter(p)
	if err != nil {
		return nil, err
	}
	w, err := s.window(p.Since, p.Until, bars)
	if err != nil {
		return nil, err
	}
	counts := make([][bars][4]int64, store.Workers())
	step := w.Step()
	refs, scanned := s.store.Latest(store.Logs, f, p.Limit, func(worker int, r store.Ref) {
		at := min(max((r.Time()-w.Since)/step, 0), bars-1)
		counts[worker][at][bar(r.Severity())]++
	})
	out := &console.LogList{Records: make([]*console.LogRecord, 0, len(refs)), Matched: scanned.Matched, Scanned: scanned.Looked}
	for _, r := range refs {
		out.Records = append(out.Records, record(r))
	}
	for i := range bars {
		b := &console.LogBar{Start: stamp(w.Since + int64(i)*step)}
		for w := range counts {
			n := counts[w][i]
			b.Debug, b.Info, b.Warn, b.Error = b.Debug+n[0], b.Info+n[1], b.Warn+n[2], b.Error+n[3]
		}
		out.Histogram = append(out.Histogram, b)
	}
	return out, nil
}

// bar returns which part of a bar a severity belongs to; none is information.
func bar(severity uint8) int {
	switch {
	case severity >= levels["error"]:
		return 3
	case severity >= levels["warn"]:
		return 2
	case severity >= levels["info"] || severity == 0:
		return 1
	}
	return 0
}

// Bounds of the live tail: between two batches so long, and in one so many.
const (
	tailEvery = 200 * time.Millisecond
	tailMost  = 500
)

// Tail implements console.Service.
func (s *Service) Tail(ctx context.Context, p *console.TailPayload, stream console.TailServerStream) error {
	f, err := s.logFilter((*console.LogsPayload)(p))
	if err != nil {
		return err
	}
	f.Since, f.Until = 0, 0
	most := min(p.Limit, tailMost)
	next, begun := s.store.Next(store.Logs), false
	return s.follow(ctx, tailEvery, func() error {
		var missed uint64
		var found []store.Ref
		matched := 0
		next, missed = s.store.After(store.Logs, f, next, func(r store.Ref) {
			if len(found) < most {
				found = append(found, r)
			} else {
				found[matched%most] = r // of too many, the latest stay
			}
			matched++
		})
		if matched == 0 && missed == 0 && begun {
			return nil
		}
		begun = true // the first batch, even if it is empty, begins the answer
		batch := &console.LogBatch{Records: make([]*console.LogRecord, 0, len(found)), Skipped: int64(matched - len(found)), Evicted: int64(missed)}
		for i := range found {
			batch.Records = append(batch.Records, record(found[(matched+i)%len(found)]))
		}
		return stream.SendWithContext(ctx, batch)
	})
}

// Changes implements console.Service.
func (s *Service) Changes(ctx context.Context, _ *console.ChangesPayload, stream console.ChangesServerStream) error {
	var before console.Received
	first := true
	return s.follow(ctx, time.Second/2, func() error {
		now := console.Received{
			Spans: s.store.Counts(store.Traces).Received, Logs: s.store.Counts(store.Logs).Received, Points: s.store.Counts(store.Metrics).Received,
		}
		if now == before && !first {
			return nil
		}
		before, first = now, false
		return stream.SendWithContext(ctx, &now)
	})
}

// follow calls send at once and after each change of the store, not more often
// than every so long, until the caller leaves or the console stops.
func (s *Service) follow(ctx context.Context, every time.Duration, send func() error) error {
	tick := time.NewTimer(0)
	defer tick.Stop()
	for {
		changed := s.store.Changed()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		case <-s.cfg.Stopping:
			return nil
		}
		if err := send(); err != nil {
			return err
		}
		tick.Reset(every)
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		case <-s.cfg.Stopping:
			return nil
		}
	}
}
