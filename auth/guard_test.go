package auth_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/policy"
)

// request is a Source of literal credentials by the name of a use.
type request map[string]string

func (r request) Credential(u *policy.Use, _ policy.SchemeKind) (auth.Credential, error) {
	switch c := r[u.Name]; c {
	case "":
		return auth.Credential{}, auth.ErrMissing
	case "twice":
		return auth.Credential{}, auth.ErrDuplicate
	case "malformed":
		return auth.Credential{}, auth.Refuse(auth.Malformed, "not a token")
	case "lost":
		return auth.Credential{}, auth.Refuse(auth.Unavailable, "the transport cannot find it")
	case "late":
		return auth.Credential{}, auth.ErrLate
	default:
		return auth.Credential{Token: c}, nil
	}
}

// store verifies "ok SCOPE…", and counts.
type store struct{ calls int }

func (s *store) Verify(_ context.Context, c auth.Credential) (*auth.Principal, error) {
	s.calls++
	words := strings.Fields(c.Token)
	switch words[0] {
	case "ok":
		return &auth.Principal{Subject: c.Token, Scopes: words[1:]}, nil
	case "down":
		return nil, auth.Refuse(auth.Unavailable, "no key set")
	case "plain":
		return nil, errors.New("connection refused")
	case "nothing":
		return nil, nil
	case "nil":
		return nil, (*auth.Error)(nil)
	case "sayslate":
		return nil, auth.ErrLate
	case "saysmissing":
		return nil, auth.ErrMissing
	default:
		return nil, auth.Refuse(auth.Expired, "expired")
	}
}

var schemes = []policy.Scheme{
	{Name: "basic", Kind: policy.Basic},
	{Name: "key", Kind: policy.APIKey},
	{Name: "jwt", Kind: policy.JWT, Scopes: []string{"read", "write"}},
	{Name: "oauth", Kind: policy.OAuth2, Scopes: []string{"read"}},
}

// uses maps the letter of a use to it. The name is the letter.
var uses = map[string]policy.Use{
	"b": {Scheme: "basic", In: policy.InHeader, Name: "b"},
	"k": {Scheme: "key", In: policy.InHeader, Name: "k"},
	"j": {Scheme: "jwt", In: policy.InHeader, Name: "j"},
	"o": {Scheme: "oauth", In: policy.InQuery, Name: "o"},
	"l": {Scheme: "key", In: policy.InBody, Name: "l"},
}

// secured makes a policy from alternatives like "j k : read write".
func secured(alternatives ...string) *policy.Method {
	m := &policy.Method{Service: "orders", Name: "create", Access: policy.Secured}
	for _, a := range alternatives {
		names, scopes, _ := strings.Cut(a, ":")
		r := policy.Requirement{Scopes: strings.Fields(scopes)}
		for _, n := range strings.Fields(names) {
			r.Schemes = append(r.Schemes, uses[n])
		}
		m.Requirements = append(m.Requirements, r)
	}
	return m
}

func guard(t testing.TB, alternatives ...string) (*auth.Guard, *store) {
	t.Helper()
	s := &store{}
	g, err := auth.NewGuard("shop", secured(alternatives...), schemes,
		auth.Verifiers{"basic": s, "key": s, "jwt": s, "oauth": s})
	if err != nil {
		t.Fatal(err)
	}
	return g, s
}

