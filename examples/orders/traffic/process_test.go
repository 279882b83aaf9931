//go:build linux

package traffic

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/examples/orders/internal/pgtest"
)

// patience bounds all waiting for what has to come.
const patience = 30 * time.Second

// long says that the tests run in full.
var long = os.Getenv("AGUADA_LONG") == "1"

// scaled returns how much of something there is: all of it in the long run.
func scaled(all, some int) int {
	if long {
		return all
	}
	return some
}

// binaries is where ordersd is built.
var binaries string

func TestMain(m *testing.M) {
	code := 1
	defer func() { os.Exit(code) }()
	dir, err := os.MkdirTemp("", "ordersd")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binaries = dir
	code = pgtest.Run(m)
}

// ordersd builds the service once.
var ordersd = sync.OnceValues(func() (string, error) {
	path := filepath.Join(binaries, "ordersd")
	if out, err := exec.Command("go", "build", "-o", path, "../cmd/ordersd").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build ordersd: %w: %s", err, out)
	}
	return path, nil
})

// process is a replica of the service.
type process struct {
	t          *testing.T
	cmd        *exec.Cmd
	log        *journal
	stderr     *journal
	http, grpc string        // addresses
	ended      chan struct{} // closed when it has
}

// launch starts a replica and waits until it serves. It is gone when the test
// ends.
func launch(t *testing.T, environ []string) *process {
	t.Helper()
	path, err := ordersd()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: exec.Command(path), log: newJournal(), stderr: newJournal(), ended: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = environ, p.log, p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait()
	}()
	t.Cleanup(p.kill)
	serving := p.await("serving")
	p.http, p.grpc = serving.text("address"), serving.text("grpc")
	return p
}

// kill leaves the process no time for anything, and waits for its end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// terminate asks the process to stop.
func (p *process) terminate() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
}

// exit waits for the end of the process and returns its code.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(2 * patience):
		p.t.Fatalf("the process does not end\n%s", p.log)
	}
	return p.cmd.ProcessState.ExitCode()
}

// await waits for a message in the log.
func (p *process) await(msg string) line {
	p.t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		found, more := p.log.find(msg)
		if found != nil {
			return found
		}
		select {
		case <-more:
		case <-p.ended:
			if found, _ := p.log.find(msg); found != nil {
				return found
			}
			p.t.Fatalf("the process has ended before %q\n%s%s", msg, p.log, p.stderr)
		case <-timer.C:
			p.t.Fatalf("%q does not come\n%s%s", msg, p.log, p.stderr)
		}
	}
}

// resident returns the resident memory of the process, in bytes.
func (p *process) resident() int {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		p.t.Fatal(err)
	}
	return kib << 10
}

// line is a line of the log.
type line map[string]any

func (l line) text(key string) string {
	s, _ := l[key].(string)
	return s
}

// journal is what a process writes, less the lines of calls that succeeded: of
// these there are too many. It may be read while it is written.
type journal struct {
	mu      sync.Mutex
	partial []byte
	lines   []line
	raw     bytes.Buffer
	changed chan struct{} // closed when there is more
}

func newJournal() *journal { return &journal{changed: make(chan struct{})} }

// Write implements io.Writer.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.partial = append(j.partial, p...)
	for {
		text, rest, ok := bytes.Cut(j.partial, []byte("\n"))
		if !ok {
			break
		}
		if !bytes.Contains(text, []byte(`"level":"INFO","msg":"request"`)) {
			parsed := line{}
			if err := json.Unmarshal(text, &parsed); err != nil {
				parsed = line{"msg": string(text)}
			}
			j.lines = append(j.lines, parsed)
			j.raw.Write(text)
			j.raw.WriteByte('\n')
		}
		j.partial = rest
	}
	j.partial = bytes.Clone(j.partial)
	close(j.changed)
	j.changed = make(chan struct{})
	return len(p), nil
}

// String returns what was written, or the end of it.
func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	const most = 8 << 10
	all := j.raw.String()
	if len(all) > most {
		all = "…" + all[len(all)-most:]
	}
	return all + string(j.partial)
}

// find returns the first line with a message, and a channel that is closed when
// there are more.
func (j *journal) find(msg string) (line, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, l := range j.lines {
		if l.text("msg") == msg {
			return l, j.changed
		}
	}
	return nil, j.changed
}

// last returns the last line.
func (j *journal) last() line {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.lines) == 0 {
		return nil
	}
	return j.lines[len(j.lines)-1]
}

// stopped checks how a process ended that was asked to: in time, with nothing
// cut, and saying so last. It returns how long that took.
func (p *process) stopped(asked time.Time, budget time.Duration) time.Duration {
	p.t.Helper()
	code, took := p.exit(), time.Since(asked)
	last := p.log.last()
	if code != 0 || last.text("msg") != "stopped" || last.text("level") != "INFO" || last.text("error") != "" || p.stderr.String() != "" {
		p.t.Errorf("exit %d, the last line of the log is %v\n%s%s", code, last, p.log, p.stderr)
	}
	if took > budget {
		p.t.Errorf("the stop took %s, the budget is %s", took, budget)
	}
	return took
}

// phases tells how long each phase of a stop took.
func (p *process) phases() string {
	var all []string
	for _, msg := range []string{"drain delay over", "stopped accepting", "in flight finished", "hooks finished", "stopped"} {
		l, _ := p.log.find(msg)
		if ms, ok := l["duration_ms"].(float64); ok {
			all = append(all, fmt.Sprintf("%s %.0f ms", msg, ms))
		}
	}
	return strings.Join(all, ", ")
}

// program returns the path of a foreign client, or skips the test: but not in
// CI.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	path, err = filepath.Abs(filepath.Join("..", "..", "..", ".tools", name))
	if err == nil {
		_, err = os.Stat(path)
	}
	if err == nil {
		return path
	}
	if !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("SKIPPED: %s is not installed (make tools; Debian has wrk); nothing is known of how it gets along with the service", name)
	return ""
}
