package apikey_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/apikey"
)

// changing is a pepper that an operator changes.
type changing struct{ text atomic.Pointer[string] }

func (c *changing) set(text string) { c.text.Store(&text) }

func (c *changing) get() string {
	if p := c.text.Load(); p != nil {
		return *p
	}
	return ""
}

const (
	pepperA = "pepper A of the year 2026"
	pepperB = "pepper B of the year 2027"
	pepperC = "pepper C of the year 2028"
)

// Every way that the files of two peppers may change, each seen at its own
// moment: no key that is good before and after is refused in between.
func TestPepperIsReplaced(t *testing.T) {
	for name, steps := range map[string][]func(current, old *changing){
		"old first":     {func(_, old *changing) { old.set(pepperA) }, func(current, _ *changing) { current.set(pepperB) }},
		"current first": {func(current, _ *changing) { current.set(pepperB) }, func(_, old *changing) { old.set(pepperA) }},
		"at once":       {func(current, old *changing) { current.set(pepperB); old.set(pepperA) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var current, old changing
				current.set(pepperA)
				m := &apikey.Memory{}
				g := apikey.NewRegistry(m, current.get)
				first := mustCreate(t, g)
				v := watch(t, m, &current, &old)
				if got := verify(t, v, first); got != "ann" {
					t.Fatal(got)
				}
				for i, step := range steps {
					step(&current, &old)
					if got := verify(t, v, first); got != "ann" {
						t.Errorf("after step %d: %s", i+1, got)
					}
					time.Sleep(apikey.PepperOverlap / 4)
				}
				second := mustCreate(t, g)
				time.Sleep(time.Hour)
				if got := verify(t, v, first) + verify(t, v, second); got != "annann" {
					t.Errorf("old and new: %s", got)
				}
				old.set("") // the end of the first
				if got := verify(t, v, first) + verify(t, v, second); got != "!unknownann" {
					t.Errorf("after the end of the old pepper: %s", got)
				}
			})
		})
	}
}

