//go:build !linux

package lifecycle

import "net"

// refuseNew needs Linux. Elsewhere a connection completed between the last
// accept and the close of the listener is reset.
func refuseNew(*net.TCPListener) bool { return false }

// acceptNow needs Linux, as refuseNew.
func acceptNow(*net.TCPListener) net.Conn { return nil }
