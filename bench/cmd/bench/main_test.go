package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aguada-dev/aguada/bench/layer"
	"github.com/aguada-dev/aguada/bench/load"
	"github.com/aguada-dev/aguada/bench/sink"
)

// The test binary is also the children's.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == childFlag {
		main()
		return
	}
	os.Exit(m.Run())
}

// start starts a layer in a process, as a run does.
func start(t *testing.T, s Subject, sinkAddr string) *process {
	t.Helper()
	s.Dir, s.Sink, s.Log = t.TempDir(), sinkAddr, filepath.Join(t.TempDir(), "log")
	if err := layer.Prepare(s.Dir); err != nil {
		t.Fatal(err)
	}
	p, err := spawn(context.Background(), s.Spec, -1, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.stop() }) // no matter if it is stopped already
	return p
}

func receiver(t *testing.T) *sink.Sink {
	t.Helper()
	s, err := sink.Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// overWire sends one request over a connection.
func overWire(t *testing.T, p *process, verb, token string) Answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), verb, "http://"+p.addr+layer.Path(verb), nil)
	if err != nil {
		t.Fatal(err)
	}
	if verb == http.MethodPost {
		r.Body = io.NopCloser(strings.NewReader(layer.Body))
		r.ContentLength = int64(len(layer.Body))
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return Answer{res.StatusCode, res.Header.Get("Content-Type"), body}
}

// Every layer gives the same answers, directly and over a connection, and
// those that authenticate let no forged token in.
func TestLayersAgree(t *testing.T) {
	s := receiver(t)
	want := map[string]any{}
	for verb, text := range map[string]string{
		http.MethodPost: strings.Replace(layer.Body, `,"card":"4242424242424242"`, "", 1),
		http.MethodGet:  strings.Replace(layer.Body, `,"card":"4242424242424242"`, "", 1),
	} {
		order := decode(t, []byte(text)).(map[string]any)
		order["id"], order["status"], order["total_cents"], order["placed_at"] = layer.OrderID, "placed", 7400.0, "2026-11-22T18:23:07Z"
		want[verb] = order
	}
	for _, subject := range layers() {
		t.Run(subject.Name, func(t *testing.T) {
			p := start(t, subject, s.Addr)
			for _, verb := range layer.Verbs {
				r, err := p.do(order{Verb: verb, Answer: true})
				if err != nil {
					t.Fatal(err)
				}
				for how, a := range map[string]Answer{"directly": r.Answer, "over a connection": overWire(t, p, verb, p.tokens[0])} {
					if a.Status != layer.Status(verb) || a.ContentType != "application/json" {
						t.Fatalf("%s %s: status %d, content type %q: %s", verb, how, a.Status, a.ContentType, a.Body)
					}
					if diff := cmp.Diff(want[verb], decode(t, a.Body)); diff != "" {
						t.Errorf("%s %s (-want +got):\n%s", verb, how, diff)
					}
				}
				forged := p.tokens[0][:len(p.tokens[0])-8] + "AAAAAAAA"
				authenticates := subject.Algorithm != ""
				if a := overWire(t, p, verb, forged); (a.Status >= 400) != authenticates {
					t.Errorf("%s with a forged token: status %d", verb, a.Status)
				}
			}
		})
	}
}

