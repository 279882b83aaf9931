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
	all    *limit.Limiter
	parts  []policy.Partition // of the rules of all
	policy []string           // RateLimit-Policy

	// Callers who are not let in are charged to the limits of addresses alone:
	// they spend nothing of what others share. Nil if there are none.
	strangers *limit.Limiter
}

// compileLimits makes the limits of a method.
func (h *HTTP) compileLimits(m *method) error {
	var all, addresses []limit.Rule
	var parts []policy.Partition
	for _, r := range m.RateLimits {
		rule := limit.Rule{Name: r.Name, Rate: r.Rate, Per: time.Duration(r.Per), Burst: r.Burst}
		switch {
		case r.Partition == policy.PerClientIP && h.cfg.OneAddress:
			continue
		case r.Partition == policy.PerClientIP:
			addresses = append(addresses, rule)
		case r.Partition.Authenticated() && !m.secured:
			return fmt.Errorf("method %s.%s is limited per %s, which nobody knows: the service authenticates by itself; limit per client address or for all", m.Service, m.Name, r.Partition)
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
	l := &limits{parts: parts}
	if l.all, err = limit.New(driver, all...); err == nil && len(addresses) > 0 && m.secured {
		l.strangers, err = limit.New(driver, addresses...)
	}
	if err != nil {
		return fmt.Errorf("method %s.%s: %w", m.Service, m.Name, err)
	}
	l.policy = []string{l.all.Policy()}
	m.limits = l
	return nil
}

// driver returns where limits are counted: in this process unless configured.
func (h *HTTP) driver() (limit.Driver, error) {
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

// spend charges the call to its method's limits, or refuses it.
func (c *call) spend() *refused {
	l := c.m.limits
	if l == nil {
		return nil
	}
	var p limit.Partitions
	for i, part := range l.parts {
		p[i] = c.partition(part)
	}
	d := l.all.Take(c, p)
	header := c.w.Header()
	header["Ratelimit-Policy"] = l.policy[:1:1]
	var buf [256]byte
	if b := l.all.AppendRateLimit(buf[:0], &d); len(b) > 0 {
		header["Ratelimit"] = []string{string(b)}
	}
	if d.Allowed {
		return nil
	}
	cause := "rate_limit"
	if at := d.Refused(); at >= 0 {
		cause += "_" + string(l.parts[at])
	}
	return c.tooMany(&d, cause)
}

// stranger charges the call of somebody who was not let in, whose answer is
// refusal. It returns what he is told.
func (c *call) stranger(refusal *refused) *refused {
	l := c.m.limits
	if l == nil || l.strangers == nil || refusal.status != http.StatusUnauthorized && refusal.status != http.StatusForbidden {
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
	delete(c.w.Header(), "Www-Authenticate")
	return c.tooMany(&d, "rate_limit_"+string(policy.PerClientIP)).because(refusal.cause)
}

// tooMany is the answer to a call that is over a limit.
func (c *call) tooMany(d *limit.Decision, cause string) *refused {
	c.w.Header()["Retry-After"] = []string{strconv.Itoa(d.RetrySeconds())}
	if d.Unavailable {
		return &refused{
			status: http.StatusServiceUnavailable, name: "limits_unavailable", message: "calls cannot be counted now", temporary: true,
		}
	}
	return &refused{status: http.StatusTooManyRequests, name: "rate_limited", message: "too many calls", counted: cause, temporary: true}
}

// partition returns for whom the call counts.
func (c *call) partition(p policy.Partition) limit.Partition {
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
// different people.
func principalName(p *auth.Principal) string {
	switch {
	case p == nil:
		return ""
	case p.Issuer == "":
		return p.Subject
	}
	return p.Issuer + "\x00" + p.Subject
}

// credentialName tells credentials apart by what is not secret of them: the id
// of a key or a token. Tokens without one, and passwords, are one credential of
// their principal.
func credentialName(p *auth.Principal) string {
	if p == nil || p.CredentialID == "" {
		return principalName(p)
	}
	return principalName(p) + "\x00" + p.CredentialID
}
