// Package api answers what the console is asked: it implements the service of
// console/design on what a store holds and on what targets say of themselves.
//
//	services, err := api.New(api.Config{Store: st, Receiver: receiver, Targets: targets})
//
// It keeps nothing of its own, and changes nothing but through the private port
// of a service.
package api

import (
	"time"

	"github.com/aguada-dev/aguada/console/gen/console"
	"github.com/aguada-dev/aguada/console/otlp"
	"github.com/aguada-dev/aguada/console/store"
	"github.com/aguada-dev/aguada/console/target"
)

// Config is what the API tells of.
type Config struct {
	Store    *store.Store
	Receiver *otlp.Receiver
	Targets  *target.Targets
	// Version is the console's.
	Version string
	// File is where the store keeps what it holds; "" is nowhere.
	File string
	// Authenticated says that senders of telemetry need a token.
	Authenticated bool
	// Stopping is closed when the console stops; streams then end.
	Stopping <-chan struct{}
}

// Service implements the API. Use New. It is safe for concurrent use.
type Service struct {
	cfg     Config
	store   *store.Store
	started time.Time
	now     func() time.Time
}

var _ console.Service = (*Service)(nil)

// New returns the service.
func New(cfg Config) *Service {
	return &Service{cfg: cfg, store: cfg.Store, started: time.Now(), now: time.Now}
}
