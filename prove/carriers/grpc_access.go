package carriers

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/idp"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/rpc"
	"github.com/aguada-dev/aguada/prove/wallet"
)

func rpcAccess() []probe.Probe {
	return []probe.Probe{rpcAccepted, rpcNoCredential, rpcWrongScheme, rpcGarbage, rpcTwice, rpcBeforeMessage, rpcScope, rpcEcho}
}

func rpcTokens() []probe.Probe { return []probe.Probe{rpcForged} }

var rpcAccepted = probe.Probe{
	Probe: describe(finding.Security, "grpc.accepted", "Is a caller with the right credentials served over gRPC?",
		"A refusal proves something only if the same call is served with the right credentials.",
		"Start the service as the prover does and send the message shown, made of the one that works over HTTP. Where it needs values that only you know, give them in prove.yaml (parameters). The service's descriptors come by server reflection.",
		"gRPC over HTTP/2: Responses"),
	Each: called,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		k, err := begin(ctx, t)
		if err != nil {
			return probe.Fail(nil, "%v", err)
		}
		defer k.Close()
		r := k.send(ctx)
		if !r.OK() {
			return k.fail(r, "the call ends with %s", r)
		}
		return probe.Pass("%s", r)
	},
}

var rpcNoCredential = probe.Probe{
	Probe: describe(finding.Security, "grpc.no-credential", "Is a caller without credentials refused with UNAUTHENTICATED?",
		"A second door to the same methods: what is checked over HTTP has to be checked here too.",
		"Authenticate in an interceptor that no method of the server can do without.",
		"gRPC status codes", "OWASP API2:2023", "CWE-306"),
	Each: guarded,
	Run:  each(func(k *call) { k.md = nil }, codes.Unauthenticated),
}

var rpcWrongScheme = probe.Probe{
	Probe: describe(finding.Security, "grpc.wrong-scheme", "Is a credential refused under the name of another scheme?",
		"Code that cuts off whatever comes before the space takes \"Basic x\" for the token x.",
		"Compare the scheme's name, without regard to case, before looking at what follows it.",
		"RFC 9110 §11.4", "RFC 6750 §2.1", "CWE-287"),
	Each: func(m method) bool { return guarded(m) && slices.ContainsFunc(rpc.Uses(m), bearer) },
	Run: each(func(k *call) {
		_, credential, _ := strings.Cut(k.md["authorization"][0], " ")
		k.md.Set("authorization", "Digest "+credential)
	}, codes.Unauthenticated),
}

func bearer(u policy.Use) bool { return u.Name == "authorization" && u.Password == "" }

var rpcGarbage = probe.Probe{
	Probe: describe(finding.Security, "grpc.garbage", "Is a credential of no form refused with UNAUTHENTICATED?",
		"A parser that fails with INTERNAL, or that treats what it cannot read as nobody in particular, lets its caller choose the outcome.",
		"Answer UNAUTHENTICATED whenever a credential cannot be read, and say no more than that.",
		"gRPC status codes", "CWE-20"),
	Each:  guarded,
	Limit: time.Minute, // wrong passwords are waited for
	Run: with(func(ctx context.Context, k *call) finding.Outcome {
		var tries []func(*call) string
		for _, text := range []string{"x", "....", "%00", "' OR '1'='1", strings.Repeat("A", 7000), "null", "eyJhbGciOiJub25lIn0.e30.", "Bearer", "Bearer  "} {
			tries = append(tries, func(k *call) string {
				for _, u := range rpc.Uses(k.t.Method) {
					key := u.Name
					if u.Password != "" {
						key = u.Password
					}
					k.md.Set(key, text)
				}
				return excerpt(text)
			})
		}
		return k.strangers(ctx, codes.Unauthenticated, tries)
	}),
}

// excerpt is the beginning of a text, quoted.
func excerpt(text string) string {
	if len(text) > 40 {
		return strconv.Quote(text[:40]) + "…"
	}
	return strconv.Quote(text)
}

var rpcTwice = probe.Probe{
	Probe: describe(finding.Security, "grpc.twice", "Is a call refused that carries two credentials under one key?",
		"A proxy in front and the service may each read another one of the two: what was checked is then not what is used.",
		"Refuse calls whose metadata holds a key of a credential twice.",
		"RFC 9110 §5.3", "CWE-345"),
	Each: guarded,
	Run: with(func(ctx context.Context, k *call) finding.Outcome {
		signed := k.md.Copy()
		for _, u := range rpc.Uses(k.t.Method) {
			for _, key := range []string{u.Name, u.Password} {
				if key == "" {
					continue
				}
				k.md = signed.Copy()
				k.md.Append(key, "Bearer x")
				if o := k.refused(ctx, codes.Unauthenticated, codes.InvalidArgument); o.Verdict != finding.Pass {
					return o
				}
			}
		}
		return probe.Pass("refused")
	}),
}

