package target

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
	"sync"
)

// Secrets are all texts that the prover sent, or gave the service, and that
// nobody may print: credentials, keys, values that the design calls sensitive.
// The zero value is ready; it is safe for concurrent use. A search takes one pass
// over the text, however many there are.
type Secrets struct {
	mu    sync.RWMutex
	names map[string]string   // by text
	heads map[uint64][]string // texts by their first bytes, the longest first
}

// shortest is the length from which a text is told from a coincidence.
const shortest = 8

// Add makes a text a secret, under the name by which a leak is reported, such as
// "the password". Texts of less than 8 bytes are ignored: they may occur by
// coincidence. What Basic credentials look like on the wire is a secret too.
func (s *Secrets) Add(name, text string) {
	s.add(name, text)
	s.add(name+", in base64", base64.StdEncoding.EncodeToString([]byte(text)))
}

func (s *Secrets) add(name, text string) {
	if len(text) < shortest {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names == nil {
		s.names, s.heads = map[string]string{}, map[uint64][]string{}
	}
	if _, known := s.names[text]; known {
		return
	}
	s.names[text] = name
	list := s.heads[head(text)]
	at := 0
	for at < len(list) && len(list[at]) > len(text) {
		at++
	}
	s.heads[head(text)] = append(list[:at:at], append([]string{text}, list[at:]...)...)
}

// head is the first bytes of a text that is long enough.
func head(text string) uint64 { return binary.LittleEndian.Uint64([]byte(text[:shortest])) }

// at returns the secret that begins at a place of the text, "" for none. The
// caller holds the lock.
func (s *Secrets) at(text string, i int) string {
	for _, secret := range s.heads[head(text[i:])] {
		if strings.HasPrefix(text[i:], secret) {
			return secret
		}
	}
	return ""
}

// Find returns the name of a secret that the text holds, "" for none.
func (s *Secrets) Find(text string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for i := 0; i+shortest <= len(text); i++ {
		if secret := s.at(text, i); secret != "" {
			return s.names[secret]
		}
	}
	return ""
}

// Mask returns the text with every secret replaced by its name.
func (s *Secrets) Mask(text string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var b strings.Builder
	from := 0
	for i := 0; i+shortest <= len(text); {
		secret := s.at(text, i)
		if secret == "" {
			i++
			continue
		}
		b.WriteString(text[from:i] + "‹" + s.names[secret] + "›")
		i += len(secret)
		from = i
	}
	if from == 0 {
		return text
	}
	return b.String() + text[from:]
}

// Len returns how many texts are secret.
func (s *Secrets) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.names)
}
