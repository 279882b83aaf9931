// Package curl turns an operational contract into a first request that works
// when it is pasted into a shell.
//
//	first, ok := curl.First(contract, credentials)
//	if ok {
//		fmt.Println(first.Command("http://127.0.0.1:8080", curl.Trust{}))
//	}
//
// It sends nothing, and it invents nothing: path, headers and body are those
// of the contract's example, credentials those that the caller has.
package curl

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/aguada-dev/aguada/policy"
)

// Credentials makes the credential of a scheme that carries the scopes, or
// reports false where it cannot.
type Credentials func(scheme policy.Scheme, scopes []string) (Credential, bool)

// Credential is a token, or a user and a password.
type Credential struct {
	Token          string
	User, Password string
}

// Request is one request, credentials included.
type Request struct {
	Service, Method string
	Verb            string
	// Path starts with a slash and may hold a query.
	Path string
	// Header holds the headers, Cookie the cookies, in the order of the names.
	Header map[string]string
	Cookie map[string]string
	// User and Password are those of Basic authentication; User is empty
	// where it is not used.
	User, Password string
	// Body is JSON; empty for none.
	Body string
	// Status is the status code to expect.
	Status int
}

// First picks the method that shows most of a service: the first secured unary
// POST, else the first secured unary method, else any unary method. Of a
// method's security alternatives it takes the first whose credentials can be
// made. It reports false when no unary method can be called.
func First(c *policy.Contract, credentials Credentials) (Request, bool) {
	grades := []func(*policy.Method) bool{
		func(m *policy.Method) bool { return m.Access == policy.Secured && m.Example.Verb == http.MethodPost },
		func(m *policy.Method) bool { return m.Access == policy.Secured },
		func(m *policy.Method) bool { return m.Access != policy.Secured },
	}
	for _, fits := range grades {
		for i := range c.Services {
			for j := range c.Services[i].Methods {
				m := &c.Services[i].Methods[j]
				if m.Kind != policy.Unary || m.Example == nil || !fits(m) {
					continue
				}
				if r, ok := build(c, m, credentials); ok {
					return r, true
				}
			}
		}
	}
	return Request{}, false
}

func build(c *policy.Contract, m *policy.Method, credentials Credentials) (Request, bool) {
	if m.Access != policy.Secured {
		return example(m, nil)
	}
	for _, alternative := range m.Requirements {
		body := map[string]string{}
		r, ok := example(m, body)
		if !ok {
			return Request{}, false
		}
		if !r.authenticate(c, alternative, credentials, body) {
			continue
		}
		if len(body) > 0 {
			r, ok = r.withBody(m, body)
			if !ok {
				continue
			}
		}
		return r, true
	}
	return Request{}, false
}

// example returns the request of the contract's example, without credentials.
func example(m *policy.Method, extra map[string]string) (Request, bool) {
	e := m.Example
	if !strings.HasPrefix(e.Path, "/") {
		return Request{}, false
	}
	r := Request{
		Service: m.Service, Method: m.Name,
		Verb: e.Verb, Path: e.Path, Status: e.Status,
		Header: map[string]string{}, Cookie: map[string]string{},
	}
	maps.Copy(r.Header, e.Header)
	return r.withBody(m, extra)
}

func (r Request) withBody(m *policy.Method, extra map[string]string) (Request, bool) {
	body := m.Example.Body
	if len(extra) > 0 {
		object, ok := body.(map[string]any)
		if !ok && body != nil {
			return Request{}, false
		}
		object = maps.Clone(object)
		if object == nil {
			object = map[string]any{}
		}
		for name, value := range extra {
			object[name] = value
		}
		body = object
	}
	if body == nil {
		return r, true
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil {
		return Request{}, false
	}
	r.Body = strings.TrimSuffix(text.String(), "\n")
	if !hasHeader(r.Header, "Content-Type") {
		r.Header["Content-Type"] = "application/json"
	}
	return r, true
}

// authenticate puts in every credential of one alternative. It reports false
// where one cannot be made, or two want the same place.
func (r *Request) authenticate(c *policy.Contract, alternative policy.Requirement, credentials Credentials, body map[string]string) bool {
	if len(alternative.Schemes) == 0 {
		return false
	}
	for _, use := range alternative.Schemes {
		i := slices.IndexFunc(c.Schemes, func(s policy.Scheme) bool { return s.Name == use.Scheme })
		if i < 0 {
			return false
		}
		credential, ok := credentials(c.Schemes[i], alternative.Scopes)
		if !ok {
			return false
		}
		if c.Schemes[i].Kind == policy.Basic {
			ok = r.basic(use, credential)
		} else {
			ok = r.place(use, credential.Token, body)
		}
		if !ok {
			return false
		}
	}
	return true
}

func (r *Request) basic(use policy.Use, credential Credential) bool {
	if use.In != policy.InHeader || r.User != "" || hasHeader(r.Header, "Authorization") {
		return false
	}
	r.User, r.Password = credential.User, credential.Password
	return true
}

func (r *Request) place(use policy.Use, token string, body map[string]string) bool {
	switch use.In {
	case policy.InHeader:
		authorization := strings.EqualFold(use.Name, "Authorization")
		if hasHeader(r.Header, use.Name) || authorization && r.User != "" {
			return false
		}
		if authorization {
			token = "Bearer " + token
		}
		r.Header[use.Name] = token
	case policy.InQuery:
		separator := "?"
		if strings.Contains(r.Path, "?") {
			separator = "&"
		}
		r.Path += separator + url.QueryEscape(use.Name) + "=" + url.QueryEscape(token)
	case policy.InCookie:
		if _, taken := r.Cookie[use.Name]; taken {
			return false
		}
		r.Cookie[use.Name] = token
	case policy.InBody:
		if _, taken := body[use.Name]; taken {
			return false
		}
		body[use.Name] = token
	default:
		return false
	}
	return true
}

func hasHeader(header map[string]string, name string) bool {
	for have := range header {
		if strings.EqualFold(have, name) {
			return true
		}
	}
	return false
}

// Trust says whose certificates curl takes, beside those that the system
// trusts.
type Trust struct {
	// Authority is the file of an authority's certificate; empty for none.
	Authority string
	// Anybody takes a certificate that no authority has signed, if there is
	// no Authority.
	Anybody bool
}

// Command returns the request as a curl command of several lines, quoted for a
// POSIX shell. The base is a scheme and an address, without a trailing slash.
func (r Request) Command(base string, trust Trust) string {
	first := "curl -i"
	switch {
	case trust.Authority != "":
		first += " --cacert " + Quote(trust.Authority)
	case trust.Anybody:
		first += " -k"
	}
	if strings.ContainsAny(r.Path, "{}[]") {
		first += " -g"
	}
	lines := []string{first + " -X " + Quote(r.Verb) + " " + Quote(base+r.Path)}
	if r.User != "" {
		lines = append(lines, "-u "+Quote(r.User+":"+r.Password))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		line := name + ": " + r.Header[name]
		if r.Header[name] == "" {
			line = name + ";" // how curl sends an empty header
		}
		lines = append(lines, "-H "+Quote(line))
	}
	if len(r.Cookie) > 0 {
		pairs := make([]string, 0, len(r.Cookie))
		for _, name := range slices.Sorted(maps.Keys(r.Cookie)) {
			pairs = append(pairs, name+"="+r.Cookie[name])
		}
		lines = append(lines, "-b "+Quote(strings.Join(pairs, "; ")))
	}
	if r.Body != "" {
		lines = append(lines, "--data-raw "+Quote(r.Body))
	}
	return strings.Join(lines, " \\\n  ")
}
