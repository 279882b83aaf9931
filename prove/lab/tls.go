package lab

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/aguada-dev/aguada/prove/target"
)

// Secure starts another process of the service, which serves TLS with a
// certificate for 127.0.0.1 that clients of the lab trust. It is for services
// that take TLS_CERT_FILE and TLS_KEY_FILE.
func (l *Lab) Secure(ctx context.Context, env map[string]string) (*target.Instance, error) {
	if err := l.uncontrolled(ctx); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "aguada-prove-")
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	l.onClose(func() { _ = os.RemoveAll(dir) })
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	pool, err := writeCertificate(cert, key)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.tls = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	l.mu.Unlock()
	r := l.Recipe
	r.Scheme = "https"
	r.Client = &http.Client{Transport: &http.Transport{TLSClientConfig: l.trust(), DisableKeepAlives: true}}
	all := l.environment(env)
	all["TLS_CERT_FILE"], all["TLS_KEY_FILE"] = cert, key
	in, err := target.Start(ctx, r, all)
	if err != nil {
		return nil, err
	}
	l.onClose(in.Close)
	return in, nil
}

// trust returns what clients trust; nil is the system's.
func (l *Lab) trust() *tls.Config {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tls.Clone()
}

func writeCertificate(certFile, keyFile string) (*x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "aguada prove"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for file, text := range map[string][]byte{certFile: certPEM, keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return nil, fmt.Errorf("make certificate: %w", err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return pool, nil
}
