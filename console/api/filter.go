package api

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/console/gen/console"
	"github.com/aguada-dev/aguada/console/series"
	"github.com/aguada-dev/aguada/console/store"
)

// defaultSince is how far back is looked unless a request says otherwise.
const defaultSince = 15 * time.Minute

// badf reports a filter that cannot be read.
func badf(format string, args ...any) error {
	return console.MakeBadRequest(fmt.Errorf(format, args...))
}

// moment reads a time, or how long ago it was; fallback is that of none.
func moment(name string, text *string, now, fallback time.Time) (time.Time, error) {
	if text == nil || *text == "" {
		return fallback, nil
	}
	if d, err := time.ParseDuration(*text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339Nano, *text)
	if err != nil {
		return t, badf("%s: give a time as RFC 3339, or a duration such as 15m", name)
	}
	if t.Year() < 1970 || t.Year() > 2200 {
		return t, badf("%s: give a time between 1970 and 2200", name)
	}
	return t, nil
}

// window reads the time that a request is about.
func (s *Service) window(since, until *string, steps int) (series.Window, error) {
	now := s.now()
	to, err := moment("until", until, now, now)
	if err != nil {
		return series.Window{}, err
	}
	from, err := moment("since", since, now, to.Add(-defaultSince))
	if err != nil {
		return series.Window{}, err
	}
	if !from.Before(to) {
		return series.Window{}, badf("since must be before until")
	}
	return series.Window{Since: from.UnixNano(), Until: to.UnixNano(), Steps: steps}, nil
}

// filter begins a filter with what all signals have.
func (s *Service) filter(since, until, service, q *string, attrs []string) (*store.Filter, error) {
	w, err := s.window(since, until, 1)
	if err != nil {
		return nil, err
	}
	f := &store.Filter{Since: w.Since, Until: w.Until, Service: text(service), Text: text(q)}
	for _, a := range attrs {
		if strings.TrimSpace(a) == "" {
			return nil, badf("attr: give name=value, name!=value, name>number, name<number or name")
		}
		f.Attrs = append(f.Attrs, store.ParseMatch(a))
	}
	if until == nil || *until == "" { // clocks of senders may be ahead
		f.Until = 0
	}
	return f, nil
}

func length(name string, value *string) (int64, error) {
	if value == nil || *value == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(*value)
	if err != nil || d < 0 {
		return 0, badf("%s: give a duration such as 20ms", name)
	}
	return int64(d), nil
}

// kinds are those of spans, as names of OTLP's numbers.
var kinds = []string{"unspecified", "internal", "server", "client", "producer", "consumer"}

func kindOf(k uint8) string {
	if int(k) < len(kinds) {
		return kinds[k]
	}
	return kinds[0]
}

// traceID reads an id that the API has found to be 32 hexadecimal digits.
func traceID(value *string) (t store.TraceID, err error) {
	if value == nil || *value == "" {
		return t, nil
	}
	b, err := hex.DecodeString(*value)
	if err != nil || len(b) != len(t) {
		return t, badf("trace: give 32 hexadecimal digits")
	}
	copy(t[:], b)
	return t, nil
}

// spanFilter reads the filters of spans.
func (s *Service) spanFilter(p *console.TracesPayload) (*store.Filter, error) {
	f, err := s.filter(p.Since, p.Until, p.Service, p.Q, p.Attr)
	if err != nil {
		return nil, err
	}
	f.Method = text(p.Method)
	switch text(p.Status) {
	case "error":
		f.Status = store.StatusError
	case "ok":
		f.Status = store.StatusOK
	}
	for i, k := range kinds {
		if p.Kind != nil && *p.Kind == k {
			f.Kind = uint8(i)
		}
	}
	if f.MinDuration, err = length("min", p.Min); err != nil {
		return nil, err
	}
	if f.MaxDuration, err = length("max", p.Max); err != nil {
		return nil, err
	}
	f.Trace, err = traceID(p.Trace)
	return f, err
}

// levels are the least severities of levels.
var levels = map[string]uint8{"trace": 1, "debug": 5, "info": 9, "warn": 13, "error": 17, "fatal": 21}

// logFilter reads the filters of log records.
func (s *Service) logFilter(p *console.LogsPayload) (*store.Filter, error) {
	f, err := s.filter(p.Since, p.Until, p.Service, p.Q, p.Attr)
	if err != nil {
		return nil, err
	}
	f.Method, f.Severity = text(p.Method), levels[text(p.Level)]
	f.Trace, err = traceID(p.Trace)
	return f, err
}

func text(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

// optional returns nil for an empty text.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
