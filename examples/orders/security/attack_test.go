package security

import (
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

// attack is a case of the suite.
type attack struct {
	name    string // stable: the mutations refer to it
	defence string // what holds against it

	// make returns what is sent to the shop, and want is how that is refused.
	make func(*shop) request
	want refusal

	// run is there instead for what takes more than one request.
	run func(*testing.T, *shop)
}

// refusal is how a request has to be refused. With a status below 400 it is an
// acceptance, by which the refusals around it mean something.
type refusal struct {
	status    int
	challenge string // WWW-Authenticate
	name      string // of the error that the caller learns
	scheme    string // of the credential that was refused
	reason    string // why: for the log, the metrics and the audit
}

// Challenges of the reference service.
const (
	basicChallenge = `Basic realm="shop", charset="UTF-8"`
	keyChallenge   = `APIKey realm="shop", name="X-API-Key", in="header"`
	readChallenge  = `Bearer realm="shop", scope="api:read"`
	readInvalid    = `Bearer realm="shop", error="invalid_token", scope="api:read"`
)

// described is the challenge for a token of which the caller may learn why it
// was refused.
func described(why string) string {
	return `Bearer realm="shop", error="invalid_token", error_description="` + why + `", scope="api:read"`
}

// bad is the refusal of a token for GET /orders.
func bad(reason string) refusal {
	return refusal{http.StatusUnauthorized, readInvalid, "unauthorized", "jwt", reason}
}

func badKey(reason string) refusal {
	return refusal{http.StatusUnauthorized, keyChallenge, "unauthorized", "api_key", reason}
}

func badLogin(reason string) refusal {
	return refusal{http.StatusUnauthorized, basicChallenge, "unauthorized", "basic", reason}
}

// stage is a configuration under which cases run, in a process of their own.
type stage struct {
	name    string
	needs   string // a program without which there is no such stage
	attacks func() []attack
	open    func(testing.TB) *shop
	once    sync.Once
	shop    *shop
}

// stages are all the configurations.
var stages = []*stage{
	{name: "common", open: openCommon, attacks: func() []attack {
		credentials := slices.Concat(basicAttacks(), keyAttacks(), tokenAttacks(), claimAttacks(), opaqueAttacks(), placeAttacks())
		return slices.Concat(credentials, carried(credentials), corsAttacks(), bodyAttacks(), surfaceAttacks(),
			metadataAttacks(), messageAttacks(), rpcSurfaceAttacks(), socketAttacks(), eventAttacks(), idempotencyAttacks(),
			lockoutAttacks(), togetherAttacks(), rotationAttacks(), floodAttacks())
	}},
	{name: "tls", open: openTLS, attacks: tlsAttacks},
	{name: "alternatives", open: openAlternatives, attacks: alternativeAttacks},
	{name: "upstream", open: openUpstream, attacks: upstreamAttacks},
	{name: "replicas", needs: "redis-server", open: openReplicas, attacks: replicaAttacks},
}

func openCommon(t testing.TB) *shop { return newShop(t, newWorld(t), mustBuild(t)) }

func mustBuild(t testing.TB) string {
	t.Helper()
	path, err := ordersd()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// stopShops stops what was started.
func stopShops() {
	for _, s := range stages {
		if s.shop != nil {
			s.shop.stop()
			s.shop.close()
		}
	}
}

// TestAttacks runs every case, one after the other on each process, so that
// counters can be read before and after.
func TestAttacks(t *testing.T) {
	seen := map[string]bool{}
	for _, stage := range stages {
		for _, a := range stage.attacks() {
			if seen[a.name] || a.defence == "" {
				t.Errorf("case %q is there twice, or says not what it is about", a.name)
			}
			seen[a.name] = true
			t.Run(a.name, func(t *testing.T) {
				if _, err := exec.LookPath(stage.needs); stage.needs != "" && err != nil && os.Getenv("CI") == "" {
					t.Skipf("SKIPPED: %s is not installed", stage.needs)
				}
				stage.once.Do(func() { stage.shop = stage.open(t) })
				if stage.shop == nil {
					t.Fatal("the service does not run")
				}
				if a.run != nil {
					a.run(t, stage.shop)
					return
				}
				stage.shop.attack(t, a.make(stage.shop), a.want)
			})
		}
	}
	for _, stage := range stages {
		if s := stage.shop; s != nil {
			for where, text := range map[string]string{
				"log": s.out.String(), "stderr": s.stderr.String(), "metrics": s.operate(t, "/metrics"),
				"audit": s.operate(t, "/audit?format=json"), "configuration": s.operate(t, "/config"),
			} {
				if found := s.leaks(text); len(found) > 0 {
					t.Errorf("%s: the %s has %s", stage.name, where, strings.Join(found, ", "))
				}
			}
		}
	}
}

// attacks sends requests one after the other, all of which are refused alike.
func (s *shop) attacks(t *testing.T, requests []request, want refusal) {
	t.Helper()
	for _, r := range requests {
		s.attack(t, r, want)
	}
}

// attack sends a request and checks all that is written about it.
func (s *shop) attack(t *testing.T, r request, want refusal) *answer {
	t.Helper()
	before := ""
	if r.call != "" {
		want = want.overRPC()
	}
	if want.reason != "" {
		before = s.failures(t, want.scheme, want.reason)
	}
	a := s.send(t, r)
	if a.StatusCode != want.status {
		t.Fatalf("status %d, want %d\n%s\n%s", a.StatusCode, want.status, a.text, a.log.text("raw"))
	}
	for where, text := range map[string]string{"answer": a.text, "header": strings.Join(slices.Concat(a.Header.Values("Www-Authenticate"), a.Header.Values("Location")), " "), "log": a.log.text("raw")} {
		if found := s.leaks(text); len(found) > 0 {
			t.Errorf("the %s has %s: %s", where, strings.Join(found, ", "), text)
		}
	}
	if want.status < 400 {
		return a
	}
	if a.Name != want.name {
		t.Errorf("error %q, want %q", a.Name, want.name)
	}
	if got := strings.Join(a.Header.Values("Www-Authenticate"), "; "); got != want.challenge {
		t.Errorf("WWW-Authenticate: %s\nwant: %s", got, want.challenge)
	}
	if a.ID == "" || a.log.text("error.id") != a.ID {
		t.Errorf("the caller has the id %q, the log %q", a.ID, a.log.text("error.id"))
	}
	if a.log.text("client.address") != a.from {
		t.Errorf("the log has the client %q, want %q", a.log.text("client.address"), a.from)
	}
	if want.reason == "" {
		if got := a.log.text("error.type"); got != want.name {
			t.Errorf("the log has the error %q, want %q", got, want.name)
		}
		return a
	}
	s.seen(t, a, want, before)
	return a
}

// seen checks that a refused credential is in the log, counted and audited.
func (s *shop) seen(t *testing.T, a *answer, want refusal, before string) {
	t.Helper()
	if reason, scheme := a.log.text("error.type"), a.log.text("auth.scheme"); reason != want.reason || scheme != want.scheme {
		t.Errorf("the log has %s by %s, want %s by %s", reason, scheme, want.reason, want.scheme)
	}
	if after := s.failures(t, want.scheme, want.reason); after == before {
		t.Errorf("the failure by %s because of %s is not counted: %s", want.scheme, want.reason, after)
	}
	if want.challenge != "" && a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the refusal may be cached: %q", a.Header.Get("Cache-Control"))
	}
	if want.reason == "missing" {
		return // nobody failed
	}
	events := s.events(t, a.from)
	if !slices.ContainsFunc(events, func(e event) bool {
		status := e.Status == want.status
		if a.code != "" {
			status = e.Detail == a.code
		}
		return e.Action == "authentication" && e.Error == want.reason && e.Scheme == want.scheme && status && e.Outcome == "denied"
	}) {
		t.Errorf("no audit event of %s by %s: %+v", want.reason, want.scheme, events)
	}
}
