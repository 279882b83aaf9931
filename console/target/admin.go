package target

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Error says why a private port gave no answer, and what to do.
type Error struct {
	// Status is the one of HTTP; 0 if there was no answer.
	Status int
	Text   string
}

// Error implements error.
func (e *Error) Error() string { return e.Text }

// State is what /readyz says.
type State struct {
	Status string  `json:"status"`
	State  string  `json:"state"`
	Uptime float64 `json:"uptime"` // in seconds
	Checks []Check `json:"checks"`
}

// Check is the result of a check.
type Check struct {
	Name       string    `json:"name"`
	Status     string    `json:"status"`
	Error      string    `json:"last_error"`
	DurationMS float64   `json:"duration_ms"`
	Since      time.Time `json:"since"`
}

// Setting is a row of the configuration; secrets are masked by the service.
type Setting struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Default string `json:"default"`
	Meaning string `json:"meaning"`
	Value   string `json:"value"`
	Source  string `json:"source"`
}

// Lease is debugging that ends by itself.
type Lease struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"`
	Level     string    `json:"level"`
	Service   string    `json:"service"`
	Method    string    `json:"method"`
	Scheme    string    `json:"scheme"`
	Principal string    `json:"principal"`
	Reason    string    `json:"reason"`
	OpenedBy  string    `json:"opened_by"`
	Opened    time.Time `json:"opened"`
	Expires   time.Time `json:"expires"`
}

// LeaseRequest asks for a lease. Service and Method are names of the contract.
type LeaseRequest struct {
	Kind      string `json:"kind"`
	Level     string `json:"level,omitempty"`
	Service   string `json:"service,omitempty"`
	Method    string `json:"method,omitempty"`
	Scheme    string `json:"scheme,omitempty"`
	Principal string `json:"principal,omitempty"`
	Duration  string `json:"duration"`
	Reason    string `json:"reason"`
}

// State returns what /readyz says, of a service that is not ready too.
func (v *Target) State(ctx context.Context) (*State, error) {
	return v.state.get(ctx, func(ctx context.Context) (*State, error) {
		var s State
		return &s, v.get(ctx, "/readyz", &s)
	})
}

// Settings returns the configuration.
func (v *Target) Settings(ctx context.Context) (all []Setting, err error) {
	return all, v.get(ctx, "/config", &all)
}

// Build returns what /build says.
func (v *Target) Build(ctx context.Context) (raw json.RawMessage, err error) {
	return raw, v.get(ctx, "/build", &raw)
}

// Leases returns those that are open.
func (v *Target) Leases(ctx context.Context) ([]Lease, error) {
	var all struct {
		Leases []Lease `json:"leases"`
	}
	return all.Leases, v.get(ctx, "/debug/leases", &all)
}

// OpenLease opens one.
func (v *Target) OpenLease(ctx context.Context, r LeaseRequest) (*Lease, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	var l Lease
	return &l, v.json(ctx, http.MethodPost, "/debug/leases", body, &l)
}

// EndLease ends one.
func (v *Target) EndLease(ctx context.Context, id string) error {
	var l Lease
	return v.json(ctx, http.MethodDelete, "/debug/leases/"+url.PathEscape(id), nil, &l)
}

func (v *Target) get(ctx context.Context, path string, to any) error {
	return v.json(ctx, http.MethodGet, path, nil, to)
}

// json makes a request and reads the JSON of its answer. A 503 with JSON is what
// a service that is not ready says.
func (v *Target) json(ctx context.Context, method, path string, body []byte, to any) error {
	b, status, err := v.do(ctx, method, path, "application/json", body)
	if err != nil {
		return err
	}
	if status >= http.StatusBadRequest && (status != http.StatusServiceUnavailable || path != "/readyz") {
		return v.refused(status, b)
	}
	if err := json.Unmarshal(b, to); err != nil {
		return &Error{Text: v.Admin + path + " answers something else than a private port of Aguada: is the address right?"}
	}
	return nil
}

// do makes a request and reads the answer, within bounds.
func (v *Target) do(ctx context.Context, method, path, accept string, body []byte) ([]byte, int, error) {
	if v.Admin == "" {
		return nil, 0, &Error{Text: "the private port of " + v.Service + " is not known: start it with aguada run, or the console with --admin " + v.Service + "=http://127.0.0.1:8082"}
	}
	req, err := http.NewRequestWithContext(ctx, method, v.Admin+path, bytes.NewReader(body))
	if err != nil {
		return nil, 0, fmt.Errorf("ask private port: %w", err)
	}
	req.Header.Set("Accept", accept)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if v.Token != nil {
		if token := v.Token(); token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
	}
	res, err := v.client.Do(req)
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return nil, 0, err
		}
		return nil, 0, &Error{Text: "the private port of " + v.Service + " at " + v.Admin + " does not answer: does the service run?"}
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxFile+1))
	if err != nil || len(b) > maxFile {
		return nil, 0, &Error{Text: "the private port of " + v.Service + " broke off its answer, or answers too much"}
	}
	return b, res.StatusCode, nil
}

// refused turns an answer that is no success into an error.
func (v *Target) refused(status int, b []byte) error {
	var said struct {
		Error string `json:"error"`
	}
	_ = json.Unmarshal(b, &said) // some other server may say anything
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		said.Error = "the private port of " + v.Service + " refuses the console: start the console with --admin-token-file " + v.Service + "=FILE"
	case said.Error == "" || len(said.Error) > 1000:
		said.Error = fmt.Sprintf("the private port of %s answers %d", v.Service, status)
	}
	return &Error{Status: status, Text: said.Error}
}
