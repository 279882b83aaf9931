package transport

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/aguada-dev/aguada/policy"
)

// maxShown is the longest text of a caller's that an error quotes, in bytes.
const maxShown = 64

// strictly refuses a JSON text, which is valid, that holds more than its
// shape, or a member twice.
func strictly(data []byte, s *shape) *refused {
	w := &walker{data: data}
	w.path = w.inline[:0]
	w.value(s)
	return w.refusal
}

// walker goes through a valid JSON text.
type walker struct {
	data    []byte
	at      int
	path    [][]byte // names of the design; nil for an element
	inline  [16][]byte
	refusal *refused
}

// next skips what is between values, and returns the byte that is there; 0 at
// the end.
func (w *walker) next() byte {
	for w.at < len(w.data) {
		switch c := w.data[w.at]; c {
		case ' ', '\t', '\n', '\r', ',', ':':
			w.at++
		default:
			return c
		}
	}
	return 0
}

// value goes past a value, which has to be of the shape.
func (w *walker) value(s *shape) {
	switch w.next() {
	case '{':
		w.object(s)
	case '[':
		w.at++
		w.path = append(w.path, nil)
		for c := w.next(); c != ']' && c != 0 && w.refusal == nil; c = w.next() {
			w.value(s.of())
		}
		w.path = w.path[:len(w.path)-1]
		w.at++
	case '"':
		w.text()
	default:
		w.word()
	}
}

// word goes past a number, true, false or null.
func (w *walker) word() {
	for ; w.at < len(w.data); w.at++ {
		switch w.data[w.at] {
		case ',', ']', '}', ' ', '\t', '\r', '\n':
			return
		}
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
	w.at++
	branch := free
	if s.branches != nil {
		branch = w.branch(s)
	}
	seen := names{}
	list := seen.inline[:0]
	for c := w.next(); c == '"' && w.refusal == nil; c = w.next() {
		name := w.text()
		member, ok := s.member(name, branch)
		twice := false
		if list, twice = seen.add(list, name); twice && ok {
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
	w.at++
}

// few is the number of members up to which comparing all beats a map.
const few = 16

// names are the members of one object.
type names struct {
	inline [few][]byte
	all    map[string]struct{}
}

// add adds a name to the list, or to the map once the list is full, and
// reports whether it was there.
func (n *names) add(list [][]byte, name []byte) ([][]byte, bool) {
	if n.all == nil {
		for _, other := range list {
			if bytes.Equal(other, name) {
				return list, true
			}
		}
		if len(list) < few {
			return append(list, name), false
		}
		n.all = make(map[string]struct{}, 2*few)
		for _, other := range list {
			n.all[string(other)] = struct{}{}
		}
	}
	_, twice := n.all[string(name)]
	n.all[string(name)] = struct{}{}
	return list, twice
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
	ahead := walker{data: w.data, at: w.at}
	for ahead.next() == '"' {
		name := ahead.text()
		if c := ahead.next(); string(name) == s.kind && c == '"' {
			if b := s.branches[string(ahead.text())]; b != nil {
				return b
			}
			return free
		}
		ahead.skip()
	}
	return free
}

// skip goes past a value of any shape.
func (w *walker) skip() {
	for depth := 0; ; {
		switch w.next() {
		case 0:
			return
		case '{', '[':
			depth++
			w.at++
		case '}', ']':
			depth--
			w.at++
		case '"':
			w.text()
		default:
			w.word()
		}
		if depth <= 0 {
			return
		}
	}
}

// text goes past a string and returns it, unescaped as encoding/json does.
func (w *walker) text() []byte {
	begin, escaped := w.at, false
	for w.at++; w.at < len(w.data) && w.data[w.at] != '"'; w.at++ {
		if w.data[w.at] == '\\' {
			escaped = true
			w.at++
		}
	}
	w.at++
	if !escaped {
		return w.data[begin+1 : w.at-1]
	}
	var text string
	_ = json.Unmarshal(w.data[begin:w.at], &text) // it is valid
	return []byte(text)
}

// refuse keeps the refusal. Of what the caller sent it shows a name at most,
// and only one that is short and printable.
func (w *walker) refuse(name, message string, member []byte) {
	if len(w.path) > 0 {
		message += " in " + string(w.place())
	}
	if text := string(member); shown(text) {
		message += ": " + strconv.Quote(text)
	}
	w.refusal = refuse(&policy.Answer{Name: name, HTTP: http.StatusBadRequest, GRPC: "INVALID_ARGUMENT", JSONRPC: -32602, Message: message})
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
