package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/aguada-dev/aguada/cmd/aguada/internal/terminal"
	"github.com/aguada-dev/aguada/console"
)

// query asks a running console.
type query struct {
	out       *terminal.Output
	base      string
	tokenFile string
	json      bool
	ndjson    bool
	follow    bool
	values    url.Values
}

// filters are the flags that are parameters of the API, with what takes them.
var filters = []struct{ name, kinds, usage string }{
	{"since", "", "begin: how long ago, such as 1h, or a time (RFC 3339); default 15m"},
	{"until", "", "end: how long ago, or a time; default now"},
	{"service", "traces logs metrics methods", "only of this service"},
	{"q", "traces logs", "text that a name, a body or a value of an attribute contains"},
	{"method", "traces logs", "only of this method, as service.method"},
	{"limit", "traces logs", "how many at most"},
	{"status", "traces", "error or ok"},
	{"min", "traces", "shortest duration, such as 20ms"},
	{"max", "traces", "longest duration"},
	{"order", "traces", "which come first: latest or slowest"},
	{"kind", "traces", "kind of span: server, client, internal, producer or consumer"},
	{"trace", "traces logs", "only of this trace"},
	{"level", "logs", "least level: debug, info, warn or error"},
	{"name", "metrics", "the metric to show over time"},
	{"by", "metrics", "attribute by which its series are put together"},
}

// kinds are what can be asked for: the path of the API, that of its lines, and
// how a person reads the answer.
var kinds = map[string]struct {
	path, lines string
	print       func(*terminal.Output, []byte) error
}{
	"overview": {"/api/overview", "", printOverview},
	"methods":  {"/api/methods", "", printMethods},
	"traces":   {"/api/traces", "/api/traces.ndjson", printTraces},
	"logs":     {"/api/logs", "/api/logs.ndjson", printLogs},
	"metrics":  {"/api/metrics", "/api/metrics.ndjson", printMetrics},
}

