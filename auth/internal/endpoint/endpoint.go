// Package endpoint talks to the servers whose word decides who may do what.
//
//	u, err := endpoint.Parse("https://issuer.example/introspect")
//	...
//	res, err := endpoint.Do(endpoint.Client(nil), req)
//	...
//	data, err := endpoint.Read(res.Body, 64<<10)
//
// It refuses what lets others speak in their place: plain HTTP off loopback,
// redirects, and answers without end. What they say does not fill our logs.
package endpoint

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// Bounds.
const (
	maxAddress  = 2 << 10 // bytes
	maxText     = 256     // bytes of an error
	dialTimeout = 5 * time.Second
)

// Parse reads an address, which is https, or http on loopback, has neither a
// user nor a fragment, and is no longer than 2 KiB. Its errors hold no part of
// the address.
func Parse(address string) (*url.URL, error) {
	if len(address) > maxAddress {
		return nil, fmt.Errorf("it is longer than %d bytes", maxAddress)
	}
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.Opaque != "" {
		return nil, errors.New("it is not an absolute URL")
	}
	if u.User != nil || u.Fragment != "" {
		return nil, errors.New("it has a user or a fragment")
	}
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback())
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback) {
		return nil, errors.New("it is not https, which only loopback may do without")
	}
	return u, nil
}

// Transport returns one that goes through the environment's proxy and keeps at
// most the given number of connections open for later. Connecting ends after
// 5 s: it goes on when its request is given up, which ends nothing else of it.
func Transport(idle int) *http.Transport {
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
		DialContext:  (&net.Dialer{Timeout: dialTimeout}).DialContext,
		MaxIdleConns: idle, MaxIdleConnsPerHost: idle, IdleConnTimeout: time.Minute,
		TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: 64 << 10,
	}
}

// Client returns one that follows no redirects.
func Client(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Do sends a request. The text of its error is brief.
func Do(client *http.Client, req *http.Request) (*http.Response, error) {
	res, err := client.Do(req) //nolint:gosec // to where the operator or its issuer says
	if err != nil {
		return nil, Brief(err)
	}
	return res, nil
}

// Brief returns an error like err with a text of one line and at most 256
// bytes. That of net/http quotes answers and certificates, which are as long as
// their server likes.
func Brief(err error) error { return brief{err} }

type brief struct{ error }

// Error implements error.
func (b brief) Error() string {
	s := b.error.Error()
	if len(s) > maxText {
		s = s[:maxText-len("…")] + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// Unwrap returns the error itself.
func (b brief) Unwrap() error { return b.error }

// Read reads the body of an answer. One that is larger than most bytes is an
// error.
func Read(body io.Reader, most int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(body, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("the answer is larger than %d bytes", most)
	}
	return data, nil
}
