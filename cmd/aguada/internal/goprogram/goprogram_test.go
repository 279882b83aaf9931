package goprogram

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

const module = "example.test/hello"

// proxy makes a file tree that the go command fetches the module from, as from
// a proxy in the network, and nothing else; it returns the program of it.
func proxy(t *testing.T, version string) Program {
	t.Helper()
	dir := t.TempDir()
	versions := filepath.Join(dir, filepath.FromSlash(module), "@v")
	if err := os.MkdirAll(versions, 0o700); err != nil {
		t.Fatal(err)
	}
	goMod := "module " + module + "\n\ngo 1.26\n"
	for name, content := range map[string]string{
		"list": version + "\n", version + ".mod": goMod, version + ".info": `{"Version":"` + version + `"}`,
	} {
		if err := os.WriteFile(filepath.Join(versions, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	archive, err := os.Create(filepath.Join(versions, version+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(archive)
	for name, content := range map[string]string{
		"go.mod": goMod, "cmd/hello/main.go": "package main\n\nfunc main() { println(\"hello\") }\n",
	} {
		w, err := z.Create(module + "@" + version + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(z.Close(), archive.Close()); err != nil {
		t.Fatal(err)
	}
	modules := t.TempDir()
	t.Cleanup(func() { clean(modules) })
	goCache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"GOPROXY": "file://" + filepath.ToSlash(dir), "GOMODCACHE": modules, "GONOSUMDB": "example.test", "GOFLAGS": "",
		"GOCACHE": strings.TrimSpace(string(goCache)),
	} {
		t.Setenv(name, value)
	}
	out, err := exec.Command("go", "mod", "download", "-json", module+"@"+version).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var got struct{ Sum string }
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	return Program{Path: module + "/cmd/hello", Version: version, Sum: got.Sum}
}

// clean makes a module cache removable.
func clean(dir string) {
	_ = filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if err == nil {
			_ = os.Chmod(name, 0o700)
		}
		return nil
	})
}

func open(t *testing.T) *Cache {
	t.Helper()
	cache, err := Open(filepath.Join(t.TempDir(), "cache"))
	if err != nil {
		t.Fatal(err)
	}
	return cache
}

func hello(t *testing.T, file string) {
	t.Helper()
	if out, err := exec.Command(file).CombinedOutput(); err != nil || string(out) != "hello\n" {
		t.Errorf("%s says %q, %v", file, out, err)
	}
}

// only checks that the cache holds the one file and nothing half done.
func only(t *testing.T, cache *Cache, file string) {
	t.Helper()
	err := filepath.WalkDir(cache.dir, func(name string, e fs.DirEntry, err error) error {
		if err == nil && name != file && (!e.IsDir() || strings.HasPrefix(e.Name(), ".build-")) {
			t.Errorf("left in the cache: %s", name)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestInstall(t *testing.T) {
	p := proxy(t, "v1.2.3")
	cache := open(t)
	if _, err := cache.Find(p); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("found in an empty cache: %v", err)
	}
	// What concerns the user's own build does not concern this one.
	t.Setenv("GOFLAGS", "-mod=vendor -tags=x")
	t.Setenv("GOOS", "plan9")
	t.Setenv("GOARCH", "386")
	t.Setenv("GOWORK", "/nowhere/go.work")
	t.Setenv("CGO_ENABLED", "1")
	file, err := cache.Install(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	hello(t, file)
	only(t, cache, file)
	if found, err := cache.Find(p); err != nil || found != file {
		t.Errorf("found %q, %v; want %q", found, err, file)
	}
	other := p
	other.Version = "v1.2.4"
	if _, err := cache.Find(other); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another version is found: %v", err)
	}

	// A file that is not the program is not used, but replaced.
	if err := os.WriteFile(file, []byte("#!/bin/sh\necho evil\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := cache.Find(p); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a broken file is found: %v", err)
	}
	if file, err = cache.Install(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	hello(t, file)
}

func TestInstallConcurrently(t *testing.T) {
	p := proxy(t, "v1.0.0")
	cache := open(t)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			file, err := cache.Install(t.Context(), p)
			if err != nil {
				t.Error(err)
				return
			}
			hello(t, file)
		})
	}
	wg.Wait()
	only(t, cache, cache.file(p))
}

func TestInstallRefuses(t *testing.T) {
	p := proxy(t, "v1.0.0")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		name   string
		ctx    context.Context
		change func(*Program)
		want   string
	}{
		{"another source", t.Context(), func(p *Program) { p.Sum = "h1:AAAA" }, "build hello v1.0.0: the program is not of the source with checksum h1:AAAA"},
		{"a version that nobody has", t.Context(), func(p *Program) { p.Version = "v9.9.9" }, "build hello v9.9.9: go: "},
		{"a package that is none", t.Context(), func(p *Program) { p.Path += "o" }, "build helloo v1.0.0: go: "},
		{"an end", canceled, func(*Program) {}, "context canceled"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, cache := p, open(t)
			test.change(&p)
			_, err := cache.Install(test.ctx, p)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			only(t, cache, "")
		})
	}
	t.Run("no network", func(t *testing.T) {
		cache := open(t)
		t.Setenv("GOPROXY", "off")
		modules := t.TempDir()
		t.Cleanup(func() { clean(modules) })
		t.Setenv("GOMODCACHE", modules)
		if _, err := cache.Install(t.Context(), p); err == nil || !strings.Contains(err.Error(), "module lookup disabled by GOPROXY=off") {
			t.Errorf("error %v", err)
		}
		only(t, cache, "")
	})
	t.Run("no go command", func(t *testing.T) {
		cache := open(t)
		t.Setenv("PATH", t.TempDir())
		if _, err := cache.Install(t.Context(), p); err == nil || !strings.Contains(err.Error(), "install Go") {
			t.Errorf("error %v", err)
		}
	})
}

// TestFindOnPath: a program that somebody else has built counts if it is of
// exactly that source.
func TestFindOnPath(t *testing.T) {
	p := proxy(t, "v1.0.0")
	file, err := open(t).Install(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Dir(file))
	cache := open(t)
	if found, err := cache.Find(p); err != nil || found != file {
		t.Errorf("found %q, %v; want %q", found, err, file)
	}
	for _, change := range []func(*Program){
		func(p *Program) { p.Version = "v1.0.1" },
		func(p *Program) { p.Sum = "h1:AAAA" },
		func(p *Program) { p.Path = "example.test/other/cmd/hello" },
	} {
		p := p
		change(&p)
		if found, err := cache.Find(p); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%+v: found %q, %v", p, found, err)
		}
	}
}

func TestOpen(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems have other variables")
	}
	t.Setenv("XDG_CACHE_HOME", "/caches")
	cache, err := Open("")
	if err != nil || cache.dir != "/caches/aguada/programs" {
		t.Errorf("%+v, %v", cache, err)
	}
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "")
	if _, err := Open(""); err == nil || !strings.Contains(err.Error(), "cache folder") {
		t.Errorf("no home: %v", err)
	}
}
