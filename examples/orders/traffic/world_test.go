//go:build linux

package traffic

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/aguada-dev/aguada/auth/apikey"
	"github.com/aguada-dev/aguada/auth/basic"
	"github.com/aguada-dev/aguada/auth/jwt"
	"github.com/aguada-dev/aguada/examples/orders/internal/pgtest"
)

const (
	issuer   = "https://issuer.example/"
	audience = "shop"
	pepper   = "a pepper that only tests may use"
	sealing  = "a key for replies that only tests may use"
)

// world is what the replicas share: a database, keys, and who may call.
type world struct {
	t        *testing.T
	environ  []string
	database string
	key      *jwt.DevelopmentKey
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w, dir := &world{t: t, database: pgtest.URL(t)}, t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	w.key, err = jwt.NewDevelopmentKey()
	check(err)
	check(w.key.Save(file("key.json"), file("jwks.json")))
	hash, err := basic.HashPassword("a password that only tests may use")
	check(err)
	check(os.WriteFile(file("users"), []byte("carol:"+hash+"\n"), 0o600))
	_, record, err := apikey.Mint(pepper, apikey.Request{Owner: "partner"})
	check(err)
	keys, err := json.Marshal(apikey.File{Keys: []apikey.Record{record}})
	check(err)
	check(os.WriteFile(file("keys.json"), keys, 0o600))
	w.environ = []string{
		"HTTP_ADDR=127.0.0.1:0", "GRPC_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "LOG_FORMAT=json",
		"OTEL_TRACES_EXPORTER=none", "DATABASE_URL=" + w.database,
		"AUTH_USERS_FILE=" + file("users"), "AUTH_API_KEYS_FILE=" + file("keys.json"), "AUTH_API_KEYS_PEPPER=" + pepper,
		"AUTH_JWKS_FILE=" + file("jwks.json"), "AUTH_ISSUER=" + issuer, "AUTH_AUDIENCE=" + audience,
		"IDEMPOTENCY_SECRET=" + sealing,
	}
	return w
}

// replica starts a process in the world.
func (w *world) replica(environ ...string) *process {
	w.t.Helper()
	return launch(w.t, append(environ, w.environ...))
}

// token returns the value of an Authorization header.
func (w *world) token(subject string, scopes ...string) string {
	w.t.Helper()
	token, err := w.key.Mint(jwt.Claims{
		Issuer: issuer, Subject: subject, Audience: []string{audience}, Scopes: scopes, Lifetime: 2 * time.Hour,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return "Bearer " + token
}

// tokens returns the values for several subjects, of whom each calls within
// its limits.
func (w *world) tokens(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = w.token(fmt.Sprint("shopper-", i), "api:read", "api:write")
	}
	return all
}

// query reads the database, row by row.
func (w *world) query(statement string, row func(pgx.Rows) error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	db, err := pgx.Connect(ctx, w.database)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = db.Close(ctx) }()
	rows, err := db.Query(ctx, statement)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
}

// count returns the number that a statement selects.
func (w *world) count(statement string) (n int) {
	w.t.Helper()
	w.query(statement, func(rows pgx.Rows) error { return rows.Scan(&n) })
	return n
}

// dial returns a connection for gRPC, which is made when it is needed.
func dial(t *testing.T, addr string, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+addr, append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// as returns the context of a call with a token.
func as(ctx context.Context, token string, more ...string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, append(more, "authorization", token)...)
}

// reasonOf returns the reason that the service gives for an error of gRPC, and
// when to try again. An error that the client made up itself has no reason.
func reasonOf(err error) (reason string, wait time.Duration) {
	for _, d := range status.Convert(err).Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			reason = d.Reason
		case *errdetails.RetryInfo:
			wait = d.RetryDelay.AsDuration()
		}
	}
	return reason, wait
}
