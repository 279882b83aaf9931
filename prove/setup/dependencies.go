package setup

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/proxy"
	"github.com/aguada-dev/aguada/prove/target"
)

// stored matches URLs of what services keep things in, or send them by.
var stored = regexp.MustCompile(`^(postgres|postgresql|mysql|redis|valkey|mongodb|amqp|nats|memcached)://`)

// dependencies returns what the service depends on, sorted by variable: what was
// given, and the URLs in its environment. Those of TLS alone are left out of the
// latter: through a proxy their names would not be right.
func dependencies(env, given map[string]string, secrets *target.Secrets) ([]lab.Dependency, error) {
	all := maps.Clone(given)
	if all == nil {
		all = map[string]string{}
	}
	for name, value := range env {
		if _, known := all[name]; known || !stored.MatchString(value) {
			continue
		}
		if _, err := proxy.Target(value); err == nil { // placeholders and lists of hosts have none
			all[name] = value
		}
	}
	var list []lab.Dependency
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if _, err := proxy.Target(all[name]); err != nil {
			return nil, fmt.Errorf("read the dependency %s: %w", name, err)
		}
		for _, secret := range proxy.Passwords(all[name]) {
			secrets.Add("the password in "+name, secret)
		}
		list = append(list, lab.Dependency{Variable: name, Address: all[name]})
	}
	return list, nil
}
