package curl

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aguada-dev/aguada/policy"
)

// shell gives a script to a POSIX shell and returns its output.
func shell(t testing.TB, script string) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("needs a POSIX shell")
	}
	cmd := exec.Command("sh")
	cmd.Stdin = strings.NewReader(script)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("sh: %v\n%s\n%s", err, out, script)
	}
	return string(out)
}

var awkward = []string{
	"", " ", "plain", "it's", "''", `\`, `\'`, `"`, "$HOME", "$(id)", "`id`", "a;b", "a&b", "a|b", "*", "?", "[a]", "~",
	"#x", "!!", "!x", "a\nb", "a\tb", "-n", "--", "=", "é", "\x7f", "\x1b[31m", "<a>", "{a,b}", "%s", "a'b\"c\\d$e`f",
}

func TestQuote(t *testing.T) {
	for _, text := range awkward {
		if got := shell(t, "printf '%s.' "+Quote(text)); got != text+"." {
			t.Errorf("Quote(%q) = %s, which a shell reads as %q", text, Quote(text), got)
		}
	}
	if got := Quote("a\x00b"); got != "ab" {
		t.Errorf("Quote keeps NUL: %q", got)
	}
}

func FuzzQuote(f *testing.F) {
	for _, text := range awkward {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if want, got := strings.ReplaceAll(text, "\x00", "")+".", shell(t, "printf '%s.' "+Quote(text)); got != want {
			t.Errorf("Quote(%q) is read as %q", text, got)
		}
	})
}

// contract returns one with a scheme of every kind and the methods.
func contract(methods ...policy.Method) *policy.Contract {
	return &policy.Contract{
		Schemes: []policy.Scheme{
			{Name: "basic", Kind: policy.Basic}, {Name: "key", Kind: policy.APIKey},
			{Name: "jwt", Kind: policy.JWT}, {Name: "oauth2", Kind: policy.OAuth2},
		},
		Services: []policy.Service{{Name: "s", Methods: methods}},
	}
}

func method(name, verb string, access policy.Access, requirements ...policy.Requirement) policy.Method {
	return policy.Method{
		Service: "s", Name: name, Kind: policy.Unary, Access: access, Requirements: requirements,
		Example: &policy.Example{Verb: verb, Path: "/" + name, Status: 200},
	}
}

func all(uses ...policy.Use) policy.Requirement {
	return policy.Requirement{Schemes: uses, Scopes: []string{"x"}}
}

func use(scheme string, in policy.In, name string) policy.Use {
	return policy.Use{Scheme: scheme, In: in, Name: name}
}

// except makes credentials for all schemes but the named ones.
func except(names ...string) Credentials {
	return func(s policy.Scheme, scopes []string) (Credential, bool) {
		for _, name := range names {
			if s.Name == name {
				return Credential{}, false
			}
		}
		if s.Kind == policy.Basic {
			return Credential{User: "dev", Password: "p'w"}, true
		}
		return Credential{Token: s.Name + "-" + strings.Join(scopes, "+")}, true
	}
}

