package issuer_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// FuzzAuthorize sends any query: it gets a page, or its client an answer, and
// nobody else is ever redirected to.
func FuzzAuthorize(f *testing.F) {
	g := newRig(f)
	f.Add(request().Encode())
	bad := request()
	bad.Set("redirect_uri", "http://127.0.0.1:80@evil.example/callback")
	f.Add(bad.Encode())
	f.Add("client_id=browser&redirect_uri=http://127.0.0.1:1/callback&state=%00;x&x=%zz")
	f.Add("client_id=web&redirect_uri=https%3A%2F%2Fweb.example%2Fcb%3Ffixed%3D1&response_type=code")
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest(http.MethodGet, g.url+"/authorize", nil)
		r.URL.RawQuery, r.RemoteAddr = query, "127.0.0.1:1"
		w := httptest.NewRecorder()
		g.issuer.ServeHTTP(w, r)
		switch w.Code {
		case http.StatusOK, http.StatusBadRequest:
			if w.Header().Get("Location") != "" || !strings.Contains(w.Body.String(), "never use in production") {
				t.Fatalf("answer %d %v", w.Code, w.Header())
			}
		case http.StatusSeeOther:
			to, err := url.Parse(w.Header().Get("Location"))
			if err != nil || to.User != nil || to.Fragment != "" ||
				(to.Hostname() != "127.0.0.1" || to.Path != "/callback") && (to.Host != "web.example" || to.Path != "/cb") {
				t.Fatalf("redirect to %q", w.Header().Get("Location"))
			}
			if q := to.Query(); q.Get("error") == "" || q.Has("code") || q.Get("iss") != g.url {
				t.Fatalf("answer %v", q)
			}
		default:
			t.Fatalf("answer %d %s", w.Code, w.Body)
		}
	})
}

// FuzzToken sends any form and any credentials: without knowing a secret there
// is no token.
func FuzzToken(f *testing.F) {
	g := newRig(f)
	f.Add("grant_type=client_credentials&client_id=machine&client_secret=x", "")
	f.Add("grant_type=authorization_code&client_id=browser&code=x&code_verifier="+strings.Repeat("v", 43), "")
	f.Add("grant_type=refresh_token&client_id=browser&refresh_token=x&scope=a%20b", "Basic bWFjaGluZTp4")
	f.Add("grant_type=client_credentials", "Basic bWFjaGluZTo=")
	f.Add("a=%zz;b", "basic ====")
	f.Fuzz(func(t *testing.T, body, authorization string) {
		r := httptest.NewRequest(http.MethodPost, g.url+"/token", strings.NewReader(body))
		r.RemoteAddr = "127.0.0.1:1"
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		w := httptest.NewRecorder()
		g.issuer.ServeHTTP(w, r)
		if w.Code != http.StatusBadRequest && w.Code != http.StatusUnauthorized {
			t.Fatalf("answer %d %s", w.Code, w.Body)
		}
		if strings.Contains(w.Body.String(), "access_token\"") {
			t.Fatal("a token")
		}
	})
}