var rpcBeforeMessage = probe.Probe{
	Probe: describe(finding.Security, "grpc.before-message", "Is a stranger refused before a message is read?",
		"gRPC's interceptors run once the message is read and decoded: anybody then makes the service work and allocate as much as they like.",
		"Authenticate by the metadata where the call begins: a tap handle, or a stream handler that reads its message after the check.",
		"CWE-770", "CWE-408", "OWASP API4:2023"),
	Each: guarded,
	Run: with(func(ctx context.Context, k *call) finding.Outcome {
		ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
		defer cancel()
		s, err := k.Open(ctx, k.t.Method.GRPC.Method, nil)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer s.Close()
		began := time.Now()
		r := s.End(1) // nothing is sent
		if ctx.Err() != nil {
			return probe.Fail(k.Show(k.t.Method.GRPC.Method, nil, nil, nil), "nothing is answered before a message comes: it is waited for, of somebody who is not let in")
		}
		if r.Open || r.Status.Code() != codes.Unauthenticated {
			return probe.Fail(k.Show(k.t.Method.GRPC.Method, nil, nil, r), "the call ends with %s, not UNAUTHENTICATED", r)
		}
		return probe.Pass("UNAUTHENTICATED after %s, no message sent", time.Since(began).Round(time.Millisecond))
	}),
}

var rpcScope = probe.Probe{
	Probe: describe(finding.Security, "grpc.scope", "Is a caller who lacks a required scope refused with PERMISSION_DENIED?",
		"A scope that nobody checks gives every caller the rights of all.",
		"Check the scopes of the design over gRPC as over HTTP.",
		"gRPC status codes", "OWASP API5:2023", "CWE-862"),
	Each: func(m method) bool { return guarded(m) && len(rpc.Scopes(m)) > 0 },
	Run: with(func(ctx context.Context, k *call) finding.Outcome {
		holders := []wallet.Holder{{None: true}}
		for _, s := range rpc.Scopes(k.t.Method) {
			holders = append(holders, wallet.Holder{Without: s})
		}
		for _, h := range holders {
			var err error
			if k.md, err = rpc.Sign(k.t.Lab, k.t.Method, h); err != nil {
				return probe.Skip("%v", err)
			}
			if o := k.refused(ctx, codes.PermissionDenied); o.Verdict != finding.Pass {
				return o
			}
		}
		return probe.Pass("PERMISSION_DENIED without %s, and without any", strings.Join(rpc.Scopes(k.t.Method), ", without "))
	}),
}

var rpcEcho = probe.Probe{
	Probe: describe(finding.Security, "grpc.echo", "Does no status repeat the caller's credential?",
		"Statuses are kept by proxies and error trackers that must not have credentials.",
		"Write error messages from the name of what failed, never from the value.",
		"CWE-209", "OWASP API8:2023"),
	Each: guarded,
	Run: with(func(ctx context.Context, k *call) finding.Outcome {
		creds, err := rpc.Credentials(k.t.Lab, k.t.Method, wallet.Holder{})
		if err != nil {
			return probe.Skip("%v", err)
		}
		for _, tamper := range []string{"", "x"} {
			for name, c := range creds {
				c.Token, c.Password = c.Token+tamper, c.Password+tamper
				creds[name] = c
			}
			k.md = rpc.Attach(k.t.Method, creds)
			r := k.send(ctx)
			for _, c := range creds {
				for _, secret := range []string{c.Token, c.Password} {
					if len(secret) > 7 && strings.Contains(r.Text(), secret) {
						return k.fail(r, "the answer %s holds the credential", r)
					}
				}
			}
		}
		return probe.Pass("neither served nor refused")
	}),
}

var rpcForged = probe.Probe{
	Probe: describe(finding.Security, "grpc.forged", "Is every kind of forged token refused with UNAUTHENTICATED?",
		"Whoever can make such a token is whoever they want to be.",
		"Verify tokens with the same verifier as over HTTP, before the message is read.",
		"RFC 8725", "RFC 9700", "OWASP API2:2023", "CWE-347"),
	Each: func(m method) bool { return guarded(m) && slices.ContainsFunc(rpc.Uses(m), m.TakesToken) },
	Run: with(func(ctx context.Context, k *call) finding.Outcome {
		if k.t.Issuer == nil {
			return probe.Skip("nobody forges tokens for this service")
		}
		var tries []func(*call) string
		for _, f := range k.t.Issuer.Forgeries() {
			// What is too long, or nothing, may be refused before.
			if !f.Must || slices.Contains([]string{"huge", "empty", "blank"}, f.Name) {
				continue
			}
			token, err := k.t.Issuer.Forge(f.Name, idp.Claims{Scopes: rpc.Scopes(k.t.Method)})
			if err != nil {
				return probe.Skip("%v", err)
			}
			k.t.Secrets.Add("a forged token", token)
			tries = append(tries, func(k *call) string {
				for _, u := range rpc.Uses(k.t.Method) {
					if k.t.Method.TakesToken(u) {
						c := wallet.Credential{Kind: k.t.Method.SchemeKind(u), Token: token}
						k.md.Set(u.Name, c.Header(http.CanonicalHeaderKey(u.Name)))
					}
				}
				return f.Name + ", " + f.Description
			})
		}
		return k.strangers(ctx, codes.Unauthenticated, tries)
	}),
}
