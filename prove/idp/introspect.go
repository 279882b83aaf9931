package idp

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// How a client shows who it is (RFC 7591, 2), as [Introspection] says it.
const (
	basicAuth = "client_secret_basic"
	postAuth  = "client_secret_post"
)

// maxForm bounds an introspection request, in bytes.
const maxForm = 1 << 20

// digest is the SHA-256 of a token: tokens themselves are not kept.
type digest = [sha256.Size]byte

// opaque is what the provider knows of a token beyond what the token says.
type opaque struct {
	answer  map[string]any // while it is active
	signed  bool           // the answer is what the token says
	told    bool           // the answer is given as it is, whatever the time
	revoked bool
}

// issued stands for every signed token that is good: there may be many.
var issued = &opaque{signed: true}

// Introspection is one question about a token.
type Introspection struct {
	At time.Time
	// Authentication is how the client showed who it is: client_secret_basic,
	// client_secret_post, or "none". Accepted says whether that was right; where
	// it was not, nothing was answered.
	Authentication string
	Accepted       bool
	// Active is the answer.
	Active bool
}

// Introspections returns the questions about tokens, the first of them first.
// At most 10,000 are remembered.
func (p *Provider) Introspections() []Introspection {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return slices.Clone(p.asked)
}

// Opaque returns a token that says nothing by itself and that introspection
// calls active until it expires or is revoked. It is an error unless
// Config.Introspection.
func (p *Provider) Opaque(c Claims) (string, error) {
	return p.opaque(&opaque{answer: p.introspected(c)})
}

// introspected returns the introspection answer for a good token.
func (p *Provider) introspected(c Claims) map[string]any {
	return p.active(p.members(p.complete(c)))
}

// active returns the answer for a token with the claims: scope is there as RFC
// 7662 has it, wherever else tokens hold it.
func (p *Provider) active(claims map[string]any) map[string]any {
	m := maps.Clone(claims)
	m["active"], m["token_type"] = true, "Bearer"
	if words, ok := m[p.cfg.ScopeClaim].([]string); ok && p.cfg.ScopeList {
		m["scope"] = strings.Join(words, " ")
	} else if v, ok := m[p.cfg.ScopeClaim]; ok {
		m["scope"] = v
	}
	return m
}

// errNotAsked is the error of tokens that only introspection could tell of.
var errNotAsked = errors.New("make opaque token: the provider does not introspect")

func (p *Provider) opaque(o *opaque) (string, error) {
	if !p.cfg.Introspection {
		return "", errNotAsked
	}
	token := random(32)
	p.remember(token, o)
	return token, nil
}

func (p *Provider) remember(token string, o *opaque) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tokens[sha256.Sum256([]byte(token))] = o
}

// Revoke has introspection call a token inactive, be it opaque or signed.
func (p *Provider) Revoke(token string) { p.remember(token, &opaque{revoked: true}) }

// introspect answers for a token (RFC 7662).
func (p *Provider) introspect(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "the form cannot be read", http.StatusBadRequest)
		return
	}
	record := Introspection{At: time.Now()}
	record.Authentication, record.Accepted = p.authenticate(r)
	var m map[string]any
	if record.Accepted {
		m = p.inspect(r.PostForm.Get("token"))
		record.Active = m["active"] == true
	}
	p.mu.Lock()
	if len(p.asked) < maxRecords {
		p.asked = append(p.asked, record)
	}
	p.mu.Unlock()
	if !record.Accepted {
		w.Header().Set("WWW-Authenticate", `Basic realm="introspection"`)
		http.Error(w, "who asks is not known", http.StatusUnauthorized)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	answer(w, "application/json", m)
}

// authenticate says how a client shows who it is, and whether that is right
// (RFC 6749, 2.3.1).
func (p *Provider) authenticate(r *http.Request) (how string, right bool) {
	id, secret, basic := r.BasicAuth()
	how = basicAuth
	if !basic {
		id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
		if how = postAuth; secret == "" {
			return "none", false
		}
		return how, p.client(id, secret)
	}
	id, err1 := url.QueryUnescape(id)
	secret, err2 := url.QueryUnescape(secret)
	return how, err1 == nil && err2 == nil && p.client(id, secret)
}

func (p *Provider) client(id, secret string) bool {
	return subtle.ConstantTimeCompare([]byte(id), []byte(p.cfg.ClientID))&
		subtle.ConstantTimeCompare([]byte(secret), []byte(p.cfg.ClientSecret)) == 1
}

// inspect returns the answer for a token. It says no more of one that is not
// active than that; none that Forge made of a JSON Web Token is.
func (p *Provider) inspect(token string) map[string]any {
	inactive := map[string]any{"active": false}
	p.mu.RLock()
	o := p.tokens[sha256.Sum256([]byte(token))]
	p.mu.RUnlock()
	var m map[string]any
	switch {
	case o == nil || o.revoked:
		return inactive
	case o.told:
		return o.answer
	case o.signed:
		if m = payload(token); m != nil {
			m["active"], m["token_type"] = true, "Bearer"
		}
	default:
		m = o.answer
	}
	if !live(m, time.Now()) {
		return inactive
	}
	return m
}

// payload returns the claims of a token that the provider signed.
func payload(token string) map[string]any {
	var claims map[string]any
	if parts := strings.Split(token, "."); len(parts) == 3 {
		b, _ := base64.RawURLEncoding.DecodeString(parts[1]) // it was encoded here
		_ = json.Unmarshal(b, &claims)
	}
	return claims
}

// live reports whether the claims say that a token is good now.
func live(claims map[string]any, now time.Time) bool {
	at := float64(now.Unix())
	return at < seconds(claims["exp"]) && seconds(claims["nbf"]) <= at
}

// seconds reads a time of claims, made here or decoded; 0 if it is none.
func seconds(v any) float64 {
	switch v := v.(type) {
	case int64:
		return float64(v)
	case float64:
		return v
	}
	return 0
}
