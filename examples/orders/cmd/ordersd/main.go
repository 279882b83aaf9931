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
		db, err := store.Open(ctx, rt.Config.DatabaseURL.Reveal(), store.Config{
			Tracer: rt.Tracer("orders/store"), Meter: rt.Meter("orders/store"),
		})
		if err != nil {
			return nil, err
		}
		rt.OnStop("database", db.Close)
		rt.Check("database", db.Ping)
		placing, err := orders.NewOrders(db, cfg, rt.Meter("orders"))
		if err != nil {
			return nil, err
		}
		return &production.Services{
			Orders:   placing,
			Users:    orders.NewUsers(db, cfg),
			Accounts: orders.NewAccounts(),
			Reports:  orders.NewReports(db),
		}, nil
	})
	app.Configure(&cfg)
	return app
}
