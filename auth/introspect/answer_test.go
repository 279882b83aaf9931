package introspect_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/auth/introspect"
)

func TestAnswers(t *testing.T) {
	now := time.Now().Unix()
	for name, tt := range map[string]struct {
		answer string
		want   string
	}{
		"active":              {active(nil), "ann"},
		"not active":          {`{"active":false}`, "!unknown"},
		"not active, but all": {active(object{"active": false, "exp": "x"}), "!unknown"},
		"active text":         {active(object{"active": "true"}), "!unavailable"},
		"active number":       {active(object{"active": 1}), "!unavailable"},
		"active null":         {active(object{"active": json.RawMessage("null")}), "!unavailable"},
		"active twice":        {`{"active":false,` + active(nil)[1:], "!unavailable"},
		"active in capitals":  {active(object{"active": nil, "Active": true}), "!unavailable"},
		"nothing":             {"", "!unavailable"},
		"a page":              {"<html>active</html>", "!unavailable"},
		"a list":              {"[" + active(nil) + "]", "!unavailable"},
		"true":                {"true", "!unavailable"},
		"too large":           {active(nil) + strings.Repeat(" ", 16<<10), "!unavailable"},
		"cut":                 {active(nil)[:20], "!unavailable"},
		"no sub, username":    {active(object{"sub": nil, "username": "bob"}), "bob"},
		"neither":             {active(object{"sub": nil}), "!malformed"},
		"sub number":          {active(object{"sub": 7}), "!unavailable"},
		"half a character":    {active(object{"sub": json.RawMessage(`"\ud800"`)}), "!unavailable"},
		"audience list":       {active(object{"aud": []string{"x", audience}}), "ann"},
		"no audience":         {active(object{"aud": nil}), "!wrong_audience"},
		"null audience":       {active(object{"aud": json.RawMessage("null")}), "!wrong_audience"},
		"another audience":    {active(object{"aud": "users"}), "!wrong_audience"},
		"audience of numbers": {active(object{"aud": []any{audience, 1}}), "!unavailable"},
		"another issuer":      {active(object{"iss": "https://evil.example/"}), "!wrong_issuer"},
		"no issuer":           {active(object{"iss": nil}), "ann"},
		"issuer list":         {active(object{"iss": []string{issuer}}), "!unavailable"},
		"expires":             {active(object{"exp": now + 60}), "ann"},
		"expired":             {active(object{"exp": now - 6}), "!expired"},
		"within leeway":       {active(object{"exp": now - 3}), "ann"},
		"expiry zero":         {active(object{"exp": 0}), "!expired"},
		"expiry text":         {active(object{"exp": fmt.Sprint(now + 60)}), "!unavailable"},
		"expiry negative":     {active(object{"exp": -1}), "!unavailable"},
		"expiry beyond time":  {active(object{"exp": 1e18}), "!unavailable"},
		"not yet":             {active(object{"nbf": now + 60}), "!not_yet_valid"},
		"issued later":        {active(object{"iat": now + 60}), "!not_yet_valid"},
		"token type":          {active(object{"token_type": "bearer"}), "ann"},
		"no token type":       {active(object{"token_type": nil}), "ann"},
		"DPoP":                {active(object{"token_type": "DPoP"}), "!wrong_type"},
		"refresh token":       {active(object{"token_use": "refresh_token"}), "!wrong_type"}, // as Hydra says
		"Refresh token":       {active(object{"typ": "Refresh"}), "!wrong_type"},             // as Keycloak says
		"identity token":      {active(object{"typ": "ID"}), "!wrong_type"},
		"access token":        {active(object{"token_use": "access_token", "typ": "Bearer"}), "ann"},
		"bound to a key":      {active(object{"cnf": object{"jkt": "x"}}), "!wrong_type"},
		"scope number":        {active(object{"scope": 7}), "!unavailable"},
		"scope list":          {active(object{"scope": []string{"a"}}), "ann"},
		"client number":       {active(object{"client_id": 7}), "!unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &server{answer: always(tt.answer)}
			v := verifier(t, s, introspect.Config{Issuers: []string{issuer}, Leeway: 5 * time.Second})
			defer func() { _ = v.Close() }()
			for range 2 {
				if got := verify(v, "opaque"); got != tt.want {
					t.Errorf("got %q, want %q", got, tt.want)
				}
			}
			if n := s.count.Load(); (n == 2) != (tt.want == "!unavailable") { // what was answered is remembered
				t.Errorf("%d requests for 2 calls", n)
			}
		})
	}
}

func TestAnyAudience(t *testing.T) {
	v := verifier(t, &server{answer: always(active(object{"aud": "users"}))}, introspect.Config{AnyAudience: true})
	defer func() { _ = v.Close() }()
	if got := verify(v, "opaque"); got != "ann" {
		t.Errorf("got %q", got)
	}
}

func TestMaximumAge(t *testing.T) {
	s := &server{}
	within(t, s, introspect.Config{MaxAge: time.Minute}, func(t *testing.T, v *introspect.Verifier) {
		now := time.Now().Unix()
		for i, tt := range []struct {
			change object
			want   string
		}{
			{object{"iat": now - 59}, "ann"},
			{object{"iat": now - 60}, "!expired"},
			{nil, "!malformed"},
		} {
			s.answer = always(active(tt.change))
			if got := verify(v, fmt.Sprint(i)); got != tt.want {
				t.Errorf("%v: got %q, want %q", tt.change, got, tt.want)
			}
		}
		time.Sleep(time.Second) // the first one is too old now, though it was remembered
		s.answer = always(active(object{"iat": now - 59}))
		if got := verify(v, "0"); got != "!expired" {
			t.Errorf("got %q", got)
		}
	})
}

// An answer that is taken proves somebody, for us and for now.
func FuzzAnswer(f *testing.F) {
	v := verifier(f, &server{}, introspect.Config{Issuers: []string{issuer}})
	now := time.Unix(1_000_000_000, 0)
	f.Add([]byte(active(object{"exp": 1_000_000_060, "scope": "a b"})))
	f.Add([]byte(`{"active":false}`))
	f.Add([]byte(`{"active":true,"aud":["orders",1],"exp":-1,"sub":"\ud800"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, until, err := introspect.Judge(v, data, now)
		if err != nil {
			if p != nil {
				t.Errorf("%v beside %v", p, err)
			}
			return
		}
		var m struct {
			Active bool `json:"active"`
			Aud    any  `json:"aud"`
		}
		if err := json.Unmarshal(data, &m); err != nil || !m.Active || m.Aud == nil {
			t.Errorf("%s is taken (%v)", data, err)
		}
		if p.Subject == "" || (p.Issuer != "" && p.Issuer != issuer) || (!until.IsZero() && !now.Before(until)) {
			t.Errorf("principal %+v until %s", p, until)
		}
	})
}
