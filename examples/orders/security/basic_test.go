package security

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

func account(header ...[2]string) request { return get("/accounts/me", header...) }

func basicAttacks() []attack {
	raw := func(text string) func(*shop) request {
		return func(*shop) request {
			return account([2]string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(text))})
		}
	}
	as := func(user, password string) func(*shop) request {
		return func(*shop) request { return account(login(user, password)) }
	}
	return []attack{
		{name: "basic_good", defence: "the right password is let in", make: as("carol", password), want: refusal{status: 200}},
		{name: "basic_missing", defence: "a secured method needs a credential", make: func(*shop) request { return account() },
			want: refusal{http.StatusUnauthorized, basicChallenge, "unauthorized", "basic", "missing"}},
		{name: "basic_wrong_password", defence: "passwords are compared", make: as("carol", "not her password"), want: badLogin("unknown")},
		{name: "basic_unknown_user", defence: "unknown users have no password", make: as("mallory@example", "a password like any"), want: badLogin("unknown")},
		{name: "basic_empty_password", defence: "no password is none", make: as("carol", ""), want: badLogin("malformed")},
		{name: "basic_empty_user", defence: "no name is none", make: as("", password), want: badLogin("malformed")},
		{name: "basic_prefix", defence: "the whole password is compared", make: as("carol", password[:20]), want: badLogin("unknown")},
		{name: "basic_bcrypt_tail", defence: "what bcrypt does not look at is not let in", make: as("bert", longPassword+"and more"), want: badLogin("unknown")},
		{name: "basic_case", defence: "names are compared byte by byte", make: as("Carol", password), want: badLogin("unknown")},
		{name: "basic_nul", defence: "control characters are in no password", make: raw("carol:" + password + "\x00"), want: badLogin("malformed")},
		{name: "basic_not_utf8", defence: "credentials are UTF-8", make: raw("carol:\xff\xfe" + password), want: badLogin("malformed")},
		{name: "basic_no_colon", defence: "a login is a name and a password", make: raw("carol"), want: badLogin("malformed")},
		{name: "basic_not_base64", defence: "base64 is strict", make: func(*shop) request {
			return account([2]string{"Authorization", "Basic " + strings.TrimRight(base64.StdEncoding.EncodeToString([]byte("carol:"+password)), "=") + "!"})
		}, want: badLogin("malformed")},
		{name: "basic_huge", defence: "logins are bounded in size", make: as("carol", strings.Repeat("x", 8<<10)), want: badLogin("malformed")},
		{name: "basic_same_answer", defence: "strangers do not learn which users there are", run: sameAnswer(func(user, password string) request {
			return account(login(user, password))
		})},
		{name: "basic_bcrypt_upgrade", defence: "outdated hashes are replaced at a login", run: bcryptUpgrade},
	}
}

// sameAnswer compares the answers to an unknown user and to a wrong password,
// byte by byte but for what is random, and their times.
func sameAnswer(as func(user, password string) request) func(*testing.T, *shop) {
	return func(t *testing.T, s *shop) { s.sameAnswer(t, as) }
}

func (s *shop) sameAnswer(t *testing.T, as func(user, password string) request) {
	t.Helper()
	var took [2]time.Duration
	var said [2]string
	for i, user := range []string{"dora", "nobody-knows"} {
		for n := range 3 {
			r := as(user, fmt.Sprintf("no password of theirs %d", n))
			begun := time.Now()
			a := s.send(t, r)
			if d := time.Since(begun); n == 0 || d < took[i] {
				took[i] = d
			}
			a.Header.Del("Date")
			a.Header.Del("X-Request-Id")
			text := a.text
			if a.code != "" {
				text = a.details // with the id in it
				a.Header.Del("Grpc-Status-Details-Bin")
			}
			said[i] = fmt.Sprint(a.Status, a.Header, strings.ReplaceAll(text, a.ID, ""))
			if a.StatusCode != http.StatusUnauthorized || a.log.text("error.type") != "unknown" {
				t.Errorf("%s: %d %s", user, a.StatusCode, a.log.text("raw"))
			}
			if known := user == "dora"; (a.log.text("auth.account") == user) != known || strings.Contains(a.log.text("raw"), user) != known {
				t.Errorf("the log of %s: %s", user, a.log.text("raw"))
			}
		}
	}
	if said[0] != said[1] {
		t.Errorf("a wrong password is answered\n%s\nan unknown user\n%s", said[0], said[1])
	}
	// Each costs a hash of tens of milliseconds; to do without is much faster.
	if took[1] < took[0]/4 || took[0] < took[1]/4 {
		t.Errorf("a wrong password takes %s, an unknown user %s", took[0], took[1])
	}
}

func bcryptUpgrade(t *testing.T, s *shop) {
	s.attack(t, account(login("ann", older)), refusal{status: 200})
	var file []byte
	until(t, "ann's hash is argon2id", func() bool {
		file, _ = os.ReadFile(s.file("users"))
		return strings.Contains(string(file), "\nann:$argon2id$")
	})
	if strings.Contains(string(file), olderHash) || strings.Contains(string(file), older) {
		t.Errorf("the users file:\n%s", file)
	}
	s.attack(t, account(login("ann", older)), refusal{status: 200})
	s.attack(t, account(login("ann", "not her password")), badLogin("unknown"))
}

func floodAttacks() []attack {
	return []attack{{name: "basic_flood", defence: "a flood of logins is bounded, over all transports together; who was verified before is not held up", run: flood}}
}

// flood logs in with more names at once than may wait. Times are those of the
// service, which shares its processors with the crowd.
func flood(t *testing.T, s *shop) {
	carol := account(login("carol", password))
	carol.from = "198.51.100.50"
	s.attack(t, carol, refusal{status: 200}) // is remembered there
	const logins = 300
	var mu sync.Mutex
	got, atOnce := map[int]int{}, 0
	var wg sync.WaitGroup
	begun := make(chan struct{})
	for i := range logins {
		wg.Go(func() {
			<-begun
			name, word := fmt.Sprintf("guess-%d", i), "any password at all"
			r := account(login(name, word))
			if i%2 == 1 {
				r = me(user(name), pass(word))
			}
			a, err := s.try(r)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				t.Error(err)
			case a.StatusCode == http.StatusServiceUnavailable && (a.Header.Get("Retry-After") == "" || a.log.text("error.type") != "unavailable" || a.Header.Get("Www-Authenticate") != ""):
				t.Errorf("503: %v %s", a.Header, a.log.text("raw"))
			}
			if a == nil {
				return
			}
			got[a.StatusCode]++
			if took, ok := a.log["duration_ms"].(float64); ok && a.StatusCode == http.StatusServiceUnavailable && took < 1500 {
				atOnce++ // and not after the 2s that a login may wait
			}
		})
	}
	wg.Go(func() {
		<-begun
		for i := range 20 {
			r := carol
			if i%2 == 1 {
				r = me(user("carol"), pass(password))
				r.from = carol.from
			}
			a, err := s.try(r)
			if err != nil || a.StatusCode != http.StatusOK {
				t.Errorf("carol is held up: %v %v", a, err)
				return
			}
			if took, _ := a.log["duration_ms"].(float64); took > 1000 {
				t.Errorf("carol waits %gms", took)
				return
			}
		}
	})
	close(begun)
	wg.Wait()
	if atOnce < logins/4 || got[401] == 0 || got[401]+got[503] != logins {
		t.Errorf("%d logins at once: %v, %d refused at once", logins, got, atOnce)
	}
}
