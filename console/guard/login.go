package guard

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Bounds of sessions.
const (
	cookieName  = "aguada_console"
	lasts       = 12 * time.Hour
	maxSessions = 1000
	maxForm     = 4 << 10
	guesses     = 10          // wrong tokens that may follow each other
	everyGuess  = time.Second // after which there is one more
)

// sessions are those of browsers that presented the token. The zero value has
// none.
type sessions struct {
	mu    sync.Mutex
	all   map[string]session
	wrong int
	since time.Time // of the wrong ones
}

// session ends after a while, or once its token is not the console's any more.
type session struct {
	ends  time.Time
	token string
}

// open begins a session.
func (s *sessions) open(token string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.all == nil {
		s.all = make(map[string]session)
	}
	var first string
	for id, v := range s.all {
		if now.After(v.ends) {
			delete(s.all, id)
		} else if first == "" || v.ends.Before(s.all[first].ends) {
			first = id
		}
	}
	if len(s.all) >= maxSessions {
		delete(s.all, first)
	}
	id := rand.Text()
	s.all[id] = session{now.Add(lasts), token}
	return id
}

// has reports whether a request is of a session that was opened with the token
// of now.
func (s *sessions) has(r *http.Request, token string) bool {
	cookies := r.CookiesNamed(cookieName)
	if len(cookies) != 1 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.all[cookies[0].Value]
	return ok && time.Now().Before(v.ends) && token != "" && same(v.token, token)
}

// guess reports whether one more token may be tried.
func (s *sessions) guess() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if gained := int(now.Sub(s.since) / everyGuess); gained > 0 {
		s.wrong, s.since = max(0, s.wrong-gained), now
	}
	if s.wrong >= guesses {
		return false
	}
	s.wrong++
	return true
}

// right takes the last guess back.
func (s *sessions) right() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong = max(0, s.wrong-1)
}

// login takes the token of a form, and gives a session for it.
func (g *Guard) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		refuse(w, http.StatusBadRequest, "the form cannot be read")
		return
	}
	if !g.sessions.guess() {
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusTooManyRequests, "too many wrong tokens: try again in a moment")
		return
	}
	secret := g.secret()
	if secret == "" || !same(r.PostForm.Get("token"), secret) {
		w.Header().Set("Location", "/?login=wrong")
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	g.sessions.right()
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure wherever there is TLS
		Name: cookieName, Value: g.sessions.open(secret), Path: "/", MaxAge: int(lasts / time.Second),
		HttpOnly: true, Secure: g.cfg.TLS, SameSite: http.SameSiteStrictMode,
	})
	w.Header().Set("Location", back(r.PostForm.Get("back")))
	w.WriteHeader(http.StatusSeeOther)
}

// back returns the page to go to after the login: one of this console.
func back(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "//") || strings.ContainsAny(to, "\\\r\n") {
		return "/"
	}
	return u.RequestURI()
}
