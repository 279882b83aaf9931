package transport

import (
	"net/http"

	"github.com/aguada-dev/aguada/telemetry"
	"github.com/aguada-dev/aguada/transport/internal/route"
)

// mounted is a route of the muxer's.
type mounted = route.Route[served]

// served is what serves a route.
type served struct {
	m           *method
	f           http.HandlerFunc
	ask         *mounted // preflights about it; nil where it has no origins
	instruments *telemetry.MethodInstruments
}

// Vars returns the path parameters of the request, unescaped; nil if there are
// none.
func (h *HTTP) Vars(r *http.Request) map[string]string {
	c := callOf(r.Context())
	if c == nil {
		return nil
	}
	return c.route.Vars(&c.match)
}
