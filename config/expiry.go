package config

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

const day = 24 * time.Hour

// stage is how near the end of a certificate is.
type stage int

const (
	far     stage = iota
	near          // 14 days, or a third of its life if that is less
	nearest       // 3 days, or a tenth of its life if that is less
	over
)

// stageAt returns the stage of a certificate. Those that are made for hours
// or days only are replaced often: they are near their end later.
func stageAt(c *x509.Certificate, now time.Time) stage {
	life, left := c.NotAfter.Sub(c.NotBefore), c.NotAfter.Sub(now)
	switch {
	case left < 0:
		return over
	case left < min(3*day, life/10):
		return nearest
	case left < min(14*day, life/3):
		return near
	}
	return far
}

// told is what the log has last been told of a certificate.
type told struct {
	leaf  *x509.Certificate
	stage stage
}

// expiry tells the log that a certificate is near its end.
type expiry struct {
	logger atomic.Pointer[slog.Logger]
	told   atomic.Pointer[told]
}

// notice logs the certificate's stage, unless it has been logged.
func (e *expiry) notice(leaf *x509.Certificate) {
	now := time.Now()
	next := &told{leaf, stageAt(leaf, now)}
	log, last := e.logger.Load(), e.told.Load()
	if log == nil || next.stage == far || last != nil && last.leaf == leaf && last.stage >= next.stage {
		return
	}
	if !e.told.CompareAndSwap(last, next) {
		return // another handshake tells
	}
	level := slog.LevelWarn
	if next.stage == over {
		level = slog.LevelError
	}
	log.LogAttrs(context.Background(), level, note(leaf, now), slog.Time("not_after", leaf.NotAfter))
}

// note says how near a certificate's end is, "" for far.
func note(leaf *x509.Certificate, now time.Time) string {
	switch left := leaf.NotAfter.Sub(now); {
	case stageAt(leaf, now) == far:
		return ""
	case left < 0:
		return "the TLS certificate has expired"
	case left >= 2*day:
		return fmt.Sprintf("the TLS certificate expires in %d days", left/day)
	case left >= 2*time.Hour:
		return fmt.Sprintf("the TLS certificate expires in %d hours", left/time.Hour)
	default:
		return fmt.Sprintf("the TLS certificate expires in %d minutes", left/time.Minute)
	}
}

// present returns the certificate that is now presented.
func (t *TLS) present() *tls.Certificate {
	p := t.pair.Value()
	t.expiry.notice(p.Leaf)
	return p
}

// NotAfter returns when the certificate expires that is now presented, or the
// zero time if there is none.
func (t *TLS) NotAfter() time.Time {
	if t.pair == nil {
		return time.Time{}
	}
	return t.present().Leaf.NotAfter
}

// Note says for operators what is to be done about the certificate, or "" if
// nothing is: it expires within 14 days (or a third of its life, if that is
// less), or has expired. It is no reason not to be ready: a certificate ends
// for all replicas at once, and clients that look no closer are still served.
func (t *TLS) Note() string {
	if t.pair == nil {
		return ""
	}
	return note(t.present().Leaf, time.Now())
}

// LogExpiry has log told, once for each certificate and threshold, that the one
// that is presented expires within 14 days and within 3 (or a third and a tenth
// of its life, if that is less) as a warning, and that it has expired as an
// error. It is noticed now, and later by handshakes, [TLS.NotAfter] and
// [TLS.Note]; nothing runs in the background. Such a certificate is served on.
func (t *TLS) LogExpiry(log *slog.Logger) {
	t.expiry.logger.Store(log)
	if t.pair != nil {
		t.present()
	}
}
