package config

import (
	"errors"
	"net/netip"
	"strings"
)

// Networks is a list of networks. As text they have commas between them, each
// a prefix (10.0.0.0/8, fd00::/8) or a single address.
type Networks []netip.Prefix

var errNetworks = errors.New("not a list of networks")

// UnmarshalText reads a list. A prefix with bits set behind its length is not
// understood: it may be the mistyped address of one machine.
func (n *Networks) UnmarshalText(text []byte) error {
	var list Networks
	for part := range strings.SplitSeq(string(text), ",") {
		part = strings.TrimSpace(part)
		p, err := netip.ParsePrefix(part)
		if err != nil {
			a, err := netip.ParseAddr(part)
			if err != nil || a.Zone() != "" {
				return errNetworks // netip's error holds the text
			}
			p = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen())
		}
		if p != p.Masked() || p.Addr().Is4In6() {
			return errNetworks
		}
		list = append(list, p)
	}
	*n = list
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (n Networks) MarshalText() ([]byte, error) {
	parts := make([]string, len(n))
	for i, p := range n {
		parts[i] = p.String()
	}
	return []byte(strings.Join(parts, ",")), nil
}
