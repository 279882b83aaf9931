package jsonscan

import "bytes"

// few is the number of names up to which comparing all beats a map.
const few = 16

// Names are the members of one object. The zero value has none.
type Names struct {
	n     int
	first [few][]byte
	all   map[string]struct{} // nil until there are more than first holds
}

// Add adds a name, which must not change afterwards, and reports whether it was
// there.
func (s *Names) Add(name []byte) (twice bool) {
	if s.all == nil {
		for i := range s.first[:s.n] {
			if bytes.Equal(s.first[i], name) {
				return true
			}
		}
		if s.n < few {
			s.first[s.n] = name
			s.n++
			return false
		}
		s.all = make(map[string]struct{}, 2*few)
		for _, other := range s.first {
			s.all[string(other)] = struct{}{}
		}
	}
	if _, twice = s.all[string(name)]; !twice {
		s.all[string(name)] = struct{}{}
		s.n++
	}
	return twice
}

// Len returns how many names there are.
func (s *Names) Len() int { return s.n }
