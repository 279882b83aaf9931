package adaptive_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/limit/adaptive"
)

// The curves are measured on real processes: a server and a client whose calls
// come at their own rate, whether or not earlier ones have been answered. This
// binary is all of them.

const roleVariable = "ADAPTIVE_TEST_ROLE"

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(roleVariable) {
	case "server":
		err = serveLoad(os.Args[1], os.Args[2] == "shed")
	case "client":
		err = offerLoad()
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// compute takes about two milliseconds of a processor.
func compute(rounds int) byte {
	var block [4096]byte
	for range rounds {
		sum := sha256.Sum256(block[:])
		copy(block[:], sum[:])
	}
	return block[0]
}

// calibrate returns how many rounds take that much of a processor, whoever else
// uses it.
func calibrate(d time.Duration) (int, error) {
	used := func() (time.Duration, error) {
		var u syscall.Rusage
		err := syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		return time.Duration(u.Utime.Nano()), err
	}
	compute(1000)
	before, err := used()
	if err != nil {
		return 0, err
	}
	const rounds = 20_000
	compute(rounds)
	after, err := used()
	return int(rounds * d / max(1, after-before)), err
}

// serveLoad answers on a port that it prints, until its input ends.
func serveLoad(kind string, shed bool) error {
	l, err := adaptive.New(adaptive.Config{})
	if err != nil {
		return err
	}
	m := l.Method(adaptive.Normal)
	rounds, err := calibrate(2 * time.Millisecond)
	if err != nil {
		return err
	}
	pool := make(chan struct{}, 10)
	work := func() {
		if kind == "processor" {
			compute(rounds)
			return
		}
		pool <- struct{}{}
		time.Sleep(20 * time.Millisecond)
		<-pool
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		start := time.Now()
		if shed && !m.Acquire() {
			w.Header().Set("Retry-After", strconv.Itoa(l.RetryAfter()))
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		work()
		w.Write([]byte("done"))
		if shed {
			m.Release(time.Since(start), adaptive.Served)
		}
	}))
	fmt.Println(ln.Addr())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// offer is what the client is told, answers what it tells.
type offer struct {
	URL     string
	Rate    float64 // calls in a second
	For     time.Duration
	Skip    time.Duration // that is not counted
	Give    time.Duration // when callers give up
	Pending int           // at most
}

type answers struct {
	Offered, Good, Refused, Late, Other int
	P50, P99, RefusedP99                time.Duration
}

// offerLoad reads offers, a line each, and prints what became of the calls.
func offerLoad() error {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var o offer
		if err := json.Unmarshal(in.Bytes(), &o); err != nil {
			return err
		}
		if err := json.NewEncoder(os.Stdout).Encode(o.run()); err != nil {
			return err
		}
	}
	return in.Err()
}

func (o offer) run() answers {
	t := &http.Transport{MaxIdleConnsPerHost: o.Pending, MaxIdleConns: 0, DisableCompression: true}
	defer t.CloseIdleConnections()
	var (
		a            answers
		mu           sync.Mutex
		took, turned []time.Duration
		wg           sync.WaitGroup
	)
	begin := time.Now()
	for at := time.Duration(0); at < o.For; at += time.Duration(rand.ExpFloat64() / o.Rate * float64(time.Second)) {
		if wait := at - time.Since(begin); wait > 0 {
			time.Sleep(wait)
		}
		due := begin.Add(at)
		wg.Go(func() {
			ctx, cancel := context.WithDeadline(context.Background(), due.Add(o.Give))
			defer cancel()
			status, err := o.call(ctx, t)
			d := time.Since(due)
			if due.Sub(begin) < o.Skip {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			a.Offered++
			switch {
			case status == http.StatusOK:
				a.Good++
				took = append(took, d)
			case status == http.StatusServiceUnavailable:
				a.Refused++
				turned = append(turned, d)
			case errors.Is(err, context.DeadlineExceeded):
				a.Late++
			default:
				a.Other++
			}
		})
	}
	wg.Wait()
	a.P50, a.P99, a.RefusedP99 = quantile(took, 0.5), quantile(took, 0.99), quantile(turned, 0.99)
	return a
}

func (o offer) call(ctx context.Context, t *http.Transport) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, o.URL, nil)
	if err != nil {
		return 0, err
	}
	res, err := t.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	if err != nil {
		return 0, err
	}
	return res.StatusCode, nil
}

