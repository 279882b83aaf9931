package payload

import (
	"math/rand/v2"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"

	"github.com/aguada-dev/aguada/prove/model"
)

// formats are values of the formats that Goa's design language knows.
var formats = map[string]string{
	"date": "2026-02-28", "date-time": "2026-02-28T12:30:45Z", "uuid": "6ba7b810-9dad-41d1-80b4-00c04fd430c8",
	"email": "prover@example.com", "hostname": "prover.example.com", "ipv4": "192.0.2.17", "ipv6": "2001:db8::17",
	"ip": "192.0.2.17", "uri": "https://example.com/prover", "mac": "00:00:5e:00:53:01", "cidr": "192.0.2.0/24",
	"regexp": "^[a-z]+$", "json": `{"prover":true}`, "rfc1123": "Sat, 28 Feb 2026 12:30:45 UTC",
	"byte": "cHJvdmVy", "binary": "prover",
}

// strictly are the formats whose violation can be told from a value: the others
// take nearly anything.
var strictly = map[string]string{
	"date": "28 February", "date-time": "2026-02-28 12:30", "uuid": "6ba7b810-9dad-41d1-80b4", "email": "prover.example.com",
	"ipv4": "192.0.2.256", "ipv6": "192.0.2.17", "ip": "192.0.2.256", "mac": "00:00:5e:00:53", "cidr": "192.0.2.0/64",
	"regexp": "([a-z", "json": "{", "rfc1123": "2026-02-28",
}

func (m *Maker) text(s *model.Schema, where string) string {
	if v, ok := formats[s.Format]; ok && s.Pattern == "" {
		return v
	}
	lo, hi := lengths(s)
	if s.Pattern != "" {
		if v, ok := m.matching(s, where, lo, hi); ok {
			return v
		}
	}
	if v, ok := s.Example.(string); ok && s.Pattern != "" {
		return v // the design's own, for a pattern that we cannot write
	}
	return letters(m.source(where), max(lo, min(8, hi)))
}

func lengths(s *model.Schema) (lo, hi int) {
	hi = 1 << 20
	if s.MinLength != nil {
		lo = *s.MinLength
	}
	if s.MaxLength != nil {
		hi = *s.MaxLength
	}
	return lo, hi
}

func letters(r *rand.Rand, n int) string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz"
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(b)
}

// matching returns a text that matches the pattern of the schema and has one of
// its lengths; false where it finds none.
func (m *Maker) matching(s *model.Schema, where string, lo, hi int) (string, bool) {
	re, err := regexp.Compile(s.Pattern)
	if err != nil {
		return "", false
	}
	tree, err := syntax.Parse(s.Pattern, syntax.Perl)
	if err != nil {
		return "", false
	}
	tree = tree.Simplify()
	r := m.source(where)
	for more := range 64 {
		var b strings.Builder
		// The repetitions grow, so that a least length is met in the end.
		write(&b, tree, r, max(more, lo))
		v := b.String()
		if n := utf8.RuneCountInString(v); n >= lo && n <= hi && re.MatchString(v) {
			return v, true
		}
	}
	// Patterns that are not anchored match within any text.
	return "", false
}

// write appends a text that the expression matches; what repeats without limit
// is repeated up to more times beyond its least.
func write(b *strings.Builder, re *syntax.Regexp, r *rand.Rand, more int) {
	if b.Len() > 1<<16 {
		return
	}
	switch re.Op {
	case syntax.OpLiteral:
		for _, c := range re.Rune {
			b.WriteRune(c)
		}
	case syntax.OpCharClass:
		b.WriteRune(oneOf(re.Rune, r))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		b.WriteByte(byte('a' + r.IntN(26)))
	case syntax.OpCapture, syntax.OpConcat:
		for _, sub := range re.Sub {
			write(b, sub, r, more)
		}
	case syntax.OpAlternate:
		write(b, re.Sub[r.IntN(len(re.Sub))], r, more)
	case syntax.OpQuest:
		if r.IntN(2) == 0 {
			write(b, re.Sub[0], r, more)
		}
	case syntax.OpStar, syntax.OpPlus:
		n := r.IntN(more + 1)
		if re.Op == syntax.OpPlus {
			n++
		}
		for range n {
			write(b, re.Sub[0], r, more)
		}
	case syntax.OpRepeat:
		for range re.Min {
			write(b, re.Sub[0], r, more)
		}
	}
}

// oneOf returns a character of a class, a printable one of ASCII if there is any.
func oneOf(class []rune, r *rand.Rand) rune {
	var ranges [][2]rune
	for i := 0; i+1 < len(class); i += 2 {
		if lo, hi := max(class[i], '!'), min(class[i+1], '~'); lo <= hi {
			ranges = append(ranges, [2]rune{lo, hi})
		}
	}
	if len(ranges) == 0 {
		if len(class) == 0 {
			return 'x'
		}
		return class[0]
	}
	pick := ranges[r.IntN(len(ranges))]
	return pick[0] + rune(r.IntN(int(pick[1]-pick[0])+1))
}
