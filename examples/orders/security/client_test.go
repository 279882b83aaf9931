package security

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// shop is a running service in its world.
type shop struct {
	*world
	*process
	adminToken string
	scheme     string // of its URLs
	client     *http.Client
	rpc        *http.Client  // which speaks HTTP/2 only
	plain      *http.Client  // to the private port
	number     atomic.Uint32 // of requests
	asked      uint32        // when metrics were read
	metrics    string
	other      *shop // another process of it
	redis      string

	mu      sync.Mutex
	secrets map[string]string // what was sent and nobody may print, by what it is of
}

// newShop starts the service; environ wins over the world's.
func newShop(t testing.TB, w *world, path string, environ ...string) *shop {
	t.Helper()
	p, err := launch(path, append(slices.Clone(w.environ), environ...))
	if err != nil {
		t.Fatal(err)
	}
	client := func() *http.Client {
		return &http.Client{
			Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}, Timeout: patience,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return &shop{
		world: w, process: p, adminToken: adminToken, scheme: "http", client: client(), rpc: speaking(nil), plain: client(),
		secrets: map[string]string{
			"the password": password, "the older password": older, "the pepper": pepper, "the old pepper": oldPepper,
			"the admin token": adminToken, "the client secret": clientKey,
		},
	}
}

// request is what an attacker sends.
type request struct {
	verb, path string      // GET if there is no verb
	header     [][2]string // one may be there twice
	body       string
	from       string // the client's address, behind a trusted proxy; one of its own if empty
	secrets    []string

	call string    // over gRPC, in place of verb and path: "package.Service/Method"
	wire io.Reader // what is sent as it is, in place of body
	last bool      // how a stream ends is of interest, and not how it begins
}

func get(path string, header ...[2]string) request { return request{path: path, header: header} }

func post(path, body string, header ...[2]string) request {
	return request{verb: http.MethodPost, path: path, body: body, header: append(header, [2]string{"Content-Type", "application/json"})}
}

// bearing returns a request with a token.
func bearing(path string, token any) request { return get(path, bearer(token)) }

func bearer(token any) [2]string { return [2]string{"Authorization", fmt.Sprint("Bearer ", token)} }

func login(user, password string) [2]string {
	return [2]string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))}
}

func keyed(key string) request { return get("/users", [2]string{"X-API-Key", key}) }

// answer is what comes back, and what the service wrote about it.
type answer struct {
	*http.Response
	text     string
	Name, ID string // of the error
	log      line
	from     string
	code     string // of gRPC's status
	said     string // its message
	message  []byte // the first, over gRPC
	details  string // of the status, encoded
}

// send sends a request and waits for its line of the log.
func (s *shop) send(t testing.TB, r request) *answer {
	t.Helper()
	a, err := s.try(r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.verb, r.path, err)
	}
	return a
}

// try is send for what may fail.
func (s *shop) try(r request) (*answer, error) {
	n := s.number.Add(1)
	if r.verb == "" {
		r.verb = http.MethodGet
	}
	if r.from == "" {
		r.from = fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255)
	}
	id := fmt.Sprintf("attack-%d", n)
	req, err := s.http(&r)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Request-Id", id)
	req.Header.Set("X-Forwarded-For", r.from)
	for _, h := range r.header {
		req.Header.Add(h[0], h[1])
	}
	s.keep(id, r)
	client, read := s.client, readHTTP
	if r.call != "" {
		client, read = s.rpc, readRPC
	}
	if body, ok := r.wire.(io.Closer); ok { // while which is read, HTTP/2 keeps no time
		defer time.AfterFunc(patience, func() { _ = body.Close() }).Stop()
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	a, err := read(res)
	for err == nil && r.last && a.message != nil {
		a, err = read(res)
	}
	_ = res.Body.Close() // by which a stream ends
	if err != nil {
		return nil, err
	}
	a.from = r.from
	a.log, err = s.out.await(s.stopped, func(l line) bool { return l.text("request_id") == id && l.text("msg") == "request" })
	return a, err
}

