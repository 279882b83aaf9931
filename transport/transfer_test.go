package transport

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/telemetry"
	parcelsvr "github.com/aguada-dev/aguada/transport/internal/jsonrpcsvc/gen/http/parcels/server"
	"github.com/aguada-dev/aguada/transport/internal/jsonrpcsvc/gen/parcels"
)

// parcelService is the user's code of a service of multipart requests.
type parcelService struct {
	send func(context.Context, *parcels.SendPayload) (int, error)
}

func (s *parcelService) Send(ctx context.Context, p *parcels.SendPayload) (int, error) {
	if s.send != nil {
		return s.send(ctx, p)
	}
	return len(p.Name), nil
}

// newParcels makes a rig of a service of multipart requests.
func newParcels(tb testing.TB, svc *parcelService, change func(*policy.Method), configure ...func(*Config)) (*HTTP, *rig, *logBuffer) {
	tb.Helper()
	base, log := newRig(tb, nil), &logBuffer{}
	m := policy.Method{
		Service: "parcels", Name: "send", Kind: policy.Unary, Access: policy.Secured, MaxBody: 1 << 10, HasBody: true, HasResult: true,
		Routes: []policy.Route{{Verb: "POST", Pattern: "/parcels"}}, Consumes: []string{"multipart/form-data"}, Produces: []string{"application/json"},
		Requirements: []policy.Requirement{{Schemes: []policy.Use{{Scheme: "jwt", In: policy.InHeader, Name: "Authorization"}}, Scopes: []string{"api:write"}}},
	}
	change(&m)
	cfg := base.cfg
	cfg.Logger = slog.New(telemetry.NewHandler(log, telemetry.JSON, nil))
	cfg.Contract = &policy.Contract{
		API: policy.API{Name: "parcels"}, Schemes: base.contract.Schemes, Services: []policy.Service{{Name: "parcels", Methods: []policy.Method{m}}},
	}
	for _, f := range configure {
		f(&cfg)
	}
	h := must(New(cfg))(tb)
	e := parcels.NewEndpoints(struct {
		parcels.Service
		parcels.Auther
	}{svc, confirming{}})
	e.Send = h.Endpoint("parcels", "send", e.Send)
	read := func(mr *multipart.Reader, p **parcels.SendPayload) error {
		*p = &parcels.SendPayload{}
		for {
			part, err := mr.NextPart()
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			b, err := io.ReadAll(part)
			if err != nil {
				return err
			}
			(*p).Name = string(b)
		}
	}
	parcelsvr.Mount(h, parcelsvr.New(e, h, h.Decoder, h.Encoder, h.ErrorHandler, h.Formatter, read))
	if err := h.Ready(); err != nil {
		tb.Fatal(err)
	}
	return h, base, log
}

