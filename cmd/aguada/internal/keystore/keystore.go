// Package keystore finds the API keys that the command line works on: a file,
// or the table of a service's database.
//
//	where, err := keystore.Find("", "", os.Getenv)
//	...
//	keys, err := where.Open(ctx, false)
//	defer keys.Close()
//
// No secret is taken from the command line, where the shell's history and every
// user of the machine could read it.
package keystore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
	_ "modernc.org/sqlite"             // the driver sqlite

	"github.com/aguada-dev/aguada/auth/apikey"
	"github.com/aguada-dev/aguada/auth/apikey/sqlkeys"
)

// The variables that are read, as a service reads them.
const (
	FileVariable     = "AUTH_API_KEYS_FILE"
	DatabaseVariable = "DATABASE_URL"
	PepperVariable   = "AUTH_API_KEYS_PEPPER"
	OldVariable      = "AUTH_API_KEYS_OLD_PEPPER"
)

// UsageError is a location that cannot be understood.
type UsageError struct{ text string }

func (e *UsageError) Error() string { return e.text }

// Location is where keys are.
type Location struct{ file, database string }

// Find returns the location that flags name, one of which may be set, or else
// the environment: its file of keys if there is one, as with the service, else
// its database.
func Find(file, database string, getenv func(string) string) (Location, error) {
	switch {
	case file != "" && database != "":
		return Location{}, &UsageError{"--file and --database are both given: name one"}
	case file != "":
		return Location{file: file}, nil
	case database != "":
		if u, err := url.Parse(database); err == nil && (hasPassword(u) || u.Query().Has("password") || u.Query().Has("sslpassword")) {
			return Location{}, &UsageError{"the URL of --database holds a password, which others on this machine can read: set " + DatabaseVariable + " instead, or leave the password out and set PGPASSWORD or PGPASSFILE"}
		}
		return Location{database: database}, nil
	case getenv(FileVariable) != "":
		return Location{file: getenv(FileVariable)}, nil
	}
	database, err := secret(DatabaseVariable, getenv)
	if err != nil {
		return Location{}, err
	}
	if database == "" {
		return Location{}, &UsageError{"there is nothing to say where the keys are: give --file FILE or --database URL, or set " +
			FileVariable + " or " + DatabaseVariable}
	}
	return Location{database: database}, nil
}

func hasPassword(u *url.URL) bool {
	_, has := u.User.Password()
	return has
}

// secret returns a variable's value, or the content of the file that NAME_FILE
// names without one newline at its end.
func secret(name string, getenv func(string) string) (string, error) {
	value, file := getenv(name), getenv(name+"_FILE")
	switch {
	case value != "" && file != "":
		return "", fmt.Errorf("%s and %s_FILE are both set: unset one of them", name, name)
	case file == "":
		return value, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read %s_FILE: %w", name, err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r"), nil
}

// Peppers returns the peppers of the environment; either may be empty.
func Peppers(getenv func(string) string) (current, old string, err error) {
	if current, err = secret(PepperVariable, getenv); err != nil {
		return "", "", err
	}
	old, err = secret(OldVariable, getenv)
	return current, old, err
}

// Keys is an open store.
type Keys struct {
	apikey.Ledger
	// Text says where the keys are, without a secret.
	Text string
	// Delay says how long a service may take to see a change.
	Delay string
	close func() error
}

// Close closes what was opened.
func (k *Keys) Close() error { return k.close() }

// Open opens the keys. With create, what is missing is made: a file, a table.
func (l Location) Open(ctx context.Context, create bool) (*Keys, error) {
	if l.file != "" {
		return openFile(l.file, create)
	}
	scheme, rest, _ := strings.Cut(l.database, ":")
	var db *sql.DB
	var text string
	var err error
	dialect := sqlkeys.PostgreSQL
	switch scheme {
	case "sqlite":
		dialect, text = sqlkeys.SQLite, filepath.Clean(rest)
		db, err = openSQLite(rest, create)
	case "postgres", "postgresql":
		db, text, err = openPostgres(l.database)
	default:
		err = errWant
	}
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	store, err := sqlkeys.New(db, dialect)
	if err == nil {
		err = ready(ctx, db, store, create)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", text, err), db.Close())
	}
	return &Keys{Ledger: store, Text: text, Delay: "10 seconds", close: db.Close}, nil
}

var errWant = errors.New("unsupported URL: want sqlite:FILE or postgres://USER@HOST/DATABASE")

func openFile(file string, create bool) (*Keys, error) {
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) && !create {
		return nil, fmt.Errorf("open API keys: there is no file %s: aguada keys create makes it", file)
	}
	return &Keys{Ledger: apikey.NewFileStore(file), Text: file, Delay: "2 seconds", close: func() error { return nil }}, nil
}

// ready makes the table, or says that it is missing.
func ready(ctx context.Context, db *sql.DB, store *sqlkeys.Store, create bool) error {
	if err := db.PingContext(ctx); err != nil {
		return err
	}
	if create {
		return store.Migrate(ctx)
	}
	if err := store.Ready(ctx); err != nil {
		return fmt.Errorf("it has no API keys (aguada keys create makes their table), or this user may not read them: %w", err)
	}
	return nil
}

// openSQLite opens a file, which SQLite would make readable by everybody.
func openSQLite(file string, create bool) (*sql.DB, error) {
	if file == "" || strings.HasPrefix(file, ":") || strings.HasPrefix(file, "//") || strings.ContainsRune(file, 0) {
		return nil, errors.New("unsupported URL: want sqlite:FILE")
	}
	if create {
		f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	} else if _, err := os.Stat(file); err != nil {
		return nil, err
	}
	dsn := "file:" + (&url.URL{Path: filepath.ToSlash(file)}).EscapedPath() + "?_pragma=busy_timeout(5000)&_txlock=immediate"
	return sql.Open("sqlite", dsn)
}

// openPostgres does not repeat the driver's errors about a URL: they quote what
// they cannot read.
func openPostgres(text string) (*sql.DB, string, error) {
	if _, rest, _ := strings.Cut(text, ":"); !strings.HasPrefix(rest, "//") {
		return nil, "", errWant // the driver would read words such as password=...
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, "", errors.New("the URL cannot be read (a %, @, / or : in a password is written %25, %40, %2F, %3A)")
	}
	c, err := pgx.ParseConfig(text)
	if err != nil {
		return nil, "", errors.New("the URL holds a setting that PostgreSQL does not know, or names a file that cannot be read")
	}
	if !u.Query().Has("sslmode") && os.Getenv("PGSSLMODE") == "" && !near(c) {
		return nil, "", errors.New("the URL names another machine and not how to get there: add sslmode=verify-full, or sslmode=disable in a network of your own")
	}
	db, err := sql.Open("pgx", text)
	return db, fmt.Sprintf("%s on %s", c.Database, c.Host), err
}

// near reports whether all hosts are this machine.
func near(c *pgx.ConnConfig) bool {
	hosts := []string{c.Host}
	for _, f := range c.Fallbacks {
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
