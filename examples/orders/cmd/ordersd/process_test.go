//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/examples/orders/internal/pgtest"
)

// binary builds ordersd once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "ordersd")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "ordersd")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := pgtest.Run(m)
	if path, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// process is ordersd as its users run it.
type process struct {
	*running
	cmd    *exec.Cmd
	stderr *logBuffer
	took   time.Duration // until it was ready
}

// spawn starts ordersd in a world and waits until it is ready.
func spawn(t *testing.T, w *world) *process {
	t.Helper()
	return spawnFor(t, w, "http", http.DefaultClient)
}

// spawnFor is spawn for a client that speaks the scheme.
func spawnFor(t *testing.T, w *world, scheme string, client *http.Client) *process {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	addr := freeAddr(t)
	p := &process{running: &running{world: w, t: t, addr: addr, log: &logBuffer{}}, cmd: exec.Command(path), stderr: &logBuffer{}}
	p.cmd.Env = append(slices.Clone(w.environ), "HTTP_ADDR="+addr)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.stderr
	begun := time.Now()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); _ = p.cmd.Wait() })
	for {
		resp, err := client.Get(scheme + "://" + addr + "/readyz")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				p.took = time.Since(begun)
				return p
			}
		}
		if time.Since(begun) > 30*time.Second {
			t.Fatalf("not ready: %v\n%s%s", err, p.log.String(), p.stderr.String())
		}
		time.Sleep(time.Millisecond)
	}
}

// freeAddr returns an address of the loopback interface that nobody uses.
func freeAddr(t *testing.T) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = free.Close() }()
	return free.Addr().String()
}

// proc returns a number of a file under /proc/PID.
func (p *process) proc(file, field string) int {
	p.t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, file))
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				p.t.Fatal(err)
			}
			return n
		}
	}
	p.t.Fatalf("no %s in %s", field, file)
	return 0
}

// exit waits for the end of the process and returns its code.
func (p *process) exit() int {
	p.t.Helper()
	err := p.cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return p.cmd.ProcessState.ExitCode()
}

// tally counts what clients saw.
type tally struct{ answered, refused, lost atomic.Int64 }

// order places orders at a pace until it is refused a connection.
func (p *process) order(client *http.Client, token string, pace time.Duration, sum *tally) {
	p.orderUntil(client, token, pace, sum, nil)
}

// orderUntil is order, but ends when leave is closed.
func (p *process) orderUntil(client *http.Client, token string, pace time.Duration, sum *tally, leave <-chan struct{}) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		select {
		case <-leave:
			return
		case <-tick.C:
		}
		body := `{"customer_id":"cust_1","currency":"EUR","items":[{"sku":"TEA-1","quantity":1,"unit_price_cents":100}]}`
		req, err := http.NewRequest(http.MethodPost, "http://"+p.addr+"/orders", io.NopCloser(strings.NewReader(body)))
		if err != nil {
			p.t.Error(err)
			return
		}
		req.ContentLength = int64(len(body)) // and no GetBody: the client must not retry by itself
		req.Header.Set("Authorization", token)
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		if dial := (*net.OpError)(nil); errors.As(err, &dial) && dial.Op == "dial" {
			sum.refused.Add(1)
			return
		}
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		if err != nil || resp.StatusCode != http.StatusCreated {
			sum.lost.Add(1)
			p.t.Errorf("lost an order: %v %v", resp, err)
			return
		}
		sum.answered.Add(1)
	}
}

// Every request that was accepted before the listener closed is answered.
func TestTerminateUnderLoad(t *testing.T) {
	p := spawn(t, newWorld(t))
	token := p.token("load", "api:write")
	const clients, rate = 25, 500
	var sum tally
	var wg sync.WaitGroup
	for range clients {
		client := &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}
		wg.Go(func() { p.order(client, token, clients*time.Second/rate, &sum) })
	}
	for sum.answered.Load() < rate { // a second of load
		if t.Failed() {
			t.FailNow()
		}
		time.Sleep(time.Millisecond)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if code := p.exit(); code != 0 {
		t.Errorf("exit %d\n%s", code, p.stderr.String())
	}
	t.Logf("%d answered, %d connections refused after the listener closed, %d lost", sum.answered.Load(), sum.refused.Load(), sum.lost.Load())
}

// A caller without a token gets its answer, and its 64 MiB stay where they are.
func TestAnonymousFlood(t *testing.T) {
	p := spawn(t, newWorld(t))
	p.call(http.MethodGet, "/users/public", "", "", nil) // warm
	const calls, size = 8, 64 << 20
	rss, read := p.proc("status", "VmRSS"), p.proc("io", "rchar")
	for range calls {
		conn, err := net.Dial("tcp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST /orders HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", size)
		go func() { // until the server has had enough
			chunk := bytes.Repeat([]byte{' '}, 64<<10)
			for range size / len(chunk) {
				if _, err := conn.Write(chunk); err != nil {
					return
				}
			}
		}()
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s %v", resp.Status, resp.Header)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = conn.Close()
	}
	if grown := p.proc("io", "rchar") - read; grown > calls*256<<10 {
		t.Errorf("the process read %d KiB a call", grown/calls>>10)
	}
	if grown := p.proc("status", "VmRSS") - rss; grown > 4<<10 {
		t.Errorf("resident memory grew by %d KiB", grown)
	}
}

func TestSignals(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		p := spawn(t, newWorld(t))
		if err := p.cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if code := p.exit(); code != 0 || p.stderr.String() != "" {
			t.Errorf("%v: exit %d, %s", sig, code, p.stderr.String())
		}
	}
}

// A second signal does not wait for a request that takes its time.
func TestSecondSignal(t *testing.T) {
	p := spawn(t, newWorld(t))
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /orders HTTP/1.1\r\nHost: shop\r\nAuthorization: %s\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", p.token("slow", "api:write"))
	begun := time.Now()
	for p.log.String() == "" || !strings.Contains(p.log.String(), `"draining"`) && !strings.Contains(p.log.String(), "stop") {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		if time.Since(begun) > 10*time.Second {
			t.Fatal("it does not begin to stop: ", p.log.String())
		}
		time.Sleep(10 * time.Millisecond)
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if code := p.exit(); code != 1 || time.Since(begun) > 4*time.Second {
		t.Errorf("exit %d after %v\n%s%s", code, time.Since(begun), p.log.String(), p.stderr.String())
	}
}

// What a process costs that has nothing to do: its own memory; pages of its file
// are the system's to take back. The best of three: machines are noisy, and it
// is the service that is measured.
func TestFootprint(t *testing.T) {
	w := newWorld(t)
	spawn(t, w) // makes the database
	took, own, file := time.Hour, 1<<30, 0
	for range 3 {
		p := spawn(t, w)
		took, own, file = min(took, p.took), min(own, p.proc("status", "RssAnon")), p.proc("status", "RssFile")
	}
	t.Logf("ready after %v, %d KiB of its own, %d KiB of its file", took, own, file)
	if took > 300*time.Millisecond {
		t.Errorf("ready after %v", took)
	}
	if own > 16<<10 {
		t.Errorf("%d KiB of its own", own)
	}
}
