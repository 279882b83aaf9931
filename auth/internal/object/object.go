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
	v, err := decodeValue(json.NewDecoder(bytes.NewReader(data)), 0)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errForm
	}
	return m, nil
}

func decodeValue(dec *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errForm
	}
	t, err := dec.Token()
	if err != nil {
		return nil, errForm
	}
	switch t {
	case json.Delim('{'):
		return decodeMembers(dec, depth)
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			v, err := decodeValue(dec, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = dec.Token()
		return list, err
	}
	return t, nil
}

func decodeMembers(dec *json.Decoder, depth int) (any, error) {
	m := map[string]any{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, errForm
		}
		name, _ := t.(string)
		if _, ok := m[name]; ok {
			return nil, errForm
		}
		if m[name], err = decodeValue(dec, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := dec.Token()
	return m, err
}