func TestCheck(t *testing.T) {
	tests := map[string]struct {
		alternatives []string
		request      request
		want         string // principal, or reason and scheme
		calls        int
	}{
		"one scheme":                    {[]string{"j"}, request{"j": "ok"}, "jwt:ok", 1},
		"no credential":                 {[]string{"j"}, request{}, "missing jwt", 0},
		"malformed":                     {[]string{"j"}, request{"j": "malformed"}, "malformed jwt", 0},
		"refused":                       {[]string{"j"}, request{"j": "bad"}, "expired jwt", 1},
		"first alternative wins":        {[]string{"j", "k"}, request{"j": "ok", "k": "ok k"}, "jwt:ok", 1},
		"second alternative":            {[]string{"j", "k"}, request{"k": "ok k"}, "key:ok k", 1},
		"bad first, good second":        {[]string{"j", "k"}, request{"j": "bad", "k": "ok k"}, "key:ok k", 2},
		"down first, good second":       {[]string{"j", "k"}, request{"j": "down", "k": "ok k"}, "key:ok k", 2},
		"all of a requirement":          {[]string{"j k"}, request{"j": "ok", "k": "ok k"}, "jwt:ok+key:ok k", 2},
		"half of a requirement":         {[]string{"j k"}, request{"j": "ok"}, "missing key", 1},
		"bad half":                      {[]string{"j k"}, request{"k": "bad"}, "expired key", 1},
		"bad beats missing":             {[]string{"b", "j"}, request{"j": "bad"}, "expired jwt", 1},
		"bad beats unavailable":         {[]string{"j", "k"}, request{"j": "down", "k": "bad"}, "expired key", 2},
		"unavailable beats missing":     {[]string{"b", "j"}, request{"j": "down"}, "unavailable jwt", 1},
		"verified once":                 {[]string{"j k", "j b", "j : read"}, request{"j": "ok"}, "insufficient_scope jwt", 1},
		"same use, another scheme":      {[]string{"j", "o"}, request{"o": "ok"}, "oauth:ok", 1},
		"duplicate":                     {[]string{"j"}, request{"j": "twice"}, "duplicate jwt", 0},
		"duplicate of an unneeded one":  {[]string{"j", "k"}, request{"j": "ok", "k": "twice"}, "duplicate key", 0},
		"scope":                         {[]string{"j : write"}, request{"j": "ok read write"}, "jwt:ok read write", 1},
		"lacks one scope":               {[]string{"j : read write"}, request{"j": "ok read"}, "insufficient_scope jwt", 1},
		"lacks scope, then good":        {[]string{"j : write", "k"}, request{"j": "ok", "k": "ok k"}, "key:ok k", 2},
		"lacks scope, then bad":         {[]string{"j : write", "k"}, request{"j": "ok", "k": "bad"}, "insufficient_scope jwt", 2},
		"key not asked for a scope":     {[]string{"j k : write"}, request{"j": "ok write", "k": "ok k"}, "jwt:ok write+key:ok k", 2},
		"each that declares is asked":   {[]string{"j o : read"}, request{"j": "ok read", "o": "ok"}, "insufficient_scope oauth", 2},
		"plain error":                   {[]string{"j"}, request{"j": "plain"}, "unavailable jwt", 1},
		"neither principal nor error":   {[]string{"j"}, request{"j": "nothing"}, "unavailable jwt", 1},
		"nil *Error":                    {[]string{"j"}, request{"j": "nil"}, "unavailable jwt", 1},
		"verifier says late":            {[]string{"j"}, request{"j": "sayslate"}, "unknown jwt", 1},
		"verifier says missing":         {[]string{"b", "j"}, request{"j": "saysmissing"}, "unknown jwt", 1},
		"source fails":                  {[]string{"j", "k"}, request{"j": "lost"}, "unavailable jwt", 0},
		"source fails, another is bad":  {[]string{"j", "k"}, request{"j": "lost", "k": "bad"}, "expired key", 1},
		"late":                          {[]string{"l"}, request{"l": "late"}, "late ", 0},
		"late and missing":              {[]string{"l j"}, request{"l": "late"}, "missing jwt", 0},
		"late and bad":                  {[]string{"l j"}, request{"l": "late", "j": "bad"}, "expired jwt", 1},
		"late and good":                 {[]string{"l j"}, request{"l": "late", "j": "ok"}, "late ", 1},
		"late and down":                 {[]string{"l j"}, request{"l": "late", "j": "down"}, "unavailable jwt", 1},
		"late not needed":               {[]string{"l", "j"}, request{"l": "late", "j": "ok"}, "jwt:ok", 1},
		"late beats bad":                {[]string{"l", "j"}, request{"l": "late", "j": "bad"}, "late ", 1},
		"late beats scope":              {[]string{"j : read", "l"}, request{"l": "late", "j": "ok"}, "late ", 1},
		"late where there is no body":   {[]string{"j"}, request{"j": "late"}, "missing jwt", 0},
		"duplicate beside late":         {[]string{"l", "j"}, request{"l": "late", "j": "twice"}, "duplicate jwt", 0},
		"more uses than fit on a stack": {[]string{"b", "k", "o", "l", "j"}, request{"j": "ok"}, "jwt:ok", 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g, s := guard(t, tt.alternatives...)
			if got := verdict(g.Check(t.Context(), tt.request)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if s.calls != tt.calls {
				t.Errorf("%d verifications, want %d", s.calls, tt.calls)
			}
		})
	}
}

