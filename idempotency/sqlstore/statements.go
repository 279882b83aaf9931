package sqlstore

import (
	"fmt"
	"regexp"
	"strings"
)

// batch is how many records a sweep removes at most.
const batch = 200

// statements are those of a dialect.
type statements struct{ claim, look, extend, finish, release, sweep, lock string }

// The clocks of the databases, in milliseconds since 1970.
var clocks = map[Dialect]string{
	SQLite:     "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
	PostgreSQL: "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
}

// Parameters are $1 id, $2 owner, and what each statement needs. NOW is the
// clock.
//
// In PostgreSQL a statement that finds its row being changed waits for that
// transaction and judges its conditions again by what was committed, so that of
// an owner that finishes and another that takes over, one always loses.
const (
	claimSQL = `INSERT INTO TABLE AS had (id, owner, fingerprint, lease_until, expires_at, reply)
VALUES ($1, $2, $3, NOW + CAST($4 AS BIGINT), NOW + CAST($5 AS BIGINT), NULL)
ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, fingerprint = excluded.fingerprint,
	lease_until = excluded.lease_until, expires_at = excluded.expires_at, reply = NULL
WHERE had.expires_at <= NOW OR (had.reply IS NULL AND had.fingerprint = excluded.fingerprint
	AND (had.lease_until <= NOW OR had.owner = excluded.owner))
RETURNING owner`

	lookSQL = `SELECT fingerprint, reply FROM TABLE WHERE id = $1 AND expires_at > NOW`

	extendSQL = `UPDATE TABLE SET lease_until = NOW + CAST($3 AS BIGINT), expires_at = NOW + CAST($4 AS BIGINT)
WHERE id = $1 AND owner = $2 AND reply IS NULL AND expires_at > NOW`

	finishSQL = `UPDATE TABLE SET expires_at = NOW + CAST($3 AS BIGINT), reply = $4
WHERE id = $1 AND owner = $2 AND expires_at > NOW`

	releaseSQL = `DELETE FROM TABLE WHERE id = $1 AND owner = $2 AND reply IS NULL`

	sweepSQL = `DELETE FROM TABLE WHERE expires_at <= NOW AND id IN (
	SELECT id FROM TABLE WHERE expires_at <= NOW ORDER BY expires_at LIMIT %d%s)`

	lockSQL = `UPDATE TABLE SET owner = owner WHERE id = $1 AND owner = $2 AND reply IS NULL`
)

var parameter = regexp.MustCompile(`\$(\d)`)

func statementsOf(d Dialect) statements {
	skip := ""
	if d == PostgreSQL {
		skip = " FOR UPDATE SKIP LOCKED"
	}
	in := func(text string) string {
		text = strings.NewReplacer("NOW", clocks[d], "TABLE", Table).Replace(text)
		if d == SQLite {
			text = parameter.ReplaceAllString(text, "?$1")
		}
		return text
	}
	return statements{
		claim: in(claimSQL), look: in(lookSQL), extend: in(extendSQL), finish: in(finishSQL), release: in(releaseSQL),
		sweep: in(fmt.Sprintf(sweepSQL, batch, skip)), lock: in(lockSQL),
	}
}
