package lockout

import (
	"net/netip"

	"github.com/aguada-dev/aguada/auth"
)

// Known reports whether the first guarded verifier of a Lockout knows a
// credential.
func (l *Lockout) Known(addr netip.Addr, c auth.Credential) bool {
	return l.knows(l.mark(1, addr, c))
}

// Remember has it know one.
func (l *Lockout) Remember(addr netip.Addr, c auth.Credential) { l.remember(l.mark(1, addr, c)) }
