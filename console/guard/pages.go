package guard

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"regexp"
	"strings"
)

// file is a file as it is sent.
type file struct {
	plain, zipped []byte
	media, tag    string
	forever       bool // its name changes with what is in it
}

// hashed are names that esbuild made of the contents.
var hashed = regexp.MustCompile(`-[A-Z0-9]{8}\.(js|css|svg)$`)

// readFiles reads the pages, and packs them.
func readFiles(from fs.FS, openapi []byte) (map[string]*file, error) {
	all := make(map[string]*file)
	err := fs.WalkDir(from, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(from, name)
		if err != nil {
			return err
		}
		all["/"+name], err = newFile(name, b)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read pages: %w", err)
	}
	if all["/openapi.json"], err = newFile("openapi.json", openapi); err != nil {
		return nil, fmt.Errorf("read pages: %w", err)
	}
	if all["/index.html"] == nil {
		return nil, fmt.Errorf("read pages: there is no index.html")
	}
	return all, nil
}

func newFile(name string, b []byte) (*file, error) {
	sum := sha256.Sum256(b)
	f := &file{
		plain: b, media: mime.TypeByExtension(path.Ext(name)), forever: hashed.MatchString(name),
		tag: base64.RawURLEncoding.EncodeToString(sum[:12]),
	}
	switch path.Ext(name) { // not left to what the machine has installed
	case ".js":
		f.media = "text/javascript; charset=utf-8"
	case ".css":
		f.media = "text/css; charset=utf-8"
	case ".html":
		f.media = "text/html; charset=utf-8"
	case ".svg":
		f.media = "image/svg+xml"
	case ".json":
		f.media = "application/json"
	case ".txt":
		f.media = "text/plain; charset=utf-8"
	}
	var zipped bytes.Buffer
	zip, err := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := zip.Write(b); err != nil {
		return nil, err
	}
	if err := zip.Close(); err != nil {
		return nil, err
	}
	if zipped.Len() < len(b) {
		f.zipped = zipped.Bytes()
	}
	return f, nil
}

// isPage tells the paths that index.html makes pages of.
var isPage = regexp.MustCompile(`^/(|methods|traces|traces/[0-9a-f]{32}|logs|metrics|security|map|runtime|design)$`)

// page answers with a file.
func (g *Guard) page(w http.ResponseWriter, r *http.Request) {
	f := g.files[r.URL.Path]
	if isPage.MatchString(r.URL.Path) {
		f = g.files["/index.html"]
	}
	switch {
	case f == nil:
		refuse(w, http.StatusNotFound, "there is no such page: the pages begin at /, the API is described by /openapi.json")
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "a page can be read only")
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.media)
	h.Set("Vary", "Accept-Encoding")
	h.Set("Cache-Control", "no-cache")
	if f.forever {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	body, tag := f.plain, `"`+f.tag+`"`
	if f.zipped != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		body, tag = f.zipped, `"`+f.tag+`-gzip"`
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", fmt.Sprint(len(body)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(body) // the reader may be gone
	}
}
