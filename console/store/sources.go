package store

// Sender is a process that sent something.
type Sender struct {
	Service, Instance string
	// Resource is what it says of itself, as it was sent last.
	Resource []Attr
	// Last is the latest time of what it sent, in nanoseconds since 1970.
	Last int64
	// Items is how much of it is here, by signal.
	Items [signals]int64
}

// Senders returns who sent something that is of since or later, by name and
// instance.
func (s *Store) Senders(since int64) []*Sender {
	type key struct{ service, instance string }
	found := make(map[key]*Sender)
	var all []*Sender
	for sig := range signals {
		for _, g := range s.snapshot(sig) {
			if g.newest < since {
				continue
			}
			for i, from := range g.sources {
				seen := g.seen[i]
				if seen.n == 0 || seen.last < since {
					continue
				}
				k := key{string(g.dict.get(from.service)), string(g.dict.get(from.instance))}
				v := found[k]
				if v == nil {
					v = &Sender{Service: k.service, Instance: k.instance}
					found[k] = v
					all = append(all, v)
				}
				v.Items[sig] += seen.n
				if seen.last >= v.Last {
					u := unpacker{&g.dict, g.dict.get(from.resource)}
					v.Last, v.Resource = seen.last, u.attrs()
				}
			}
		}
	}
	return all
}
