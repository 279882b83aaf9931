package guard_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aguada-dev/aguada/console/guard"
)

// session logs in and returns the cookie as a browser sends it.
func session(t *testing.T, h http.Handler, token string) string {
	t.Helper()
	cookies := login(h, token, "/").Result().Cookies()
	if len(cookies) != 1 {
		t.Fatalf("login gives %d cookies", len(cookies))
	}
	return cookies[0].Name + "=" + cookies[0].Value
}

func with(h http.Handler, cookie string) string {
	return ask(h, "GET", "/api/overview", "Cookie", cookie).Body.String()
}

func TestSessionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, h := open(t, secured(token))
		cookie := session(t, h, token)
		time.Sleep(12*time.Hour - time.Second)
		if with(h, cookie) != "Bearer "+token {
			t.Error("a session of less than 12 hours is over")
		}
		time.Sleep(time.Second)
		if got := with(h, cookie); got != "" {
			t.Errorf("after 12 hours a session is still %q", got)
		}
	})
}

// Whoever changes the token ends what was opened with the former one.
func TestSessionsEndWithTheirToken(t *testing.T) {
	now := token
	_, h := open(t, guard.Config{Token: func() string { return now }})
	cookie := session(t, h, now)
	for _, changed := range []string{"another token of the console", ""} {
		now = changed
		if got := with(h, cookie); got != "" {
			t.Errorf("with the token %q a session of the former one is %q", changed, got)
		}
	}
}

func TestSessionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, h := open(t, secured(token))
		first := session(t, h, token)
		var last string
		for range 1000 {
			time.Sleep(time.Second)
			last = session(t, h, token)
		}
		if with(h, first) != "" || with(h, last) == "" {
			t.Error("the oldest session should have given way, and no other")
		}
	})
}

// Guessing becomes slow, and the right token works again soon after.
func TestGuessersLockNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, h := open(t, secured(token))
		for login(h, "wrong", "/").Code != http.StatusTooManyRequests {
		}
		if login(h, token, "/").Code != http.StatusTooManyRequests {
			t.Error("a guess was looked at while guesses are slowed down")
		}
		time.Sleep(time.Second)
		session(t, h, token)
	})
}

// The token is taken from a form that was posted, never from an address, which
// stays in histories and logs.
func TestNoTokenInAddresses(t *testing.T) {
	_, h := open(t, secured(token))
	r := httptest.NewRequest("POST", "/login?token=a+token+of+this+console", nil)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if len(w.Result().Cookies()) > 0 || ask(h, "GET", "/login?token="+"x").Code != http.StatusNotFound {
		t.Error("an address opens a session")
	}
	_, tls := open(t, guard.Config{Token: func() string { return token }, TLS: true})
	if c := login(tls, token, "/").Result().Cookies(); len(c) != 1 || !c[0].Secure {
		t.Errorf("under TLS the cookie is %v", c)
	}
}
