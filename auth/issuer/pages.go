package issuer

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/aguada-dev/aguada/auth/issuer/state"
)

//go:embed pages/*.html pages/style.css
var files embed.FS

// pages are what a person sees.
type pages struct {
	home, consent, problem, token *template.Template
	css                           []byte
}

func newPages() (*pages, error) {
	p := &pages{}
	var err error
	if p.css, err = files.ReadFile("pages/style.css"); err != nil {
		return nil, fmt.Errorf("read style: %w", err)
	}
	for name, to := range map[string]**template.Template{"home": &p.home, "consent": &p.consent, "problem": &p.problem, "token": &p.token} {
		if *to, err = template.ParseFS(files, "pages/layout.html", "pages/"+name+".html"); err != nil {
			return nil, fmt.Errorf("parse page: %w", err)
		}
	}
	return p, nil
}

func (p *pages) style(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	_, _ = w.Write(p.css) // who asked has gone
}

// show writes a page. Its policy allows the style sheet, and forms that are
// sent to the given addresses.
func (i *Issuer) show(w http.ResponseWriter, status int, page *template.Template, forms string, data map[string]any) {
	data["Warning"], data["Service"] = Warning, i.cfg.Service
	var b bytes.Buffer
	if err := page.ExecuteTemplate(&b, "layout.html", data); err != nil {
		i.log.Error("page not made", "error", err)
		http.Error(w, Warning+": the page could not be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action "+forms)
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // who asked has gone
}

// problem says what is wrong, to the user alone.
func (i *Issuer) problem(w http.ResponseWriter, status int, reason string) {
	i.show(w, status, i.pages.problem, "'none'", map[string]any{"Title": "That did not work", "Reason": reason})
}

// failed says that the fault is the issuer's.
func (i *Issuer) failed(w http.ResponseWriter, err error) {
	i.log.Error("request failed", "error", err)
	i.problem(w, http.StatusInternalServerError, "The issuer failed. Its log says why.")
}

// ask shows the consent page.
func (i *Issuer) ask(w http.ResponseWriter, c state.Client, a authorization, secret, hint string) {
	name := c.Name
	if name == "" {
		name = c.ID
	}
	var scopes []Scope
	for _, s := range a.Scopes {
		scopes = append(scopes, i.describe(s))
	}
	chosen := i.cfg.Users[0].Subject
	if u, ok := i.user(hint); ok {
		chosen = u.Subject
	}
	i.show(w, http.StatusOK, i.pages.consent, "'self'"+formTarget(a.RedirectURI), map[string]any{
		"Title": "Allow access?", "Client": name, "ClientID": c.ID, "RedirectURI": a.RedirectURI,
		"Scopes": scopes, "Audience": a.Audience, "Users": i.cfg.Users, "Chosen": chosen,
		"Transaction": secret, "Action": consentPath,
	})
}

var plainHost = regexp.MustCompile(`^[A-Za-z0-9.-]+(:[0-9]{1,5})?$`)

// formTarget allows the redirect that follows the form: browsers hold it
// against form-action too.
func formTarget(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme == "" {
		return ""
	}
	if plainHost.MatchString(u.Host) {
		return " " + u.Scheme + "://" + u.Host
	}
	return " " + u.Scheme + ":" // the grammar knows no IPv6
}

// home tells where everything is.
func (i *Issuer) home(w http.ResponseWriter, r *http.Request) {
	var clients []state.Client
	var keys []state.Key
	err := i.state.Update(r.Context(), func(tx *state.Tx) (err error) {
		if clients, err = tx.Clients(); err != nil {
			return err
		}
		if keys, err = tx.Keys(time.Now()); err == nil && len(keys) == 0 {
			err = errors.New("there is no key")
		}
		return err
	})
	if err != nil {
		i.failed(w, err)
		return
	}
	link := func(name, path string) map[string]string {
		return map[string]string{"Name": name, "URL": i.cfg.URL + path}
	}
	login := ""
	if i.cfg.Login != "" {
		login = loginPath
	}
	i.show(w, http.StatusOK, i.pages.home, "'none'", map[string]any{
		"Login": login,
		"Title": "Tokens for " + i.cfg.Service, "Clients": clients, "Keys": keys, "Signing": keys[0].ID, "Now": time.Now(), "Scopes": i.cfg.Scopes,
		"Audience": i.cfg.Audience, "Users": i.cfg.Users, "CodeSeconds": int(CodeLifetime.Seconds()),
		"AccessMinutes": int(AccessLifetime.Minutes()), "RefreshDays": int(RefreshLifetime.Hours() / 24),
		"Endpoints": []map[string]string{
			link("Discovery", openIDPath), link("Keys", jwksPath), link("Authorize", authorizePath), link("Token", tokenPath),
			link("User info", userInfoPath), link("Introspect", introspectPath), link("Revoke", revokePath),
		},
	})
}
