package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aguada-dev/aguada/cmd/aguada/internal/terminal"
)

// rates is what the API says of calls.
type rates struct {
	Calls, Errors, Refused int64
	Rate                   float64
	P50                    *float64 `json:"p50_ns"`
	P95                    *float64 `json:"p95_ns"`
	P99                    *float64 `json:"p99_ns"`
}

func (r *rates) cells() []any {
	cells := []any{fmt.Sprintf("%.1f/s", r.Rate), r.Calls, r.Errors, r.Refused}
	for _, p := range []*float64{r.P50, r.P95, r.P99} {
		if p == nil {
			cells = append(cells, "-")
		} else {
			cells = append(cells, lasting(*p))
		}
	}
	return cells
}

const rateHead = "RATE\tCALLS\tERRORS\tREFUSED\tP50\tP95\tP99"

func printOverview(w *terminal.Output, b []byte) error {
	var v struct {
		Services []struct {
			Name, Health, Version string
			Instances             int
			Rates                 rates
		}
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	return table(w, "SERVICE\tHEALTH\tVERSION\tINSTANCES\t"+rateHead, func(row func(bool, ...any)) {
		for _, s := range v.Services {
			row(s.Rates.Errors > 0, append([]any{s.Name, s.Health, s.Version, s.Instances}, s.Rates.cells()...)...)
		}
	})
}

func printMethods(w *terminal.Output, b []byte) error {
	var all []struct {
		App, Service, Method, Access string
		Deadline                     int64 `json:"deadline_ns"`
		Rates                        rates
	}
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	return table(w, "SERVICE\tMETHOD\tACCESS\tDEADLINE\t"+rateHead, func(row func(bool, ...any)) {
		for _, m := range all {
			deadline := "-"
			if m.Deadline > 0 {
				deadline = lasting(float64(m.Deadline))
			}
			name := m.Method
			if m.Service != "" {
				name = m.Service + "." + m.Method
			}
			row(m.Rates.Errors > 0, append([]any{m.App, name, m.Access, deadline}, m.Rates.cells()...)...)
		}
	})
}

func printTraces(w *terminal.Output, b []byte) error {
	var v struct {
		Traces []struct {
			ID, Name, Service, Start, Status string
			Duration                         int64 `json:"duration_ns"`
			Spans, Errors                    int
			Partial                          bool
		}
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	return table(w, "START\tDURATION\tSTATUS\tSERVICE\tNAME\tSPANS\tERRORS\tTRACE", func(row func(bool, ...any)) {
		for _, t := range v.Traces {
			id := t.ID
			if t.Partial {
				id += " (partial)"
			}
			row(t.Errors > 0, clock(t.Start), lasting(float64(t.Duration)), t.Status, t.Service, t.Name, t.Spans, t.Errors, id)
		}
	})
}

func printLogs(w *terminal.Output, b []byte) error {
	var v struct{ Records []json.RawMessage }
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	for _, r := range slices.Backward(v.Records) { // the latest where one reads on
		if err := printRecord(w, r); err != nil {
			return err
		}
	}
	return nil
}

// severityError is the least of OpenTelemetry's numbers that is an error.
const severityError = 17

// printRecord prints a log record as a line.
func printRecord(w *terminal.Output, b json.RawMessage) error {
	var r struct {
		Time, Level, Service string
		Severity             int
		Body                 any
		Attributes           map[string]any
		Trace                string `json:"trace_id"`
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return err
	}
	var line strings.Builder
	fmt.Fprintf(&line, "%s %-5s %s %v", clock(r.Time), strings.ToUpper(r.Level), r.Service, r.Body)
	for _, name := range slices.Sorted(maps.Keys(r.Attributes)) {
		fmt.Fprintf(&line, " %s=%v", name, r.Attributes[name])
	}
	if r.Trace != "" {
		fmt.Fprintf(&line, " trace_id=%s", r.Trace)
	}
	text := printable(line.String())
	if r.Severity >= severityError {
		text = w.Alarm(text)
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

func printMetrics(w *terminal.Output, b []byte) error {
	var all []struct {
		Name, Unit, Type string
		Series           int
		Services         []string
	}
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	return table(w, "METRIC\tTYPE\tUNIT\tSERIES\tSERVICES", func(row func(bool, ...any)) {
		for _, m := range all {
			row(false, m.Name, m.Type, m.Unit, m.Series, strings.Join(m.Services, " "))
		}
	})
}

// printSeries prints the last values of a metric.
func printSeries(w *terminal.Output, b []byte) error {
	var v struct {
		Unit   string
		Rate   bool
		Series []struct {
			Service          string
			Attributes       map[string]any
			Values, P95, P99 []*float64
			Count            []*float64
		}
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	head := "LAST"
	if v.Rate {
		head = "PER SECOND"
	}
	return table(w, head+"\tP95\tP99\tSERVICE\tATTRIBUTES", func(row func(bool, ...any)) {
		for _, s := range v.Series {
			var attrs []string
			for _, name := range slices.Sorted(maps.Keys(s.Attributes)) {
				attrs = append(attrs, fmt.Sprintf("%s=%v", name, s.Attributes[name]))
			}
			row(false, latest(s.Values), latest(s.P95), latest(s.P99), s.Service, strings.Join(attrs, " "))
		}
	})
}

// latest writes the last value that there is.
func latest(all []*float64) string {
	for _, v := range slices.Backward(all) {
		if v != nil {
			return fmt.Sprintf("%.4g", *v)
		}
	}
	return "-"
}
