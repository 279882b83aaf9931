package transport

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/transport/internal/streamsvc/gen/tape"
)

// What ten thousand open streams of events may take, just opened, and each once
// what was needed to open them is collected: 4.1 KB of stack and 3.6 KB of heap. By
// itself net/http takes 27,000 bytes for each.
const (
	maxResident    = 150 << 20
	bytesPerStream = 10_800
	grown          = 4 << 20 // by the process, for few as for many
)

// TestMemoryServer is the server of TestMemoryOfEvents, in its own process.
func TestMemoryServer(t *testing.T) {
	if os.Getenv("AGUADA_MEMORY_SERVER") == "" {
		t.Skip("is run by TestMemoryOfEvents")
	}
	r := newTape(t, func(m *policy.Method) { m.StreamIdle = policy.Duration(time.Hour) }, func(c *Config) { c.Logger = slog.New(slog.DiscardHandler) })
	r.svc.ticks = func(ctx context.Context, _ *tape.TicksPayload, s tape.TicksServerStream) error {
		if err := s.Send(&tape.Tick{ID: "1", Text: "open"}); err != nil {
			return err
		}
		return until(ctx)
	}
	fmt.Println("listening on", r.listen(t))
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if lines.Text() == "collect" {
			debug.FreeOSMemory() // the runtime itself would wait for more garbage
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			fmt.Println("collected", m.StackInuse, m.HeapAlloc, m.HeapInuse)
			continue
		}
		begun := time.Now()
		r.h.CloseStreams()
		r.ended(t)
		fmt.Println("drained in", time.Since(begun).Milliseconds())
	}
}

// resident returns the resident memory of a process, in bytes.
func resident(t *testing.T, pid int) int {
	t.Helper()
	status := string(must(os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)))(t))
	_, rest, _ := strings.Cut(status, "VmRSS:")
	return must(strconv.Atoi(strings.Fields(rest)[0]))(t) << 10
}

// Ten thousand open streams of events take no more than 150 MiB of resident
// memory, all of the process included, as soon as they are open, and end within a few seconds. Without
// AGUADA_LONG=1 they are one thousand.
func TestMemoryOfEvents(t *testing.T) {
	if raced {
		t.Skip("the race detector takes memory too")
	}
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("there is no /proc")
	}
	n := 1000
	if os.Getenv("AGUADA_LONG") == "1" {
		n = 10_000
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestMemoryServer$", "-test.v")
	cmd.Env = append(os.Environ(), "AGUADA_MEMORY_SERVER=1")
	out, in := must(cmd.StdoutPipe())(t), must(cmd.StdinPipe())(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = in.Close(), cmd.Wait() })
	lines := bufio.NewScanner(out)
	said := func(what string) string {
		for lines.Scan() {
			if _, rest, ok := strings.Cut(lines.Text(), what); ok {
				return rest
			}
		}
		t.Fatal("the server ended")
		return ""
	}
	addr := said("listening on ")
	before := resident(t, cmd.Process.Pid)
	conns := make([]net.Conn, n)
	for i := range conns {
		conns[i] = must(net.Dial("tcp", addr))(t)
		defer conns[i].Close()
		_, _ = io.WriteString(conns[i], "GET /ticks HTTP/1.1\r\nHost: tape.test\r\nAccept: text/event-stream\r\nUser-Agent: memory\r\n\r\n")
		if resp, err := http.ReadResponse(bufio.NewReaderSize(conns[i], 1<<10), nil); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("stream %d: %v", i, err)
		}
	}
	opened := resident(t, cmd.Process.Pid)
	_, _ = io.WriteString(in, "collect\n")
	var stack, heap, spans int
	_, _ = fmt.Sscan(said("collected"), &stack, &heap, &spans)
	after := resident(t, cmd.Process.Pid)
	t.Logf("%d streams: %d MB before, %d MB when opened, %d MB once collected, %d bytes each; stacks %d MB, heap %d MB in %d MB of spans",
		n, before/1e6, opened/1e6, after/1e6, (after-before)/n, stack/1e6, heap/1e6, spans/1e6)
	if opened > maxResident || after-before > grown+bytesPerStream*n {
		t.Errorf("%d bytes each, want %d at most; %d in all, want %d", (after-before)/n, bytesPerStream, opened, maxResident)
	}
	_, _ = io.WriteString(in, "drain\n")
	if took := must(strconv.Atoi(strings.TrimSpace(said("drained in "))))(t); took > 5000 {
		t.Errorf("drained in %d ms", took)
	}
}