// verdict writes what Check returned.
func verdict(p *auth.Principal, err error) string {
	if err != nil {
		if p != nil {
			return "a principal and an error"
		}
		e, ok := errors.AsType[*auth.Error](err)
		if !ok {
			return fmt.Sprintf("not an *Error: %v", err)
		}
		return string(e.Reason) + " " + e.Scheme
	}
	if p == nil {
		return "anonymous"
	}
	all := []string{p.Scheme + ":" + p.Subject}
	for _, w := range p.With {
		all = append(all, w.Scheme+":"+w.Subject)
	}
	return strings.Join(all, "+")
}

func TestCheckAfterDecoding(t *testing.T) {
	g, _ := guard(t, "l j : read")
	if !g.Late() {
		t.Fatal("Late() = false for a credential in the body")
	}
	r := request{"l": "late", "j": "ok read"}
	_, err := g.Check(t.Context(), r)
	if !errors.Is(err, auth.ErrLate) {
		t.Fatalf("got %v, want ErrLate", err)
	}
	if e, _ := errors.AsType[*auth.Error](err); e.Status() != 401 {
		t.Errorf("a caller that does not know ErrLate answers %d, want 401", e.Status())
	}
	for credential, want := range map[string]string{"ok": "key:ok+jwt:ok read", "bad": "expired key", "": "missing key"} {
		r["l"] = credential
		if got := verdict(g.Check(t.Context(), r)); got != want {
			t.Errorf("with %q in the body: got %q, want %q", credential, got, want)
		}
	}
}

