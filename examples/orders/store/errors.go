package store

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// kindOf returns ErrExists or ErrUnavailable where a driver's error is one of
// these, and whether the same may well succeed at once.
func kindOf(err error) (kind error, again bool) {
	if err == nil {
		return nil, false
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch code := e.Code(); {
		case code == sqlite3.SQLITE_CONSTRAINT_UNIQUE, code == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
			return ErrExists, false
		case code&0xff == sqlite3.SQLITE_BUSY, code&0xff == sqlite3.SQLITE_LOCKED: // for as long as busy_timeout
			return ErrUnavailable, false
		}
		return nil, false
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return kindOfState(e.Code)
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return ErrUnavailable, false
	}
	for _, lost := range []error{driver.ErrBadConn, sql.ErrConnDone, pgconn.ErrConnClosed, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed} {
		if errors.Is(err, lost) {
			return ErrUnavailable, true
		}
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return ErrUnavailable, true
	}
	return nil, false
}

// kindOfState is kindOf for the SQLSTATE of PostgreSQL (appendix A of its
// manual).
func kindOfState(state string) (kind error, again bool) {
	switch state {
	case "23505": // unique_violation
		return ErrExists, false
	case "40001", "40P01", // serialization_failure, deadlock_detected
		"57P01", "57P02": // admin_shutdown, crash_shutdown: of this connection at least
		return ErrUnavailable, true
	case "57014", "55P03", // query_canceled by statement_timeout, lock_not_available
		"53300", "57P03", // too_many_connections, cannot_connect_now
		"25006": // read_only_sql_transaction: a standby, until it is promoted
		return ErrUnavailable, false
	}
	return map[bool]error{true: ErrUnavailable}[strings.HasPrefix(state, "08")], true // connection_exception
}
