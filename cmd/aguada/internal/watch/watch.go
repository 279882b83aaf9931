// Package watch tells when files below a folder change.
//
//	w, err := watch.New(dir, watch.Config{IgnoreDir: project.Ignored, Match: project.Source})
//	...
//	<-w.Changes()
//
// One value stands for a whole burst of changes. What changed is not said: who
// needs to know compares contents.
package watch

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Settle is how long nothing must happen before a burst counts as over: an
// editor that saves by writing and renaming is done by then.
const Settle = 150 * time.Millisecond

// Config says what to look at. Both functions get base names.
type Config struct {
	// IgnoreDir leaves a folder out, with all that it holds; nil leaves out
	// none.
	IgnoreDir func(name string) bool
	// Match picks the files; nil picks all.
	Match func(name string) bool
	// Settle overrides the constant Settle; 0 means the constant.
	Settle time.Duration
}

// Watcher watches a folder and everything below it, folders made later
// included.
type Watcher struct {
	cfg     Config
	dir     string
	fs      *fsnotify.Watcher
	changes chan struct{}
	once    sync.Once
	ended   chan struct{}
}

// New starts watching dir.
func New(dir string, cfg Config) (*Watcher, error) {
	if cfg.IgnoreDir == nil {
		cfg.IgnoreDir = func(string) bool { return false }
	}
	if cfg.Match == nil {
		cfg.Match = func(string) bool { return true }
	}
	if cfg.Settle == 0 {
		cfg.Settle = Settle
	}
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", dir, err)
	}
	w := &Watcher{cfg: cfg, dir: dir, fs: notify, changes: make(chan struct{}, 1), ended: make(chan struct{})}
	if _, err := w.add(dir); err != nil {
		return nil, errors.Join(fmt.Errorf("watch %s: %w", dir, err), notify.Close())
	}
	go w.run()
	return w, nil
}

// Changes yields a value after each burst of changes.
func (w *Watcher) Changes() <-chan struct{} { return w.changes }

// Close stops watching and returns when no more value can come. It may be
// called more than once.
func (w *Watcher) Close() error {
	var err error
	w.once.Do(func() {
		err = w.fs.Close()
		<-w.ended
	})
	return err
}

// add watches dir and the folders below it, and reports whether they hold a
// file that matches.
func (w *Watcher) add(dir string) (matched bool, err error) {
	err = filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) && file != w.dir {
				return nil // gone again
			}
			return err
		}
		if !entry.IsDir() {
			matched = matched || w.cfg.Match(entry.Name())
			return nil
		}
		if file != w.dir && w.cfg.IgnoreDir(entry.Name()) {
			return fs.SkipDir
		}
		if err := w.fs.Add(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
	return matched, err
}

func (w *Watcher) run() {
	defer close(w.ended)
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case event, ok := <-w.fs.Events:
			if !ok {
				return
			}
			if w.matters(event) {
				timer.Reset(w.cfg.Settle)
			}
		case _, ok := <-w.fs.Errors:
			if !ok {
				return
			}
			// Events were lost: let the receiver look.
			timer.Reset(w.cfg.Settle)
		case <-timer.C:
			select {
			case w.changes <- struct{}{}:
			default: // one is waiting already
			}
		}
	}
}

// matters also starts to watch a folder that has just been made; what it held
// by then counts as a change.
func (w *Watcher) matters(event fsnotify.Event) bool {
	if event.Op == fsnotify.Chmod {
		return false
	}
	name := filepath.Base(event.Name)
	if event.Has(fsnotify.Create) && !w.cfg.IgnoreDir(name) {
		if matched, err := w.add(event.Name); err == nil && matched {
			return true
		}
	}
	if event.Has(fsnotify.Remove) || event.Has(fsnotify.Rename) {
		// What is gone may have been a folder of matching files.
		return w.cfg.Match(name) || filepath.Ext(name) == "" && !w.cfg.IgnoreDir(name)
	}
	return w.cfg.Match(name)
}
