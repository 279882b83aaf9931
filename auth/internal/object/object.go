// Package object decodes JSON objects that decide who may do what.
//
//	claims, err := object.Decode([]byte(`{"sub":"ann"}`))
//
// It refuses what readers may understand in different ways: duplicate members
// at any depth, text that is not UTF-8, a second value. encoding/json takes the
// last of two members, or a mixture of both. Names are compared exactly.
package object

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf8"
)

// maxDepth is how deeply JSON may be nested.
const maxDepth = 16

var errForm = errors.New("not one JSON object without duplicate members")

// Decode decodes one JSON object, of which data consists. Its members are of
// the types that encoding/json decodes into an any.
func Decode(data []byte) (map[string]any, error) {
	if !utf8.Valid(data) || !json.Valid(data) {
		return nil, errForm
	}
	r := reader{rest: data}
	v, err := r.value(0)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errForm
	}
	return m, nil
}

// reader reads JSON that is known to be valid, so that it need not look for
// what is wrong: only for what is there.
type reader struct{ rest []byte }

// next returns the first byte that is not white space, without taking it.
func (r *reader) next() byte {
	r.rest = bytes.TrimLeft(r.rest, " \t\r\n")
	return r.rest[0]
}

// more takes the opening, separating or closing byte of a list or an object,
// and reports whether an element follows.
func (r *reader) more(end byte) bool {
	c := r.next()
	if c != end {
		r.rest = r.rest[1:]
		c = r.next()
	}
	if c == end {
		r.rest = r.rest[1:]
		return false
	}
	return true
}

func (r *reader) value(depth int) (any, error) {
	if depth > maxDepth {
		return nil, errForm
	}
	switch r.next() {
	case '{':
		return r.members(depth)
	case '[':
		list := []any{}
		for r.more(']') {
			v, err := r.value(depth + 1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case '"':
		return r.text()
	}
	end := bytes.IndexAny(r.rest, ",]} \t\r\n")
	if end < 0 {
		end = len(r.rest)
	}
	word := string(r.rest[:end])
	r.rest = r.rest[end:]
	switch word {
	case "null":
		return nil, nil
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	f, err := strconv.ParseFloat(word, 64)
	if err != nil { // beyond what a float64 holds
		return nil, errForm
	}
	return f, nil
}

func (r *reader) members(depth int) (any, error) {
	m := map[string]any{}
	for r.more('}') {
		r.next()
		name, err := r.text()
		if err != nil {
			return nil, err
		}
		if _, ok := m[name]; ok {
			return nil, errForm
		}
		r.next()
		r.rest = r.rest[1:] // the colon
		if m[name], err = r.value(depth + 1); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// text reads a string, which begins here.
func (r *reader) text() (string, error) {
	end, escaped := 1, false
	for ; r.rest[end] != '"'; end++ {
		if r.rest[end] == '\\' {
			escaped = true
			end++
		}
	}
	quoted := r.rest[:end+1]
	r.rest = r.rest[end+1:]
	if !escaped {
		return string(quoted[1:end]), nil
	}
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil {
		return "", errForm
	}
	return s, nil
}
