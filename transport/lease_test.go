package transport

import (
	"log/slog"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/telemetry"
)

// A lease on the level shows the line of its requests too, of a service that
// logs warnings only.
func TestLevelLeaseShowsTheRequest(t *testing.T) {
	leases := telemetry.NewLeases(telemetry.LeasesConfig{Audit: func(telemetry.LeaseEvent) {}})
	t.Cleanup(func() { leases.Close("test") })
	r := newRig(t, func(r *rig) {
		r.cfg.Logger = slog.New(telemetry.NewHandler(r.log, telemetry.JSON, slog.LevelWarn))
		r.cfg.Leases = leases
	})
	show := func(token string) int {
		r.log.reset()
		r.do(request("GET", "/orders/o1", token, ""))
		return len(r.log.lines(t, "request"))
	}
	if n := show(r.token); n != 0 {
		t.Fatalf("%d lines without a lease", n)
	}
	_, err := leases.Open(telemetry.Lease{Kind: telemetry.LogLevel, Level: slog.LevelInfo, Principal: "ann", OpenedBy: "op"}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if n := show(r.token); n != 1 {
		t.Errorf("%d lines of the principal of the lease, want 1", n)
	}
	if n := show(r.other); n != 0 {
		t.Errorf("%d lines of another one", n)
	}
}
