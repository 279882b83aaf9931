package security

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
)

// noticed is how long a service may take to notice that a file has changed.
const noticed = 6 * time.Second

// login chooses the methods that take a password alone.
func login(m method) bool {
	return probe.Secured(m) && probe.Unary(m) && !m.Changes() && len(m.Alternative()) == 1 && m.SchemeKind(m.Alternative()[0]) == policy.Basic
}

var passwordChanged = probe.Probe{
	Probe: describe("password.changed", "Does a changed password count without a restart, the old one no more, and a broken file change nothing?",
		"A password that was stolen is changed at once, and has to end at once; and a mistake in the file must not lock everybody out.",
		"Look at the file of users again when it changes, forget what was remembered of the old hash, and keep the old file where the new one cannot be read.",
		"OWASP API2:2023", "CWE-613"),
	Needs: lab.Process,
	Omit: func(l *lab.Lab) string {
		switch {
		case !slices.ContainsFunc(l.Service.Methods, login):
			return "no method that changes nothing takes a password alone"
		case l.Wallet.Environment()["AUTH_USERS_FILE"] == "":
			return "the service's users are not in a file of the prover's"
		}
		return ""
	},
	Limit: time.Minute,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		dir, err := os.MkdirTemp("", "aguada-prove-users-")
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		file := filepath.Join(dir, "users")
		text, err := os.ReadFile(t.Wallet.Environment()["AUTH_USERS_FILE"])
		if err == nil {
			err = os.WriteFile(file, text, 0o600)
		}
		if err != nil {
			return probe.Skip("%v", err)
		}
		in, err := t.Start(ctx, map[string]string{"AUTH_USERS_FILE": file})
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer in.Close()
		return changePassword(ctx, t, t.NewClient(in), file)
	},
}

func changePassword(ctx context.Context, t *probe.Try, c *lab.Client, file string) finding.Outcome {
	m := t.Service.Methods[slices.IndexFunc(t.Service.Methods, login)]
	r, err := t.Valid(ctx, c, m)
	if err != nil {
		return probe.Skip("%v", err)
	}
	creds, err := t.Credentials(m)
	if err != nil {
		return probe.Skip("%v", err)
	}
	old := t.Attach(r, m, 0, creds)
	if a := c.Do(ctx, old); !lab.Succeeds(m, a) {
		return probe.Skip("a good password is answered %s", a)
	}
	scheme := m.Alternative()[0].Scheme
	login := creds[scheme]
	if login.Password, err = t.Wallet.ChangePassword(ctx, file, login.User); err != nil {
		return probe.Skip("%v", err)
	}
	creds[scheme] = login
	fresh := t.Attach(r, m, 0, creds)
	noticing, cancel := context.WithTimeout(ctx, noticed)
	defer cancel()
	if a, ok := c.Until(noticing, old, func(a *lab.Answer) bool { return a.Status == http.StatusUnauthorized }); !ok {
		return probe.Fail(c.Show(old, a), "%s after the password was changed, the old one is answered %s", noticed, a)
	}
	if a := c.Do(ctx, fresh); !lab.Succeeds(m, a) {
		return probe.Fail(c.Show(fresh, a), "the old password is refused, and the new one is answered %s", a)
	}
	if err := os.WriteFile(file, []byte("prover\x00 is no user\n:::\n"), 0o600); err != nil {
		return probe.Skip("%v", err)
	}
	watching, cancel := context.WithTimeout(ctx, noticed/2)
	defer cancel()
	if a, refused := c.Until(watching, fresh, func(a *lab.Answer) bool { return !lab.Succeeds(m, a) }); refused {
		return probe.Fail(c.Show(fresh, a), "the file of users was broken, and a good password is answered %s", a)
	}
	return probe.Pass("the old password ended, the new one counts, a broken file changed nothing")
}