func mustCreate(t *testing.T, g *apikey.Registry) string {
	t.Helper()
	key, _, err := g.Create(t.Context(), apikey.Request{Owner: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func watch(t *testing.T, s apikey.Store, current, old *changing) *apikey.Verifier {
	t.Helper()
	v, err := apikey.New(s, apikey.Peppers{Current: current.get, Old: old.get}, apikey.Config{Scheme: "key"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

// A pepper that was replaced without becoming the old one ends soon.
func TestPepperIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var current, old changing
		current.set(pepperA)
		m := &apikey.Memory{}
		key := mustCreate(t, apikey.NewRegistry(m, current.get))
		v := watch(t, m, &current, &old)
		current.set(pepperB)
		if got := verify(t, v, key); got != "ann" {
			t.Errorf("at once: %s", got)
		}
		time.Sleep(apikey.PepperOverlap)
		if got := verify(t, v, key); got != "!unknown" {
			t.Errorf("%s later: %s", apikey.PepperOverlap, got)
		}
		current.set(pepperC)
		current.set(pepperA) // a mistake mended
		if got := verify(t, v, key); got != "ann" {
			t.Errorf("put back: %s", got)
		}
	})
}

// A file that is being written, or emptied by mistake, changes nothing.
func TestBadPepperIsNotTaken(t *testing.T) {
	var current, old changing
	current.set(pepperA)
	m := &apikey.Memory{}
	key := mustCreate(t, apikey.NewRegistry(m, current.get))
	var log records
	v, err := apikey.New(m, apikey.Peppers{Current: current.get, Old: old.get}, apikey.Config{Logger: log.logger()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	for _, change := range []func(){
		func() { current.set("") }, func() { current.set(pepperB[:15]) }, func() { current.set(pepperA); old.set("short") },
		func() { old.set("") },
	} {
		change()
		for range 3 {
			if got := verify(t, v, key); got != "ann" {
				t.Errorf("got %s", got)
			}
		}
	}
	if n := strings.Count(log.String(), "not changed"); n != 3 {
		t.Errorf("logged %d times, want once for each bad change:\n%s", n, &log)
	}
	if strings.Contains(log.String(), pepperB[:15]) {
		t.Error("the log holds a pepper")
	}
	for _, p := range []apikey.Peppers{{}, fixed(""), fixed("short"), {Current: fixed(pepperA).Current, Old: fixed("short").Current}} {
		if _, err := apikey.New(m, p, apikey.Config{}); err == nil {
			t.Error("started with a bad pepper")
		}
	}
}

// A record says by which pepper it was made: its key is not tried against
// another, whatever the other would say.
func TestKeyIsTriedAgainstItsPepperOnly(t *testing.T) {
	key, r, err := apikey.Mint(pepperA, apikey.Request{Owner: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	for pepper, want := range map[string]string{apikey.PepperID(pepperA): "ann", apikey.PepperID(pepperB): "!unknown", apikey.PepperID(pepperC): "!unknown", "": "!unknown"} {
		m := &apikey.Memory{}
		r.Pepper = pepper
		if err := m.Insert(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		var current, old changing
		current.set(pepperB)
		old.set(pepperA)
		if got := verify(t, watch(t, m, &current, &old), key); got != want {
			t.Errorf("record of pepper %q: %s, want %s", pepper, got, want)
		}
	}
}

// Keys are rotated, and the pepper is replaced, while clients use them and take
// the new ones over: nobody is refused.
func TestRotationRefusesNobody(t *testing.T) {
	dir := t.TempDir()
	for name, open := range map[string]func(*testing.T, apikey.Peppers) (apikey.Ledger, *apikey.Verifier){
		"memory": func(t *testing.T, p apikey.Peppers) (apikey.Ledger, *apikey.Verifier) {
			m := &apikey.Memory{}
			v, err := apikey.New(m, p, apikey.Config{})
			if err != nil {
				t.Fatal(err)
			}
			return m, v
		},
		"file": func(t *testing.T, p apikey.Peppers) (apikey.Ledger, *apikey.Verifier) {
			path := filepath.Join(dir, "keys.json")
			if err := os.WriteFile(path, []byte(`{"keys":[]}`), 0o600); err != nil {
				t.Fatal(err)
			}
			v, err := apikey.Open(path, p, apikey.Config{Interval: time.Nanosecond})
			if err != nil {
				t.Fatal(err)
			}
			return apikey.NewFileStore(path), v
		},
	} {
		t.Run(name, func(t *testing.T) {
			var current, old changing
			current.set(pepperA)
			l, v := open(t, apikey.Peppers{Current: current.get, Old: old.get})
			rotateUnderLoad(t, apikey.NewRegistry(l, current.get), v, &current, &old)
			if err := v.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func rotateUnderLoad(t *testing.T, g *apikey.Registry, v *apikey.Verifier, current, old *changing) {
	key, r, err := g.Create(t.Context(), apikey.Request{Owner: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	await(t, v, key)
	var inUse atomic.Pointer[string]
	inUse.Store(&key)
	stop := make(chan struct{})
	var calls atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if p, err := v.Verify(t.Context(), auth.Credential{Token: *inUse.Load()}); err != nil || p.Subject != "ann" {
					t.Errorf("refused: %v", err)
					return
				}
				calls.Add(1)
			}
		})
	}
	peppers := []string{pepperA, pepperB, pepperC}
	for i := range 12 {
		if i%4 == 3 { // the keys of the one before are rotated by now
			was := current.get()
			old.set(was)
			current.set(peppers[(i/4+1)%3])
		}
		next, made, _, err := g.Rotate(t.Context(), r.ID, apikey.Rotation{Grace: time.Hour})
		if err != nil {
			t.Error(err)
			break
		}
		await(t, v, next)
		inUse.Store(&next)
		r = made
		for seen := calls.Load(); calls.Load() < seen+50 && !t.Failed(); {
			time.Sleep(time.Millisecond)
		}
	}
	close(stop)
	wg.Wait()
	if calls.Load() < 500 {
		t.Errorf("only %d calls", calls.Load())
	}
}

// await waits until a key is known: a file is followed a moment later.
func await(t *testing.T, v *apikey.Verifier, key string) {
	t.Helper()
	for !t.Failed() && verify(t, v, key) != "ann" {
		time.Sleep(time.Millisecond)
	}
}
