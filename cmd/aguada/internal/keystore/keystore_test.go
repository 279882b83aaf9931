package keystore

import (
	"strings"
	"testing"
)

// A password in --database is refused in whatever form PostgreSQL would take it,
// and never repeated.
func TestPasswordOnTheCommandLine(t *testing.T) {
	for _, database := range []string{
		"postgres://ann:hunter2@localhost/shop",
		"postgresql://ann:hunter2@localhost/shop",
		"postgres://ann@localhost/shop?password=hunter2",
		"postgres://ann@localhost/shop?sslpassword=hunter2",
		"postgres://ann@localhost/shop?%70assword=hunter2",
		"postgres:x=1 host=localhost user=ann password=hunter2 dbname=shop",
		"postgresql: host=localhost password=hunter2",
		"host=localhost password=hunter2",
		"postgres://ann:hunter2%@localhost/shop",
	} {
		where, err := Find("", database, func(string) string { return "" })
		if err == nil {
			var keys *Keys
			if keys, err = where.Open(t.Context(), false); err == nil {
				_ = keys.Close()
			}
		}
		if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "connect") {
			t.Errorf("%s: %v", database, err)
		}
	}
}