func decode(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

// About a tenth of the requests is traced, metrics arrive, and every request
// is logged: the figures are those of layers that do what they claim.
func TestEverythingIsOn(t *testing.T) {
	const requests = 3008 // of each kind: their spans fit into an exporter's queue
	lines := map[string]int{layer.Clue: 2, layer.Aguada: 1}
	s := receiver(t)
	for _, subject := range layers() {
		if subject.Algorithm == "" || subject.Dead {
			continue
		}
		t.Run(subject.Name, func(t *testing.T) {
			p := start(t, subject, s.Addr)
			log := p.spec.Log
			for _, verb := range layer.Verbs {
				r, err := p.do(order{Verb: verb, Calls: requests})
				if err != nil {
					t.Fatal(err)
				}
				if r.Calls != requests {
					t.Fatalf("%d calls, not %d", r.Calls, requests)
				}
			}
			if err := p.stop(); err != nil {
				t.Fatal(err)
			}
			const n = 2 * requests
			counts := s.Count(subject.Name)
			want := subject.Traces * n
			if off := math.Abs(float64(counts.Traces) - want); off > 6*math.Sqrt(want) {
				t.Errorf("%d traces of %d requests, not about %.0f", counts.Traces, n, want)
			}
			if counts.Metrics == 0 {
				t.Error("no metrics arrived")
			}
			text, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			few := lines[subject.Kind] * n
			if got := bytes.Count(text, []byte("\n")); got < few || got > few+20 { // the start and the end have lines too
				t.Errorf("%d lines of log for %d requests, not %d", got, n, few)
			}
			if bytes.Contains(text, []byte(p.tokens[0])) || bytes.Contains(text, []byte("4242424242424242")) {
				t.Error("a token or a card number is in the log")
			}
		})
	}
}

var lastLine = regexp.MustCompile(`^everything on: [+-]\d+ allocations, ×\d+\.\d\d of Goa \(POST\)$`)

func TestCommand(t *testing.T) {
	quick := []string{"-rounds", "1", "-duration", "5ms", "-saturated", "20ms", "-rate", "200", "-paced", "50ms", "-delivery", "20ms"}
	run := func(args ...string) *bytes.Buffer {
		t.Helper()
		var out bytes.Buffer
		if err := command(t.Context(), append(args, quick...), strings.NewReader(""), &out, t.Output()); err != nil {
			t.Fatal(err)
		}
		return &out
	}
	text := run().String()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if last := lines[len(lines)-1]; !lastLine.MatchString(last) {
		t.Errorf("the last line is %q", last)
	}
	for _, s := range layers() {
		if strings.Count(text, s.Title) < 2 {
			t.Errorf("%q is not in both tables:\n%s", s.Title, text)
		}
	}
	var r Report
	if err := json.NewDecoder(run("-json")).Decode(&r); err != nil {
		t.Fatal(err)
	}
	if len(r.Deliveries) != len(receivers("", "", "")) {
		t.Errorf("%d receivers are compared", len(r.Deliveries))
	}
	for _, d := range r.Deliveries {
		if d.Post.Rate <= 0 || d.Get.Rate <= 0 || d.Post.CPURate <= 0 || d.Get.CPURate <= 0 || !strings.Contains(text, d.Title) {
			t.Errorf("%s: a figure is missing: %+v", d.Name, d)
		}
	}
	for _, row := range r.Rows {
		for _, f := range []Figures{row.Post, row.Get} {
			if f.Time <= 0 || f.Wall <= 0 || f.Allocs <= 0 || f.Bytes <= 0 || f.TimeRatio <= 0 ||
				f.LoopbackCPU <= 0 || f.LoopbackAllocs <= 0 || f.P50 <= 0 || f.P99 < f.P50 {
				t.Errorf("%s: a figure is missing: %+v", row.Name, f)
			}
		}
	}
}

func TestCommandRefuses(t *testing.T) {
	for _, args := range [][]string{{"-rounds", "0"}, {"-rate", "-1"}, {"-nonsense"}, {"argument"}} {
		if err := command(t.Context(), args, strings.NewReader(""), io.Discard, io.Discard); err == nil {
			t.Errorf("%v was accepted", args)
		}
	}
}

func TestAllowedCores(t *testing.T) {
	got := allowedCores("Name:\tx\nCpus_allowed_list:\t0-2,5\nMems_allowed_list:\t0\n")
	if diff := cmp.Diff([]int{0, 1, 2, 5}, got); diff != "" {
		t.Error(diff)
	}
	if got := allowedCores("nothing"); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := median(c.values); got != c.want {
			t.Errorf("median of %v is %v", c.values, got)
		}
	}
	if got := load.Quantile(nil, 0.99); got != 0 {
		t.Errorf("quantile of nothing is %v", got)
	}
}
