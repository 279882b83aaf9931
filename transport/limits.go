package transport

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/limit"
	"github.com/aguada-dev/aguada/policy"
)

// limits are the rate limits of a method, compiled.
type limits struct {
	all    *limit.Limiter     // nil for what stands for a route of JSON-RPC
	parts  []policy.Partition // of the rules of all
	policy []string           // RateLimit-Policy

	// Callers who are not let in are charged to the limits of addresses alone:
	// they spend nothing of what others share. Nil if there are none.
	strangers *limit.Limiter

	// What is left of all without those of addresses, which callers are charged
	// first whose credential is in the body.
	rest      *limit.Limiter
	restParts []policy.Partition
}

// addressParts are the partitions of strangers.
var addressParts = []policy.Partition{policy.PerClientIP, policy.PerClientIP, policy.PerClientIP, policy.PerClientIP}

// compileLimits makes the limits of a method.
func (h *path) compileLimits(m *method) error {
	var all, addresses, rest []limit.Rule
	var parts, restParts []policy.Partition
	for _, r := range m.RateLimits {
		rule := limit.Rule{Name: r.Name, Rate: r.Rate, Per: time.Duration(r.Per), Burst: r.Burst}
		switch {
		case r.Partition == policy.PerClientIP && h.cfg.OneAddress:
			continue
		case r.Partition == policy.PerClientIP:
			addresses = append(addresses, rule)
		case r.Partition.Authenticated() && !m.secured:
			return fmt.Errorf("method %s.%s is limited per %s, which nobody knows: the service authenticates by itself; limit per client address or for all", m.Service, m.Name, r.Partition)
		default:
			rest, restParts = append(rest, rule), append(restParts, r.Partition)
		}
		all, parts = append(all, rule), append(parts, r.Partition)
	}
	if len(all) == 0 {
		return nil
	}
	driver, err := h.driver()
	if err != nil {
		return err
	}
	l := &limits{parts: parts, restParts: restParts}
	if l.all, err = limit.New(driver, all...); err == nil && len(addresses) > 0 && m.secured {
		l.strangers, err = limit.New(driver, addresses...)
	}
	if err == nil && l.strangers != nil && len(rest) > 0 {
		l.rest, err = limit.New(driver, rest...)
	}
	if err != nil {
		return fmt.Errorf("method %s.%s: %w", m.Service, m.Name, err)
	}
	l.policy = []string{l.all.Policy()}
	m.limits = l
	return nil
}

// driver returns where limits are counted: in this process unless configured.
func (h *path) driver() (limit.Driver, error) {
	if h.counted != nil {
		return h.counted, nil
	}
	if h.cfg.Limits != nil {
		h.counted = h.cfg.Limits()
	}
	if h.counted == nil {
		mem, err := limit.NewMemory(limit.MemoryConfig{})
		if err != nil {
			return nil, err
		}
		h.counted = mem
	}
	return h.counted, nil
}

// charge charges a call to its method's limits before its body is read. Where
// the credential is in the body, that is to those of its address: reading and
// decoding must not be free for all whose body does not get as far as the
// credential.
func (c *core) charge() *refused {
	l := c.m.limits
	switch {
	case l == nil || l.all == nil: // those of strangers alone
		return nil
	case !c.pending:
		return c.take(l.all, l.parts)
	case l.strangers == nil:
		return nil
	}
	c.charged = true
	return c.take(l.strangers, addressParts[:len(l.parts)-len(l.restParts)])
}

// chargeLate charges a call to the limits to which charge did not, once the
// credential in its body is known.
func (c *core) chargeLate() *refused {
	l := c.m.limits
	switch {
	case l == nil:
		return nil
	case c.charged:
		return c.take(l.rest, l.restParts)
	}
	return c.take(l.all, l.parts)
}

// take charges the call to some of its method's limits, and tells the caller how
// they stand.
func (c *core) take(l *limit.Limiter, parts []policy.Partition) *refused {
	var p limit.Partitions
	for i, part := range parts {
		p[i] = c.partition(part)
	}
	d := l.Take(c, p)
	c.tell(fieldRateLimitPolicy, c.m.limits.policy[:1:1])
	var buf [256]byte
	if b := l.AppendRateLimit(buf[:0], &d); len(b) > 0 {
		if told := c.head[c.key(fieldRateLimit)]; len(told) > 0 {
			c.tell(fieldRateLimit, append(told, string(b)))
		} else {
			c.quota[0] = string(b)
			c.tell(fieldRateLimit, c.quota[:1:1])
		}
	}
	if d.Allowed {
		return nil
	}
	cause := "rate_limit"
	if at := d.Refused(); at >= 0 {
		cause += "_" + string(parts[at])
	}
	return c.tooMany(&d, cause)
}

// stranger charges the call of somebody who was not let in, whose answer is
// refusal. It returns what he is told.
func (c *core) stranger(refusal *refused) *refused {
	l := c.m.limits
	if l == nil || l.strangers == nil || c.charged || refusal.HTTP != http.StatusUnauthorized && refusal.HTTP != http.StatusForbidden {
		return refusal
	}
	var p limit.Partitions
	for i := range p {
		p[i] = c.partition(policy.PerClientIP)
	}
	d := l.strangers.Take(c, p)
	if d.Allowed {
		return refusal
	}
	delete(c.head, c.key(fieldAuthenticate))
	return c.tooMany(&d, "rate_limit_"+string(policy.PerClientIP)).because(refusal.cause)
}

// tooMany is the answer to a call that is over a limit.
func (c *core) tooMany(d *limit.Decision, cause string) *refused {
	if d.Unavailable {
		return refuse(&policy.LimitsUnavailable).after(d.RetryAfter())
	}
	r := refuse(&policy.RateLimited).after(d.RetryAfter())
	r.counted = cause
	return r
}

// partition returns for whom the call counts.
func (c *core) partition(p policy.Partition) limit.Partition {
	switch p {
	case policy.PerClientIP:
		return limit.Address(ClientAddr(c))
	case policy.PerPrincipal:
		return limit.Text(principalName(c.principal))
	case policy.PerCredential:
		return limit.Text(credentialName(c.principal))
	default:
		return limit.Everyone
	}
}

// principalName tells principals apart: subjects of different issuers are
// different people. Lengths keep one name from looking like two, whatever
// issuers put in their subjects.
func principalName(p *auth.Principal) string {
	if p == nil {
		return ""
	}
	return strconv.Itoa(len(p.Issuer)) + ":" + p.Issuer + p.Subject
}

// credentialName tells credentials apart by what is not secret of them: the id
// of a key or a token. Tokens without one, and passwords, are one credential of
// their principal.
func credentialName(p *auth.Principal) string {
	if p == nil {
		return ""
	}
	return strconv.Itoa(len(p.CredentialID)) + ":" + p.CredentialID + principalName(p)
}
