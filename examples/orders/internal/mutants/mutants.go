// Package mutants holds the defences of the reference service as data: for each
// the edits of the source that take it away. Tests build the service without
// the defence, by an overlay of the build, and expect to succeed with what it
// keeps off; nothing in the tree changes.
//
//	overlay, err := m.Overlay("../../..", t.TempDir())
//	exec.Command("go", "build", "-overlay", overlay, "../cmd/ordersd")
//
// An edit whose text is not there exactly once is an error: a mutant that no
// longer changes anything proves nothing.
package mutants

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Mutant is the service without one defence.
type Mutant struct {
	// Defence says in a few words what is taken away; unique.
	Defence string
	// Case is the case of the tests in examples/orders/security that fails
	// without it.
	Case string
	// Edits are more than one where another line of defence stands behind the
	// first.
	Edits []Edit
}

// All are the mutants, area by area.
var All = slices.Concat(tokens, claims, opaqueTokens, guards, logins, keys, locks, requests, browsers, bodies, certificates,
	settings, files, calls, streams, repetitions, replicas)

// Edit replaces a text, which is there exactly once, in a file of the
// repository.
type Edit struct{ File, Old, Text string }

// Overlay writes into dir the changed files, and what "go build -overlay" reads
// to take them instead of those of the repository at root. It returns the name
// of the latter.
func (m *Mutant) Overlay(root, dir string) (string, error) {
	o := Overlay{}
	for _, e := range m.Edits {
		if err := o.Add(e, root, dir); err != nil {
			return "", err
		}
	}
	return o.Write(dir)
}

// Overlay has for the absolute path of a file the one that is taken instead.
type Overlay map[string]string

// Add writes into dir the file of the repository at root as the edit has it,
// upon the edits that are there.
func (o Overlay) Add(e Edit, root, dir string) error {
	path, err := filepath.Abs(filepath.Join(root, e.File))
	if err != nil {
		return err
	}
	from := path
	if changed, ok := o[path]; ok {
		from = changed
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if n := strings.Count(string(data), e.Old); n != 1 {
		return fmt.Errorf("%s has %d times, instead of once:\n%s", e.File, n, e.Old)
	}
	o[path], err = write(dir, "*.go", strings.Replace(string(data), e.Old, e.Text, 1))
	return err
}

// Write writes into dir what "go build -overlay" reads, and returns its name.
func (o Overlay) Write(dir string) (string, error) {
	data, err := json.Marshal(map[string]any{"Replace": o})
	if err != nil {
		return "", err
	}
	return write(dir, "overlay-*.json", string(data))
}

// write writes a new file and returns its name.
func write(dir, pattern, text string) (string, error) {
	f, err := os.CreateTemp(dir, pattern)
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(text)
	return f.Name(), errors.Join(err, f.Close())
}

// one makes a mutant of one edit.
func one(defence, attack string, e Edit) Mutant { return Mutant{defence, attack, []Edit{e}} }

// several makes one of more: each stands for a line of defence.
func several(defence, attack string, all ...Edit) Mutant { return Mutant{defence, attack, all} }

// never makes a condition false: in an if without a statement; noCase that of a
// case.
func never(file, condition string) Edit {
	return Edit{file, "if " + condition + " {", "if false && (" + condition + ") {"}
}

func noCase(file, condition string) Edit {
	return Edit{file, "case " + condition + ":", "case false && (" + condition + "):"}
}

// flipped makes the condition true instead.
func (e Edit) flipped() Edit {
	e.Text = "if true || " + e.Text[len("if false && "):]
	return e
}
