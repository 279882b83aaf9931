package store

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
)

// What a PostgreSQL URL may say and mostly does not.
const (
	maxConns       = 10
	connectTimeout = 5 * time.Second
	connIdleTime   = 5 * time.Minute
)

// serverSettings bound what the server does for us, in its own units. A
// statement outlives no deadline of a method, and a transaction whose process
// hangs does not keep its locks.
var serverSettings = map[string]string{
	"application_name":                    "shop",
	"statement_timeout":                   "10000",
	"idle_in_transaction_session_timeout": "30000",
	"default_transaction_isolation":       "read committed",
}

func openPostgres(ctx context.Context, text string, cfg Config) (_ *Store, err error) {
	pc, err := parsePostgres(text)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	w, err := newWatch(cfg, semconv.DBSystemNamePostgreSQL, semconv.DBNamespace(pc.ConnConfig.Database),
		semconv.ServerAddress(pc.ConnConfig.Host), semconv.ServerPort(int(pc.ConnConfig.Port)))
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := migratePostgres(ctx, pc); err != nil {
		return nil, failed(ctx, "migrate database", err)
	}
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, failed(ctx, "open database", err)
	}
	db := stdlib.OpenDBFromPool(pool)
	s := &Store{write: db, read: db, watch: w, stmt: newStatements(w, db, db)}
	forget, err := observePool(cfg.Meter, pool)
	s.release = func() error { forget(); pool.Close(); return nil }
	if err == nil {
		err = s.Ping(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open database: %w", err), s.Close())
	}
	return s, nil
}

// parsePostgres reads the URL. The driver's own errors are not repeated: they
// quote what they cannot read.
func parsePostgres(text string) (*pgxpool.Config, error) {
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" {
		return nil, fmt.Errorf("the URL cannot be read (a %%, @, / or : in a password is written %%25, %%40, %%2F, %%3A): %w", errWant)
	}
	asked, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("the URL's parameters cannot be read: want NAME=VALUE&NAME=VALUE")
	}
	pc, err := pgxpool.ParseConfig(text)
	if err != nil {
		return nil, errors.New("the URL holds a setting that PostgreSQL does not know, or a file that cannot be read; see the manual of libpq, 34.1.2")
	}
	if !asked.Has("sslmode") && os.Getenv("PGSSLMODE") == "" && !near(pc) {
		return nil, errors.New("the URL names another machine and not how to get there: add sslmode=verify-full, or sslmode=disable in a network of your own")
	}
	if !asked.Has("pool_max_conns") {
		pc.MaxConns = maxConns
	}
	if !asked.Has("pool_max_conn_idle_time") {
		pc.MaxConnIdleTime = connIdleTime
	}
	if !asked.Has("connect_timeout") && os.Getenv("PGCONNECT_TIMEOUT") == "" {
		pc.ConnConfig.ConnectTimeout = connectTimeout
	}
	pc.PingTimeout = connectTimeout
	pc.MaxConnLifetimeJitter = pc.MaxConnLifetime / 10
	for name, value := range serverSettings {
		if _, ok := pc.ConnConfig.RuntimeParams[name]; !ok {
			pc.ConnConfig.RuntimeParams[name] = value
		}
	}
	return pc, nil
}

// near reports whether all hosts are this machine.
func near(pc *pgxpool.Config) bool {
	hosts := []string{pc.ConnConfig.Host}
	for _, f := range pc.ConnConfig.Fallbacks {
		hosts = append(hosts, f.Host)
	}
	for _, host := range hosts {
		addr, err := netip.ParseAddr(host)
		if host != "localhost" && !strings.HasPrefix(host, "/") && !(err == nil && addr.IsLoopback()) {
			return false
		}
	}
	return true
}

// migrationLock is the advisory lock of who brings the tables up to date.
const migrationLock = 0x6167_7561_6461 // "aguada"

// migratePostgres brings the tables up to date, one process at a time. It has
// connections of its own, on which a statement may take as long as the start.
func migratePostgres(ctx context.Context, pc *pgxpool.Config) error {
	own := pc.ConnConfig.Copy()
	own.RuntimeParams["statement_timeout"] = "0"
	own.RuntimeParams["idle_in_transaction_session_timeout"] = "0"
	db := stdlib.OpenDB(*own)
	defer func() { _ = db.Close() }()
	lock, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }() // which ends the session, and the lock with it
	if _, err := lock.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(migrationLock)); err != nil {
		return err
	}
	dir, err := migrationsOf("postgres")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, dir, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}

// observePool measures how much of its connections the pool uses. The function
// that it returns ends that.
func observePool(meter metric.Meter, pool *pgxpool.Pool) (forget func(), err error) {
	forget = func() {}
	if meter == nil {
		return forget, nil
	}
	count, err1 := meter.Int64ObservableUpDownCounter(semconvConnectionCount, metric.WithUnit("{connection}"),
		metric.WithDescription("Connections that are in the state the attribute tells"))
	limit, err2 := meter.Int64ObservableUpDownCounter(semconvConnectionMax, metric.WithUnit("{connection}"),
		metric.WithDescription("The most connections that may be open"))
	if err := errors.Join(err1, err2); err != nil {
		return forget, err
	}
	name := attribute.String("db.client.connection.pool.name", pool.Config().ConnConfig.Database)
	of := func(attrs ...attribute.KeyValue) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(append(attrs, name)...))
	}
	all, idle, used := of(), of(attribute.String("db.client.connection.state", "idle")), of(attribute.String("db.client.connection.state", "used"))
	reg, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		stat := pool.Stat()
		o.ObserveInt64(count, int64(stat.IdleConns()), idle)
		o.ObserveInt64(count, int64(stat.AcquiredConns()), used)
		o.ObserveInt64(limit, int64(stat.MaxConns()), all)
		return nil
	}, count, limit)
	if err != nil {
		return forget, err
	}
	return func() { _ = reg.Unregister() }, nil
}

const (
	semconvConnectionCount = "db.client.connection.count"
	semconvConnectionMax   = "db.client.connection.max"
)
