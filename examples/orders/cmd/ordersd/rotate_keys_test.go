//go:build linux

package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/auth/apikey"
	"github.com/aguada-dev/aguada/auth/jwt"
)

// keyServer serves an issuer's key set, unless it is down.
type keyServer struct {
	t    *testing.T
	addr string
	set  atomic.Pointer[string]
	mode atomic.Value // serving, failing or hanging

	mu     sync.Mutex
	server *http.Server
}

const (
	serving = "serving"
	failing = "failing"
	hanging = "hanging"
)

func newKeyServer(t *testing.T) *keyServer {
	t.Helper()
	s := &keyServer{t: t, addr: freeAddr(t)}
	s.mode.Store(serving)
	if err := s.up(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.down() })
	return s
}

func (s *keyServer) url() string { return "http://" + s.addr + "/jwks" }

func (s *keyServer) serve(dir string, keys ...*jwt.DevelopmentKey) error {
	set, err := publicSet(dir, keys...)
	s.set.Store(&set)
	return err
}

func (s *keyServer) up() error {
	ln, err := net.Listen("tcp", s.addr)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	server := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	s.server = server
	go func() { _ = server.Serve(ln) }()
	return nil
}

func (s *keyServer) down() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.server.Close()
}

func (s *keyServer) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	switch s.mode.Load() {
	case hanging:
		<-req.Context().Done()
	case failing:
		http.Error(w, "not today", http.StatusInternalServerError)
	default:
		w.Header().Set("Content-Type", "application/jwk-set+json")
		_, _ = w.Write([]byte(*s.set.Load()))
	}
}

// rotateURLKeys adds a key to those of an issuer, which is then not there for a
// time: gone, hanging, failing. Its tokens are verified meanwhile. Then it adds
// another, and takes the first one back.
func (r *rotation) rotateURLKeys(first *jwt.DevelopmentKey, outage time.Duration) error {
	second, err1 := jwt.NewDevelopmentKey()
	third, err2 := jwt.NewDevelopmentKey()
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	old := r.inUse(urlTokens, urlAccess, nil)
	// Callers come with tokens of the new key, which makes the service fetch it.
	add := func(what string, key *jwt.DevelopmentKey, old []*credential, set ...*jwt.DevelopmentKey) error {
		fresh, err := r.tokens(key, remoteIssuer, time.Hour)
		if err != nil {
			return err
		}
		return r.change(what, byURL, func() error { return r.keySet.serve(r.dir, set...) }, old, fresh)
	}
	if err := add("JWT key added at the URL", second, nil, first, second); err != nil {
		return err
	}
	r.say("the key set's URL goes down for %s", outage)
	if err := r.keySet.down(); err != nil {
		return err
	}
	time.Sleep(outage / 3)
	r.keySet.mode.Store(hanging)
	if err := r.keySet.up(); err != nil {
		return err
	}
	time.Sleep(outage / 3)
	r.keySet.mode.Store(failing)
	time.Sleep(outage / 3)
	for i, p := range r.replicas {
		if status, text, err := r.ask(r.callers[0], newCredential("", "https://"+p.addr+"/readyz", "Accept", "*/*", time.Now())); err != nil || status != http.StatusOK {
			r.fail("replica %d is not ready while the key set's URL is down: %d %s %v", i, status, text, err)
		}
	}
	r.keySet.mode.Store(serving)
	r.say("the key set's URL is back")
	return add("JWT key replaced at the URL", third, old, second, third)
}

