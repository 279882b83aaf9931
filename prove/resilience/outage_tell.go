package resilience

import (
	"net"
	"regexp"
	"strings"

	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/proxy"
)

// driverText matches what networks, databases and their drivers say when they
// fail, and no caller can do anything with.
var driverText = regexp.MustCompile(`(?i)dial (tcp|udp|unix)|connection (refused|reset)|connect: |broken pipe|i/o timeout|no such host|no route to host|` +
	`network is unreachable|unexpected EOF|bad connection|sqlstate|\bpgconn\b|\bpgx\b|\bpq: |\bsql: |\bredis: |failed to connect to|goroutine \d+ \[`)

// tells returns what of an answer only operators shall know, "" for nothing.
func tells(text string, l *lab.Lab, addresses ...string) string {
	for _, address := range addresses {
		if address != "" && strings.Contains(text, address) {
			return "the address of the dependency"
		}
	}
	if name := l.Secrets.Find(text); name != "" {
		return name
	}
	if words := driverText.FindString(text); words != "" {
		return "the words of a driver (" + strings.TrimSpace(words) + ")"
	}
	return ""
}

// addresses are the texts by which the dependency would be known.
func (o *outage) addresses() []string {
	all := []string{o.proxy.Addr()}
	target, err := proxy.Target(o.dependency.Address)
	if err != nil {
		return all
	}
	all = append(all, target)
	host, _, err := net.SplitHostPort(target)
	if ip := net.ParseIP(host); err == nil && host != "localhost" && (ip == nil || !ip.IsLoopback()) && strings.Contains(host, ".") {
		all = append(all, host) // no word that could be there for another reason
	}
	return all
}

// listen keeps the first answer that says what only operators shall know. The
// caller's own words do not count.
func (o *outage) listen(t *probe.Try, c *call) {
	var head strings.Builder
	_ = c.Answer.Header.Write(&head)
	what := tells(head.String()+string(c.Answer.Body), t.Lab, o.addresses()...)
	if what == "" {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.telltale == nil {
		o.telltale, o.told = c, what
	}
}
