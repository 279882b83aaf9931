// Package pgtest gives tests a PostgreSQL of their own.
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }
//
//	func TestStore(t *testing.T) {
//		db, err := sql.Open("pgx", pgtest.URL(t))
//
// Each URL is a new, empty database. The server is the one that
// AGUADA_TEST_POSTGRES_URL names, whose role must be allowed to create
// databases; else a private one, started from the programs that Debian's package
// postgresql installs and gone with the test's process. Where neither is there,
// tests that ask are skipped and a line says what to install. A server that is
// there and does not start is a failure.
package pgtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

const variable = "AGUADA_TEST_POSTGRES_URL"

// errNone means that there is no PostgreSQL on this machine.
var errNone = errors.New("no PostgreSQL to test with: install it (Debian: apt-get install postgresql), or set " + variable)

// server is the one that the variable names, whose role must be allowed to
// create databases, else a private one of this process.
var server struct {
	sync.Mutex
	asked bool
	url   *url.URL
	err   error
	stop  func()
}

// Run runs the tests and then stops the server, if there is one. It returns
// what TestMain gives to os.Exit.
func Run(m *testing.M) int {
	code := m.Run()
	server.Lock()
	defer server.Unlock()
	if server.stop != nil {
		server.stop()
	}
	if errors.Is(server.err, errNone) {
		fmt.Fprintln(os.Stderr, "SKIPPED all tests with PostgreSQL:", errNone)
	}
	return code
}

// URL returns the URL of a new database, which is dropped when the test
// ends. Its locale does not sort bytewise: a store must not rely on one.
func URL(tb testing.TB) string {
	tb.Helper()
	server.Lock()
	defer server.Unlock()
	if !server.asked {
		server.asked = true
		server.url, server.stop, server.err = findPostgres(tb.Context())
	}
	if errors.Is(server.err, errNone) {
		tb.Skip(server.err)
	}
	if server.err != nil {
		tb.Fatal(server.err)
	}
	u, name := *server.url, "aguada_test_"+strings.ToLower(rand.Text())
	err := execute(tb.Context(), &u, "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'")
	if err != nil {
		tb.Fatalf("create database: %v", err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := execute(ctx, server.url, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			tb.Errorf("drop database: %v", err)
		}
	})
	u.Path = "/" + name
	return u.String()
}

func execute(ctx context.Context, u *url.URL, statement string) error {
	db, err := sql.Open("pgx", u.String())
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, statement)
	return errors.Join(err, db.Close())
}

func findPostgres(ctx context.Context) (*url.URL, func(), error) {
	if text := os.Getenv(variable); text != "" {
		u, err := url.Parse(text)
		if err != nil {
			return nil, nil, errors.New(variable + " is no URL")
		}
		return u, nil, nil
	}
	bin, err := programs()
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "aguada-postgres")
	if err != nil {
		return nil, nil, err
	}
	u, stop, err := startPostgres(ctx, bin, dir)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("start PostgreSQL of %s: %w", bin, err), os.RemoveAll(dir))
	}
	return u, func() { stop(); _ = os.RemoveAll(dir) }, nil
}

// programs returns the folder of the newest initdb and postgres.
func programs() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(strings.Split(path, "/")[4])
		return n
	}
	slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", errNone
}

// startPostgres makes a cluster in dir and starts its server on a free port of
// the loopback interface.
func startPostgres(ctx context.Context, bin, dir string) (*url.URL, func(), error) {
	attr, err := unprivileged(dir)
	if err != nil {
		return nil, nil, err
	}
	password, secret, data := rand.Text(), filepath.Join(dir, "password"), filepath.Join(dir, "data")
	if err := os.WriteFile(secret, []byte(password), 0o644); err != nil { //nolint:gosec // its folder is private
		return nil, nil, err
	}
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", data, "-U", "aguada", "-A", "scram-sha-256",
		"--pwfile", secret, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	initdb.SysProcAttr, initdb.Dir = attr, dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	// The shell ends the server when its own input ends, which is at the
	// latest when this process does, however it does.
	var log bytes.Buffer
	cmd := exec.CommandContext(context.Background(), "/bin/sh", "-c", `"$@" </dev/null & pid=$!; cat >/dev/null; kill -INT $pid; wait $pid`, "sh",
		filepath.Join(bin, "postgres"), "-D", data, "-p", strconv.Itoa(port), "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories="+dir, "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=60")
	cmd.SysProcAttr, cmd.Dir, cmd.Stdout, cmd.Stderr = attr, dir, &log, &log
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	stop := func() { _ = input.Close(); _ = cmd.Wait() }
	u := &url.URL{
		Scheme: "postgres", User: url.UserPassword("aguada", password), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		Path: "/postgres", RawQuery: "sslmode=disable",
	}
	if err := ready(ctx, u); err != nil {
		stop()
		return nil, nil, fmt.Errorf("%w: %s", err, log.String())
	}
	return u, stop, nil
}

// unprivileged returns what makes a program run as somebody who may run
// PostgreSQL, which refuses to be root's, and gives dir to them.
func unprivileged(dir string) (*syscall.SysProcAttr, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err1, err2, os.Chown(dir, int(uid), int(gid))); err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

// ready returns once the server lets somebody in.
func ready(ctx context.Context, u *url.URL) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		err := execute(ctx, u, "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}
