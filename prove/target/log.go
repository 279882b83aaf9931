package target

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"
)

// Line is one line that the service wrote.
type Line struct {
	// Text is the line without its end.
	Text string
	// Error says that it came over standard error.
	Error bool
}

// Fields returns the line's JSON object; nil where it is none.
func (l Line) Fields() map[string]any {
	var fields map[string]any
	if json.Unmarshal([]byte(l.Text), &fields) != nil {
		return nil
	}
	return fields
}

// maxLog bounds what is kept of a log, in bytes; the oldest lines go.
const maxLog = 64 << 20

// Log is what a service writes to standard output and standard error, line by
// line. It is safe for concurrent use.
type Log struct {
	mu      sync.Mutex
	lines   []Line
	bytes   int
	dropped int
	partial [2][]byte
	changed chan struct{} // closed, and replaced, with each new line
}

// NewLog returns an empty log.
func NewLog() *Log { return &Log{changed: make(chan struct{})} }

// stream is one of the two outputs of a process.
type stream struct {
	log *Log
	n   int // 1 for standard error
}

// Write takes what the service wrote. It never fails.
func (s stream) Write(p []byte) (int, error) {
	l := s.log
	l.mu.Lock()
	defer l.mu.Unlock()
	rest := append(l.partial[s.n], p...)
	added := false
	for {
		line, after, found := bytes.Cut(rest, []byte("\n"))
		if !found {
			break
		}
		l.lines = append(l.lines, Line{Text: string(line), Error: s.n == 1})
		l.bytes += len(line)
		rest, added = after, true
	}
	l.partial[s.n] = bytes.Clone(rest)
	for l.bytes > maxLog {
		l.bytes -= len(l.lines[0].Text)
		l.lines = l.lines[1:]
		l.dropped++
	}
	if added {
		close(l.changed)
		l.changed = make(chan struct{})
	}
	return len(p), nil
}

// Mark returns a position: Since(Mark()) are the lines that are yet to come.
func (l *Log) Mark() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dropped + len(l.lines)
}

// Since returns the lines from a mark on.
func (l *Log) Since(mark int) []Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.since(mark)
}

func (l *Log) since(mark int) []Line {
	from := min(max(mark-l.dropped, 0), len(l.lines))
	return append([]Line(nil), l.lines[from:]...)
}

// Wait returns the first line from the mark on that is wanted, as soon as it is
// written; false when ctx ends before.
func (l *Log) Wait(ctx context.Context, mark int, want func(Line) bool) (Line, bool) {
	for {
		l.mu.Lock()
		changed, lines := l.changed, l.since(mark)
		next := l.dropped + len(l.lines)
		l.mu.Unlock()
		for _, line := range lines {
			if want(line) {
				return line, true
			}
		}
		mark = next
		select {
		case <-changed:
		case <-ctx.Done():
			return Line{}, false
		}
	}
}