func TestCheckOpen(t *testing.T) {
	for _, access := range []policy.Access{policy.Public, policy.Undeclared} {
		g, err := auth.NewGuard("shop", &policy.Method{Access: access}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := verdict(g.Check(t.Context(), request{})); got != "anonymous" || !g.Open() || g.Late() {
			t.Errorf("%s: got %q, open %t, late %t", access, got, g.Open(), g.Late())
		}
	}
	for name, g := range map[string]*auth.Guard{"nil": nil, "zero": {}} {
		if got := verdict(g.Check(t.Context(), request{})); got != "unavailable " || g.Open() || g.Late() {
			t.Errorf("%s guard: got %q, open %t, late %t", name, got, g.Open(), g.Late())
		}
	}
}

func TestCheckForbiddenNamesCaller(t *testing.T) {
	g, _ := guard(t, "j : write")
	_, err := g.Check(t.Context(), request{"j": "ok read"})
	e, _ := errors.AsType[*auth.Error](err)
	if e == nil || e.Principal == nil || e.Principal.Subject != "ok read" || e.Status() != 403 {
		t.Errorf("got %+v, want a 403 that names the caller", e)
	}
}

func TestNewGuardRefuses(t *testing.T) {
	change := func(f func(*policy.Method)) *policy.Method {
		m := secured("j")
		f(m)
		return m
	}
	ok := &store{}
	all := auth.Verifiers{"basic": ok, "key": ok, "jwt": ok, "oauth": ok}
	tests := map[string]struct {
		m       *policy.Method
		schemes []policy.Scheme
		v       auth.Verifiers
		want    string
	}{
		"no policy":              {nil, schemes, all, "no policy"},
		"unknown scheme":         {change(func(m *policy.Method) { m.Requirements[0].Schemes[0].Scheme = "x" }), schemes, all, `unknown scheme "x"`},
		"no verifier":            {secured("j"), schemes, auth.Verifiers{"key": ok}, `scheme "jwt" has no verifier`},
		"nil verifier":           {secured("j"), schemes, auth.Verifiers{"jwt": nil}, `scheme "jwt" has no verifier`},
		"no requirement":         {secured(), schemes, all, "no security requirement"},
		"requirement of nothing": {secured(""), schemes, all, "requirement 1 names no scheme"},
		"open with requirements": {change(func(m *policy.Method) { m.Access = policy.Public }), schemes, all, "access is public"},
		"no access":              {change(func(m *policy.Method) { m.Access = "" }), schemes, all, `unknown access ""`},
		"unknown place":          {change(func(m *policy.Method) { m.Requirements[0].Schemes[0].In = "moon" }), schemes, all, `unknown place "moon"`},
		"no name":                {change(func(m *policy.Method) { m.Requirements[0].Schemes[0].Name = "" }), schemes, all, "has no name"},
		"unchecked scope":        {secured("k : read"), schemes, all, `no scheme of requirement 1 declares its scope "read"`},
		"scheme twice":           {secured("j"), append(slices.Clone(schemes), schemes[2]), all, "defined twice"},
		"unknown kind":           {secured("j"), []policy.Scheme{{Name: "jwt", Kind: "magic"}}, all, `unknown kind "magic"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g, err := auth.NewGuard("shop", tt.m, tt.schemes, tt.v)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
			if g != nil {
				t.Error("there is a guard beside the error")
			}
		})
	}
}

func TestGuardKeepsItsPolicy(t *testing.T) {
	m := secured("j")
	g, err := auth.NewGuard("shop", m, schemes, auth.Verifiers{"jwt": &store{}})
	if err != nil {
		t.Fatal(err)
	}
	m.Access, m.Requirements[0].Schemes[0].Name = policy.Public, "k"
	if got := verdict(g.Check(t.Context(), request{"k": "ok"})); got != "missing jwt" {
		t.Errorf("got %q, want %q", got, "missing jwt")
	}
}

func TestChallenges(t *testing.T) {
	const (
		basic  = `Basic realm="shop", charset="UTF-8"`
		key    = `APIKey realm="shop", name="k", in="header"`
		bearer = `Bearer realm="shop"`
		// of a token
		invalid = `, error="invalid_token"`
		expired = invalid + `, error_description="the token expired"`
	)
	tests := map[string]struct {
		alternatives []string
		request      request
		want         []string
	}{
		"nothing presented": {[]string{"b", "k", "j", "o"}, request{}, []string{basic, key, bearer}},
		"nothing presented, scopes": {[]string{"j : read write", "j k : read", "o"}, request{},
			[]string{bearer + `, scope="read write"`, bearer + `, scope="read"`, key, bearer}},
		"token expired":   {[]string{"b", "j", "o"}, request{"j": "bad"}, []string{basic, bearer + expired}},
		"token malformed": {[]string{"j"}, request{"j": "malformed"}, []string{bearer + invalid}},
		"token expired, scopes": {[]string{"j : read", "k"}, request{"j": "bad"},
			[]string{bearer + expired + `, scope="read"`, key}},
		"other one refused": {[]string{"b", "j : read"}, request{"b": "bad"}, []string{basic, bearer + `, scope="read"`}},
		"duplicate":         {[]string{"j", "k"}, request{"j": "twice"}, []string{bearer + invalid, key}},
		"scope":             {[]string{"k", "j : read write"}, request{"j": "ok"}, []string{bearer + `, error="insufficient_scope", scope="read write"`}},
		"scope of alternative": {[]string{"j k: write", "j : read"}, request{"j": "ok"},
			[]string{bearer + `, error="insufficient_scope", scope="read"`}},
		"unavailable": {[]string{"j"}, request{"j": "down"}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g, _ := guard(t, tt.alternatives...)
			_, err := g.Check(t.Context(), tt.request)
			if diff := cmp.Diff(tt.want, g.Challenges(err)); diff != "" {
				t.Errorf("challenges (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("hostile realm", func(t *testing.T) {
		g, err := auth.NewGuard("a\"b\\c\r\nX: y é", secured("j"), schemes, auth.Verifiers{"jwt": &store{}})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{`Bearer realm="a\"b\\c??X: y ?"`}, g.Challenges(auth.ErrMissing)); diff != "" {
			t.Errorf("challenges (-want +got):\n%s", diff)
		}
	})
}
