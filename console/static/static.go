// Package static holds the console's pages, as `make ui` builds them from
// console/ui.
package static

import (
	"embed"
	"io/fs"
)

//go:embed *.html *.js *.css *.svg *.txt
var files embed.FS

// Files returns the files: index.html, and what it refers to.
func Files() fs.FS { return files }
