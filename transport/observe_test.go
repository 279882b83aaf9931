package transport

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// A payload line never holds the connection that a raw body is.
func TestWithoutBody(t *testing.T) {
	type payload struct{ Name string }
	type raw struct {
		Payload *payload
		Body    io.ReadCloser
	}
	type bare struct{ Body io.ReadCloser }
	type named struct{ Body string }
	p := &payload{Name: "x"}
	if got := withoutBody(&raw{Payload: p, Body: http.NoBody}); got != p {
		t.Errorf("%v", got)
	}
	if got := withoutBody(&bare{Body: io.NopCloser(strings.NewReader("secret"))}); got != nil {
		t.Errorf("%v", got)
	}
	for _, v := range []any{p, &named{Body: "a field of the design"}, "text", 7, (*payload)(nil)} {
		if got := withoutBody(v); got != v {
			t.Errorf("%v became %v", v, got)
		}
	}
}
