package security

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// overlayVar names a file as go build -overlay takes it, by which ordersd is
// built: the mutations are in it.
const overlayVar = "AGUADA_OVERLAY"

// patience bounds all waiting for what has to come.
const patience = 20 * time.Second

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
	code = m.Run()
	stopShops()
}

// ordersd builds the service once, as it is or as a mutation has it.
var ordersd = sync.OnceValues(func() (string, error) {
	return build(filepath.Join(binaries, "ordersd"), os.Getenv(overlayVar))
})

// build builds the service without symbols, which nobody looks at here.
func build(path, overlay string) (string, error) {
	args := []string{"build", "-ldflags=-s -w", "-o", path}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	out, err := exec.Command("go", append(args, "../cmd/ordersd")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build ordersd: %w: %s", err, out)
	}
	return path, nil
}

// process is the service as its users run it.
type process struct {
	cmd         *exec.Cmd
	out, stderr *lines
	addr, admin string
	grpc        string
	stopped     chan struct{} // closed when it has ended
	stopOnce    sync.Once
}

// launch starts a binary and waits until it says where it serves.
func launch(path string, environ []string) (*process, error) {
	p := &process{cmd: exec.Command(path), out: newLines(), stderr: newLines(), stopped: make(chan struct{})}
	p.cmd.Env = environ
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.stderr
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.stopped)
	}()
	line, err := p.out.await(p.stopped, func(l line) bool { return l.text("msg") == "serving" })
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("start ordersd: %w\n%s%s", err, p.out, p.stderr)
	}
	p.addr, p.admin, p.grpc = line.text("address"), line.text("admin"), line.text("grpc")
	return p, nil
}

// stop ends the process and waits for it.
func (p *process) stop() {
	p.stopOnce.Do(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.stopped:
		case <-time.After(patience):
			_ = p.cmd.Process.Kill()
			<-p.stopped
		}
	})
}

// run runs a binary to its end, which it must come to by itself.
func run(t *testing.T, path string, environ []string) (code int, output string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), path)
	cmd.Env, cmd.WaitDelay = environ, time.Second
	var buf bytes.Buffer
	cmd.Stdout, cmd.Stderr = &buf, &buf
	timer := time.AfterFunc(patience/4, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer timer.Stop()
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), buf.String()
}

// line is a line of the log.
type line map[string]any

func (l line) text(key string) string {
	s, _ := l[key].(string)
	return s
}

// lines is an output that may be read, and waited for, while it is written.
type lines struct {
	mu      sync.Mutex
	all     bytes.Buffer
	parsed  []line
	next    int           // where the first line begins that is not parsed
	changed chan struct{} // closed when there is more
}

func newLines() *lines { return &lines{changed: make(chan struct{})} }

// Write implements io.Writer.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all.Write(p)
	for {
		rest := l.all.Bytes()[l.next:]
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			break
		}
		parsed := line{}
		_ = json.Unmarshal(rest[:end], &parsed)
		parsed["raw"] = string(rest[:end])
		l.parsed = append(l.parsed, parsed)
		l.next += end + 1
	}
	close(l.changed)
	l.changed = make(chan struct{})
	return len(p), nil
}

// String returns all that was written.
func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// find returns the first line that fits, and a channel that is closed when
// there are more.
func (l *lines) find(fits func(line) bool) (line, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.parsed) - 1; i >= 0; i-- {
		if fits(l.parsed[i]) {
			return l.parsed[i], l.changed
		}
	}
	return nil, l.changed
}

// await waits for a line that fits.
func (l *lines) await(stopped <-chan struct{}, fits func(line) bool) (line, error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		found, more := l.find(fits)
		if found != nil {
			return found, nil
		}
		select {
		case <-more:
		case <-stopped:
			if found, _ := l.find(fits); found != nil {
				return found, nil
			}
			return nil, errors.New("the process has ended")
		case <-timer.C:
			return nil, errors.New("the line does not come")
		}
	}
}

// operate asks the private port.
func (s *shop) operate(t testing.TB, path string) string {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+s.admin+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.adminToken)
	res, err := s.plain.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v\n%s", path, res.Status, err, text)
	}
	return string(text)
}

// failures reads how many credentials of a scheme were refused for a reason.
// The metrics are asked for once between two requests.
func (s *shop) failures(t testing.TB, scheme, reason string) string {
	t.Helper()
	if n := s.number.Load(); s.metrics == "" || n != s.asked {
		s.metrics, s.asked = s.operate(t, "/metrics"), n
	}
	return metric(s.metrics, "aguada_auth_failures_total{", `auth_scheme="`+scheme+`"`, `reason="`+reason+`"`)
}

// metric returns the value of the first sample that has all the texts, "0" if
// there is none.
func metric(all string, texts ...string) string {
next:
	for sample := range strings.Lines(all) {
		for _, text := range texts {
			if !strings.Contains(sample, text) {
				continue next
			}
		}
		fields := strings.Fields(sample)
		return fields[len(fields)-1]
	}
	return "0"
}
