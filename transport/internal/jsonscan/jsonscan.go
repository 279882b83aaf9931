// Package jsonscan goes through a JSON text token by token, without decoding it
// and, but for strings with escapes, without copying any of it.
//
//	s := jsonscan.New(text) // an object
//	s.Next()
//	s.Bracket()
//	for s.Next() == '"' {
//		name, value := s.Text(), s.Take()
//	}
//
// It judges nothing: a text has to be valid JSON (see [json.Valid]) in UTF-8 before
// it is gone through. On one that is not, a scanner may panic.
package jsonscan

import (
	"bytes"
	"encoding/json"
)

// MaxDepth is how deep a text may be nested. encoding/json would take 10,000
// levels, each of which costs the decoder memory.
const MaxDepth = 200

// Scanner is a position in a valid JSON text. A copy of it goes on by itself. It
// is not safe for concurrent use.
type Scanner struct {
	data []byte
	at   int
}

// New returns a scanner at the begin of a valid text, which stays the caller's and
// must not change as long as anything that came from the scanner is used.
func New(text []byte) Scanner { return Scanner{data: text} }

// Next skips what is between values, and returns the byte that is there; 0 at
// the end.
func (s *Scanner) Next() byte {
	for s.at < len(s.data) {
		switch c := s.data[s.at]; c {
		case ' ', '\t', '\n', '\r', ',', ':':
			s.at++
		default:
			return c
		}
	}
	return 0
}

// Bracket goes past the bracket at which Next stands, into an object or an array or
// out of it.
func (s *Scanner) Bracket() { s.at++ }

// Text goes past the string at which Next stands and returns it, unescaped as
// encoding/json does.
func (s *Scanner) Text() []byte {
	begin, escaped := s.at, false
	for s.at++; s.at < len(s.data) && s.data[s.at] != '"'; s.at++ {
		if s.data[s.at] == '\\' {
			escaped = true
			s.at++
		}
	}
	s.at++
	if !escaped {
		return s.data[begin+1 : s.at-1]
	}
	var text string
	_ = json.Unmarshal(s.data[begin:s.at], &text) // it is valid
	return []byte(text)
}

// Word goes past the number, true, false or null at which Next stands.
func (s *Scanner) Word() {
	for ; s.at < len(s.data); s.at++ {
		switch s.data[s.at] {
		case ',', ']', '}', ' ', '\t', '\r', '\n':
			return
		}
	}
}

// Skip goes past a value of any kind.
func (s *Scanner) Skip() {
	for depth := 0; ; {
		switch s.Next() {
		case 0:
			return
		case '{', '[':
			depth++
			s.at++
		case '}', ']':
			depth--
			s.at++
		case '"':
			s.Text()
		default:
			s.Word()
		}
		if depth <= 0 {
			return
		}
	}
}

// Take goes past a value of any kind and returns it, as it is in the text.
func (s *Scanner) Take() []byte {
	s.Next()
	begin := s.at
	s.Skip()
	return s.data[begin:s.at:s.at]
}

// TooDeep reports whether a text, which need not be valid, is nested beyond
// [MaxDepth]. A text with few brackets cannot be, which is cheap to see.
func TooDeep(text []byte) bool {
	if bytes.Count(text, []byte{'{'})+bytes.Count(text, []byte{'['}) <= MaxDepth {
		return false
	}
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted:
			if c == '\\' {
				i++
			} else if c == '"' {
				quoted = false
			}
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			if depth++; depth > MaxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}
