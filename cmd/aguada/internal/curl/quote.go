package curl

import "strings"

// Quote returns text as one word of a POSIX shell, whatever it holds; NUL,
// which no argument can hold, is left out. Words that need no quotes stay bare.
func Quote(text string) string {
	text = strings.ReplaceAll(text, "\x00", "")
	if text != "" && strings.IndexFunc(text, special) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

func special(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return false
	}
	return !strings.ContainsRune("-_./:@%+,", r)
}
