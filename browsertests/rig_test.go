//go:build unix

package browsertests

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// patience is how long a step may take on a busy machine.
const patience = 4 * time.Minute

// chromium returns the browser's program, and skips the test without one.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("SKIPPED: there is no Chromium on PATH, so nothing was clicked")
	return ""
}

// browser opens a tab.
func browser(t *testing.T, path string) context.Context {
	t.Helper()
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.Flag("disable-gpu", true), chromedp.Flag("disable-background-networking", true))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, opts...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	return ctx
}

// do runs steps in a tab.
func do(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

// scheme sets what the page is told of the user's taste: dark or light.
func scheme(name string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, _ *chromedp.Target) (chromedp.Void, error) {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
		})
		return chromedp.Void{}, err
	}
}

// listener is a program that waits for the browser to come back.
type listener struct {
	url  string
	came chan url.Values
}

func listen(t *testing.T) *listener {
	t.Helper()
	l := &listener{came: make(chan url.Values, 8)}
	s := newLoopback(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/callback" {
			http.NotFound(w, r)
			return
		}
		l.came <- r.URL.Query()
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintln(w, `<p id="came">you may close this window</p>`)
	}))
	l.url = s + "/callback"
	return l
}

// wait returns what the browser brought, once it shows the answer: it refuses to
// go elsewhere while it loads.
func (l *listener) wait(t *testing.T, ctx context.Context) url.Values {
	t.Helper()
	select {
	case q := <-l.came:
		do(t, ctx, chromedp.WaitVisible(chromedp.CSS("#came")))
		return q
	case <-ctx.Done():
		where, _ := chromedp.Run(ctx, chromedp.Location())
		t.Fatalf("the browser never came back; it is at %q", where)
		return nil
	}
}

// scratch holds what all tests share.
var scratch string

// build compiles the command line.
var build = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(scratch, "aguada")
	cmd := exec.Command("go", "build", "-o", binary, "./cmd/aguada")
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build aguada: %w\n%s", err, out)
	}
	return binary, nil
})

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if scratch, err = os.MkdirTemp("", "aguada-browsertests-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(scratch) }()
		return m.Run()
	}())
}

// copyOrders copies the reference service, so that its own state is left alone.
func copyOrders(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "orders")
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
		t.Fatal(err)
	}
	edit := exec.Command("go", "mod", "edit", "-replace", "github.com/aguada-dev/aguada="+root)
	edit.Dir = dir
	if out, err := edit.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// shop is the reference service under aguada run.
type shop struct{ service, issuer string }

var banner = map[string]*regexp.Regexp{
	"service": regexp.MustCompile(`^  service +(\S+)$`),
	"issuer":  regexp.MustCompile(`^  issuer +(\S+)/$`),
}

// runOrders starts the reference service as a user does.
func runOrders(t *testing.T) *shop {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "run", "--no-watch", "--addr", "127.0.0.1:0", copyOrders(t))
	cmd.Env = append(os.Environ(), "ADMIN_ADDR=127.0.0.1:0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	found := make(chan map[string]string, 1)
	read := make(chan string, 1)
	go func() {
		said, values := strings.Builder{}, map[string]string{}
		lines := bufio.NewScanner(pipe)
		for lines.Scan() {
			said.WriteString(lines.Text() + "\n")
			for name, re := range banner {
				if m := re.FindStringSubmatch(lines.Text()); m != nil {
					values[name] = m[1]
				}
			}
			if strings.Contains(lines.Text(), "Ctrl-C stops the service") {
				found <- values
				_, _ = io.Copy(io.Discard, pipe)
			}
		}
		close(found)
		read <- said.String()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		<-read
		if err := cmd.Wait(); err != nil {
			t.Errorf("aguada run ended with %v", err)
		}
	})
	select {
	case values := <-found:
		if values["service"] == "" || values["issuer"] == "" {
			said := <-read
			read <- said // for the clean-up
			t.Fatalf("no banner with addresses: %v\n%s", values, said)
		}
		return &shop{values["service"], values["issuer"]}
	case <-time.After(patience):
		t.Fatal("the service never became ready")
	}
	return nil
}
