package admin

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// unprintable says what of a text a terminal could take for a command.
func unprintable(text string) (found []rune) {
	for _, r := range text {
		if r != '\n' && !unicode.IsPrint(r) {
			found = append(found, r)
		}
	}
	return found
}

// JSON and NDJSON hold nothing either that commands a terminal, wherever it
// came from, and lose nothing of it.
func TestJSONIsPrintable(t *testing.T) {
	const odd = "a\x1b\x7f\u0085\u009b31m\u202e\u2066\u200b\ufeff\U000e0041é世🙂"
	g := newRig(t, nil)
	g.ring.Add(Event{Action: "call", User: odd, Outcome: Denied})
	for _, path := range []string{"/audit?format=json", "/audit?format=ndjson"} {
		a := g.get(path)
		if found := unprintable(a.body); found != nil || !strings.Contains(a.body, "é世🙂") {
			t.Errorf("%s holds %U:\n%s", path, found, a.body)
		}
		var all struct{ Events []Event }
		var e Event
		if strings.HasSuffix(path, "nd"+"json") {
			a.into(t, &e)
		} else {
			a.into(t, &all)
			e = all.Events[0]
		}
		if e.User != odd {
			t.Errorf("%s: %q", path, e.User)
		}
	}
}

// The path of a refused request is a stranger's text, in the log too.
func TestRefusedPathIsPrintable(t *testing.T) {
	g := newRig(t, func(c *Config) { c.Token = fixed(goodToken) })
	a := g.get("/a%c2%9b2J%7f%e2%80%ae%1b%0a"+strings.Repeat("%e2%80%ae", 300), "Authorization", "Bearer x")
	if a.status != 401 {
		t.Fatal(a.status)
	}
	e := g.ring.Events(0, 0)[0]
	if found := unprintable(e.Detail + g.log.String()); found != nil || len(e.Detail) > MaxText {
		t.Errorf("%U in %q", found, e.Detail)
	}
	if !strings.Contains(e.Detail, `GET "/a\u009b2J\x7f\u202e`) {
		t.Errorf("detail: %s", e.Detail)
	}
}

func FuzzEscape(f *testing.F) {
	for _, s := range []string{"", "a\nb", "\x7f\u0085\u202e", "\U000e0001x", "\xff\xfe", `\u202e`, "\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text, err := json.MarshalIndent(map[string]string{s: s}, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		out := escape(text)
		var before, after map[string]string
		if err := json.Unmarshal(text, &before); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(out, &after); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if fmt.Sprint(before) != fmt.Sprint(after) || unprintable(string(out)) != nil || !utf8.Valid(out) {
			t.Errorf("%q became %q", text, out)
		}
	})
}

// The commands of /debug/leases work as they are, pasted into a shell.
func TestCommandsOfThePageWork(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Log("SKIPPED: install curl")
		return
	}
	for _, config := range []func(*Config){nil, func(c *Config) { c.Token = fixed(goodToken) }} {
		g := newRig(t, config)
		authorization := []string{"Authorization", "Bearer " + goodToken}
		run := func(command string) string {
			t.Helper()
			cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.Replace(command, "curl ", "curl -sS --fail-with-body ", 1))
			cmd.Env = append(os.Environ(), "ADMIN_TOKEN="+goodToken, "no_proxy=127.0.0.1")
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%s: %v\n%s", command, err, out)
			}
			return string(out)
		}
		commands := func(path string) (all []string) {
			for line := range strings.Lines(g.get(path, authorization...).body) {
				if strings.HasPrefix(line, "curl ") {
					all = append(all, strings.TrimSpace(line))
				}
			}
			return all
		}
		all := commands("/debug/leases")
		if len(all) != 3 || strings.Contains(strings.Join(all, ""), goodToken) {
			t.Fatalf("%q", all)
		}
		run(all[0])
		run(all[1])
		leases := g.s.cfg.Leases.List()
		if len(leases) != 2 || leases[0].Service != "orders" || leases[1].Scheme != "jwt" {
			t.Fatalf("%+v", leases)
		}
		run(commands("/debug/leases")[2])
		if left := g.s.cfg.Leases.List(); len(left) != 1 || left[0].ID != leases[1].ID {
			t.Errorf("%+v", left)
		}
		run(commands("/")[0])
		if out := run(commands("/debug/pprof/")[0]); !strings.Contains(out, "goroutine ") {
			t.Errorf("stacks: %.200s", out)
		}
	}
}

// What a request calls this port is not put into a command where a shell would
// run it.
func TestCommandsRepeatNoShell(t *testing.T) {
	g := newRig(t, func(c *Config) { c.Token = fixed(goodToken) })
	for host, want := range map[string]string{
		"orders-admin:8082": "'http://orders-admin:8082/debug/leases'", "[::1]:8082": "'http://[::1]:8082/debug/leases'",
		"a';id;'": "'http://ADDRESS/debug/leases'", "a$(id)": "'http://ADDRESS/debug/leases'",
	} {
		a := g.get("/debug/leases", "Host", host, "Authorization", "Bearer "+goodToken)
		if a.status != 400 && (!strings.Contains(a.body, want) || strings.Contains(a.body, "id;") || strings.Contains(a.body, "$(")) {
			t.Errorf("%s: %d\n%s", host, a.status, a.body)
		}
	}
	if got := quote(`it's $x`); got != `'it'\''s $x'` {
		t.Error(got)
	}
}
