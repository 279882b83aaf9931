//go:build linux

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// file is what a file shall hold.
type file struct{ path, text string }

// deployments are the ways in which files are replaced. They leave each other's
// files as they find them, so that any may follow any.
var deployments = []struct {
	name string
	put  func(files ...file) error
}{
	{"rename", func(files ...file) error {
		for _, f := range files {
			if err := errors.Join(os.WriteFile(f.path+".new", []byte(f.text), 0o600), os.Rename(f.path+".new", f.path)); err != nil {
				return err
			}
			time.Sleep(50 * time.Millisecond) // whoever replaces two files takes a while
		}
		return nil
	}},
	{"rewrite in two steps", func(files ...file) error {
		for _, f := range files {
			out, err := os.Create(f.path)
			if err != nil {
				return err
			}
			half := len(f.text) / 2
			_, err1 := out.WriteString(f.text[:half])
			time.Sleep(50 * time.Millisecond)
			_, err2 := out.WriteString(f.text[half:])
			if err := errors.Join(err1, err2, out.Close()); err != nil {
				return err
			}
		}
		return nil
	}},
	{"swap of ..data", swap},
}

// inMemory returns a folder for files that are rewritten, on a file system that
// does not wait for a disk, where there is one: a write that hangs for a second
// between two halves is a slower writer than is promised to be understood.
func inMemory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "aguada-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// swap replaces files as Kubernetes does: they are links into ..data, which is
// a link to a folder, and it is that one which is turned.
func swap(files ...file) error {
	dir := filepath.Dir(files[0].path)
	data := "..data." + filepath.Base(files[0].path)
	fresh, err := os.MkdirTemp(dir, "..2026_")
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(fresh, filepath.Base(f.path)), []byte(f.text), 0o600); err != nil {
			return err
		}
	}
	turn := func(target, link string) error {
		next := filepath.Join(dir, link+".next")
		return errors.Join(os.Symlink(target, next), os.Rename(next, filepath.Join(dir, link)))
	}
	if err := turn(filepath.Base(fresh), data); err != nil {
		return err
	}
	for _, f := range files { // where another way has left a file
		if _, err := os.Readlink(f.path); err != nil {
			if err := turn(filepath.Join(data, filepath.Base(f.path)), filepath.Base(f.path)); err != nil {
				return err
			}
		}
	}
	return nil
}

// authority signs the certificates of servers on the loopback interface.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tests"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

// roots are those of clients that trust the authority.
func (a *authority) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// issue makes a key and a certificate with a serial number, as PEM.
func (a *authority) issue(serial int64) (cert, key string, err error) {
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &own.PublicKey, a.key)
	if err != nil {
		return "", "", err
	}
	private, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		return "", "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})), nil
}
