package route

import (
	"fmt"
	"slices"
	"strings"
)

// segment is one part of a parsed pattern.
type segment struct {
	literal  string // the text, or the suffix of a parameter
	param    string // name, or ""
	wildcard bool
}

// parsePattern reads Goa's pattern language: {name} starts a segment, alone or
// before literal text; {*name} is the last segment.
func parsePattern(pattern string) ([]segment, error) {
	if !strings.HasPrefix(pattern, "/") {
		return nil, fmt.Errorf("pattern %q does not begin with a slash", pattern)
	}
	var segments []segment
	var names []string
	rest := pattern[1:]
	for more := true; more; {
		var text string
		text, rest, more = strings.Cut(rest, "/")
		s, err := parseSegment(text)
		if err == nil && s.wildcard && more {
			err = fmt.Errorf("wildcard %q is not the last segment", text)
		}
		if err == nil && s.param != "" && slices.Contains(names, s.param) {
			err = fmt.Errorf("parameter %q is there twice", s.param)
		}
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %w", pattern, err)
		}
		names = append(names, s.param)
		segments = append(segments, s)
	}
	return segments, nil
}

func parseSegment(text string) (segment, error) {
	if !strings.HasPrefix(text, "{") {
		if strings.ContainsAny(text, "{}*") {
			return segment{}, fmt.Errorf("segment %q: a parameter begins its segment", text)
		}
		return segment{literal: text}, nil
	}
	name, suffix, ok := strings.Cut(text[1:], "}")
	if !ok || strings.ContainsAny(suffix, "{}*") {
		return segment{}, fmt.Errorf("segment %q is not one parameter", text)
	}
	name, wildcard := strings.CutPrefix(name, "*")
	if wildcard && suffix != "" {
		return segment{}, fmt.Errorf("wildcard %q is followed by text", text)
	}
	if name == "" || strings.ContainsFunc(name, notWord) {
		return segment{}, fmt.Errorf("%q is not the name of a parameter", name)
	}
	return segment{literal: suffix, param: name, wildcard: wildcard}, nil
}

func notWord(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_'
}