// parcel is a multipart request.
func parcel(tb testing.TB, token, name string) *http.Request {
	tb.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	if err := w.WriteField("name", name); err != nil {
		tb.Fatal(err)
	}
	_ = w.Close()
	r := httptest.NewRequest("POST", "/parcels", &b)
	r.Header.Set("Content-Type", w.FormDataContentType())
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

// Multipart requests are under the same policy as others.
func TestMultipart(t *testing.T) {
	var tel *telemetry.Telemetry
	svc := &parcelService{}
	h, r, log := newParcels(t, svc, func(m *policy.Method) {
		m.MaxInFlight, m.RateLimits = 1, []policy.RateLimit{perHour("each", 4, policy.PerPrincipal)}
	}, measured(t, &tel))
	do := func(req *http.Request) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		return w
	}
	if w := do(parcel(t, "", "x")); w.Code != 401 || w.Header().Get("WWW-Authenticate") == "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w := do(parcel(t, r.reader, "x")); w.Code != 403 {
		t.Errorf("%d", w.Code)
	}
	w := do(parcel(t, r.token, "gift"))
	if w.Code != 200 || w.Body.String() != "4\n" || w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("X-Request-Id") == "" || w.Header().Get("RateLimit") == "" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	unknown := parcel(t, r.token, strings.Repeat("x", 2<<10))
	unknown.ContentLength = -1
	for _, c := range []struct {
		name string
		req  *http.Request
		want int
	}{
		{"too large", parcel(t, r.other, strings.Repeat("x", 2<<10)), 413},
		{"too large, of unknown length", unknown, 413},
		{"not multipart", request("POST", "/parcels", r.other, `{"name":"x"}`), 415},
	} {
		if w := do(c.req); w.Code != c.want || strings.Contains(w.Body.String(), "multipart:") {
			t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
		}
	}
	begun, over := make(chan struct{}), make(chan struct{})
	svc.send = func(context.Context, *parcels.SendPayload) (int, error) {
		close(begun)
		<-over
		return 0, nil
	}
	slow := make(chan int)
	go func() { slow <- do(parcel(t, r.token, "x")).Code }()
	<-begun
	if w := do(parcel(t, r.other, "x")); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	close(over)
	if code := <-slow; code != 200 {
		t.Errorf("%d", code)
	}
	svc.send = nil
	if w := do(parcel(t, r.token, "x")); w.Code != 200 {
		t.Errorf("%d", w.Code)
	}
	if w := do(parcel(t, r.token, "x")); w.Code != 429 {
		t.Errorf("%d", w.Code)
	}
	if line := log.lines(t, "request")[2]; line["method"] != "send" || line["enduser.id"] != "ann" || line["http.request.body.size"] == nil {
		t.Errorf("%v", line)
	}
	inMetrics(t, tel, `http_route="/parcels"`)
}

// inMetrics asserts that calls of a route are in the metrics.
func inMetrics(t *testing.T, tel *telemetry.Telemetry, label string) {
	t.Helper()
	w := httptest.NewRecorder()
	tel.Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "http_server_request_duration_seconds_count{") && strings.Contains(line, label) {
			return
		}
	}
	t.Errorf("no call with %s is in the metrics", label)
}

// Raw bodies, files and redirects are bounded, counted and logged too.
func TestTransferPolicy(t *testing.T) {
	var tel *telemetry.Telemetry
	r := newRig(t, func(r *rig) {
		measured(t, &tel)(&r.cfg)
		for _, name := range []string{"upload", "download", "files", "old"} {
			m := r.policyOf(name)
			m.MaxInFlight, m.MaxBody = 1, 16
		}
	})
	long := strings.Repeat("x", 17)
	for _, c := range []struct {
		verb, path, token, body string
		want                    int
	}{{"POST", "/upload", r.token, "x", 200}, {"GET", "/download", "", "", 200}, {"GET", "/files/none", "", "", 404}, {"GET", "/old", "", "", 301}} {
		if w := r.do(request(c.verb, c.path, c.token, long)); w.Code != 413 {
			t.Errorf("%s %s with too large a body: %d", c.verb, c.path, w.Code)
		}
		w := r.do(request(c.verb, c.path, c.token, c.body))
		if w.Code != c.want || w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("X-Request-Id") == "" {
			t.Errorf("%s %s: %d %v", c.verb, c.path, w.Code, w.Header())
		}
		if line := r.log.last(t); line["service"] != "shop" || line["http.response.status_code"] != float64(w.Code) {
			t.Errorf("%v", line)
		}
	}
	unknown := request("POST", "/upload", r.token, long)
	unknown.ContentLength = -1
	if w := r.do(unknown); w.Code != 413 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, route := range []string{"/upload", "/download", "/files/{*path}", "/old"} {
		inMetrics(t, tel, `http_route="`+route+`"`)
	}
	for _, name := range []string{"files", "old", "download"} { // calls that do not end
		m := r.h.all[0]
		for _, m = range r.h.all {
			if m.Name == name {
				break
			}
		}
		m.running.Add(1)
		path := map[string]string{"files": "/files/none", "old": "/old", "download": "/download"}[name]
		if w := r.do(request("GET", path, "", "")); w.Code != 503 || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: %d", path, w.Code)
		}
		m.running.Add(-1)
		if w := r.do(request("GET", path, "", "")); w.Code == 503 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}
