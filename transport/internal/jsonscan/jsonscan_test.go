package jsonscan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// scanned are the tokens of a value, by the scanner.
func scanned(s *Scanner) []string {
	switch c := s.Next(); c {
	case '{', '[':
		all := []string{string(c)}
		s.Bracket()
		for s.Next() != '}' && s.Next() != ']' {
			if c == '{' {
				all = append(all, "name "+string(s.Text()))
			}
			all = append(all, scanned(s)...)
		}
		all = append(all, string(s.Next()))
		s.Bracket()
		return all
	case '"':
		return []string{"text " + string(s.Text())}
	default:
		return []string{string(s.Take())}
	}
}

// decoded are the same, by encoding/json, and how deep the value is nested.
func decoded(t *testing.T, dec *json.Decoder) (all []string, depth int) {
	token, err := dec.Token()
	if err != nil {
		t.Fatal(err)
	}
	switch token := token.(type) {
	case json.Delim:
		all = []string{token.String()}
		for dec.More() {
			if token == '{' {
				name, _ := dec.Token()
				all = append(all, fmt.Sprint("name ", name))
			}
			more, d := decoded(t, dec)
			all, depth = append(all, more...), max(depth, d)
		}
		end, _ := dec.Token()
		return append(all, fmt.Sprint(end)), depth + 1
	case string:
		return []string{"text " + token}, 0
	case nil:
		return []string{"null"}, 0
	default:
		return []string{fmt.Sprint(token)}, 0
	}
}

// FuzzScanner compares with encoding/json: what a valid text consists of, where its
// values end and how deep it is nested.
func FuzzScanner(f *testing.F) {
	for _, text := range []string{
		`{}`, `[]`, `null`, ` -1.5e3 `, `"a\"b"`, `{"a":{"b":[1,"]",{"}":true}]},"a":null}`, `[1 , [2] ,{"a":"}"},"]"]`, `{"\u0069d":"\ud800","\\":[]}`,
		strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth), strings.Repeat(`{"a":`, MaxDepth+1) + "1" + strings.Repeat("}", MaxDepth+1),
		`[` + strings.Repeat(`"[\"{",{},`, MaxDepth) + `1]`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		_ = TooDeep(text)
		if !json.Valid(text) || !utf8.Valid(text) {
			return
		}
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.UseNumber()
		want, depth := decoded(t, dec)
		if TooDeep(text) != (depth > MaxDepth) {
			t.Fatalf("%d levels: too deep %t", depth, TooDeep(text))
		}
		s := New(text)
		if value := s.Take(); !bytes.Equal(value, bytes.Trim(text, " \t\r\n")) || s.Next() != 0 {
			t.Fatalf("the value is %q", value)
		}
		s = New(text)
		if diff := cmp.Diff(want, scanned(&s)); diff != "" || s.Next() != 0 {
			t.Fatalf("%q (-encoding/json +ours): %s", text, diff)
		}
	})
}

// A name is there from when it was added, be they few or many.
func TestNames(t *testing.T) {
	var s Names
	for i := range 3 * few {
		for again := range 2 {
			if twice := s.Add(fmt.Append(nil, "m", i)); twice != (again == 1) || s.Len() != i+1 {
				t.Fatalf("m%d: twice %t, %d names", i, twice, s.Len())
			}
		}
	}
	for i := range 3 * few {
		if !s.Add(fmt.Append(nil, "m", i)) {
			t.Errorf("m%d is not there", i)
		}
	}
}
