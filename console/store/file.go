package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the file's format
)

// flushEvery is how much of the latest a crash can lose.
const flushEvery = 30 * time.Second

// schema of the file. A segment is one row; what it holds is packed as in
// memory, so that loading is reading.
const schema = `
CREATE TABLE IF NOT EXISTS segments (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	signal INTEGER NOT NULL,
	sealed INTEGER NOT NULL,
	data BLOB NOT NULL
);
PRAGMA user_version = 1;`

// file keeps sealed segments in SQLite, in the order in which they were sealed.
// Writing is done aside: who adds does not wait for the disk.
type file struct {
	db   *sql.DB
	jobs chan func(context.Context) error
	done chan struct{}
	stop chan struct{} // ends the timer
	wait sync.WaitGroup

	mu  sync.Mutex
	err error
}

// load opens the file and reads the segments that it holds.
func (s *Store) load() error {
	ctx := context.Background()
	dsn := (&url.URL{Scheme: "file", Opaque: url.PathEscape(s.cfg.File), RawQuery: url.Values{"_pragma": {
		"locking_mode(EXCLUSIVE)", "journal_mode(WAL)", "synchronous(NORMAL)", "auto_vacuum(INCREMENTAL)", "busy_timeout(1000)",
	}}.Encode()}).String()
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	if err := s.read(ctx, db); err != nil {
		return errors.Join(err, db.Close())
	}
	f := &file{db: db, jobs: make(chan func(context.Context) error, 64), done: make(chan struct{}), stop: make(chan struct{})}
	s.file = f
	go f.work(ctx)
	f.wait.Go(s.flush)
	return nil
}

// read reads the segments, the newest first, until the budget is spent.
func (s *Store) read(ctx context.Context, db *sql.DB) error {
	var version int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return fmt.Errorf("it is in use by another console, or no file of one: %w", err)
	}
	if version > 1 {
		return errors.New("a newer version of the console wrote it: give another file")
	}
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return fmt.Errorf("it is in use by another console, or cannot be written: %w", err)
	}
	rows, err := db.QueryContext(ctx, "SELECT id, signal, sealed, data FROM segments ORDER BY sealed DESC, id DESC")
	if err != nil {
		return err
	}
	defer rows.Close()
	var useless []int64
	for rows.Next() {
		var id, sealed int64
		var sig Signal
		var data []byte
		if err := rows.Scan(&id, &sig, &sealed, &data); err != nil {
			return err
		}
		g, ok := decode(data, sig)
		if !ok || s.bytes+int64(g.size()) > s.cfg.Budget {
			useless = append(useless, id)
			continue
		}
		g.id, g.sealed = id, sealed
		s.bytes += int64(g.size())
		s.all[sig] = append([]*segment{g}, s.all[sig]...)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for sig := range s.all {
		var next uint64
		for _, g := range s.all[sig] {
			g.first = next
			next += uint64(len(g.rows))
		}
	}
	for _, id := range useless {
		if _, err := db.ExecContext(ctx, "DELETE FROM segments WHERE id = ?", id); err != nil {
			return err
		}
	}
	return nil
}

// work does what there is to write.
func (f *file) work(ctx context.Context) {
	defer close(f.done)
	for job := range f.jobs {
		if err := job(ctx); err != nil {
			f.mu.Lock()
			f.err = err
			f.mu.Unlock()
		}
	}
}

// flush seals what grows once in a while.
func (s *Store) flush() {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.file.stop:
			return
		case <-tick.C:
			s.mu.Lock()
			for sig := range s.all {
				s.seal(Signal(sig))
			}
			s.mu.Unlock()
		}
	}
}

// write writes a segment. Of what is written in order, what is removed was
// written before: ids are set and read by the one goroutine that works.
func (f *file) write(sig Signal, g *segment) {
	f.jobs <- func(ctx context.Context) error {
		result, err := f.db.ExecContext(ctx, "INSERT INTO segments (signal, sealed, data) VALUES (?, ?, ?)", sig, g.sealed, g.encode())
		if err != nil {
			return fmt.Errorf("write segment: %w", err)
		}
		g.id, err = result.LastInsertId()
		return err
	}
}

// remove removes a segment.
func (f *file) remove(g *segment) {
	f.jobs <- func(ctx context.Context) error {
		if _, err := f.db.ExecContext(ctx, "DELETE FROM segments WHERE id = ?", g.id); err != nil {
			return fmt.Errorf("remove segment: %w", err)
		}
		_, err := f.db.ExecContext(ctx, "PRAGMA incremental_vacuum")
		return err
	}
}

// close writes what is left. Nothing may be written any more.
func (f *file) close() error {
	close(f.jobs)
	<-f.done
	return errors.Join(f.problem(), f.db.Close())
}

// problem is the last error.
func (f *file) problem() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}
