package development

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func openCertificate(t *testing.T, dir string) (c Certificate, pair tls.Certificate, authority *x509.Certificate) {
	t.Helper()
	c, err := OpenCertificate(dir)
	if err != nil {
		t.Fatal(err)
	}
	if pair, err = tls.LoadX509KeyPair(c.CertFile, c.KeyFile); err != nil {
		t.Fatal(err)
	}
	ca, err := tls.LoadX509KeyPair(c.AuthorityFile, filepath.Join(filepath.Dir(c.AuthorityFile), authorityKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	return c, pair, ca.Leaf
}

// Go's client, and curl where there is one, take the certificate for every
// local name.
func TestCertificateServes(t *testing.T) {
	c, pair, _ := openCertificate(t, t.TempDir())
	for _, host := range []string{"127.0.0.1", "::1"} {
		ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Logf("no %s here", host)
			continue
		}
		srv := &http.Server{
			TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}}, ReadHeaderTimeout: time.Second,
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "served") }),
		}
		go func() { _ = srv.ServeTLS(ln, "", "") }()
		t.Cleanup(func() { _ = srv.Close() })
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: c.Roots}}}
		names := []string{host}
		if host == "127.0.0.1" {
			names = append(names, "localhost")
		}
		for _, name := range names {
			address := "https://" + net.JoinHostPort(name, port) + "/"
			resp, err := client.Get(address)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			resp.Body.Close()
			if _, err := exec.LookPath("curl"); err == nil {
				out, err := exec.Command("curl", "-sS", "--noproxy", "*", "--cacert", c.AuthorityFile, address).CombinedOutput()
				if err != nil || string(out) != "served" {
					t.Errorf("curl %s: %v, %s", address, err, out)
				}
			}
		}
		client.CloseIdleConnections()
	}
}

// Nobody but the owner reads the files.
func TestCertificateFilesAreClosed(t *testing.T) {
	c, _, _ := openCertificate(t, t.TempDir())
	files, err := filepath.Glob(filepath.Join(filepath.Dir(c.CertFile), "tls-*"))
	if err != nil || len(files) != 4 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
	}
}

// The authority, once trusted by a browser, is of no use against other names.
func TestAuthorityIsConfined(t *testing.T) {
	dir := t.TempDir()
	c, _, _ := openCertificate(t, dir)
	ca, err := tls.LoadX509KeyPair(c.AuthorityFile, filepath.Join(dir, StateDir, authorityKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	for name, forge := range map[string]func(*x509.Certificate){
		"bank.example": func(c *x509.Certificate) { c.DNSNames = []string{"bank.example"} },
		"10.0.0.1":     func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(10, 0, 0, 1)} },
		"2001:db8::1":  func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.ParseIP("2001:db8::1")} },
	} {
		template := certTemplate(time.Now())
		forge(template)
		forged, err := makePair(template, &ca, filepath.Join(dir, "cert"), filepath.Join(dir, "key"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := forged.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: c.Roots}); err == nil {
			t.Errorf("the authority vouches for %s", name)
		}
	}
}

// Both stay until a week before their end.
func TestCertificateIsRenewed(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		const day = 24 * time.Hour
		_, first, authority := openCertificate(t, dir)
		begun := time.Now()
		at := func(after time.Duration) (same, sameAuthority bool) {
			time.Sleep(time.Until(begun.Add(after)))
			_, pair, ca := openCertificate(t, dir)
			if left := time.Until(pair.Leaf.NotAfter); left < 7*day || time.Until(ca.NotAfter) < left {
				t.Errorf("after %s they last %s and %s", after, left, time.Until(ca.NotAfter))
			}
			return pair.Leaf.Equal(first.Leaf), ca.Equal(authority)
		}
		if same, sameCA := at(82 * day); !same || !sameCA {
			t.Errorf("after 82 days: %t, %t", same, sameCA)
		}
		if same, sameCA := at(84 * day); same || !sameCA {
			t.Errorf("after 84 days: %t, %t", same, sameCA)
		}
		if _, sameCA := at(730 * day); sameCA {
			t.Error("the authority is as old as after two years")
		}
	})
}

// What is of no use is made anew, or named.
func TestCertificateIsMended(t *testing.T) {
	dir := t.TempDir()
	c, first, _ := openCertificate(t, dir)
	for _, file := range []string{c.CertFile, c.KeyFile} {
		for _, spoil := range []func() error{
			func() error { return os.Remove(file) },
			func() error { return os.WriteFile(file, []byte("spoilt"), 0o600) },
		} {
			if err := spoil(); err != nil {
				t.Fatal(err)
			}
			_, pair, _ := openCertificate(t, dir)
			if pair.Leaf.Equal(first.Leaf) {
				t.Error("the certificate of a key that is gone is there")
			}
			first = pair
		}
	}
	if err := os.WriteFile(c.AuthorityFile, []byte("spoilt"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := OpenCertificate(dir)
	if e, ok := errors.AsType[*CorruptError](err); !ok || e.File != c.AuthorityFile || !strings.Contains(err.Error(), "delete this file") {
		t.Errorf("got %v", err)
	}
	if err := os.Remove(c.AuthorityFile); err != nil {
		t.Fatal(err)
	}
	c, pair, _ := openCertificate(t, dir)
	if !serves(pair.Leaf, c.Roots, time.Now()) {
		t.Error("the new authority did not sign the certificate")
	}
}

// Several runs at once agree.
func TestCertificateIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	var made [4]string
	var wg sync.WaitGroup
	for i := range made {
		wg.Go(func() {
			c, err := OpenCertificate(dir)
			if err != nil {
				t.Error(err)
				return
			}
			content, err := os.ReadFile(c.CertFile)
			if err != nil {
				t.Error(err)
			}
			made[i] = string(content)
		})
	}
	wg.Wait()
	for _, m := range made {
		if m != made[0] {
			t.Error("two runs have different certificates")
		}
	}
}
