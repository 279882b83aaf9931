package codegen

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/expr"
	"github.com/aguada-dev/aguada/policy"
)

// longestLimitName is the longest name of a rate limit, in bytes.
const longestLimitName = 64

// rateLimits returns the limits of a method or a file server, with names.
func rateLimits(service, method string, declared []expr.RateLimit) []policy.RateLimit {
	var limits []policy.RateLimit
	for _, d := range declared {
		l := d.RateLimit
		l.Name = limitName(service, method, ":"+string(l.Partition)+"-"+window(l.Per))
		limits = append(limits, l)
	}
	return limits
}

// limitName returns "service/method" and suffix. Where these names do not fit
// into that of a limit they are cut and changed, and a digest tells them apart.
func limitName(service, method, suffix string) string {
	name := limitWord(service) + "/" + limitWord(method)
	if name == service+"/"+method && len(name)+len(suffix) <= longestLimitName {
		return name + suffix
	}
	sum := sha256.Sum256([]byte(service + "\x00" + method))
	suffix = "-" + hex.EncodeToString(sum[:6]) + suffix
	return name[:min(len(name), longestLimitName-len(suffix))] + suffix
}

// limitWord returns s with nothing but what a part of a limit's name may hold.
func limitWord(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '.', r == '_', r == '-':
			return r
		}
		return '-'
	}, s)
}

// window returns d as designs write it: "1m" for 1m0s.
func window(d policy.Duration) string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
