// Package readme tests that what README shows works as it stands.
package readme

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

const root = "../.."

// snippets returns README's Go files by their package's name.
func snippets(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, m := range regexp.MustCompile("(?s)```go\n(package (\\w+)\n.*?)```").FindAllStringSubmatch(string(text), -1) {
		found[m[2]] = m[1]
	}
	return found
}

// A newcomer's service: the design and the main of README, generated, built,
// called and stopped.
func TestService(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: README's service is not generated with -short")
	}
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	code := snippets(t)
	if code["design"] == "" || code["main"] == "" {
		t.Fatalf("README shows no design or no main: %v", code)
	}
	checkout, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	command("mod", "init", "example.com/hello")
	command("mod", "edit", "-require", "github.com/aguada-dev/aguada@v0.0.0", "-replace", "github.com/aguada-dev/aguada="+checkout)
	command("get", "-tool", "goa.design/goa/v3/cmd/goa@v3.30.0")
	write("design/design.go", code["design"])
	write("cmd/hellod/main.go", code["main"])
	command("tool", "goa", "gen", "example.com/hello/design")
	command("mod", "tidy")
	command("build", "-o", "hellod", "./cmd/hellod")
	call(t, filepath.Join(dir, "hellod"))
}

// call starts the binary, greets, and stops it.
func call(t *testing.T, binary string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary)
	cmd.Env = []string{"HTTP_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "LOG_FORMAT=json"}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var line struct{ Msg, Address string }
	lines := bufio.NewScanner(stdout)
	for line.Address == "" && lines.Scan() {
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
	}
	go func() { _, _ = io.Copy(io.Discard, stdout) }()
	for body, want := range map[string]string{`{"name":"Goa"}`: `200 "hello, Goa"`, `{}`: "400", strings.Repeat(" ", 5<<10): "413"} {
		resp, err := http.Post("http://"+line.Address+"/greet", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if got := fmt.Sprint(resp.StatusCode, " ", string(text)); err != nil || !strings.HasPrefix(got, want) {
			t.Errorf("%.20s: %s, %v; want %s", body, got, err, want)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