func newQuery(out *terminal.Output) *cobra.Command {
	q := &query{out: out, values: make(url.Values)}
	cmd := &cobra.Command{
		Use:   "query traces|logs|metrics|methods|overview",
		Short: "Ask a running console, for people and scripts",
		Long: `query asks a console that runs, by its API, and prints a table, or with --json the
API's answer. With --ndjson it prints all spans, log records or points that match,
one JSON object a line; with --follow log records as they arrive. A trace by its id,
with all of its spans: query traces --trace ID --json.`,
		Example: `  aguada console query traces --min 100ms --status error
  aguada console query logs --level warn --follow
  aguada console query metrics --name http.server.request.duration --by http.route
  aguada console query traces --attr http.response.status_code=500 --ndjson | jq .name`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || kinds[args[0]].path == "" {
				return usageError{errors.New("say what to ask for: traces, logs, metrics, methods or overview")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, _, release := stopOnSignal(cmd.Context())
			defer release()
			for _, f := range filters {
				if v := cmd.Flags().Lookup(f.name); v.Changed {
					if f.kinds != "" && !strings.Contains(" "+f.kinds+" ", " "+args[0]+" ") {
						return usageError{fmt.Errorf("--%s is not for %s", f.name, args[0])}
					}
					q.values.Set(f.name, v.Value.String())
				}
			}
			attrs, err := cmd.Flags().GetStringArray("attr")
			if err != nil {
				return err
			}
			q.values["attr"] = attrs
			return q.run(ctx, args[0], cmd.OutOrStdout())
		},
	}
	for _, f := range filters {
		cmd.Flags().String(f.name, "", f.usage)
	}
	cmd.Flags().StringArray("attr", nil, "attribute: name=value, name!=value, name>number, name<number or name; may be repeated")
	cmd.Flags().StringVar(&q.base, "url", "http://"+console.DefaultAddr, "address of the console")
	cmd.Flags().StringVar(&q.tokenFile, "token-file", "", "file with the console's token (default AGUADA_CONSOLE_TOKEN)")
	cmd.Flags().BoolVar(&q.json, "json", false, "print the API's answer as it is")
	cmd.Flags().BoolVar(&q.ndjson, "ndjson", false, "print all that matches, one JSON object a line")
	cmd.Flags().BoolVar(&q.follow, "follow", false, "of logs: print records as they arrive")
	return cmd
}

// run asks, and prints the answer.
func (q *query) run(ctx context.Context, kind string, stdout io.Writer) error {
	k := kinds[kind]
	path, print := k.path, k.print
	switch {
	case q.follow && kind != "logs":
		return usageError{errors.New("--follow is for logs")}
	case q.follow:
		return q.tail(ctx, stdout)
	case q.ndjson && k.lines == "":
		return usageError{errors.New("--ndjson is for traces, logs and metrics")}
	case q.ndjson:
		path = k.lines
		if !q.values.Has("limit") && kind != "metrics" {
			q.values.Set("limit", "1000000")
		}
	case kind == "metrics" && q.values.Has("name"):
		path, print = "/api/metrics/series", printSeries
	case kind == "traces" && q.json && q.values.Has("trace"):
		path = "/api/traces/" + url.PathEscape(q.values.Get("trace"))
		q.values = nil
	}
	res, err := q.get(ctx, path)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if q.json || q.ndjson {
		_, err := io.Copy(stdout, res.Body)
		if err == nil && q.json {
			_, err = io.WriteString(stdout, "\n")
		}
		return err
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	return print(terminal.New(stdout, os.LookupEnv), b)
}

// get makes a request, and turns whatever is no success into an error.
func (q *query) get(ctx context.Context, path string) (*http.Response, error) {
	token, err := tokenFrom(q.tokenFile, "AGUADA_CONSOLE_TOKEN")
	if err != nil {
		return nil, fmt.Errorf("--token-file: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(q.base, "/")+path+"?"+q.values.Encode(), nil)
	if err != nil {
		return nil, usageError{fmt.Errorf("--url: %w", err)}
	}
	if token != nil {
		ip := net.ParseIP(req.URL.Hostname())
		if local := req.URL.Hostname() == "localhost" || ip != nil && ip.IsLoopback(); !local && req.URL.Scheme != "https" {
			return nil, usageError{fmt.Errorf("the token would go to %s in the clear: give an https URL", req.URL.Host)}
		}
		req.Header.Set("Authorization", "Bearer "+token())
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return nil, fmt.Errorf("ask console: %w", err)
		}
		return nil, fmt.Errorf("no console answers at %s: start one with aguada run or aguada console, or name it with --url", q.base)
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(io.LimitReader(res.Body, 4<<10)) // what there is of it says enough
	var said struct{ Message string }
	if json.Unmarshal(b, &said) != nil || said.Message == "" {
		said.Message = strings.TrimSpace(string(b))
	}
	switch res.StatusCode {
	case http.StatusUnauthorized:
		return nil, errors.New("the console wants its token: give it with --token-file or AGUADA_CONSOLE_TOKEN")
	case http.StatusBadRequest:
		return nil, usageError{errors.New(said.Message)}
	}
	return nil, fmt.Errorf("the console answers %d: %s", res.StatusCode, said.Message)
}

// tail prints log records as they arrive.
func (q *query) tail(ctx context.Context, stdout io.Writer) error {
	res, err := q.get(ctx, "/api/logs/live")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	people := terminal.New(stdout, os.LookupEnv)
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var batch struct {
			Records []json.RawMessage
			Skipped int
		}
		if err := json.Unmarshal([]byte(data), &batch); err != nil {
			return fmt.Errorf("read records: %w", err)
		}
		if batch.Skipped > 0 {
			q.out.Printf("%d records are left out here: they arrive faster than can be shown", batch.Skipped)
		}
		for _, r := range batch.Records {
			if q.json || q.ndjson {
				_, err = fmt.Fprintf(stdout, "%s\n", r)
			} else {
				err = printRecord(people, r)
			}
			if err != nil {
				return err
			}
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return errors.Join(lines.Err(), errors.New("the console has ended"))
}

// table prints rows in columns, those that tell of errors set off.
func table(w *terminal.Output, head string, rows func(row func(alarm bool, cells ...any))) error {
	var text strings.Builder
	t := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, head)
	alarms := []bool{false}
	rows(func(alarm bool, cells ...any) {
		for i, c := range cells {
			if i > 0 {
				fmt.Fprint(t, "\t")
			}
			fmt.Fprint(t, printable(fmt.Sprint(c)))
		}
		fmt.Fprintln(t)
		alarms = append(alarms, alarm)
	})
	if err := t.Flush(); err != nil {
		return err
	}
	for i, line := range strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n") {
		switch {
		case i == 0:
			line = w.Faint(line)
		case alarms[i]:
			line = w.Alarm(line)
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// printable leaves out what a terminal would obey, and what turns text around:
// services send anything.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return '·'
		}
		return r
	}, s)
}

// clock writes a time of the API as people read it, in local time.
func clock(text string) string {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return text
	}
	return t.Local().Format("15:04:05.000")
}

// lasting writes nanoseconds as a duration of three digits.
func lasting(ns float64) string {
	d := time.Duration(ns)
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(10 * time.Nanosecond).String()
}
