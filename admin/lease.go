package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/aguada-dev/aguada/policy"
)

// The kinds of a lease.
const (
	// LevelLease lowers the log level of the calls that it covers.
	LevelLease = "log-level"
	// PayloadLease logs requests and results, redacted, of the calls that it
	// covers, which must be limited to a service or a principal.
	PayloadLease = "payloads"
)

var levels = []string{"debug", "info", "warn", "error"}

// maxLeaseBody bounds the body of a request for a lease, in bytes.
const maxLeaseBody = 4 << 10

// LeaseRequest asks for debugging that ends by itself. It covers the calls
// that match Service, Method, Scheme and Principal; an empty one matches all.
type LeaseRequest struct {
	// Kind is LevelLease or PayloadLease.
	Kind string `json:"kind"`
	// Level is "debug", "info", "warn" or "error"; only for a LevelLease.
	Level string `json:"level,omitempty"`
	// Service and Method are names of the contract.
	Service string `json:"service,omitempty"`
	Method  string `json:"method,omitempty"`
	// Scheme is the contract's name of the security scheme that proved the
	// caller: a subject of one scheme may be somebody else in another.
	Scheme string `json:"scheme,omitempty"`
	// Principal is the subject of a caller.
	Principal string `json:"principal,omitempty"`
	// Duration is how long the lease lasts.
	Duration policy.Duration `json:"duration"`
	// Reason is why; it is audited.
	Reason string `json:"reason"`
	// By is who asks: the kind of credential and the address. It is never
	// empty, and not part of the body.
	By string `json:"-"`
}

// Lease is a LeaseRequest that was granted.
type Lease struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"`
	Level     string    `json:"level,omitempty"`
	Service   string    `json:"service,omitempty"`
	Method    string    `json:"method,omitempty"`
	Scheme    string    `json:"scheme,omitempty"`
	Principal string    `json:"principal,omitempty"`
	Reason    string    `json:"reason"`
	OpenedBy  string    `json:"opened_by"`
	Opened    time.Time `json:"opened"`
	Expires   time.Time `json:"expires"`
}

// Leases keeps leases until they expire, and audits that they open, end and
// expire. It is safe for concurrent use.
type Leases interface {
	// Open grants a lease, or says why not. The request is valid.
	Open(r LeaseRequest) (Lease, error)
	// End ends a lease before it expires; it fails if there is none.
	End(id, by string) (Lease, error)
	// List returns the leases that have not ended.
	List() []Lease
}

// leases lists.
func (s *Server) leases(w http.ResponseWriter, r *http.Request, _ string) {
	form, ok := formOf(w, r, asText)
	if !ok {
		return
	}
	all := s.cfg.Leases.List()
	if form != asText {
		writeJSON(w, http.StatusOK, struct {
			Leases []Lease `json:"leases"`
		}{append([]Lease{}, all...)})
		return
	}
	if len(all) == 0 {
		writeText(w, http.StatusOK, []byte("No lease is open.\n\n"+s.leaseHelp(r, "ID")))
		return
	}
	t := newTable("ID", "KIND", "LEVEL", "SERVICE", "METHOD", "SCHEME", "PRINCIPAL", "EXPIRES", "LEFT", "BY", "REASON")
	for _, l := range all {
		left := max(time.Until(l.Expires), 0).Round(time.Second)
		t.row(l.ID, l.Kind, l.Level, l.Service, l.Method, l.Scheme, l.Principal, stamp(l.Expires), left.String(), l.OpenedBy, l.Reason)
	}
	writeText(w, http.StatusOK, slices.Concat(t.bytes(), []byte("\n"+s.leaseHelp(r, all[0].ID))))
}

// leaseHelp shows how a lease is opened and ended, in commands that work as
// they are.
func (s *Server) leaseHelp(r *http.Request, id string) string {
	var service, method, scheme string
	for _, v := range s.contract.Services {
		for _, m := range v.Methods {
			if service == "" {
				service, method = v.Name, m.Name
			}
		}
	}
	if len(s.contract.Schemes) > 0 {
		scheme = s.contract.Schemes[0].Name
	}
	minutes := policy.Duration(min(10*time.Minute, s.cfg.MaxLease))
	open := func(l LeaseRequest) string {
		body, err := json.Marshal(l)
		if err != nil {
			return err.Error()
		}
		return s.curl(r, "/debug/leases", "-H 'Content-Type: application/json'", "-d "+quote(string(body))) + "\n"
	}
	return "Log what one method does, at level debug:\n\n" +
		open(LeaseRequest{Kind: LevelLease, Level: "debug", Service: service, Method: method, Duration: minutes, Reason: "ticket 4711"}) +
		"\nLog requests and results of one caller, redacted:\n\n" +
		open(LeaseRequest{Kind: PayloadLease, Scheme: scheme, Principal: "SUBJECT", Duration: minutes, Reason: "ticket 4711"}) +
		"\nEnd it before its time:\n\n" + s.curl(r, "/debug/leases/"+id, "-X DELETE") +
		"\n\nA lease covers the calls that match all of service, method, scheme and principal that it names; what it\n" +
		"does not name matches any. A method needs its service, payloads need a service or a principal. It lasts\n" +
		"at most " + brief(s.cfg.MaxLease) + ", ends by itself, and is audited. GET /methods lists the names.\n"
}

