package idempotency

import (
	"fmt"
	"strings"
)

// MaxKey is the length of the longest key, in bytes.
const MaxKey = 255

// ParseKey returns the key that the values of its header, or of its metadata
// over gRPC, hold. The draft has it as a String of RFC 9651, in double quotes:
//
//	Idempotency-Key: "8e03978e-40d5-43e8-bc93-6894a57f9324"
//
// Many clients send it without quotes, which is taken as the same key as with
// them, as long as it is visible ASCII without quotes, backslash, comma and
// semicolon. A key has 1 to MaxKey bytes. Parameters are not allowed, nor is the
// header more than once: which of several keys counts would be a guess.
//
// The errors are ErrMissing and ErrMalformed. They do not repeat the key.
func ParseKey(values []string) (string, error) {
	if len(values) == 0 {
		return "", ErrMissing
	}
	if len(values) > 1 {
		return "", fmt.Errorf("%w: it is there %d times", ErrMalformed, len(values))
	}
	text := strings.Trim(values[0], " ") // RFC 9651, section 4.2: SP alone
	var key string
	var ok bool
	if strings.HasPrefix(text, `"`) {
		key, ok = unquote(text[1:])
	} else {
		key, ok = text, bare(text)
	}
	switch {
	case !ok:
		return "", fmt.Errorf("%w: it is no string of RFC 9651", ErrMalformed)
	case key == "":
		return "", fmt.Errorf("%w: it is empty", ErrMalformed)
	case len(key) > MaxKey:
		return "", fmt.Errorf("%w: it is longer than %d bytes", ErrMalformed, MaxKey)
	}
	return key, nil
}

// unquote reads what follows a String's first quote (RFC 9651, section 4.2.5),
// of which nothing may be left.
func unquote(text string) (string, bool) {
	if end := len(text) - 1; end >= 0 && text[end] == '"' && !strings.ContainsAny(text[:end], `"\`) {
		return text[:end], printable(text[:end])
	}
	var key strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '"':
			return key.String(), i == len(text)-1
		case c == '\\':
			i++
			if i == len(text) || text[i] != '"' && text[i] != '\\' {
				return "", false
			}
			c = text[i]
		case c < ' ' || c > '~':
			return "", false
		}
		key.WriteByte(c)
	}
	return "", false
}

func printable(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

func bare(text string) bool {
	return printable(text) && !strings.ContainsAny(text, ` ",;\`)
}
