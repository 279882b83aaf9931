package config_test

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The log is told once for each threshold of each certificate.
func TestLogExpiry(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Now().Truncate(time.Second)
	year := issue(t, nil, "a year", now, now.Add(365*day))
	week := issue(t, nil, "a week", now.Add(366*day), now.Add(373*day))
	certFile, keyFile := write(t, year.cert), write(t, year.pem)
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(now))
		_, files := open(t, "TLS_CERT_FILE="+certFile, "TLS_KEY_FILE="+keyFile)
		var log bytes.Buffer
		files.LogExpiry(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "not_after" {
				return slog.Attr{}
			}
			return a
		}})))
		at := func(after time.Duration, note, want string) {
			t.Helper()
			time.Sleep(time.Until(now.Add(after)))
			for range 3 { // once each
				if _, err := handshake(t, files.Public(), &tls.Config{InsecureSkipVerify: true}); err != nil {
					t.Error(err)
				}
				if got := files.Note(); got != note {
					t.Errorf("after %s the note is %q, want %q", after, got, note)
				}
			}
			if got := strings.TrimSuffix(log.String(), "\n"); got != want {
				t.Errorf("after %s the log is %q, want %q", after, got, want)
			}
			log.Reset()
		}
		at(350*day, "", "")
		at(352*day, "the TLS certificate expires in 13 days", `level=WARN msg="the TLS certificate expires in 13 days"`)
		at(360*day, "the TLS certificate expires in 5 days", "")
		at(364*day, "the TLS certificate expires in 24 hours", `level=WARN msg="the TLS certificate expires in 24 hours"`)
		at(366*day, "the TLS certificate has expired", `level=ERROR msg="the TLS certificate has expired"`) // and is served
		rewrite(t, certFile, week.cert)
		rewrite(t, keyFile, week.pem)
		at(367*day, "", "") // a third of a week is two days
		at(371*day, "the TLS certificate expires in 2 days", `level=WARN msg="the TLS certificate expires in 2 days"`)
		at(373*day-time.Hour, "the TLS certificate expires in 60 minutes", `level=WARN msg="the TLS certificate expires in 60 minutes"`)
	})
	_, files := open(t)
	files.LogExpiry(slog.New(slog.DiscardHandler))
	if files.Note() != "" {
		t.Error("there is a note, and no certificate")
	}
}