// openLease grants a lease.
func (s *Server) openLease(w http.ResponseWriter, r *http.Request, who string) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		fail(w, http.StatusUnsupportedMediaType, "the content type must be application/json: with curl, -H 'Content-Type: application/json'")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxLeaseBody))
	if err != nil {
		status, text := http.StatusBadRequest, "the body could not be read"
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			status, text = http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", maxLeaseBody)
		}
		fail(w, status, text)
		return
	}
	req, err := parseLease(body, s.contract, s.cfg.MaxLease)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	req.By = cut(who + " " + address(r))
	lease, err := s.cfg.Leases.Open(req)
	if err != nil {
		s.record(r.Context(), Event{
			Action: "lease.opened", User: req.By, Client: address(r), Service: req.Service, Method: req.Method, Outcome: Failure,
			Status: http.StatusConflict, Detail: err.Error(), LeaseKind: req.Kind, LeaseLevel: req.Level, LeaseScheme: req.Scheme,
			LeasePrincipal: req.Principal, LeaseOpenedBy: req.By,
		})
		fail(w, http.StatusConflict, err.Error())
		return
	}
	w.Header().Set("Location", "/debug/leases/"+lease.ID)
	writeJSON(w, http.StatusCreated, lease)
}

// endLease ends a lease before its time.
func (s *Server) endLease(w http.ResponseWriter, r *http.Request, who string) {
	id := strings.TrimPrefix(r.URL.Path, "/debug/leases/")
	lease, err := s.cfg.Leases.End(id, cut(who+" "+address(r)))
	if err != nil {
		fail(w, http.StatusNotFound, "no such lease: it has ended, or there was none; GET /debug/leases lists those that are open")
		return
	}
	writeJSON(w, http.StatusOK, lease)
}

// parseLease reads a request for a lease. Its errors say what to write, and
// quote nothing that was sent.
func parseLease(body []byte, c *policy.Contract, longest time.Duration) (LeaseRequest, error) {
	var r LeaseRequest
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return r, errors.New(`the body must be a JSON object of kind, level, service, method, scheme, principal, duration ("10m") and reason`)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return r, errors.New("the body must hold one JSON object and nothing else")
	}
	for name, s := range map[string]string{"principal": r.Principal, "reason": r.Reason} {
		if len(s) > MaxText || strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) }) {
			return r, fmt.Errorf("%s must be at most %d bytes without control characters", name, MaxText)
		}
	}
	switch r.Kind {
	case LevelLease:
		if !slices.Contains(levels, r.Level) {
			return r, errors.New("level must be one of " + strings.Join(levels, ", "))
		}
	case PayloadLease:
		if r.Level != "" {
			return r, errors.New("level is only for leases of kind " + LevelLease)
		}
		if r.Service == "" && r.Principal == "" {
			return r, errors.New("a lease for payloads must name a service or a principal")
		}
	default:
		return r, errors.New("kind must be " + LevelLease + " or " + PayloadLease)
	}
	switch {
	case r.Duration <= 0 || time.Duration(r.Duration) > longest:
		return r, fmt.Errorf("duration must be above 0 and at most %s", brief(longest))
	case strings.TrimSpace(r.Reason) == "":
		return r, errors.New("reason is missing: it is audited")
	case r.Service == "" && r.Method != "":
		return r, errors.New("method needs its service")
	case r.Service != "" && !covers(c, r.Service, r.Method):
		return r, errors.New("the contract has no such service or method: GET /methods lists them")
	case r.Scheme != "" && !slices.Contains(schemes(c), r.Scheme):
		return r, errors.New("the contract has no such security scheme; it has: " + strings.Join(schemes(c), ", "))
	}
	return r, nil
}

// brief writes a duration without the zeros at its end.
func brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// schemes returns the names of the contract's security schemes.
func schemes(c *policy.Contract) []string {
	names := make([]string, len(c.Schemes))
	for i, s := range c.Schemes {
		names[i] = s.Name
	}
	return names
}

// covers reports whether the contract has the service, and the method unless
// it is empty.
func covers(c *policy.Contract, service, method string) bool {
	for _, s := range c.Services {
		if s.Name == service {
			return method == "" || slices.ContainsFunc(s.Methods, func(m policy.Method) bool { return m.Name == method })
		}
	}
	return false
}
