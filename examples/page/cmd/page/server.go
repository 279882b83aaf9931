package main

import (
	"context"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"goa.design/clue/debug"
	"goa.design/clue/health"
	"goa.design/clue/log"
	goahttp "goa.design/goa/v3/http"

	"github.com/aguada-dev/aguada/examples/page"
	orderssvr "github.com/aguada-dev/aguada/examples/page/gen/http/orders/server"
	userssvr "github.com/aguada-dev/aguada/examples/page/gen/http/users/server"
	genservice "github.com/aguada-dev/aguada/examples/page/gen/orders"
	"github.com/aguada-dev/aguada/examples/page/gen/users"
)

// newHandler is the page's "complete observable service". Corrected: the
// generated servers are mounted.
func newHandler(ctx context.Context, cfg Config, store *page.Store) http.Handler {
	auth := page.NewAuth(page.Credentials{
		User: cfg.BasicUser, Password: cfg.BasicPassword, APIKey: cfg.APIKey,
		Secret: []byte(cfg.JWTSecret), Issuer: cfg.JWTIssuer, Audience: cfg.JWTAudience,
	})
	svc := page.NewService(auth, store, otel.Meter("service"))
	endpoints := genservice.NewEndpoints(svc)
	usersEndpoints := users.NewEndpoints(page.Users{Auth: auth})
	// As on the page: both run outside authentication.
	endpoints.Use(debug.LogPayloads())
	endpoints.Use(log.Endpoint)
	usersEndpoints.Use(debug.LogPayloads())
	usersEndpoints.Use(log.Endpoint)

	// As on the page: nothing recovers from a panic, bounds a body or limits a
	// rate.
	mux := goahttp.NewMuxer()
	mux.Use(otelhttp.NewMiddleware(genservice.ServiceName))
	// As on the page: log.HTTP replaces the logger that debug.HTTP has just
	// switched.
	mux.Use(debug.HTTP())
	// As on the page: the whole URL is logged, and X-Forwarded-For believed.
	mux.Use(log.HTTP(ctx))

	// As on the page: for everybody, on the public port.
	debug.MountDebugLogEnabler(debug.Adapt(mux))
	debug.MountPprofHandlers(debug.Adapt(mux))

	// As on the page: on the DefaultServeMux, which nobody serves.
	checker := health.NewChecker(
		health.NewPinger("database", cfg.DBHealthAddr),
		health.NewPinger("cache", cfg.CacheHealthAddr),
	)
	http.Handle("/healthz", log.HTTP(ctx)(health.Handler(checker)))

	orderssvr.Mount(mux, orderssvr.New(endpoints, mux, goahttp.RequestDecoder, goahttp.ResponseEncoder, nil, nil, &websocket.Upgrader{}, nil))
	userssvr.Mount(mux, userssvr.New(usersEndpoints, mux, goahttp.RequestDecoder, goahttp.ResponseEncoder, nil, nil))
	return mux
}

// newServer is the page's "server timeouts", with those of its Config where it
// has both.
//
// As on the page: WriteTimeout cuts streams.
func newServer(cfg Config, mux http.Handler) *http.Server {
	return &http.Server{
		Addr:              cfg.HTTPAddr,
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       cfg.ReadTimeout,
		WriteTimeout:      cfg.WriteTimeout,
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    1 << 20, // 1MB
	}
}
