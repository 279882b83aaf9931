//go:build unix

package browsertests

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// scratch holds what all tests share.
var scratch string

// started is the service that the tests share, once one of them needed it.
var started *shop

func TestMain(m *testing.M) {
	os.Exit(func() (status int) {
		var err error
		if scratch, err = os.MkdirTemp("", "aguada-browsertests-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(scratch) }()
		defer func() {
			if started == nil {
				return
			}
			if err := started.stop(); err != nil {
				fmt.Fprintln(os.Stderr, "aguada run ended with", err)
				status = 1
			}
		}()
		return m.Run()
	}())
}

// shop is the reference service under aguada run, and the console beside it.
type shop struct {
	binary, dir              string
	service, issuer, console string
	user, password           string

	process *exec.Cmd
	said    chan string // all of standard error, once it has ended
}

// banner is what the greeting says, by the names of its parts.
var banner = map[string]*regexp.Regexp{
	"service":  regexp.MustCompile(`^  service +(\S+)$`),
	"issuer":   regexp.MustCompile(`^  issuer +(\S+)/$`),
	"console":  regexp.MustCompile(`^  console +(\S+)$`),
	"user":     regexp.MustCompile(`^  user +(\S+) +password`),
	"password": regexp.MustCompile(`^  user .* password (\S+)$`),
}

var start = sync.OnceValues(func() (*shop, error) {
	s := &shop{binary: filepath.Join(scratch, "aguada"), dir: filepath.Join(scratch, "orders")}
	build := exec.Command("go", "build", "-o", s.binary, "./cmd/aguada")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build aguada: %w\n%s", err, out)
	}
	if err := copyOrders(s.dir); err != nil {
		return nil, err
	}
	if err := s.run(); err != nil {
		return nil, err
	}
	started = s
	return s, nil
})

// orders starts the reference service as a user does; all tests share it.
func orders(t *testing.T) *shop {
	t.Helper()
	s, err := start()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// copyOrders copies the reference service, so that its own state is left alone.
func copyOrders(dir string) error {
	root, err := filepath.Abs("..")
	if err != nil {
		return err
	}
	from := filepath.Join(root, "examples", "orders")
	err = filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		to := filepath.Join(dir, rel)
		switch {
		case d.IsDir() && d.Name() == ".aguada":
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(to, 0o755)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(to, content, 0o644)
	})
	if err != nil {
		return err
	}
	edit := exec.Command("go", "mod", "edit", "-replace", "github.com/aguada-dev/aguada="+root)
	edit.Dir = dir
	if out, err := edit.CombinedOutput(); err != nil {
		return fmt.Errorf("replace the module: %w\n%s", err, out)
	}
	return nil
}

// run starts the service and waits for its greeting.
func (s *shop) run() error {
	s.process = exec.Command(s.binary, "run", "--no-watch", "--addr", "127.0.0.1:0", "--console-addr", "127.0.0.1:0", s.dir)
	s.process.Env = append(os.Environ(), "ADMIN_ADDR=", "GRPC_ADDR=", "OTEL_EXPORTER_OTLP_ENDPOINT=",
		"IDEMPOTENCY_SECRET=only-for-these-tests-0123456789abcdef")
	s.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := s.process.StderrPipe()
	if err != nil {
		return err
	}
	if err := s.process.Start(); err != nil {
		return err
	}
	greeted := make(chan map[string]string, 1)
	s.said = make(chan string, 1)
	go func() { s.said <- listenTo(pipe, greeted) }()
	select {
	case found := <-greeted:
		if len(found) != len(banner) {
			return errors.Join(fmt.Errorf("the greeting says only %v", found), s.stop())
		}
		s.service, s.issuer, s.console = found["service"], found["issuer"], found["console"]
		s.user, s.password = found["user"], found["password"]
		return nil
	case <-time.After(patience):
		return errors.Join(errors.New("the service never became ready"), s.stop())
	}
}

// listenTo reads standard error to its end, and tells what the greeting says.
func listenTo(pipe io.Reader, greeted chan<- map[string]string) string {
	defer close(greeted)
	said, found := strings.Builder{}, map[string]string{}
	lines := bufio.NewScanner(pipe)
	for lines.Scan() {
		said.WriteString(lines.Text() + "\n")
		for name, re := range banner {
			if m := re.FindStringSubmatch(lines.Text()); m != nil {
				found[name] = m[1]
			}
		}
		if strings.Contains(lines.Text(), "Ctrl-C stops the service") {
			greeted <- found
		}
	}
	_, _ = io.Copy(io.Discard, pipe) // what is no line
	return said.String()
}

// stop ends it as Ctrl-C does.
func (s *shop) stop() error {
	_ = s.process.Process.Signal(os.Interrupt) // it may have ended
	said := <-s.said
	if err := s.process.Wait(); err != nil {
		return fmt.Errorf("%w\n%s", err, said)
	}
	return nil
}