// rotateAPIKeys rotates and revokes keys in both stores, then replaces the
// pepper, and the keys that were made with the old one.
func (r *rotation) rotateAPIKeys() error {
	limits := []time.Duration{byFile, byDatabase}
	both := func(work func(i int, limit time.Duration) error) error {
		var wg sync.WaitGroup
		errs := make([]error, 2)
		for i, limit := range limits {
			wg.Go(func() { errs[i] = work(i, limit) })
		}
		wg.Wait()
		return errors.Join(errs...)
	}
	if err := both(r.liveAndDie); err != nil {
		return err
	}
	// Made with the first pepper; nobody rotates the second one.
	ids, kept := make([]string, 2), make([]*credential, 2)
	for i := range r.stores {
		rotated, id, err1 := r.apiKey(i)
		forgotten, _, err2 := r.apiKey(i)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		ids[i], kept[i] = id, forgotten
		for _, c := range []*credential{rotated, forgotten} {
			c.from = time.Now().Add(byFile)
		}
		r.add(rotated, forgotten)
	}
	time.Sleep(byFile)
	first, second := *r.pepper.Load(), "another pepper that only tests may use"
	if err := deployments[0].put(file{r.path(oldPath), first}); err != nil {
		return err
	}
	if err := deployments[1].put(file{r.path(pepperPath), second}); err != nil {
		return err
	}
	replaced := time.Now()
	r.pepper.Store(&second)
	if err := both(func(i int, _ time.Duration) error {
		fresh := []*credential{nil}
		return r.change("pepper, "+stores[i], byFile, func() (err error) {
			fresh[0], _, err = r.apiKey(i)
			return err
		}, nil, fresh)
	}); err != nil {
		return err
	}
	if err := both(func(i int, limit time.Duration) error { return r.replaceAll(i, limit, kept[i]) }); err != nil {
		return err
	}
	time.Sleep(time.Until(replaced.Add(apikey.PepperOverlap + byFile)))
	return r.change("old pepper gone", byFile, func() error {
		return deployments[2].put(file{r.path(oldPath), "no pepper of any key at all"})
	}, kept, nil)
}

var stores = []string{"file", "database"}

// liveAndDie rotates the key in use with a grace period, and makes another that
// is revoked.
func (r *rotation) liveAndDie(i int, limit time.Duration) error {
	group := []string{fileKeys, databaseKeys}[i]
	old := r.inUse(group, "", nil)[0]
	id, err := apikey.ID(old.value)
	if err != nil {
		return err
	}
	key, _, record, err := r.stores[i].Rotate(context.Background(), id, apikey.Rotation{Grace: limit + 4*time.Second})
	if err != nil {
		return err
	}
	next := r.keyOf(i, key)
	next.from = time.Now().Add(byFile)
	old.giveUp(record.End())
	old.dies(record.End())
	r.add(next)
	brief, id, err := r.apiKey(i)
	if err != nil {
		return err
	}
	brief.from = time.Now().Add(byFile)
	r.add(brief)
	time.Sleep(byFile + 500*time.Millisecond)
	if err := r.change("API key revoked, "+stores[i], limit, func() error {
		_, err := r.stores[i].Revoke(context.Background(), id)
		return err
	}, []*credential{brief}, nil); err != nil {
		return err
	}
	time.Sleep(time.Until(record.End()))
	r.inForce("API key rotated, "+stores[i]+", the old one refused after its grace period", record.End(), time.Second, old, false)
	return nil
}

// replaceAll rotates all keys of a store at once, but for one.
func (r *rotation) replaceAll(i int, limit time.Duration, but *credential) error {
	var ends []*credential
	for _, old := range r.inUse([]string{fileKeys, databaseKeys}[i], "", []*credential{but}) {
		id, err := apikey.ID(old.value)
		if err != nil {
			return err
		}
		key, _, _, err := r.stores[i].Rotate(context.Background(), id, apikey.Rotation{Grace: time.Hour})
		if err != nil {
			return err
		}
		next := r.keyOf(i, key)
		next.from = time.Now().Add(byFile)
		r.add(next)
		ends = append(ends, old)
	}
	time.Sleep(byFile)
	return r.change("API keys ended, "+stores[i], limit, func() error {
		for _, old := range ends {
			id, err := apikey.ID(old.value)
			if err == nil {
				_, err = r.stores[i].Revoke(context.Background(), id)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}, ends, nil)
}
