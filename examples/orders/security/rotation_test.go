package security

import (
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/auth/apikey"
)

// rotationAttacks use what was good until a file changed.
func rotationAttacks() []attack {
	return []attack{
		{name: "rotation_key_revoked", defence: "a revocation counts within 2s", run: func(t *testing.T, s *shop) {
			key := s.keys["doomed"]
			all := append(everywhere(keyed(key)), keyed(key))
			s.attacks(t, all, refusal{status: 200})
			id, _ := apikey.ID(key)
			for i := range s.records {
				if s.records[i].ID == id {
					s.records[i].RevokedAt = time.Now()
				}
			}
			s.writeKeys(t)
			until(t, "the key is refused", func() bool { return s.send(t, keyed(key)).StatusCode == http.StatusUnauthorized })
			s.attacks(t, all, badKey("expired"))
			s.attack(t, keyed(s.keys["good"]), refusal{status: 200})
		}},
		{name: "rotation_key_set", defence: "what a key signed ends with it, remembered or not", run: func(t *testing.T, s *shop) {
			r := bearing("/orders", token{by: s.leaving})
			all := append(everywhere(r), r)
			s.attacks(t, all, refusal{status: 200})
			s.attacks(t, all, refusal{status: 200}) // remembered
			s.replace(t, "jwks.json", set(s.rsa, s.ec))
			until(t, "the token is refused", func() bool { return s.send(t, r).StatusCode == http.StatusUnauthorized })
			s.attacks(t, all, bad("unknown_key"))
			s.attack(t, bearing("/orders", token{by: s.rsa}), refusal{status: 200})
		}},
		{name: "rotation_password", defence: "a password that was changed is refused, remembered or not", run: func(t *testing.T, s *shop) {
			old := account(login("dora", password))
			all := append(everywhere(old), old)
			s.attacks(t, all, refusal{status: 200})
			s.writeUsers(t, "dora's next password")
			until(t, "the old password is refused", func() bool { return s.send(t, old).StatusCode == http.StatusUnauthorized })
			s.attacks(t, all, badLogin("unknown"))
			s.attack(t, account(login("dora", "dora's next password")), refusal{status: 200})
			s.attack(t, account(login("carol", password)), refusal{status: 200})
		}},
		{name: "rotation_broken_file", defence: "a file that turned bad locks nobody out, and lets nobody in", run: func(t *testing.T, s *shop) {
			good, err := os.ReadFile(s.file("users"))
			if err != nil {
				t.Fatal(err)
			}
			s.replace(t, "users", append([]byte("mallory:$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA\n"), good...))
			defer s.replace(t, "users", good)
			until(t, "the file is reported", func() bool {
				s.attack(t, account(login("carol", password)), refusal{status: 200})
				reported, _ := s.out.find(func(l line) bool { return l.text("msg") == "credential file not reloaded" })
				return reported != nil
			})
			s.attack(t, account(login("carol", password)), refusal{status: 200})
			s.attack(t, account(login("mallory", "no password of hers")), badLogin("unknown"))
		}},
		{name: "rotation_admin_token", defence: "the private port's token changes with its file", run: func(t *testing.T, s *shop) {
			const next = "the-next-token-of-the-private-port"
			ask := func(token string) int {
				req, err := http.NewRequest(http.MethodGet, "http://"+s.admin+"/config", nil)
				if err != nil {
					t.Fatal(err)
				}
				if token != "" {
					req.Header.Set("Authorization", "Bearer "+token)
				}
				res, err := s.plain.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				_ = res.Body.Close()
				return res.StatusCode
			}
			if got := ask(""); got != http.StatusUnauthorized {
				t.Errorf("without a token: %d", got)
			}
			s.replace(t, "admin", []byte(next+"\n"))
			until(t, "the new token is accepted", func() bool { return ask(next) == http.StatusOK })
			s.adminToken = next
			if got := ask(adminToken); got != http.StatusUnauthorized && got != http.StatusTooManyRequests {
				t.Errorf("the old token: %d", got)
			}
		}},
	}
}
