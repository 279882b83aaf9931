// Command ordersd serves the shop.
//
// It takes no arguments of its own: the environment configures it, and
//
//	ordersd -config
//
// prints what there is to configure. API keys are in the file that
// AUTH_API_KEYS_FILE names, or without one in the shop's own database, where
//
//	aguada keys create --owner partner
//
// puts them, with the same DATABASE_URL and AUTH_API_KEYS_PEPPER.
package main

import (
	"context"
	"errors"

	"github.com/aguada-dev/aguada"
	"github.com/aguada-dev/aguada/auth/apikey"
	"github.com/aguada-dev/aguada/examples/orders"
	"github.com/aguada-dev/aguada/examples/orders/gen/production"
	"github.com/aguada-dev/aguada/examples/orders/store"
	"github.com/aguada-dev/aguada/limit/redislimit"
)

func main() { aguada.Main(shop()) }

// shop returns the service, to be run once. What is kept is in one database: an
// order is committed together with its event and with the reply to its call.
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
		if err := verifyKeys(ctx, rt, db); err != nil {
			return nil, err
		}
		if err := shareLimits(rt); err != nil {
			return nil, err
		}
		replies, err := db.Replies(ctx)
		if err != nil {
			return nil, err
		}
		rt.Idempotency(replies)
		feed := orders.NewFeed(db)
		rt.OnStop("feed of events", feed.Close) // before the database, which it reads
		placing, err := orders.NewOrders(db, feed, cfg, rt.Meter("orders"))
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
	app.OwnSchemes(apiKey)
	return app
}

// apiKey is the design's name of the scheme.
const apiKey = "api_key"

// verifyKeys has API keys verified against their file, or without one against
// the database.
func verifyKeys(ctx context.Context, rt *aguada.Runtime, db *store.Store) error {
	if rt.Config.AuthAPIKeysPepper.IsZero() {
		return errors.New("AUTH_API_KEYS_PEPPER is not set, and no API key can be verified without it")
	}
	cfg := apikey.Config{Scheme: apiKey, Logger: rt.Logger}
	if file := rt.Config.AuthAPIKeysFile; file != "" {
		v, err := apikey.Open(file, rt.Peppers(), cfg)
		if err != nil {
			return err
		}
		rt.Verify(apiKey, v)
		return nil
	}
	keys, err := db.APIKeys(ctx)
	if err != nil {
		return err
	}
	v, err := apikey.New(keys, rt.Peppers(), cfg)
	if err != nil {
		return err
	}
	rt.OnStop("API keys", v.Close) // before the database, which it writes to
	rt.Verify(apiKey, v)
	return nil
}

// shareLimits has all replicas count calls together, if there is a Redis.
func shareLimits(rt *aguada.Runtime) error {
	if rt.Config.RedisURL.IsZero() {
		return nil
	}
	shared, err := redislimit.Open(rt.Config.RedisURL.Reveal(), redislimit.Config{
		Prefix: "shop", Secret: []byte(rt.Config.RedisSecret.Reveal()), OnOutage: redislimit.Outage(rt.Config.RateLimitOnOutage),
		Changed: func(err error) {
			if err != nil {
				rt.Logger.Warn("limits are not shared", "error", err)
				return
			}
			rt.Logger.Info("limits are shared again")
		},
	})
	if err != nil {
		return err
	}
	rt.OnStop("rate limits", shared.Close)
	rt.Limits(shared)
	return nil
}
