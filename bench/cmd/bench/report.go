package main

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/bench/layer"
)

// Report is the result of a run.
type Report struct {
	CPU       string
	Cores     int
	Go        string
	Placement string
	Rounds    int
	Duration  time.Duration
	Rate      int
	Rows      []*Row
	// Deliveries compare receivers of telemetry; the first is one that is there.
	Deliveries []*Delivery
}

// Row is what was measured of a layer.
type Row struct {
	Name, Title string
	Post, Get   Figures
	// Requests is how many the layer has answered in all, Traces how many of
	// them the sink has got a trace of. At full speed exporters may drop.
	Requests, Traces int
}

// Figures are those of one kind of request. Times are nanoseconds; ratios are
// to Goa with nothing on.
type Figures struct {
	// Direct calls: medians over the rounds.
	Time, Wall    time.Duration // CPU time of the process, and time on the wall
	Allocs, Bytes float64
	TimeRatio     float64 // median of the rounds' ratios

	// Over loopback: medians over the turns. P50 and P99 are at the fixed rate.
	LoopbackCPU                  time.Duration
	LoopbackAllocs               float64
	LoopbackRatio                float64
	P50, P99                     time.Duration
	times, walls, allocs, bytes  []float64
	loopbackTimes, loopbackAlloc []float64
	p50s, p99s                   []float64
}

func newReport(o Options, place cores) *Report {
	r := &Report{CPU: cpuModel(), Cores: runtime.NumCPU(), Go: runtime.Version(), Placement: place.why, Rounds: o.Rounds, Duration: o.Duration, Rate: o.Rate}
	for _, s := range o.Layers {
		r.Rows = append(r.Rows, &Row{Name: s.Name, Title: s.Title})
	}
	return r
}

// cpuModel is the machine's name for its processor, where it has one.
func cpuModel() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, model, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(model)
		}
	}
	return runtime.GOARCH
}

func (r *Row) on(verb string) *Figures {
	if verb == http.MethodPost {
		return &r.Post
	}
	return &r.Get
}

func (f *Figures) addDirect(u Usage, calls int) {
	n := float64(calls)
	f.times = append(f.times, float64(u.CPU)/n)
	f.walls = append(f.walls, float64(u.Wall)/n)
	f.allocs = append(f.allocs, float64(u.Allocs)/n)
	f.bytes = append(f.bytes, float64(u.Bytes)/n)
}

func (f *Figures) addLoopback(u Usage, calls int) {
	f.loopbackTimes = append(f.loopbackTimes, float64(u.CPU)/float64(calls))
	f.loopbackAlloc = append(f.loopbackAlloc, float64(u.Allocs)/float64(calls))
}

// derive computes what is printed.
func (r *Report) derive() {
	goa := r.row(base)
	for _, row := range r.Rows {
		for _, verb := range layer.Verbs {
			f := row.on(verb)
			f.Time, f.Wall = time.Duration(median(f.times)), time.Duration(median(f.walls))
			f.Allocs, f.Bytes = median(f.allocs), median(f.bytes)
			f.LoopbackCPU, f.LoopbackAllocs = time.Duration(median(f.loopbackTimes)), median(f.loopbackAlloc)
			f.P50, f.P99 = time.Duration(median(f.p50s)), time.Duration(median(f.p99s))
			if goa != nil {
				f.TimeRatio = ratio(f.times, goa.on(verb).times)
				f.LoopbackRatio = ratio(f.loopbackTimes, goa.on(verb).loopbackTimes)
			}
		}
	}
}

func (r *Report) row(name string) *Row {
	i := slices.IndexFunc(r.Rows, func(row *Row) bool { return row.Name == name })
	if i < 0 {
		return nil
	}
	return r.Rows[i]
}

// ratio is the median of the ratios within rounds, which does not change when
// the machine is slower in one of them.
func ratio(a, b []float64) float64 {
	var list []float64
	for i := range min(len(a), len(b)) {
		list = append(list, a[i]/b[i])
	}
	return median(list)
}

// median is 0 for no values.
func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	n := len(s)
	switch {
	case n == 0:
		return 0
	case n%2 == 1:
		return s[n/2]
	}
	return (s[n/2-1] + s[n/2]) / 2
}

