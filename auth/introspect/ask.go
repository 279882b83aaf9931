package introspect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/auth/internal/endpoint"
)

// target returns where to ask.
func (v *Verifier) target() (string, error) {
	at := v.endpoint()
	if at == "" {
		return "", errors.New("the endpoint is not known")
	}
	if _, err := endpoint.Parse(at); err != nil {
		return "", fmt.Errorf("the endpoint: %w", err)
	}
	if v.id() == "" || v.secret() == "" {
		return "", errors.New("there is no client id or client secret")
	}
	return at, nil
}

// ask asks about a token, when its turn comes, and returns when it did.
func (v *Verifier) ask(slots chan struct{}, token string) (time.Time, *answer, error) {
	ctx, cancel := context.WithTimeout(v.ctx, v.cfg.Timeout)
	defer cancel()
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-ctx.Done():
		return time.Time{}, nil, errLate
	}
	begun := time.Now()
	a, err := v.post(ctx, token)
	v.tell(err)
	return begun, a, err
}

// post makes one request.
func (v *Verifier) post(ctx context.Context, token string) (*answer, error) {
	at, err := v.target()
	if err != nil {
		return nil, err
	}
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, errors.New("the endpoint is not a URL")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.SetBasicAuth(url.QueryEscape(v.id()), url.QueryEscape(v.secret()))
	res, err := endpoint.Do(v.client, req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	data, err := endpoint.Read(res.Body, maxAnswer)
	switch {
	case res.StatusCode == http.StatusUnauthorized:
		return nil, errors.New("status 401: the client id or the client secret is not accepted")
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("status %d", res.StatusCode)
	case err != nil:
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return parseAnswer(data)
}

// tell notes how asking went, and logs that it began to fail, fails in another
// way, or works again. Texts may differ each time, by a port if nothing else.
func (v *Verifier) tell(err error) {
	if v.ctx.Err() != nil {
		return
	}
	text := ""
	if err != nil {
		text = err.Error()
	}
	v.mu.Lock()
	before, now := v.told, time.Now()
	v.failure = text
	quiet := text == before || (text != "" && !v.toldAt.IsZero() && now.Sub(v.toldAt) < tellAgain)
	if !quiet {
		v.told = text
		if text != "" {
			v.toldAt = now
		}
	}
	v.mu.Unlock()
	if quiet {
		return
	}
	log := v.cfg.Logger
	if log == nil {
		log = slog.Default()
	}
	if text != "" {
		log.Error("tokens cannot be introspected", "error", text)
		return
	}
	log.Info("tokens are introspected again")
}
