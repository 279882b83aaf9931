package aguada_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aguada-dev/aguada"
	"github.com/aguada-dev/aguada/auth"
)

// clientAuthority writes the certificate of a new authority to path and returns
// the certificate of a client of it.
func clientAuthority(t *testing.T, path, client string) tls.Certificate {
	t.Helper()
	var all [2][]byte
	var parent *x509.Certificate
	var signer, key *ecdsa.PrivateKey
	for i, name := range []string{"authority", client} {
		var err error
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: name}, IsCA: i == 0, BasicConstraintsValid: true,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}
		if parent == nil {
			parent, signer = template, key
		}
		if all[i], err = x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: all[0]}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{all[1]}, PrivateKey: key}
}

// A client certificate is who calls open methods, on every protocol, until its
// authority is taken out of the file: then also the connections end that are
// open.
func TestClientCertificates(t *testing.T) {
	dir := t.TempDir()
	pool := certificate(t, dir)
	authorities := filepath.Join(dir, "clients.pem")
	billing := clientAuthority(t, authorities, "billing")
	s := run(t, own(contract(), func(_ context.Context, rt *aguada.Runtime, h *aguada.HTTP) error {
		rt.Verify("jwt", nobody{})
		who := func(w http.ResponseWriter, r *http.Request) {
			p, _ := auth.FromContext(r.Context())
			_, _ = io.WriteString(w, p.Scheme+" "+p.Subject)
		}
		h.Handle("GET", "/greet", who)
		h.Handle("GET", "/whisper", who)
		return nil
	}), "TLS_CERT_FILE="+filepath.Join(dir, "cert.pem"), "TLS_KEY_FILE="+filepath.Join(dir, "key.pem"),
		"TLS_CLIENT_CA_FILE="+authorities, "TLS_CLIENT_IDENTITY=subject")
	url := strings.Replace(s.url, "http://", "https://", 1)
	var clients []*http.Client
	for _, http2 := range []bool{false, true} {
		tr := &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{billing}}, ForceAttemptHTTP2: http2,
		}
		defer tr.CloseIdleConnections()
		client := &http.Client{Transport: tr}
		clients = append(clients, client)
		if status, body := get(t, client, url+"/greet"); status != 200 || body != "mtls CN=billing" {
			t.Errorf("HTTP/2 %t: %d %s", http2, status, body)
		}
		if status, body := get(t, client, url+"/whisper"); status != 401 {
			t.Errorf("HTTP/2 %t: a certificate passes for a token: %d %s", http2, status, body)
		}
	}
	clientAuthority(t, authorities, "stock")
	for _, client := range clients {
		status, body := get(t, client, url+"/greet")
		for end := time.Now().Add(10 * time.Second); status == 200 && time.Now().Before(end); {
			status, body = get(t, client, url+"/greet")
		}
		if status != http.StatusMisdirectedRequest || !strings.Contains(body, "certificate_withdrawn") {
			t.Errorf("a withdrawn client: %d %s", status, body)
		}
		if resp, err := client.Get(url + "/greet"); err == nil {
			resp.Body.Close()
			t.Errorf("a withdrawn client connects again: %d", resp.StatusCode)
		}
	}
	contains(t, s.log.String(), `"tls.client.subject":"CN=billing"`, `"error.type":"certificate_withdrawn"`)
}