// Print writes the tables, and last the one line to remember.
func (r *Report) Print(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "%s, %d cores, %s; %s\n", r.CPU, r.Cores, r.Go, r.Placement)
	fmt.Fprintf(out, "%.0f%% of requests traced to a local OTLP receiver, logs to the null device; callers take turns, each with its token:\n", 100*traced)
	fmt.Fprintln(out, "Aguada remembers a verified one until it expires, the page verifies each time; Aguada takes asymmetric ones only, no HS256")
	fmt.Fprintf(out, "\nhandler called directly: CPU time, median of %d interleaved rounds of %s\n", r.Rounds, r.Duration)
	r.table(out, []string{"µs", "×Goa", "allocs", "bytes"}, func(f *Figures) []string {
		return []string{micro(f.Time), times(f.TimeRatio), fmt.Sprintf("%.0f", f.Allocs), fmt.Sprintf("%.0f", f.Bytes)}
	})
	fmt.Fprintf(out, "\nover loopback, %d connections: the server's CPU time; milliseconds at %d requests a second; medians of %d turns\n", connections, r.Rate, turns)
	r.table(out, []string{"µs", "×Goa", "allocs", "p50", "p99"}, func(f *Figures) []string {
		return []string{micro(f.LoopbackCPU), times(f.LoopbackRatio), fmt.Sprintf("%.0f", f.LoopbackAllocs), milli(f.P50), milli(f.P99)}
	})
	r.deliveries(out)
	r.sentences(out)
	return out.Flush()
}

func micro(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/1e3) }
func milli(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d)/1e6) }
func times(ratio float64) string   { return fmt.Sprintf("%.2f", ratio) }

// table prints one line per layer, with the same columns for both requests.
func (r *Report) table(out io.Writer, columns []string, cells func(*Figures) []string) {
	const width = 8
	title := 0
	for _, row := range r.Rows {
		title = max(title, len(row.Title))
	}
	line := func(first string, post, get []string) {
		fmt.Fprintf(out, "%-*s", title, first)
		for _, c := range post {
			fmt.Fprintf(out, "%*s", width, c)
		}
		fmt.Fprint(out, "  |")
		for _, c := range get {
			fmt.Fprintf(out, "%*s", width, c)
		}
		fmt.Fprintln(out)
	}
	head := func(verb string) []string {
		h := slices.Clone(columns)
		h[0] = verb + " " + h[0]
		return h
	}
	line("", head(http.MethodPost), head(http.MethodGet))
	for _, row := range r.Rows {
		line(row.Title, cells(&row.Post), cells(&row.Get))
	}
}

// sentences say what the tables show. The last one has a form that scripts
// may rely on.
func (r *Report) sentences(out io.Writer) {
	goa, ours := r.row(base), r.row(headline)
	fmt.Fprintln(out)
	for _, row := range r.Rows {
		if row.Traces > 0 {
			fmt.Fprintf(out, "traces of %s: %d for %d requests (%.1f%%)\n",
				strings.TrimSpace(row.Title), row.Traces, row.Requests, 100*float64(row.Traces)/float64(max(row.Requests, 1)))
		}
	}
	if goa == nil || ours == nil {
		return
	}
	if u := r.row(unsampled); u != nil {
		for _, verb := range layer.Verbs {
			fmt.Fprintf(out, "everything on, not sampled: %s\n", compared(u.on(verb), goa.on(verb), verb))
		}
	}
	if page := r.row("clue"); page != nil {
		fmt.Fprintf(out, "the page's wiring costs ×%.1f of Aguada (POST), ×%.1f (GET)\n",
			ratio(page.Post.times, ours.Post.times), ratio(page.Get.times, ours.Get.times))
	}
	if dead := r.row("aguada-dead"); dead != nil {
		fmt.Fprintf(out, "a dead OTLP endpoint changes the time by %+.1f%% (POST), %+.1f%% (GET)\n",
			100*(ratio(dead.Post.times, ours.Post.times)-1), 100*(ratio(dead.Get.times, ours.Get.times)-1))
	}
	fmt.Fprintf(out, "everything on: %s\n", compared(&ours.Get, &goa.Get, http.MethodGet))
	fmt.Fprintf(out, "everything on: %s\n", compared(&ours.Post, &goa.Post, http.MethodPost))
}

// compared is "+N allocations, ×R of Goa (VERB)".
func compared(a, goa *Figures, verb string) string {
	more := int(math.Round(a.Allocs)) - int(math.Round(goa.Allocs))
	return fmt.Sprintf("%+d allocations, ×%.2f of Goa (%s)", more, a.TimeRatio, verb)
}
