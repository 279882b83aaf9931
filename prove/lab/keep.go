package lab

import "sync"

// kept is what Keep remembers of one key.
type kept struct {
	mu    sync.Mutex
	there bool
	value any
}

// Keep returns what make returned the first time that somebody asked under the
// key: for what is costly to learn, and the same for all probes. Errors are not
// kept. Keys are of types of the caller's own, as those of contexts are.
func (l *Lab) Keep(key any, make func() (any, error)) (any, error) {
	v, _ := l.keeping.LoadOrStore(key, &kept{})
	k, _ := v.(*kept)
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.there {
		value, err := make()
		if err != nil {
			return nil, err
		}
		k.value, k.there = value, true
	}
	return k.value, nil
}
