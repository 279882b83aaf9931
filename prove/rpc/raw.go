package rpc

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
)

// Raw is a call as bare HTTP/2: what gRPC's own client would decide by itself,
// such as that a deadline has passed, is here the server's to say.
type Raw struct {
	res *http.Response
	err error
	end func()
}

// Raw begins a call of a method of that name. The body is what follows the
// header, as gRPC frames it (see [Frame]); it may wait. The header is sent at
// once. The caller closes the call.
func (c *Client) Raw(ctx context.Context, name string, header http.Header, body io.Reader) *Raw {
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols, DialContext: c.dialer.DialContext, DisableCompression: true}
	ctx, cancel := context.WithCancel(ctx)
	r := &Raw{end: func() {
		cancel()
		transport.CloseIdleConnections()
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, (&url.URL{Scheme: "http", Host: c.in.GRPC, Path: "/" + name}).String(), body)
	if err != nil {
		r.err = err
		return r
	}
	for k, v := range header {
		req.Header[http.CanonicalHeaderKey(k)] = v
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	r.res, r.err = transport.RoundTrip(req) //nolint:bodyclose // Close does
	return r
}

// Close ends the call.
func (r *Raw) Close() {
	if r.res != nil {
		_ = r.res.Body.Close()
	}
	r.end()
}

// End reads the reply to its end and returns the status that the service gave.
// The error says that it gave none.
func (r *Raw) End() (codes.Code, error) {
	if r.err != nil {
		return 0, r.err
	}
	_, err := io.Copy(io.Discard, io.LimitReader(r.res.Body, maxReply))
	text := r.res.Trailer.Get("Grpc-Status")
	if text == "" {
		text = r.res.Header.Get("Grpc-Status")
	}
	n, bad := strconv.ParseUint(text, 10, 16)
	switch {
	case bad == nil:
		return codes.Code(n), nil
	case err != nil:
		return 0, err
	}
	return 0, fmt.Errorf("HTTP status %d, and no grpc-status", r.res.StatusCode)
}

// Frame returns a message with the five bytes that gRPC puts before it.
func Frame(message []byte) []byte {
	n := len(message)
	return append([]byte{0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, message...)
}

// Timeout is the value of grpc-timeout.
func Timeout(d time.Duration) string { return fmt.Sprintf("%dm", d.Milliseconds()) }

// Begun waits for the first byte of the reply. The error says that the call ended
// instead.
func (r *Raw) Begun() error {
	if r.err != nil {
		return r.err
	}
	var first [1]byte
	if _, err := io.ReadFull(r.res.Body, first[:]); err != nil {
		code, err := r.End()
		if err == nil {
			err = fmt.Errorf("the call ended with %s", Name(code))
		}
		return err
	}
	return nil
}
