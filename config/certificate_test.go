package config_test

import (
	"bytes"
	"encoding/pem"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aguada-dev/aguada/config"
)

// Files that are cut, or hold what they should not, refuse to start, and do not
// replace good ones.
func TestFilesOfTLS(t *testing.T) {
	server, ca, second := fresh(t, nil, "server"), fresh(t, nil, "ca"), fresh(t, nil, "second")
	broken := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("broken")}))
	half := second.cert[:len(second.cert)/2]
	for _, tt := range []struct{ variable, content, want string }{
		{"TLS_CERT_FILE", server.cert + ca.cert, ""},
		{"TLS_CERT_FILE", "server of shop.example\n" + server.cert + "\n" + server.pem, ""}, // all in one file
		{"TLS_CERT_FILE", server.cert + half, "ends in the middle of a certificate"},
		{"TLS_CERT_FILE", server.cert + broken, "broken certificate in its chain"},
		{"TLS_CERT_FILE", ca.cert, "do not belong together"},
		{"TLS_CERT_FILE", half, "are not a certificate and its key"},
		{"TLS_KEY_FILE", ca.pem, "do not belong together"},
		{"TLS_KEY_FILE", server.pem[:60], "are not a certificate and its key"},
		{"TLS_CLIENT_CA_FILE", "# ours\n" + ca.cert + "# theirs\n" + second.cert, ""},
		{"TLS_CLIENT_CA_FILE", ca.cert + half, "ends in the middle of a certificate"},
		{"TLS_CLIENT_CA_FILE", ca.cert + broken, "broken certificate"},
		{"TLS_CLIENT_CA_FILE", strings.Replace(ca.cert, "M", "!", 1) + second.cert, "holds a broken one"},
		{"TLS_CLIENT_CA_FILE", ca.cert + second.pem, "holds more than certificates"},
		{"TLS_CLIENT_CA_FILE", "nothing", "without a PEM certificate"},
	} {
		files := map[string]string{"TLS_CERT_FILE": server.cert, "TLS_KEY_FILE": server.pem, "TLS_CLIENT_CA_FILE": ca.cert}
		files[tt.variable] = tt.content
		environ := []string{"HTTP_ADDR=:1"}
		for name, content := range files {
			environ = append(environ, name+"="+write(t, content))
		}
		_, err := config.Load(environ, config.Needs{})
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got %v, want %q", tt.variable, err, tt.want)
		}
		if err != nil && (strings.Contains(err.Error(), os.TempDir()) || strings.Contains(err.Error(), "MII")) {
			t.Errorf("%s: a value or a content is shown: %v", tt.variable, err)
		}
	}
}

// A certificate that is not valid now does not replace one that is.
func TestCertificateInItsTime(t *testing.T) {
	now := time.Now()
	first := issue(t, nil, "first", now.Add(-time.Hour), now.Add(24*time.Hour))
	early := issue(t, nil, "early", now.Add(time.Hour), now.Add(48*time.Hour))
	past := issue(t, nil, "past", now.Add(-48*time.Hour), now.Add(-time.Hour))
	certFile, keyFile := write(t, first.cert), write(t, first.pem)
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(now)) // where the bubble's clock begins, none is valid yet
		cfg, files := open(t, "TLS_CERT_FILE="+certFile, "TLS_KEY_FILE="+keyFile)
		var log problemsLog
		cfg.OnReloadError(log.add)
		swap := func(next *issued) {
			rewrite(t, certFile, next.cert)
			rewrite(t, keyFile, next.pem)
			time.Sleep(2 * time.Second)
		}
		expect := func(when string, want *issued) {
			t.Helper()
			if got := files.NotAfter(); !got.Equal(want.leaf.NotAfter) {
				t.Errorf("%s: the certificate of %s is presented", when, got)
			}
		}
		swap(past)
		expect("after an expired one", first)
		log.want(t, "TLS_CERT_FILE: names a certificate that has expired: the old content stays in use")
		swap(early)
		expect("after an early one", first)
		log.want(t, "TLS_CERT_FILE: names a certificate that is not valid yet: the old content stays in use")
		time.Sleep(time.Hour)
		expect("when its time has come", early)
		if err := os.Remove(keyFile); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		expect("without a key", early)
		log.want(t, "TLS_KEY_FILE: names a file that does not exist: the old content stays in use")
		time.Sleep(72 * time.Hour) // expired: any other is better, or at least no worse
		swap(past)
		expect("after the end of the former", past)
	})
}

// Whatever an authorities' file holds: nothing is skipped without a word.
func FuzzAuthorities(f *testing.F) {
	a, b := fresh(f, nil, "a").cert, fresh(f, nil, "b").cert
	for _, s := range []string{"", a, a + b, a + b[:100], b[:len(b)-30], "x" + a, a + a, strings.Replace(a, "M", "!", 1) + b, strings.ReplaceAll(a, "CERTIFICATE", "PRIVATE KEY")} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		n, err := config.CountAuthorities(content)
		if err == nil && (n == 0 || n != bytes.Count(content, []byte("-----BEGIN "))) {
			t.Errorf("%d authorities are taken of %q", n, content)
		}
	})
}
