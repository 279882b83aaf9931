//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// credential is what a caller shows to one address, and when that is good. A
// request must be accepted that begins at from or later and ends at until or
// before; it must be refused if it begins at dead or later. In between, while
// the service takes note of a change, it may be either. A zero until or dead
// has not come yet.
type credential struct {
	group               string // streams of load are by group
	url, header, value  string
	mu                  sync.Mutex
	idle                sync.Cond // signalled when nothing flies
	flying              int
	from, until, dead   time.Time
	accepted, turnedOff int // requests, which had to be
}

// newCredential is good from a time on.
func newCredential(group, url, header, value string, from time.Time) *credential {
	c := &credential{group: group, url: url, header: header, value: value, from: from}
	c.idle.L = &c.mu
	return c
}

// good reports whether somebody who knows no more than the clock would use it.
func (c *credential) good(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.until.IsZero() && !now.Before(c.from)
}

// bad reports whether it is one of those that may be refused.
func (c *credential) bad() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.until.IsZero()
}

// giveUp says until when the credential is good. It is not used for the load
// from then on, and nothing is under way with it.
func (c *credential) giveUp(until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until = until
	for c.flying > 0 {
		c.idle.Wait()
	}
}

// dies says from when on the credential must be refused.
func (c *credential) dies(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = at
}

// take notes that a request begins, unless the load has just given the
// credential up. Who guesses does not care.
func (c *credential) take(guess bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !guess && !c.until.IsZero() {
		return false
	}
	c.flying++
	return true
}

func (c *credential) land() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flying--; c.flying == 0 {
		c.idle.Broadcast()
	}
}

// judge says what is wrong with an answer, "" if nothing is.
func (c *credential) judge(begun, ended time.Time, status int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	refused := status == http.StatusUnauthorized
	switch c.group {
	case urlTokens, urlAccess: // it cannot be known whether the issuer has the key now
		refused = refused || status == http.StatusServiceUnavailable
	case admins: // who guesses is slowed down, who has the right token is not
		refused = refused || status == http.StatusTooManyRequests
	}
	switch {
	case !c.dead.IsZero() && !begun.Before(c.dead):
		c.turnedOff++
		if status < 400 {
			return fmt.Sprintf("accepted %s after its end", begun.Sub(c.dead).Round(time.Millisecond))
		} else if !refused {
			return "not refused as it should"
		}
	case !begun.Before(c.from) && (c.until.IsZero() || !ended.After(c.until)):
		c.accepted++
		if status != http.StatusOK {
			return fmt.Sprintf("refused %s after it became good", begun.Sub(c.from).Round(time.Millisecond))
		}
	case status != http.StatusOK && !refused:
		return "neither accepted nor refused"
	}
	return ""
}

// load calls a shop at a steady pace, however long it takes to answer.
type load struct {
	t       *testing.T
	start   time.Time
	callers []*http.Client // who have credentials
	strange *http.Client   // behind a proxy, each call from another address: who guess
	tls     *tls.Config

	mu        sync.Mutex
	all       []*credential
	latencies map[string][]time.Duration // of those who have credentials by group, from when a request was due
	wrong     []string
	report    []string
	took      map[string][]time.Duration // until changes were in force

	guesses atomic.Uint32
	flying  atomic.Int64
	most    atomic.Int64
}

// stranger is the address of the proxy that strangers come from.
const stranger = "127.0.0.9"

func newLoad(t *testing.T, roots *x509.CertPool) *load {
	l := &load{t: t, start: time.Now(), tls: &tls.Config{RootCAs: roots}, took: map[string][]time.Duration{}, latencies: map[string][]time.Duration{}}
	transport := func(spoil func(*http.Transport)) *http.Client {
		tr := &http.Transport{TLSClientConfig: l.tls.Clone(), MaxIdleConnsPerHost: 256}
		spoil(tr)
		t.Cleanup(tr.CloseIdleConnections)
		return &http.Client{Transport: tr, Timeout: 20 * time.Second}
	}
	two := transport(func(tr *http.Transport) { tr.ForceAttemptHTTP2 = true })
	one := transport(func(*http.Transport) {})
	fresh := transport(func(tr *http.Transport) { tr.DisableKeepAlives = true }) // a handshake each
	l.callers = []*http.Client{two, one, two, one, two, one, two, fresh}
	l.strange = transport(func(tr *http.Transport) {
		tr.DialContext = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(stranger)}}).DialContext
	})
	return l
}

// add makes credentials known.
func (l *load) add(c ...*credential) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, c...)
}

// at is how the report tells time.
func (l *load) at(t time.Time) string { return fmt.Sprintf("%6.2fs", t.Sub(l.start).Seconds()) }

func (l *load) say(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.report = append(l.report, l.at(time.Now())+" "+fmt.Sprintf(format, args...))
}

func (l *load) fail(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, l.at(time.Now())+" "+fmt.Sprintf(format, args...))
}

// send shows a credential once and returns the status, 0 for none.
func (l *load) send(client *http.Client, c *credential, due time.Time) int {
	l.most.Store(max(l.most.Load(), l.flying.Add(1)))
	defer l.flying.Add(-1)
	begun := time.Now()
	status, text, err := l.ask(client, c)
	ended := time.Now()
	if err != nil {
		l.fail("%s: %v", c.group, err)
		return 0
	}
	why := c.judge(begun, ended, status)
	if why != "" {
		l.fail("%s: %s: %d %s", c.group, why, status, text)
	}
	if client != l.strange {
		l.mu.Lock()
		l.latencies[c.group] = append(l.latencies[c.group], ended.Sub(due))
		l.mu.Unlock()
	}
	return status
}