func TestFirst(t *testing.T) {
	bearer := all(use("jwt", policy.InHeader, "Authorization"))
	stream := method("stream", "POST", policy.Secured, bearer)
	stream.Kind = policy.EventStream
	bare := method("bare", "POST", policy.Secured, bearer)
	bare.Example = nil
	for _, test := range []struct {
		name        string
		contract    *policy.Contract
		credentials Credentials
		want        string // method and credentials, empty for none
	}{
		{"nothing", contract(), except(), ""},
		{"no unary method", contract(stream, bare), except(), ""},
		{"first secured POST", contract(
			method("get", "GET", policy.Secured, bearer), method("open", "POST", policy.Public),
			stream, bare, method("post", "POST", policy.Secured, bearer), method("later", "POST", policy.Secured, bearer),
		), except(), "post Authorization=Bearer jwt-x"},
		{"else any secured", contract(
			method("open", "POST", policy.Public), method("get", "GET", policy.Secured, bearer),
		), except(), "get Authorization=Bearer jwt-x"},
		{"else any", contract(method("open", "GET", policy.Undeclared)), except(), "open"},
		{"no credential can be made", contract(
			method("post", "POST", policy.Secured, bearer), method("open", "GET", policy.Public),
		), except("jwt"), "open"},
		{"first alternative that can be made", contract(method("post", "POST", policy.Secured,
			bearer, all(use("key", policy.InHeader, "X-Key")), all(use("basic", policy.InHeader, "Authorization")),
		)), except("jwt"), "post X-Key=key-x"},
		{"all of an alternative", contract(method("post", "POST", policy.Secured,
			all(use("jwt", policy.InHeader, "Authorization"), use("key", policy.InCookie, "k")),
		)), except(), "post Authorization=Bearer jwt-x cookie k=key-x"},
		{"basic", contract(method("post", "POST", policy.Secured, all(use("basic", policy.InHeader, "Authorization")))),
			except(), "post user dev:p'w"},
		{"two want one header", contract(method("post", "POST", policy.Secured,
			all(use("jwt", policy.InHeader, "Authorization"), use("basic", policy.InHeader, "Authorization")),
			all(use("jwt", policy.InHeader, "x-t"), use("oauth2", policy.InHeader, "X-T")),
			all(use("oauth2", policy.InHeader, "X-Token")),
		)), except(), "post X-Token=oauth2-x"},
		{"a place that cannot be filled", contract(method("post", "POST", policy.Secured,
			all(use("key", policy.InPath, "key")),
		)), except(), ""},
		{"unknown scheme", contract(method("post", "POST", policy.Secured, all(use("other", policy.InHeader, "X")))), except(), ""},
		{"empty alternative", contract(method("post", "POST", policy.Secured, all())), except(), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, ok := First(test.contract, test.credentials)
			if ok != (test.want != "") {
				t.Fatalf("ok = %t, want %q", ok, test.want)
			}
			if !ok {
				return
			}
			got := r.Method
			for name, value := range r.Header {
				got += " " + name + "=" + value
			}
			for name, value := range r.Cookie {
				got += " cookie " + name + "=" + value
			}
			if r.User != "" {
				got += " user " + r.User + ":" + r.Password
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestCommand gives commands to a shell and looks at what arrives.
func TestCommand(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("needs curl")
	}
	type received struct {
		Verb, URI, User, Cookie, Shop, Empty, Type string
		Body                                       any
	}
	var got received
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		_, empty := r.Header["X-Empty"]
		got = received{
			Verb: r.Method, URI: r.RequestURI, User: user + ":" + password, Cookie: r.Header.Get("Cookie"),
			Shop: r.Header.Get("X-Shop"), Type: r.Header.Get("Content-Type"),
		}
		if empty {
			got.Empty = "present"
		}
		if r.ContentLength > 0 {
			if err := json.NewDecoder(r.Body).Decode(&got.Body); err != nil {
				t.Errorf("body: %v", err)
			}
		}
	}))
	defer server.Close()

	m := method("post", "PATCH", policy.Secured, all(
		use("basic", policy.InHeader, "Authorization"), use("key", policy.InCookie, "k"),
		use("jwt", policy.InQuery, "to ken"), use("oauth2", policy.InBody, "secret"),
	))
	m.Example.Path = "/a%20b/{x}[1]?q=it's&r=$HOME"
	m.Example.Header = map[string]string{"X-Shop": "it's \"$HOME\" `id` !x", "X-Empty": ""}
	m.Example.Body = map[string]any{"note": strings.Join(awkward, "|"), "at": "@file", "n": json.Number("12345678901234567890")}
	r, ok := First(contract(m), except())
	if !ok {
		t.Fatal("no request")
	}
	if !strings.Contains(r.Body, "12345678901234567890") {
		t.Errorf("number changed: %s", r.Body)
	}
	command := r.Command(server.URL, Trust{})
	if strings.Count(command, " \\\n") < 4 {
		t.Errorf("not on several lines:\n%s", command)
	}
	shell(t, command+"\n")
	want := received{
		Verb: "PATCH", URI: "/a%20b/{x}[1]?q=it's&r=$HOME&to+ken=jwt-x", User: "dev:p'w", Cookie: "k=key-x",
		Shop: "it's \"$HOME\" `id` !x", Empty: "present", Type: "application/json",
		Body: map[string]any{"note": strings.Join(awkward, "|"), "at": "@file", "n": 12345678901234567890.0, "secret": "oauth2-x"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what arrived (-want +got):\n%s", diff)
	}
}

func TestCommandLeavesOutWhatIsNotThere(t *testing.T) {
	r, _ := First(contract(method("open", "GET", policy.Public)), except())
	if got, want := r.Command("http://127.0.0.1:1", Trust{}), "curl -i -X GET http://127.0.0.1:1/open"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := r.Command("https://127.0.0.1:1", Trust{Anybody: true}); !strings.HasPrefix(got, "curl -i -k ") {
		t.Errorf("got %q", got)
	}
}
