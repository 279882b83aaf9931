package security

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
)

func secrets() []probe.Probe {
	return []probe.Probe{wrongPassword, noPassword, passwordChanged, spentKeys, almostKey, inQuery}
}

// takes chooses the methods whose first alternative has a scheme of the kind.
func takes(kind policy.SchemeKind) func(method) bool {
	return func(m method) bool {
		return probe.Secured(m) && slices.ContainsFunc(m.Alternative(), func(u policy.Use) bool { return m.SchemeKind(u) == kind })
	}
}

// logins returns the request with each of the users and passwords.
func logins(ctx context.Context, t *probe.Try, pairs [][2]string) finding.Outcome {
	r, err := t.Valid(ctx, t.Client, t.Method)
	if err != nil {
		return probe.Skip("%v", err)
	}
	for _, pair := range pairs {
		creds, err := t.Credentials(t.Method)
		if err != nil {
			return probe.Skip("%v", err)
		}
		for name, c := range creds {
			if c.Kind == policy.Basic {
				c.User, c.Password = pair[0], pair[1]
				creds[name] = c
			}
		}
		bad := t.Attach(r, t.Method, 0, creds)
		client := t.NewClient(t.Main)
		if a := client.Do(ctx, bad); a.Status != http.StatusUnauthorized {
			return probe.Fail(client.Show(bad, a), "the answer is %s, not 401", a)
		}
	}
	return probe.Pass("%d refused", len(pairs))
}

var wrongPassword = probe.Probe{
	Probe: describe("password.wrong", "Are wrong users and passwords refused with 401?",
		"The least that a password is for.",
		"Verify passwords against a slow hash in constant time, for users who do not exist too.",
		"RFC 7617 §2", "CWE-287"),
	Each: takes(policy.Basic),
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		c, err := t.Wallet.Credential(policy.Basic, nil, lab.Good)
		if err != nil {
			return probe.Skip("%v", err)
		}
		return logins(ctx, t, [][2]string{
			{c.User, c.Password + "x"}, {c.User, c.Password[1:]}, {c.User, swapCase(c.Password)}, {c.User + "x", c.Password},
			{strings.ToUpper(c.User), c.Password}, {c.User, c.User}, {c.Password, c.User},
		})
	},
}

// swapCase returns the text with its letters in the other case.
func swapCase(text string) string {
	if up := strings.ToUpper(text); up != text {
		return up
	}
	return strings.ToLower(text)
}

var noPassword = probe.Probe{
	Probe: describe("password.empty", "Are empty users and passwords refused with 401?",
		"A comparison with a setting that nobody made succeeds for the empty password.",
		"Refuse to start where a password or a secret is not set; refuse empty ones without comparing.",
		"RFC 7617 §2", "CWE-521", "CWE-1188"),
	Each: takes(policy.Basic),
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		c, err := t.Wallet.Credential(policy.Basic, nil, lab.Good)
		if err != nil {
			return probe.Skip("%v", err)
		}
		return logins(ctx, t, [][2]string{{"", ""}, {c.User, ""}, {"", c.Password}, {"admin", "admin"}, {"admin", ""}})
	},
}

var spentKeys = probe.Probe{
	Probe: describe("key.spent", "Are API keys refused that have expired, were revoked, or were never issued?",
		"A key that cannot be withdrawn is a key for ever, in whoever's hands.",
		"Look expiry and revocation up with the key, on every call or within seconds.",
		"OWASP API2:2023", "CWE-613"),
	Each: takes(policy.APIKey),
	Omit: func(l *lab.Lab) string {
		if len(l.Wallet.Spent()) == 0 {
			return "the service's API keys are its own: the prover knows none that ended"
		}
		return ""
	},
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		spent := t.Wallet.Spent()
		for _, what := range slices.Sorted(maps.Keys(spent)) {
			if o := keyed(ctx, t, spent[what]); o.Verdict != finding.Pass {
				o.Detail = "a key that is " + what + ": " + o.Detail
				return o
			}
		}
		return probe.Pass("%d kinds refused", len(spent))
	},
}

// keyed sends the method's request with an API key that has to be refused.
func keyed(ctx context.Context, t *probe.Try, key string) finding.Outcome {
	r, err := t.Valid(ctx, t.Client, t.Method)
	if err != nil {
		return probe.Skip("%v", err)
	}
	creds, err := t.Credentials(t.Method)
	if err != nil {
		return probe.Skip("%v", err)
	}
	for name, c := range creds {
		if c.Kind == policy.APIKey {
			c.Token = key
			creds[name] = c
		}
	}
	return refused(ctx, t, t.Attach(r, t.Method, 0, creds), http.StatusUnauthorized)
}

var almostKey = probe.Probe{
	Probe: describe("key.almost", "Are API keys refused that differ from a good one a little?",
		"A comparison of a part, or without regard to case, makes keys that can be guessed.",
		"Compare a keyed digest of the whole key in constant time.",
		"CWE-187", "CWE-208"),
	Each: takes(policy.APIKey),
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		c, err := t.Wallet.Credential(policy.APIKey, t.Method.Requirements[0].Scopes, lab.Good)
		if err != nil {
			return probe.Skip("%v", err)
		}
		key := c.Token
		for _, almost := range []string{key[:len(key)-1], key + "x", key[1:], swapCase(key), key + "%00", key[:len(key)/2]} {
			if o := keyed(ctx, t, almost); o.Verdict != finding.Pass {
				return o
			}
		}
		return probe.Pass("6 kinds refused")
	},
}

var inQuery = probe.Probe{
	Probe: describe("auth.query", "Is a credential of the header refused in the query?",
		"What is in a URL is in the logs of every proxy, in browsers' histories and in Referer.",
		"Take credentials from the place that the design names, and from no other.",
		"RFC 6750 §5.3", "CWE-598"),
	Each: func(m method) bool { return probe.Secured(m) && m.Alternative()[0].In == policy.InHeader },
	Run: each(func(t *probe.Try, r lab.Request) (lab.Request, error) {
		creds, err := t.Credentials(t.Method)
		if err != nil {
			return r, err
		}
		c := creds[t.Method.Alternative()[0].Scheme]
		value := c.Token
		if c.Kind == policy.Basic {
			value = c.Password
		}
		separator := "?"
		if strings.Contains(r.Path, "?") {
			separator = "&"
		}
		r.Path += separator + "access_token=" + value + "&api_key=" + value + "&key=" + value + "&token=" + value
		return r, nil
	}, http.StatusUnauthorized, http.StatusBadRequest, http.StatusForbidden),
}
