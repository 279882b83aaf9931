//go:build unix

package browsertests

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/chromedp/chromedp"
	"golang.org/x/oauth2"
)

func newLoopback(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// sales asks for the method that OAuth2 guards.
func (s *shop) sales(t *testing.T, token string) int {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, s.service+"/reports/sales", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// client returns a program that sends its user to the design's endpoints.
func (s *shop) client(l *listener, scopes ...string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: "dev-browser", RedirectURL: l.url, Scopes: scopes,
		Endpoint: oauth2.Endpoint{AuthURL: s.issuer + "/authorize", TokenURL: s.issuer + "/token", AuthStyle: oauth2.AuthStyleInParams},
	}
}

// A person logs in through the issuer that aguada run starts, and the OAuth2
// method of the reference service answers.
func TestLogin(t *testing.T) {
	program := chromium(t)
	s := orders(t)
	tab := browser(t, program)
	l := listen(t)
	c := s.client(l, "api:read", "openid")

	t.Run("allow", func(t *testing.T) {
		verifier := oauth2.GenerateVerifier()
		do(t, tab,
			chromedp.Navigate(c.AuthCodeURL("st-1", oauth2.S256ChallengeOption(verifier))),
			chromedp.WaitVisible(chromedp.CSS("#allow")),
			chromedp.Click(chromedp.CSS(`input[name="user"][value="alice"]`)),
			chromedp.Click(chromedp.CSS("#allow")))
		got := l.wait(t, tab)
		if got.Get("state") != "st-1" || got.Get("iss") != s.issuer || got.Get("code") == "" {
			t.Fatalf("the browser brought %v", got)
		}
		token, err := c.Exchange(context.Background(), got.Get("code"), oauth2.VerifierOption(verifier))
		if err != nil {
			t.Fatal(err)
		}
		if status := s.sales(t, token.AccessToken); status != http.StatusOK {
			t.Errorf("GET /reports/sales: %d", status)
		}
		id, _ := token.Extra("id_token").(string)
		if status := s.sales(t, id); status != http.StatusUnauthorized {
			t.Errorf("GET /reports/sales with an id token: %d", status)
		}
		if status := s.sales(t, token.AccessToken+"x"); status != http.StatusUnauthorized {
			t.Errorf("GET /reports/sales with a broken token: %d", status)
		}
	})
	t.Run("deny", func(t *testing.T) {
		do(t, tab,
			chromedp.Navigate(c.AuthCodeURL("st-2", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))),
			chromedp.WaitVisible(chromedp.CSS("#deny")), chromedp.Click(chromedp.CSS("#deny")))
		if got := l.wait(t, tab); got.Get("error") != "access_denied" || got.Get("state") != "st-2" || got.Has("code") {
			t.Errorf("the browser brought %v", got)
		}
	})
	t.Run("untick", func(t *testing.T) {
		verifier := oauth2.GenerateVerifier()
		do(t, tab,
			chromedp.Navigate(c.AuthCodeURL("st-3", oauth2.S256ChallengeOption(verifier))),
			chromedp.WaitVisible(chromedp.CSS("#allow")),
			chromedp.Click(chromedp.CSS(`input[name="scope"][value="api:read"]`)),
			chromedp.Click(chromedp.CSS("#allow")))
		token, err := c.Exchange(context.Background(), l.wait(t, tab).Get("code"), oauth2.VerifierOption(verifier))
		if err != nil {
			t.Fatal(err)
		}
		if status := s.sales(t, token.AccessToken); status != http.StatusForbidden {
			t.Errorf("GET /reports/sales without its scope: %d", status)
		}
	})
	t.Run("by hand", func(t *testing.T) {
		do(t, tab,
			chromedp.Navigate(s.issuer+"/"), chromedp.WaitVisible(chromedp.CSS("#login")), chromedp.Click(chromedp.CSS("#login")),
			chromedp.WaitVisible(chromedp.CSS("#allow")),
			chromedp.Click(chromedp.CSS(`input[name="user"][value="bob"]`)),
			chromedp.Click(chromedp.CSS("#allow")), chromedp.WaitVisible(chromedp.CSS("#token")))
		token, err := chromedp.Run(tab, chromedp.Evaluate[string](`document.querySelector("#token").value`))
		if err != nil {
			t.Fatal(err)
		}
		if status := s.sales(t, token); status != http.StatusOK {
			t.Errorf("GET /reports/sales with the token of the page: %d", status)
		}
		look(t, tab, "token", "")
	})
	t.Run("pages", func(t *testing.T) { pages(t, tab, s, c) })
}

// pages looks at every page in every size and scheme. With SCREENSHOTS it keeps
// what it sees in that folder.
func pages(t *testing.T, tab context.Context, s *shop, c *oauth2.Config) {
	all := map[string]string{
		"consent": c.AuthCodeURL("st", oauth2.S256ChallengeOption(oauth2.GenerateVerifier())),
		"home":    s.issuer + "/",
		"problem": s.issuer + "/authorize?client_id=nobody",
	}
	for name, address := range all {
		look(t, tab, name, address)
	}
}

// look checks a page in every size and scheme: the one at the address, or, where
// that is empty, the one that is open.
func look(t *testing.T, tab context.Context, name, address string) {
	t.Helper()
	const measure = `(() => {
  const banner = document.querySelector(".warning");
  return {
    wide: document.documentElement.scrollWidth > window.innerWidth,
    warned: banner.innerText.includes("never use in production") && banner.getBoundingClientRect().height > 0,
    styled: getComputedStyle(document.querySelector("main")).maxWidth === "576px",
    dark: getComputedStyle(document.body).backgroundColor === "rgb(20, 23, 28)",
  };
})()`
	for _, width := range []int64{360, 1280} {
		for _, taste := range []string{"light", "dark"} {
			do(t, tab, chromedp.EmulateViewport(width, 800), scheme(taste))
			if address != "" {
				do(t, tab, chromedp.Navigate(address))
			}
			got, err := chromedp.Run(tab, chromedp.Evaluate[struct{ Wide, Warned, Styled, Dark bool }](measure))
			if err != nil {
				t.Fatal(err)
			}
			if got.Wide || !got.Warned || !got.Styled || got.Dark != (taste == "dark") {
				t.Errorf("%s at %d px, %s: %+v", name, width, taste, got)
			}
			dir := os.Getenv("SCREENSHOTS")
			if dir == "" {
				continue
			}
			image, err := chromedp.Run(tab, chromedp.FullScreenshot(100))
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, name+"-"+strconv.FormatInt(width, 10)+"-"+taste+".png")
			if err := os.WriteFile(file, image, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}
