package auth_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/policy"
)

var b64 = base64.StdEncoding.EncodeToString

func TestParseAuthorization(t *testing.T) {
	const header, custom = true, false
	tests := []struct {
		kind  policy.SchemeKind
		value string
		in    bool
		want  string // token, user/password, or reason
	}{
		{policy.JWT, "Bearer a.b.c", header, "a.b.c"},
		{policy.JWT, "bEARER   a.b.c", header, "a.b.c"},
		{policy.OAuth2, "Bearer abc==", header, "abc=="},
		{policy.Bearer, "Bearer a-._~+/9", header, "a-._~+/9"},
		{policy.JWT, "Basic abc", header, "!missing"},
		{policy.JWT, "a.b.c", header, "!missing"},
		{policy.JWT, "Token abc", header, "!missing"},
		{policy.JWT, "BearerX abc", header, "!missing"},
		{policy.JWT, "", header, "!missing"},
		{policy.JWT, "Bearer", header, "!malformed"},
		{policy.JWT, "Bearer ", header, "!malformed"},
		{policy.JWT, "Bearer a b", header, "!malformed"},
		{policy.JWT, "Bearer a, Bearer b", header, "!malformed"},
		{policy.JWT, "Bearer a=b", header, "!malformed"},
		{policy.JWT, "Bearer ==", header, "!malformed"},
		{policy.JWT, "Bearer a\x00", header, "!malformed"},
		{policy.JWT, "Bearer é", header, "!malformed"},
		{policy.JWT, "Bearer\tabc", header, "!missing"},
		{policy.JWT, " Bearer abc", header, "!missing"},
		{policy.JWT, "\"EARER abc", header, "!missing"},
		{policy.Basic, "Ba\u017fic " + b64([]byte("ann:x")), header, "!missing"},
		{policy.JWT, "a.b.c", custom, "a.b.c"},
		{policy.JWT, "Bearer a.b.c", custom, "a.b.c"},
		{policy.JWT, "Basic abc", custom, "!malformed"},
		{policy.JWT, "a.b.c x", custom, "!malformed"},
		{policy.APIKey, "agd_x", header, "agd_x"},
		{policy.APIKey, "ApiKey agd_x", header, "agd_x"},
		{policy.APIKey, "Token agd_x", custom, "agd_x"},
		{policy.APIKey, "a b c", custom, "!malformed"},
		{policy.APIKey, " a", custom, "!malformed"},
		{policy.APIKey, "a ", custom, "!malformed"},
		{policy.APIKey, "a\tb", custom, "!malformed"},
		{policy.APIKey, "é", custom, "!malformed"},
		{policy.APIKey, "Basic abc", header, "!missing"},
		{policy.APIKey, "Basic", custom, "Basic"},
		{policy.Basic, "Basic " + b64([]byte("ann:s3cret")), header, "ann/s3cret"},
		{policy.Basic, "basic " + b64([]byte("ann:a:b")), header, "ann/a:b"},
		{policy.Basic, "Basic " + b64([]byte("ann:")), header, "ann/"},
		{policy.Basic, "Basic " + b64([]byte("änn:pässwörd")), header, "änn/pässwörd"},
		{policy.Basic, "Bearer " + b64([]byte("ann:x")), header, "!missing"},
		{policy.Basic, b64([]byte("ann:x")), custom, "!missing"},
		{policy.Basic, "Basic", header, "!malformed"},
		{policy.Basic, "Basic " + b64([]byte("ann")), header, "!malformed"},
		{policy.Basic, "Basic " + b64([]byte("ann:\x00")), header, "!malformed"},
		{policy.Basic, "Basic " + b64([]byte("ann:\u0085")), header, "!malformed"},
		{policy.Basic, "Basic " + b64([]byte("ann:\xff")), header, "!malformed"},
		{policy.Basic, "Basic " + strings.TrimRight(b64([]byte("ann:x")), "="), header, "!malformed"},
		{policy.Basic, "Basic YW5uOngB", header, "!malformed"},
		{policy.Basic, "Basic YTp=", header, "!malformed"}, // not canonical
		{policy.Basic, "Basic YW5u\nOng=", header, "!malformed"},
		{policy.Basic, "Basic " + b64([]byte("ann:"+strings.Repeat("x", 4096))), header, "!malformed"},
		{"magic", "x", header, "!unavailable"},
	}
	for _, tt := range tests {
		c, err := auth.ParseAuthorization(tt.kind, tt.value, tt.in)
		got := c.Token
		if c.Username != "" {
			got = c.Username + "/" + c.Password
		}
		if err != nil {
			e, _ := errors.AsType[*auth.Error](err)
			if c != (auth.Credential{}) || e == nil {
				t.Errorf("%s %q: %+v beside %v", tt.kind, tt.value, c, err)
				continue
			}
			got = "!" + string(e.Reason)
		}
		if got != tt.want {
			t.Errorf("%s %q in Authorization %t: got %q, want %q", tt.kind, tt.value, tt.in, got, tt.want)
		}
	}
}

func TestParseAuthorizationAllocates(t *testing.T) {
	for kind, value := range map[policy.SchemeKind]string{policy.JWT: "Bearer abc", policy.APIKey: "Key abc"} {
		n := testing.AllocsPerRun(100, func() {
			if _, err := auth.ParseAuthorization(kind, value, true); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations, want 0", kind, n)
		}
	}
}

func FuzzParseAuthorization(f *testing.F) {
	for _, s := range []string{"", "Bearer a.b.c", "Basic YTpi", "Basic abc", "ApiKey x", "Bearer a, Bearer b", "bearer\u00a0x", "x y z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, kind := range []policy.SchemeKind{policy.Basic, policy.APIKey, policy.JWT, policy.OAuth2, policy.Bearer} {
			for _, in := range []bool{true, false} {
				c, err := auth.ParseAuthorization(kind, s, in)
				if err != nil {
					if c != (auth.Credential{}) {
						t.Errorf("%s %q: a credential beside an error", kind, s)
					}
					if len(s) > 20 && strings.Contains(err.Error(), s) {
						t.Errorf("the error holds the value: %v", err)
					}
					continue
				}
				if strings.ContainsAny(c.Token+c.Username+c.Password, "\x00\r\n") || strings.Contains(c.Token, " ") {
					t.Errorf("%s %q: credential %+v", kind, s, c)
				}
				isBasic := len(s) > 6 && strings.EqualFold(s[:6], "Basic ")
				if (kind == policy.Basic) != isBasic && (kind == policy.Basic || (in && isBasic)) {
					t.Errorf("%s takes %q", kind, s)
				}
				if (kind == policy.Basic) == (c.Token != "") {
					t.Errorf("%s %q: credential %+v", kind, s, c)
				}
			}
		}
	})
}
