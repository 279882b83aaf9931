// Package forwarded finds the client of a request behind the proxies that are
// trusted: by X-Forwarded-For, from its end on, and never by what the client itself
// may have written into it.
//
//	addr := forwarded.Client(r.RemoteAddr, r.Header["X-Forwarded-For"], trusted)
//
// It reads no other header, RFC 7239's Forwarded neither.
package forwarded

import (
	"net/netip"
	"strings"
)

// maxHops bounds how many proxies are believed one after another.
const maxHops = 16

// Client returns the address of the client, without its port: that of the peer,
// remote, where no networks are trusted or it is in none of them. It is whatever
// remote is, if that is no address, as of a Unix socket.
func Client(remote string, via []string, trusted []netip.Prefix) string {
	peer := host(remote)
	if len(trusted) == 0 {
		return peer
	}
	return behind(peer, via, trusted)
}

// behind goes back from the peer through X-Forwarded-For as long as it meets
// trusted proxies. What stands before the first other address was written by
// strangers, and so was all of it where the peer is one. An entry that is no
// address ends the way at the proxy that wrote it.
func behind(peer string, via []string, trusted []netip.Prefix) string {
	client := peer
	list := strings.Join(via, ",")
	for range maxHops {
		addr, err := netip.ParseAddr(client)
		if err != nil || !among(addr, trusted) || list == "" {
			return client
		}
		entry := list
		if i := strings.LastIndexByte(list, ','); i >= 0 {
			entry, list = list[i+1:], list[:i]
		} else {
			list = ""
		}
		next, ok := address(strings.TrimSpace(entry))
		if !ok {
			return client
		}
		client = next
	}
	return client
}

// address reads an entry: an address, with a port or without.
func address(entry string) (string, bool) {
	if a, err := netip.ParseAddr(strings.Trim(entry, "[]")); err == nil {
		return a.Unmap().WithZone("").String(), true
	}
	if a, err := netip.ParseAddrPort(entry); err == nil {
		return a.Addr().Unmap().WithZone("").String(), true
	}
	return "", false
}

func among(a netip.Addr, networks []netip.Prefix) bool {
	a = a.Unmap().WithZone("")
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// host returns an address without its port.
func host(addr string) string {
	i := strings.LastIndexByte(addr, ':')
	if i < 0 {
		return addr
	}
	return strings.Trim(addr[:i], "[]")
}
