package limit

import (
	"encoding/binary"
	"net/netip"
)

// Partition says for whom a rule counts: each partition of a rule has a bucket
// of its own. The zero value is [Everyone]. Partitions are comparable; those of
// different kinds are never equal.
type Partition struct {
	text string
	bits uint64
	kind uint8
}

// The kinds of partition; they are part of what drivers hash.
const (
	kindEveryone = iota
	kindText
	kindIPv4
	kindIPv6
	kindNowhere
)

// Partitions are the partitions of one call, in the order of its rules.
type Partitions [MaxRules]Partition

// Everyone is the partition of a rule that counts all callers together.
var Everyone = Partition{}

// Text is the partition of whoever the text names, such as a principal. It must
// not be a credential: take the name of its holder, or a digest of it. No driver
// keeps the text, only a digest.
func Text(name string) Partition { return Partition{text: name, kind: kindText} }

// Address is the partition of a client address: the address itself for IPv4
// (IPv4 in IPv6 included), the /64 network for IPv6, which is what one customer
// gets. Zones are ignored. All that are no address share one partition.
func Address(a netip.Addr) Partition {
	switch {
	case a.Is4() || a.Is4In6():
		b := a.As4()
		return Partition{bits: uint64(binary.BigEndian.Uint32(b[:])), kind: kindIPv4}
	case a.Is6():
		b := a.As16()
		return Partition{bits: binary.BigEndian.Uint64(b[:8]), kind: kindIPv6}
	}
	return Partition{kind: kindNowhere}
}

// AppendTo appends what identifies the partition: the same bytes in all processes
// and different ones for different partitions. It is for drivers, which must
// digest it.
func (p Partition) AppendTo(b []byte) []byte {
	b = append(b, p.kind)
	switch p.kind {
	case kindText:
		return append(b, p.text...)
	case kindIPv4, kindIPv6:
		return binary.BigEndian.AppendUint64(b, p.bits)
	}
	return b
}
