// Command ordersd serves the shop.
//
// It takes no arguments of its own: the environment configures it, and
//
//	ordersd -config
//
// prints what there is to configure.
package main

import (
	"context"

	"github.com/aguada-dev/aguada"
	"github.com/aguada-dev/aguada/examples/orders"
	"github.com/aguada-dev/aguada/examples/orders/gen/production"
	"github.com/aguada-dev/aguada/examples/orders/store"
)

func main() { aguada.Main(shop()) }

// shop returns the service, to be run once.
func shop() *aguada.App {
	var cfg orders.Config
	app := production.App(func(ctx context.Context, rt *aguada.Runtime) (*production.Services, error) {
		db, err := store.Open(ctx, rt.Config.DatabaseURL.Reveal())
		if err != nil {
			return nil, err
		}
		rt.OnStop("database", db.Close)
		rt.Check("database", db.Ping)
		return &production.Services{
			Orders:   orders.NewOrders(db, cfg),
			Users:    orders.NewUsers(db, cfg),
			Accounts: orders.NewAccounts(),
			Reports:  orders.NewReports(db),
		}, nil
	})
	app.Configure(&cfg)
	return app
}
