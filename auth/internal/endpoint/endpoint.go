// Package endpoint talks to the servers whose word decides who may do what.
//
//	u, err := endpoint.Parse("https://issuer.example/introspect")
//	...
//	res, err := endpoint.Client(nil).Do(req)
//	...
//	data, err := endpoint.Read(res.Body, 64<<10)
//
// It refuses what lets others speak in their place: plain HTTP off loopback,
// redirects, and answers without end.
package endpoint

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Parse reads an address, which is https, or http on loopback, and has neither
// a user nor a fragment. Its errors hold no part of the address.
func Parse(address string) (*url.URL, error) {
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
// most the given number of connections open for later.
func Transport(idle int) *http.Transport {
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
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
