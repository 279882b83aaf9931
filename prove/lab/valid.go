package lab

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/prove/model"
)

// Valid returns a request to the method that the service should serve, without
// credentials. What it needs is made first: where the path names something, a
// method of the same service that creates it is called. The request of a method
// that changes things works once.
func (l *Lab) Valid(ctx context.Context, c *Client, m *model.Method) (Request, error) {
	if !m.Changes() {
		l.mu.Lock()
		r, ok := l.valid[m.ID()]
		l.mu.Unlock()
		if ok {
			return r.Clone(), nil
		}
	}
	values := map[string]string{}
	for _, p := range m.Parameters {
		if p.In != "path" {
			continue
		}
		v, err := l.pathValue(ctx, c, m, p)
		if err != nil {
			return Request{}, err
		}
		values[p.Name] = v
	}
	r := l.Build(m, values)
	if !m.Changes() {
		l.mu.Lock()
		l.valid[m.ID()] = r
		l.mu.Unlock()
	}
	return r.Clone(), nil
}

// pathValue returns the value of a parameter of the path: the user's, one that
// another method makes, the design's example, one that fits the schema.
func (l *Lab) pathValue(ctx context.Context, c *Client, m *model.Method, p model.Parameter) (string, error) {
	if v, ok := l.given(m, p.Name); ok {
		return v, nil
	}
	if creator := l.creator(m, p.Name); creator != nil {
		return l.create(ctx, c, creator, p.Name)
	}
	if p.Example != nil {
		return fmt.Sprint(p.Example), nil
	}
	return fmt.Sprint(l.Payload.Minimal(p.Schema)), nil
}

func (l *Lab) given(m *model.Method, name string) (string, bool) {
	for _, id := range []string{m.ID(), "*"} {
		if v, ok := l.Parameters[id][name]; ok {
			return v, true
		}
	}
	return "", false
}

// creator returns the method whose answer holds what the path of m names: a POST
// without wildcards at the beginning of m's path, of the same service.
func (l *Lab) creator(m *model.Method, name string) *model.Method {
	for _, x := range l.Service.Methods {
		if x.Service != m.Service || x.Verb != http.MethodPost || strings.Contains(x.Pattern, "{") || !strings.HasPrefix(m.Pattern, x.Pattern) {
			continue
		}
		for status, result := range x.Results {
			if status < 300 && (member(result, name) != "" || whole(result, name)) {
				return x
			}
		}
	}
	return nil
}

// member returns the property of an object that a wildcard means: of the same
// name, or "id" for "order_id" and "orderID".
func member(s *model.Schema, wildcard string) string {
	properties := s.Resolved().Properties
	for _, name := range []string{wildcard, "id"} {
		if _, ok := properties[name]; ok && (name == wildcard || strings.HasSuffix(strings.ToLower(wildcard), "id")) {
			return name
		}
	}
	return ""
}

// whole reports whether the answer is what the wildcard means, and nothing else: a
// text or a number, for "id" and "orderID".
func whole(s *model.Schema, wildcard string) bool {
	kind := s.Resolved().Type
	return (kind == "string" || kind == "integer") && strings.HasSuffix(strings.ToLower(wildcard), "id")
}

func (l *Lab) create(ctx context.Context, c *Client, creator *model.Method, wildcard string) (string, error) {
	r, err := l.Valid(ctx, c, creator)
	if err != nil {
		return "", err
	}
	a := c.Do(ctx, l.Sign(r, creator, Good))
	dec := json.NewDecoder(bytes.NewReader(a.Body))
	dec.UseNumber() // ids are no floating point numbers
	var made any
	if a.Err != nil || a.Status >= 300 || dec.Decode(&made) != nil {
		return "", fmt.Errorf("make what the path names: %s answers %s", creator.ID(), a)
	}
	switch v := made.(type) {
	case map[string]any:
		if id, ok := v[member(creator.Results[a.Status], wildcard)]; ok {
			return fmt.Sprint(id), nil
		}
	case string, json.Number:
		return fmt.Sprint(v), nil
	}
	return "", fmt.Errorf("make what the path names: the answer of %s has no %q", creator.ID(), wildcard)
}