// ask sends one request. A request that the client had to repeat is an error.
func (l *load) ask(client *http.Client, c *credential) (status int, text string, err error) {
	connections := 0
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connections++ }})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		return 0, "", err
	}
	req.Header.Set(c.header, c.value)
	if client == l.strange {
		n := l.guesses.Add(1)
		req.Header.Set("X-Forwarded-For", fmt.Sprintf("10.%d.%d.%d", byte(n>>16), byte(n>>8), byte(n)))
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	body, err := io.ReadAll(res.Body)
	if err == nil && connections != 1 {
		err = fmt.Errorf("it took %d connections", connections)
	}
	_ = res.Body.Close()
	return res.StatusCode, strings.Join(strings.Fields(string(body[:min(len(body), 200)])), " "), err
}

// groups returns the credentials that fit, by group, and the groups in order.
func (l *load) groups(fit func(*credential) bool) ([]string, map[string][]*credential) {
	l.mu.Lock()
	defer l.mu.Unlock()
	by := map[string][]*credential{}
	for _, c := range l.all {
		if fit(c) {
			by[c.group] = append(by[c.group], c)
		}
	}
	return slices.Sorted(maps.Keys(by)), by
}

// pace sends requests at a rate until ctx ends, by turns for each group that
// has a credential that fits, and waits for the last.
func (l *load) pace(ctx context.Context, rate float64, clients []*http.Client, fit func(*credential) bool) int {
	var wg sync.WaitGroup
	defer wg.Wait()
	begun := time.Now()
	for n := 0; ; n++ {
		due := begun.Add(time.Duration(float64(n) / rate * float64(time.Second)))
		timer := time.NewTimer(time.Until(due))
		select {
		case <-ctx.Done():
			timer.Stop()
			return n
		case <-timer.C:
		}
		names, by := l.groups(fit)
		if len(names) == 0 {
			continue
		}
		c, client := pick(by[names[n%len(names)]]), pick(clients)
		if !c.take(client == l.strange) {
			continue
		}
		wg.Go(func() {
			defer c.land()
			l.send(client, c, due)
		})
	}
}

func pick[T any](list []T) T { return list[rand.IntN(len(list))] }

// capacity measures how many requests a second the machine holds, client
// included, with credentials that were seen before.
func (l *load) capacity(most time.Duration) float64 {
	names, by := l.groups(func(c *credential) bool { return c.good(time.Now()) })
	for _, name := range names {
		for _, c := range by[name] {
			l.send(l.callers[0], c, time.Now())
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	var done atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := i; ctx.Err() == nil; n++ {
				l.send(pick(l.callers), pick(by[names[n%len(names)]]), time.Now())
				done.Add(1)
			}
		})
	}
	wg.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.latencies)
	return float64(done.Load()) / most.Seconds()
}

// inForce waits until a credential is accepted, or refused, and reports how
// long after a change that was. A request that begins after the limit must find
// it so.
func (l *load) inForce(what string, since time.Time, limit time.Duration, c *credential, accepted bool) {
	for {
		begun := time.Now()
		if status := l.send(l.strange, c, begun); (status == http.StatusOK) == accepted {
			l.noticed(what, limit, begun.Sub(since))
			return
		}
		if begun.Sub(since) > limit {
			l.fail("%s: not in force after %s", what, limit)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// noticed notes how long after a change the first request began that found it
// in force.
func (l *load) noticed(what string, limit, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	what = fmt.Sprintf("%s (limit %s)", what, limit)
	l.took[what] = append(l.took[what], took.Round(time.Millisecond))
}

// finish reports, and fails the test for whatever was wrong.
func (l *load) finish(guesses int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, what := range slices.Sorted(maps.Keys(l.took)) {
		took := slices.Sorted(slices.Values(l.took[what]))
		l.report = append(l.report, fmt.Sprintf("%s: %d times, %s to %s", what, len(took), took[0], took[len(took)-1]))
	}
	accepted, refused := map[string]int{}, map[string]int{}
	for _, c := range l.all {
		accepted[c.group] += c.accepted
		refused[c.group] += c.turnedOff
	}
	for _, group := range slices.Sorted(maps.Keys(accepted)) {
		took := slices.Sorted(slices.Values(l.latencies[group]))
		at := func(q float64) time.Duration { return took[int(q*float64(len(took)-1))].Round(10 * time.Microsecond) }
		l.report = append(l.report, fmt.Sprintf("%s: %d had to be accepted, %d refused; latency median %s, p99 %s, most %s",
			group, accepted[group], refused[group], at(0.5), at(0.99), at(1)))
		if accepted[group] == 0 || refused[group] == 0 {
			l.t.Errorf("%s: the test proves nothing", group)
		}
	}
	l.t.Logf("%d guesses; at most %d requests under way\n%s", guesses, l.most.Load(), strings.Join(l.report, "\n"))
	if n := len(l.wrong); n > 0 {
		l.t.Errorf("%d requests went wrong:\n%s", n, strings.Join(l.wrong[:min(n, 30)], "\n"))
	}
}