// http returns a request as net/http has it.
func (s *shop) http(r *request) (*http.Request, error) {
	if r.wire == nil {
		r.wire = strings.NewReader(r.body)
		if r.call != "" {
			r.wire = strings.NewReader(framed(r.body))
		}
	}
	if r.call == "" {
		return http.NewRequest(r.verb, s.scheme+"://"+s.addr+r.path, r.wire)
	}
	req, err := http.NewRequest(http.MethodPost, s.scheme+"://"+s.grpc+"/"+r.call, r.wire)
	if err == nil {
		req.Header["Te"] = []string{"trailers"}
		if !slices.ContainsFunc(r.header, func(h [2]string) bool { return h[0] == "Content-Type" }) {
			req.Header["Content-Type"] = []string{"application/grpc"}
		}
	}
	return req, err
}

// readHTTP reads an answer; of a stream, its first event, and of a WebSocket only
// that it was opened.
func readHTTP(res *http.Response) (*answer, error) {
	a := &answer{Response: res}
	switch {
	case res.StatusCode == http.StatusSwitchingProtocols:
		a.StatusCode = http.StatusOK
		return a, nil
	case strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream"):
		for b := make([]byte, 1<<10); !strings.Contains(a.text, "\n\n"); {
			n, err := res.Body.Read(b)
			if a.text += string(b[:n]); err != nil {
				return nil, err
			}
		}
		return a, nil
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	a.text = string(text)
	_ = json.Unmarshal(text, a)
	return a, nil
}

// keep notes what of a request nobody may print: credentials, with their parts,
// and what it names itself.
func (s *shop) keep(id string, r request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, secret := range r.secrets {
		s.secrets[fmt.Sprint(id, " secret ", i)] = secret
	}
	for i, h := range r.header {
		if h[0] == "Password" && len(h[1]) >= minSecret {
			s.secrets[fmt.Sprint(id, " password ", i)] = h[1]
		}
		if h[0] != "Authorization" && h[0] != "X-API-Key" {
			continue
		}
		value := h[1]
		if word, rest, ok := strings.Cut(value, " "); ok {
			if value = rest; strings.EqualFold(word, "Basic") {
				text, _ := base64.StdEncoding.DecodeString(rest)
				if _, password, ok := strings.Cut(string(text), ":"); ok && len(password) >= minSecret {
					s.secrets[fmt.Sprint(id, " password ", i)] = password
				}
			}
		}
		for _, sep := range []string{".", "_"} { // the signature, and the secret of a key
			if at := strings.LastIndex(value, sep); at >= 0 && len(value)-at > 20 {
				s.secrets[fmt.Sprint(id, " end ", i)] = value[at+1:]
			}
		}
		if len(value) >= minSecret {
			s.secrets[fmt.Sprint(id, " ", h[0], " ", i)] = value
		}
	}
}

// minSecret is the length from which a text is sought: shorter ones are part of
// others by chance.
const minSecret = 8

// leaks returns what of the secrets is in a text.
func (s *shop) leaks(text string) (found []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for what, secret := range s.secrets {
		if strings.Contains(text, secret) {
			found = append(found, what)
		}
	}
	return found
}

// event is an audit event.
type event struct {
	Action  string
	Scheme  string `json:"auth.scheme"`
	Client  string `json:"client.address"`
	Outcome string
	Error   string `json:"error.type"`
	Status  int    `json:"http.response.status_code"`
	Detail  string // the code, over gRPC
}

// events returns the audit events of a client.
func (s *shop) events(t testing.TB, client string) (found []event) {
	t.Helper()
	var all struct{ Events []event }
	if err := json.Unmarshal([]byte(s.operate(t, "/audit?format=json")), &all); err != nil {
		t.Fatal(err)
	}
	for _, e := range all.Events {
		if e.Client == client {
			found = append(found, e)
		}
	}
	return found
}

// until repeats what becomes true once a changed file is noticed: within 2s, and
// one more for machines that are busy.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	begun := time.Now()
	for !ok() {
		if time.Since(begun) > patience {
			t.Fatalf("not so within %s: %s", patience, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("%s took %s, 2s are promised", what, took)
	}
}
