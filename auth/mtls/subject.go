package mtls

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// attribute is one of a distinguished name's.
type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// relativeSET is a set of them: package asn1 knows sets by the end of the name.
type relativeSET []attribute

// shortNames are those of RFC 4514, section 3.
var shortNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.6": "C", "2.5.4.9": "STREET",
	"0.9.2342.19200300.100.1.25": "DC", "0.9.2342.19200300.100.1.1": "UID",
}

var (
	errSubject     = errors.New("the certificate's subject is not a distinguished name of printable text")
	errNoSubject   = errors.New("the certificate has no subject")
	errLongSubject = errors.New("the certificate's subject is longer than 2048 bytes")
)

// subject returns the distinguished name of a certificate's subject as the
// text of RFC 4514.
func subject(c *x509.Certificate) (string, error) { return distinguishedName(c.RawSubject) }

// distinguishedName is made of the DER, since pkix.Name puts attributes into an
// order of its own, and so makes one of two names.
func distinguishedName(der []byte) (string, error) {
	var name []relativeSET
	if rest, err := asn1.Unmarshal(der, &name); err != nil || len(rest) > 0 {
		return "", errSubject
	}
	if len(name) == 0 {
		return "", errNoSubject
	}
	var text []byte
	for i := len(name) - 1; i >= 0; i-- {
		if len(name[i]) == 0 {
			return "", errSubject
		}
		if len(text) > 0 {
			text = append(text, ',')
		}
		for j, a := range name[i] {
			if j > 0 {
				text = append(text, '+')
			}
			var err error
			if text, err = a.append(text); err != nil {
				return "", err
			}
		}
	}
	if len(text) > maxName {
		return "", errLongSubject
	}
	return string(text), nil
}

// append appends the attribute's type and value.
func (a attribute) append(text []byte) ([]byte, error) {
	oid := a.Type.String()
	short, ok := shortNames[oid]
	if !ok {
		text = append(append(text, oid...), "=#"...)
		return hex.AppendEncode(text, a.Value.FullBytes), nil
	}
	var value string
	rest, err := asn1.Unmarshal(a.Value.FullBytes, &value)
	if err != nil || len(rest) > 0 || !utf8.ValidString(value) || strings.ContainsFunc(value, unprintable) {
		return nil, errSubject
	}
	text = append(append(text, short...), '=')
	for i := range len(value) {
		c := value[i]
		edge := c == ' ' && (i == 0 || i == len(value)-1) || c == '#' && i == 0
		if edge || strings.IndexByte(`"+,;<>\`, c) >= 0 {
			text = append(text, '\\')
		}
		text = append(text, c)
	}
	return text, nil
}

// unprintable is what a name that is logged and compared by people must not
// hold: control characters, and those that are not seen.
func unprintable(r rune) bool { return !unicode.IsPrint(r) }
