// Package strict refuses what encoding/json lets pass: a member of an object that
// the type it is decoded into does not name exactly, and one that is there twice.
//
//	if err := json.Unmarshal(data, &order); err != nil {
//		return err
//	}
//	if v := strict.Check(data, &order); v != nil {
//		return errors.New(v.Message)
//	}
//
// It knows the unions that Goa generates for OneOf. It does not decode, and takes
// only a text that was decoded into the very type.
package strict

import (
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/aguada-dev/aguada/transport/internal/jsonscan"
)

// maxShown is the longest text of a caller's that an error quotes, in bytes.
const maxShown = 64

// Violation is the first thing that is wrong with a text.
type Violation struct {
	Name    string // unknown_field or duplicate_field
	Message string // for the caller: it quotes a name at most, short and printable
}

// Check returns what a JSON text holds more than v, a pointer, which it was decoded
// into; nil for nothing. The text has to be valid and no deeper than
// [jsonscan.MaxDepth]. What v's type is made of is found out once. Check is safe
// for concurrent use.
func Check(data []byte, v any) *Violation { return shapeOf(v).check(data) }

func (s *shape) check(data []byte) *Violation {
	w := &walker{Scanner: jsonscan.New(data)}
	w.path = w.inline[:0]
	w.value(s)
	return w.found
}

// walker goes through a text.
type walker struct {
	jsonscan.Scanner
	path   [][]byte // names of the design; nil for an element
	inline [16][]byte
	found  *Violation
}

// value goes past a value, which has to be of the shape.
func (w *walker) value(s *shape) {
	switch w.Next() {
	case '{':
		w.object(s)
	case '[':
		w.Bracket()
		w.path = append(w.path, nil)
		for c := w.Next(); c != ']' && c != 0 && w.found == nil; c = w.Next() {
			w.value(s.of())
		}
		w.path = w.path[:len(w.path)-1]
		w.Bracket()
	case '"':
		w.Text()
	default:
		w.Word()
	}
}

// of returns the shape of an element.
func (s *shape) of() *shape {
	if s.elem == nil {
		return free
	}
	return s.elem
}

func (w *walker) object(s *shape) {
	w.Bracket()
	branch := free
	if s.branches != nil {
		branch = w.branch(s)
	}
	var seen jsonscan.Names
	for c := w.Next(); c == '"' && w.found == nil; c = w.Next() {
		name := w.Text()
		member, ok := s.member(name, branch)
		if twice := seen.Add(name); twice && ok {
			w.refuse("duplicate_field", "the body has a member twice", name)
			return
		}
		if !ok {
			w.refuse("unknown_field", "the body has a member that the method does not know", name)
			return
		}
		if s.members == nil && s.branches == nil {
			w.path = append(w.path, nil)
		} else {
			w.path = append(w.path, name)
		}
		w.value(member)
		w.path = w.path[:len(w.path)-1]
	}
	w.Bracket()
}

// member returns the shape of a member, and whether there may be such a one.
func (s *shape) member(name []byte, branch *shape) (*shape, bool) {
	switch {
	case s.branches != nil:
		if string(name) == s.value {
			return branch, true
		}
		return free, string(name) == s.kind
	case s.members != nil:
		m, ok := s.members[string(name)]
		return m, ok
	}
	return s.of(), true
}

// branch looks ahead for the kind of a union.
func (w *walker) branch(s *shape) *shape {
	ahead := w.Scanner
	for ahead.Next() == '"' {
		name := ahead.Text()
		if c := ahead.Next(); string(name) == s.kind && c == '"' {
			if b := s.branches[string(ahead.Text())]; b != nil {
				return b
			}
			return free
		}
		ahead.Skip()
	}
	return free
}

// refuse keeps what is wrong. Of what the caller sent it shows a name at most,
// and only one that is short and printable.
func (w *walker) refuse(name, message string, member []byte) {
	if len(w.path) > 0 {
		message += " in " + string(w.place())
	}
	if text := string(member); shown(text) {
		message += ": " + strconv.Quote(text)
	}
	w.found = &Violation{Name: name, Message: message}
}

// place returns the path, as Goa writes it in its own errors.
func (w *walker) place() []byte {
	place := []byte("body")
	for _, name := range w.path {
		if name == nil {
			place = append(place, "[*]"...)
		} else {
			place = append(append(place, '.'), name...)
		}
	}
	return place
}

// shown reports whether an error may quote a text of the caller's.
func shown(text string) bool {
	if text == "" || len(text) > maxShown || !utf8.ValidString(text) {
		return false
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
