package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	if calledAsProtoc(os.Args[0]) {
		main()
	}
	testscript.Main(m, map[string]func(){
		"aguada":           main,
		"generatorversion": func() { fmt.Println(generatorVersion) },
		"hashdesign": func() {
			sum, err := hashDesign(os.Args[1])
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			fmt.Println(sum)
		},
	})
}

// TestScripts runs the command on a small service: real processes, real ports.
func TestScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs services")
	}
	home, err := goEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			env.Vars = append(env.Vars, home...)
			return os.CopyFS(filepath.Join(env.WorkDir, "shop"), os.DirFS(filepath.Join("testdata", "shop")))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await":   await,
			"get":     get,
			"paste":   paste,
			"mode":    mode,
			"replace": replace,
			"require": require,
		},
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
	})
}

// goEnvironment returns what the go command needs in the empty environment of
// a script to use the caches of this machine.
func goEnvironment() ([]string, error) {
	var env []string
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOTOOLCHAIN", "GOROOT"} {
		out, err := exec.Command("go", "env", name).Output()
		if err != nil {
			return nil, fmt.Errorf("go env %s: %w", name, err)
		}
		env = append(env, name+"="+strings.TrimSpace(string(out)))
	}
	// A program built with the race detector lingers for a second otherwise.
	return append(env, "GOFLAGS=", "GOWORK=off", "GORACE=atexit_sleep_ms=0"), nil
}

// patience is how long a condition may take on a busy machine.
const patience = 3 * time.Minute

// await FILE REGEXP [COUNT] waits until a file matches (COUNT times).
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: await FILE REGEXP [COUNT]")
	}
	count := 1
	if len(args) == 3 {
		if _, err := fmt.Sscan(args[2], &count); err != nil {
			ts.Fatalf("await: %v", err)
		}
	}
	re := regexp.MustCompile("(?m)" + args[1])
	var content []byte
	if !eventually(func() bool {
		content, _ = os.ReadFile(ts.MkAbs(args[0]))
		return len(re.FindAll(content, count)) == count
	}) {
		ts.Fatalf("%s never matched %q %d times:\n%s", args[0], args[1], count, content)
	}
}

// eventually polls a condition of another process.
func eventually(condition func() bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	clock := time.NewTicker(20 * time.Millisecond)
	defer clock.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			return false
		case <-clock.C:
		}
	}
	return true
}

var serviceURL = regexp.MustCompile(`(?m)^  service +(\S+)$`)

func baseURL(ts *testscript.TestScript, log string) string {
	found := serviceURL.FindStringSubmatch(ts.ReadFile(log))
	if found == nil {
		ts.Fatalf("%s has no address", log)
	}
	return found[1]
}

// get LOG PATH gets a path of the service whose banner is in LOG, and writes
// the answer to the file "answer". With ! the request must fail.
func get(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: get LOG PATH")
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	res, err := client.Get(baseURL(ts, args[0]) + args[1])
	if neg {
		if err == nil {
			_ = res.Body.Close()
			ts.Fatalf("unexpected answer %s", res.Status)
		}
		return
	}
	ts.Check(err)
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("answer"), body, 0o600))
}

// paste LOG gives the curl command of a banner to a shell, as a user would,
// and writes the answer to the file "answer".
func paste(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: paste LOG")
	}
	_, command, ok := strings.Cut(ts.ReadFile(args[0]), "\ncurl ")
	command, _, ended := strings.Cut(command, "\n\n")
	if !ok || !ended {
		ts.Fatalf("%s has no curl command", args[0])
	}
	shell := exec.Command("sh")
	shell.Stdin = strings.NewReader("curl -sS " + command + "\n")
	var out, errs bytes.Buffer
	shell.Stdout, shell.Stderr = &out, &errs
	if err := shell.Run(); err != nil {
		ts.Fatalf("curl: %v\n%s", err, errs.String())
	}
	ts.Check(os.WriteFile(ts.MkAbs("answer"), out.Bytes(), 0o600))
}

// mode PERM FILE... checks the permissions of files.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: mode PERM FILE...")
	}
	for _, file := range args[1:] {
		info, err := os.Lstat(ts.MkAbs(file))
		ts.Check(err)
		if got := fmt.Sprintf("%o", info.Mode().Perm()); got != args[0] {
			ts.Fatalf("%s has mode %s, want %s", file, got, args[0])
		}
	}
}

// replace FILE OLD NEW edits a file as an editor does: a new file takes the
// place of the old one.
func replace(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: replace FILE OLD NEW")
	}
	file := ts.MkAbs(args[0])
	old := ts.ReadFile(args[0])
	if !strings.Contains(old, args[1]) {
		ts.Fatalf("%s does not hold %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(file+"~", []byte(strings.ReplaceAll(old, args[1], args[2])), 0o600))
	ts.Check(os.Rename(file+"~", file))
}
