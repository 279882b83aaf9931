package main

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/cmd/aguada/internal/curl"
	"github.com/aguada-dev/aguada/cmd/aguada/internal/development"
	"github.com/aguada-dev/aguada/policy"
)

// tokenTTL is how long the token of the first request is good for: a working
// day.
const tokenTTL = 12 * time.Hour

// greet says where the service is and how to call it.
func (s *session) greet(took time.Duration) error {
	var b strings.Builder
	line := func(name, value string) { fmt.Fprintf(&b, "  %-10s%s\n", name, value) }
	fmt.Fprintf(&b, "\n%s is ready after %s (process %d)\n\n", s.out.Bold(s.project.Name), took, s.child.PID())
	line("service", s.out.Bold(s.address.base))
	line("live", s.address.url("/livez"))
	line("ready", s.address.url("/readyz"))
	if s.kit.UsesGRPC() {
		line("grpc", s.grpc)
	}
	line("operate", "http://"+s.admin+"/")
	if text := s.consoleLine(); text != "" {
		line("console", text)
	}
	if s.address.authority != nil {
		line("authority", s.address.authority.AuthorityFile+"   (for clients to trust; it signs for localhost alone)")
	}
	if s.kit.MakesTokens() {
		text := s.kit.IssuerURL() + "/"
		if s.issuer.Elsewhere() {
			text += "   (run by the aguada that was started before; taken over when that one ends)"
		}
		line("issuer", text)
	}
	if text := s.credentials(); text != "" {
		fmt.Fprintf(&b, "\nCredentials for development on this machine only (kept in %s):\n\n%s",
			shortPath(filepath.Join(s.project.Dir, development.StateDir)), text)
	}
	first, ok, err := s.first()
	if err != nil {
		return err
	}
	if ok {
		fmt.Fprintf(&b, "\nA first request, %s %s; it is answered %d:\n\n%s\n",
			first.Service, first.Method, first.Status, first.Command(s.address.base, s.address.trust()))
	}
	text := "Ctrl-C stops the service"
	if s.changes != nil {
		text += "; a change of a Go file builds and starts it again"
	}
	fmt.Fprintf(&b, "\n%s", s.out.Faint(text+"."))
	s.out.Println(b.String())
	return nil
}

// credentials returns the lines of the banner that show how to be let in.
func (s *session) credentials() string {
	var b strings.Builder
	line := func(name, value string) { fmt.Fprintf(&b, "  %-10s%s\n", name, value) }
	if user, password := s.kit.User(); user != "" {
		line("user", user+"   password "+password)
	}
	if key := s.kit.APIKey(); key != "" {
		line("API key", key)
	}
	if s.kit.MakesTokens() {
		line("log in", s.kit.IssuerURL()+"/login   (choose a user in the browser, get a token)")
		command := invocation() + " token"
		if scopes := s.kit.Scopes(); len(scopes) > 0 {
			command += " --scope " + curl.Quote(strings.Join(scopes, " "))
		}
		line("token", command+" "+curl.Quote(shortPath(s.project.Dir)))
		line("client", s.clientCredentials())
	}
	return b.String()
}

// clientCredentials returns the command by which a program without a user gets
// a token.
func (s *session) clientCredentials() string {
	form := "grant_type=client_credentials"
	if scopes := s.kit.Scopes(); len(scopes) > 0 {
		form += "&" + url.Values{"scope": {strings.Join(scopes, " ")}}.Encode()
	}
	return "curl -u " + development.Machine + ":" + s.kit.ClientSecret() + " -d " + curl.Quote(form) + " " + s.kit.IssuerURL() + "/token"
}

// first returns the first request, with credentials of the kit.
func (s *session) first() (first curl.Request, ok bool, err error) {
	contract, err := s.project.Contract()
	if err != nil {
		return first, false, err
	}
	first, ok = curl.First(contract, func(scheme policy.Scheme, scopes []string) (c curl.Credential, ok bool) {
		switch scheme.Kind {
		case policy.Basic:
			c.User, c.Password = s.kit.User()
			return c, c.User != ""
		case policy.APIKey:
			c.Token = s.kit.APIKey()
			return c, c.Token != ""
		case policy.JWT, policy.OAuth2, policy.Bearer:
			if !s.kit.MakesTokens() {
				return c, false
			}
			c.Token, err = s.kit.Token(development.User, scopes, tokenTTL)
			return c, err == nil
		}
		return c, false
	})
	return first, ok, err
}

// invocation is how the user called this program, as far as it can be told.
func invocation() string {
	if underGoRun() {
		if _, err := os.Stat(filepath.Join("cmd", "aguada", "main.go")); err == nil {
			return "go run ./cmd/aguada"
		}
	}
	return "aguada"
}

// shortPath returns dir relative to the working folder where that is shorter.
func shortPath(dir string) string {
	wd, err := os.Getwd()
	if err != nil {
		return dir
	}
	rel, err := filepath.Rel(wd, dir)
	if err != nil || len(rel) >= len(dir) || strings.HasPrefix(rel, "..") {
		return dir
	}
	if rel == "." {
		return rel
	}
	return "." + string(filepath.Separator) + rel
}
