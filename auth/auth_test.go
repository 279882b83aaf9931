package auth_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/aguada-dev/aguada/auth"
)

func TestCredentialIsNotPrinted(t *testing.T) {
	c := auth.Credential{Token: "s3cret", Username: "s3cret", Password: "s3cret"}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("call", "credential", c, "pointer", &c)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("call", "part", struct{ C auth.Credential }{c})
	slog.New(slog.NewTextHandler(&log, nil)).Info("call", "part", struct{ C *auth.Credential }{&c})
	for _, text := range []string{
		fmt.Sprint(c), fmt.Sprintf("%v %+v %#v %s %q %x %d", c, c, c, c, c, c, c), fmt.Sprintf("%+v", &c),
		fmt.Sprintf("%+v", struct{ C auth.Credential }{c}), log.String(),
	} {
		if strings.Contains(text, "s3cret") || strings.Contains(text, fmt.Sprintf("%x", "s3cret")) {
			t.Errorf("printed: %s", text)
		}
	}
}

func TestContext(t *testing.T) {
	if p, ok := auth.FromContext(t.Context()); ok || p != nil {
		t.Errorf("a bare context has %v", p)
	}
	if p, ok := auth.FromContext(auth.NewContext(t.Context(), nil)); ok || p != nil {
		t.Errorf("a context with a nil principal has %v", p)
	}
	want := &auth.Principal{Subject: "ann"}
	if p, ok := auth.FromContext(auth.NewContext(t.Context(), want)); !ok || p != want {
		t.Errorf("got %v, %t", p, ok)
	}
}