// Build returns a request to the method with the values for its path. Body,
// query and headers are the contract's example, or the least that the schema
// wants.
func (l *Lab) Build(m *model.Method, values map[string]string) Request {
	r := Request{Verb: m.Verb, Header: http.Header{}}
	query := url.Values{}
	for _, p := range m.Parameters {
		v, given := l.given(m, p.Name)
		switch {
		case !given && !p.Required:
			continue
		case !given && p.Example != nil:
			v = fmt.Sprint(p.Example)
		case !given:
			v = fmt.Sprint(l.Payload.Minimal(p.Schema))
		}
		switch p.In {
		case "query":
			query.Set(p.Name, v)
		case "header":
			r.Header.Set(p.Name, v)
		}
	}
	r.Path = Fill(m.Pattern, values)
	if len(query) > 0 {
		r.Path += "?" + query.Encode()
	}
	body := l.Body(m)
	l.Conceal(m, body)
	switch {
	case m.Kind == policy.WebSocket:
		handshake(r.Header)
	case m.Kind == policy.EventStream:
		r.Header.Set("Accept", "text/event-stream")
	case body != nil:
		r.Body = body
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

// handshake makes a request the beginning of a WebSocket (RFC 6455, section
// 4.1), so that whoever refuses it does so for another reason.
func handshake(h http.Header) {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails
	h.Set("Connection", "Upgrade")
	h.Set("Upgrade", "websocket")
	h.Set("Sec-WebSocket-Version", "13")
	h.Set("Sec-WebSocket-Key", base64.StdEncoding.EncodeToString(nonce[:]))
}

// Body returns a JSON body that the method should take, nil where it takes none.
func (l *Lab) Body(m *model.Method) []byte {
	switch {
	case m.Example != nil && m.Example.Body != nil:
		return encode(m.Example.Body)
	case m.Body == nil:
		return nil
	case m.Body.Resolved().Example != nil:
		return encode(m.Body.Resolved().Example)
	}
	return encode(l.Payload.Minimal(m.Body))
}

// Conceal makes secrets of what the design calls sensitive in a body: nobody may
// find it in a log or a span.
func (l *Lab) Conceal(m *model.Method, body []byte) {
	if len(m.Sensitive) == 0 || body == nil {
		return
	}
	var doc any
	if json.Unmarshal(body, &doc) != nil {
		return
	}
	for _, place := range m.Sensitive {
		for _, v := range pick(doc, strings.Split(place, "/")[1:]) {
			if text, ok := v.(string); ok {
				l.Secrets.Add("what the design calls sensitive ("+place+")", text)
			}
		}
	}
}

// pick returns the values at a place of a document, "*" being every item or
// member.
func pick(v any, path []string) []any {
	if len(path) == 0 {
		return []any{v}
	}
	var found []any
	switch x := v.(type) {
	case map[string]any:
		for name, inner := range x {
			if path[0] == "*" || strings.NewReplacer("~1", "/", "~0", "~").Replace(path[0]) == name {
				found = append(found, pick(inner, path[1:])...)
			}
		}
	case []any:
		for _, inner := range x {
			found = append(found, pick(inner, path[1:])...)
		}
	}
	return found
}

// encode writes JSON as a careful client does: no escapes for HTML, no newline.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil {
		return nil
	}
	return bytes.TrimSpace(b.Bytes())
}

// Fill puts values into a pattern of Goa or OpenAPI; a wildcard without value
// becomes "x".
func Fill(pattern string, values map[string]string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(pattern, "{")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		name, after, _ := strings.Cut(rest, "}")
		v, ok := values[strings.TrimPrefix(name, "*")]
		if !ok {
			v = "x"
		}
		b.WriteString(url.PathEscape(v))
		pattern = after
	}
}

// Succeeds reports whether the answer is the success that the design documents,
// or any where it documents none.
func Succeeds(m *model.Method, a *Answer) bool {
	switch {
	case a.Err != nil:
		return false
	case m.Kind == policy.WebSocket:
		return a.Status == http.StatusSwitchingProtocols
	case m.Kind == policy.Redirect:
		return a.Status >= 300 && a.Status < 400
	case a.Status < 200 || a.Status >= 300:
		return false
	}
	return len(m.Statuses) == 0 || slices.Contains(m.Statuses, a.Status)
}
