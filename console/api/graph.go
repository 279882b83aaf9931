package api

import (
	"cmp"
	"slices"

	"github.com/aguada-dev/aguada/console/gen/console"
	"github.com/aguada-dev/aguada/console/series"
	"github.com/aguada-dev/aguada/console/store"
)

// maxCalls bounds the calls that a map is made of: of more, the latest.
const maxCalls = 200_000

// end is one side of an edge.
type end struct{ kind, name, system string }

// id tells ends apart: a database and a service may share a name.
func (e end) id() string { return e.kind + ":" + e.system + ":" + e.name }

// edge is what went from one end to the other.
type edge struct {
	from, to      end
	calls, errors int64
	dist          series.Dist
}

func (e *edge) add(r store.Ref) {
	e.calls++
	if r.Failed() {
		e.errors++
	}
	e.dist.Value(float64(r.Duration()))
}

// drawing collects a map.
type drawing struct {
	served map[store.SpanID]store.Ref // spans that serve a call, by the span that made it
	edges  map[[2]string]*edge
}

// graph draws the map: a call goes from the service of a client's span to that
// of the server's span below it; a client's span without one goes to what its
// attributes name; a server's span whose caller is not known comes from outside.
func (s *Service) graph(w series.Window) *console.Graph {
	d := &drawing{served: make(map[store.SpanID]store.Ref), edges: make(map[[2]string]*edge)}
	n := 0
	for _, kind := range []uint8{store.KindServer, store.KindConsumer} {
		s.store.Walk(store.Traces, &store.Filter{Since: w.Since, Until: w.Until, Kind: kind}, func(r store.Ref) bool {
			n++
			if parent := r.Parent(); parent != (store.SpanID{}) {
				d.served[parent] = r
			} else {
				d.add(end{kind: "caller", name: "callers"}, end{kind: "service", name: r.Service()}, r)
			}
			return n < maxCalls
		})
	}
	n = 0
	s.store.Walk(store.Traces, &store.Filter{Since: w.Since - int64(60e9), Until: w.Until}, func(r store.Ref) bool {
		n++
		if callee, ok := d.served[r.ID()]; ok {
			delete(d.served, r.ID())
			if from := r.Service(); from != callee.Service() {
				d.add(end{kind: "service", name: from}, end{kind: "service", name: callee.Service()}, callee)
			}
		} else if to, ok := dependency(r); ok && r.Time() >= w.Since {
			d.add(end{kind: "service", name: r.Service()}, to, r)
		}
		return n < 4*maxCalls
	})
	for _, callee := range d.served { // the caller sends elsewhere, or was not sampled
		d.add(end{kind: "caller", name: "callers"}, end{kind: "service", name: callee.Service()}, callee)
	}
	return d.result(w)
}

// dependency names what a client's span called.
func dependency(r store.Ref) (end, bool) {
	if k := r.Kind(); k != store.KindClient && k != store.KindProducer {
		return end{}, false
	}
	first := func(keys ...string) string {
		for _, key := range keys {
			if v := r.Text(key); v != "" {
				return v
			}
		}
		return ""
	}
	host := first("server.address", "peer.service", "net.peer.name")
	if system := first("db.system.name", "db.system"); system != "" {
		return end{"database", cmp.Or(first("db.namespace", "db.name"), host, system), system}, true
	}
	if system := first("messaging.system"); system != "" {
		return end{"messaging", cmp.Or(first("messaging.destination.name"), host, system), system}, true
	}
	return end{"external", cmp.Or(first("peer.service"), host, "unknown"), first("rpc.system.name", "rpc.system")}, true
}

func (d *drawing) add(from, to end, r store.Ref) {
	key := [2]string{from.id(), to.id()}
	e := d.edges[key]
	if e == nil {
		e = &edge{from: from, to: to}
		d.edges[key] = e
	}
	e.add(r)
}

// result converts the map.
func (d *drawing) result(w series.Window) *console.Graph {
	out := &console.Graph{Nodes: []*console.Node{}, Edges: []*console.Edge{}}
	nodes := make(map[string]*console.Node)
	node := func(e end) *console.Node {
		v := nodes[e.id()]
		if v == nil {
			v = &console.Node{ID: e.id(), Name: e.name, Kind: e.kind, System: optional(e.system)}
			nodes[e.id()] = v
			out.Nodes = append(out.Nodes, v)
		}
		return v
	}
	for _, e := range d.edges {
		node(e.from)
		to := node(e.to)
		to.Calls += e.calls
		to.Errors += e.errors
		v := &console.Edge{From: e.from.id(), To: e.to.id(), Calls: e.calls, Errors: e.errors, Rate: float64(e.calls) / w.Seconds()}
		if p95, ok := e.dist.Quantile(0.95); ok {
			v.P95Ns = &p95
		}
		out.Edges = append(out.Edges, v)
	}
	slices.SortFunc(out.Nodes, func(a, b *console.Node) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(out.Edges, func(a, b *console.Edge) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	return out
}