func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[int(q*float64(len(d)-1))]
}

// process starts this binary in a role, on a processor of its own where the
// machine has two and taskset.
func process(t *testing.T, role string, cpu int, args ...string) (io.WriteCloser, *bufio.Scanner) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	line := append([]string{self}, args...)
	if pin, err := exec.LookPath("taskset"); err == nil && cpus() > 1 {
		line = append([]string{pin, "-c", strconv.Itoa(cpu)}, line...)
	}
	cmd := exec.CommandContext(t.Context(), line[0], line[1:]...)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	return in, bufio.NewScanner(out)
}

func cpus() int {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return 1
	}
	return strings.Count(string(text), "processor\t:")
}

// TestMeasuredCurves prints what a service does under load with and without
// shedding, as a table. The figures are the machine's: they are taken where
// ADAPTIVE_CURVES is set, and otherwise only counts are checked, briefly.
func TestMeasuredCurves(t *testing.T) {
	long := os.Getenv("ADAPTIVE_CURVES") != ""
	if testing.Short() {
		t.Skip("starts processes")
	}
	loads, modes := []float64{0.2, 3}, []string{"shed"}
	if long {
		loads, modes = []float64{0.2, 0.5, 0.8, 1, 1.5, 2, 3, 5, 10}, []string{"shed", "bare"}
	}
	var table strings.Builder
	for _, kind := range []string{"processor", "pool"} {
		for _, load := range loads {
			fmt.Fprintf(&table, "| %s | %.1fx |", kind, load)
			for _, mode := range modes {
				a, d := measure(t, kind, mode, load, long)
				if a.Offered != a.Good+a.Refused+a.Late+a.Other || a.Other > 0 || (a.Good == 0 && mode == "shed") {
					t.Errorf("%s at %vx: %+v", kind, load, a)
				}
				if kind == "pool" && load == 3 && mode == "shed" && a.Refused == 0 {
					t.Errorf("%s at %vx: nothing was refused", kind, load)
				}
				fmt.Fprintf(&table, " %.0f | %.0f | %.1f | %.1f |", float64(a.Good)/d.Seconds(), float64(a.Refused)/d.Seconds(), float64(a.P50)/1e6, float64(a.P99)/1e6)
			}
			table.WriteByte('\n')
		}
	}
	t.Logf("capacity about 480/s; calls in a second answered, refused; ms p50, p99 (%s)\n%s", strings.Join(modes, ", then "), &table)
}

// measure offers a load to a new server, which has seen a light one before.
func measure(t *testing.T, kind, mode string, load float64, long bool) (answers, time.Duration) {
	t.Helper()
	server, lines := process(t, "server", 0, kind, mode)
	defer server.Close()
	client, results := process(t, "client", 1)
	defer client.Close()
	if !lines.Scan() {
		t.Fatalf("no server: %v", lines.Err())
	}
	o := offer{URL: "http://" + lines.Text() + "/", Rate: 100, For: 2 * time.Second, Give: time.Second, Pending: 4000}
	if !long {
		o.For = time.Second / 2
	}
	ask := func(o offer) (a answers) {
		if err := json.NewEncoder(client).Encode(o); err != nil {
			t.Fatal(err)
		}
		if !results.Scan() {
			t.Fatalf("the client is gone: %v", results.Err())
		}
		if err := json.Unmarshal(results.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
		return a
	}
	ask(o)
	o.Rate, o.For = 500*load, time.Second
	if long {
		o.For, o.Skip = 5*time.Second, 2*time.Second
	}
	return ask(o), o.For - o.Skip
}
