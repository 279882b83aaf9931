package mtls_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"math/big"
	"net"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/mtls"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{key: newKey(t)}
	a.cert = a.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, a.key)
	return a
}

// sign returns a certificate for key, made of the template.
func (a *authority) sign(t testing.TB, template *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent := a.cert
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// state returns what a server sees of a client with the certificate.
func (a *authority) state(t testing.TB, how tls.ClientAuthType, client *x509.Certificate, key *ecdsa.PrivateKey) *tls.ConnectionState {
	t.Helper()
	serverKey := newKey(t)
	server := a.sign(t, &x509.Certificate{DNSNames: []string{"localhost"}}, serverKey)
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	c, s := net.Pipe()
	defer c.Close()
	defer s.Close()
	conf := &tls.Config{InsecureSkipVerify: true}
	if client != nil {
		conf.Certificates = []tls.Certificate{{Certificate: [][]byte{client.Raw}, PrivateKey: key}}
	}
	done := make(chan error, 1)
	go func() {
		conn := tls.Client(c, conf)
		err := conn.Handshake()
		done <- err
		_, _ = conn.Read(make([]byte, 1)) // takes the session ticket
	}()
	conn := tls.Server(s, &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{server.Raw}, PrivateKey: serverKey}},
		ClientAuth:   how, ClientCAs: pool,
	})
	if err := errors.Join(conn.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
	cs := conn.ConnectionState()
	return &cs
}

func identity(t testing.TB, mode mtls.Mode) *mtls.Identity {
	t.Helper()
	i, err := mtls.New(mode)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestNew(t *testing.T) {
	for _, mode := range []mtls.Mode{"", "off", "SPIFFE", "cn"} {
		if i, err := mtls.New(mode); err == nil || i != nil {
			t.Errorf("mode %q is taken", mode)
		}
	}
}

// After real handshakes: a certificate that was verified names its holder.
func TestPrincipal(t *testing.T) {
	a, key := newAuthority(t), newKey(t)
	id, err := url.Parse("spiffe://example.org/ns/shop/sa/billing")
	if err != nil {
		t.Fatal(err)
	}
	client := a.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "billing", Organization: []string{"Example, Inc."}}, URIs: []*url.URL{id}, DNSNames: []string{"billing.example"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, key)
	sum := sha256.Sum256(client.Raw)
	state := a.state(t, tls.RequireAndVerifyClientCert, client, key)
	for mode, want := range map[mtls.Mode]string{mtls.SPIFFE: id.String(), mtls.Subject: `CN=billing,O=Example\, Inc.`} {
		p, err := identity(t, mode).Principal(state)
		if err != nil {
			t.Fatal(err)
		}
		if p.Subject != want || p.Scheme != mtls.Scheme || !p.ExpiresAt.Equal(client.NotAfter) ||
			p.CredentialID != base64.RawURLEncoding.EncodeToString(sum[:]) || len(p.Scopes) > 0 || p.Issuer != "" {
			t.Errorf("%s: %+v", mode, p)
		}
	}
}

func reason(err error) auth.Reason {
	e, ok := errors.AsType[*auth.Error](err)
	if !ok {
		return ""
	}
	return e.Reason
}

// Nothing that was not verified is an identity.
func TestPrincipalRefuses(t *testing.T) {
	a, stranger, key := newAuthority(t), newAuthority(t), newKey(t)
	template := func() *x509.Certificate { return &x509.Certificate{Subject: pkix.Name{CommonName: "mallory"}} }
	forged := stranger.sign(t, template(), key)
	unverified := a.state(t, tls.RequireAnyClientCert, forged, key)
	if len(unverified.PeerCertificates) != 1 {
		t.Fatal("the certificate was not presented")
	}
	old := template()
	old.NotBefore, old.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	early := template()
	early.NotBefore, early.NotAfter = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
	verified := func(c *x509.Certificate) *tls.ConnectionState {
		return &tls.ConnectionState{
			HandshakeComplete: true, PeerCertificates: []*x509.Certificate{c}, VerifiedChains: [][]*x509.Certificate{{c, a.cert}},
		}
	}
	halfway := verified(a.sign(t, template(), key))
	halfway.HandshakeComplete = false
	for name, tt := range map[string]struct {
		state *tls.ConnectionState
		want  auth.Reason
	}{
		"plain HTTP":                   {nil, auth.Missing},
		"no certificate":               {a.state(t, tls.VerifyClientCertIfGiven, nil, nil), auth.Missing},
		"merely presented":             {unverified, auth.Missing},
		"an empty chain":               {&tls.ConnectionState{HandshakeComplete: true, VerifiedChains: [][]*x509.Certificate{{}}}, auth.Missing},
		"before the handshake is over": {halfway, auth.Missing},
		"expired since":                {verified(a.sign(t, old, key)), auth.Expired},
		"not valid yet":                {verified(a.sign(t, early, key)), auth.NotYetValid},
		"without a subject":            {verified(a.sign(t, &x509.Certificate{DNSNames: []string{"a"}}, key)), auth.Malformed},
	} {
		for _, mode := range []mtls.Mode{mtls.Subject, mtls.SPIFFE} {
			if p, err := identity(t, mode).Principal(tt.state); p != nil || reason(err) != tt.want {
				t.Errorf("%s, %s: %v, %v; want %s", name, mode, p, err, tt.want)
			}
		}
	}
}

// rawURIs is an extension with URIs, byte for byte.
func rawURIs(t testing.TB, uris ...string) pkix.Extension {
	t.Helper()
	var names []asn1.RawValue
	for _, u := range uris {
		names = append(names, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(u)})
	}
	der, err := asn1.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: der}
}

func TestSPIFFERefuses(t *testing.T) {
	a, key := newAuthority(t), newKey(t)
	const good = "spiffe://example.org/billing"
	for name, tt := range map[string]struct {
		template x509.Certificate
		want     string
	}{
		"one":          {x509.Certificate{ExtraExtensions: []pkix.Extension{rawURIs(t, good)}}, good},
		"two":          {x509.Certificate{ExtraExtensions: []pkix.Extension{rawURIs(t, good, "spiffe://example.org/admin")}}, ""},
		"another URI":  {x509.Certificate{ExtraExtensions: []pkix.Extension{rawURIs(t, good, "https://example.org/")}}, ""},
		"none":         {x509.Certificate{DNSNames: []string{"example.org"}}, ""},
		"https":        {x509.Certificate{ExtraExtensions: []pkix.Extension{rawURIs(t, "https://example.org/billing")}}, ""},
		"escaped":      {x509.Certificate{ExtraExtensions: []pkix.Extension{rawURIs(t, "spiffe://example.org/b%69lling")}}, ""},
		"a query":      {x509.Certificate{ExtraExtensions: []pkix.Extension{rawURIs(t, good+"?")}}, ""},
		"an authority": {x509.Certificate{IsCA: true, BasicConstraintsValid: true, ExtraExtensions: []pkix.Extension{rawURIs(t, good)}}, ""},
		"signs":        {x509.Certificate{KeyUsage: x509.KeyUsageCertSign, ExtraExtensions: []pkix.Extension{rawURIs(t, good)}}, ""},
		"signs lists":  {x509.Certificate{KeyUsage: x509.KeyUsageCRLSign, ExtraExtensions: []pkix.Extension{rawURIs(t, good)}}, ""},
		"in the name":  {x509.Certificate{Subject: pkix.Name{CommonName: good}}, ""},
	} {
		c := a.sign(t, &tt.template, key)
		p, err := identity(t, mtls.SPIFFE).Principal(&tls.ConnectionState{HandshakeComplete: true, VerifiedChains: [][]*x509.Certificate{{c, a.cert}}})
		switch {
		case tt.want == "" && (p != nil || reason(err) != auth.Malformed):
			t.Errorf("%s: %v, %v", name, p, err)
		case tt.want != "" && (err != nil || p.Subject != tt.want):
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
}

var (
	goodIDs = []string{
		"spiffe://example.org/a", "spiffe://example.org/ns/prod/sa/b", "spiffe://1.2.3.4/A_b-c.d", "spiffe://_/...", "spiffe://a..b/-",
		"spiffe://" + strings.Repeat("a", 255) + "/x", "spiffe://a/" + strings.Repeat("x", 2048-len("spiffe://a/")),
	}
	badIDs = []string{
		"", "spiffe", "spiffe:", "spiffe:/", "spiffe://", "spiffe:///a", "spiffe://example.org", "spiffe://example.org/", "spiffe://example.org//a",
		"spiffe://example.org/a/", "spiffe://example.org/a//b", "spiffe://example.org/.", "spiffe://example.org/../a", "spiffe://example.org/a/..",
		"SPIFFE://example.org/a", "Spiffe://example.org/a", "spiffe://Example.org/a", "spiffe://example.org:443/a", "spiffe://user@example.org/a",
		"spiffe://u:p@example.org/a", "spiffe://example.org/a?b", "spiffe://example.org/a?", "spiffe://example.org/a#b", "spiffe://example.org/a#",
		"spiffe://example.org?a/b", "spiffe://example.org/%61", "spiffe://ex%61mple.org/a", "spiffe://exämple.org/a", "spiffe://example.org/ä",
		"spiffe://example.org/a b", " spiffe://example.org/a", "spiffe://example.org/a\n", "spiffe://example.org/a\x00", "spiffe://[::1]/a",
		"spiffe://example.org/a:b", "spiffe://example.org\\a/b", "spiffe://example.org/a\\b", "https://example.org/a", "spiffe://example.org/~a",
		"spiffe://" + strings.Repeat("a", 256) + "/x", "spiffe://a/" + strings.Repeat("x", 2049-len("spiffe://a/")),
	}
)

func TestCheckSPIFFE(t *testing.T) {
	for _, id := range goodIDs {
		if err := mtls.CheckSPIFFE(id); err != nil {
			t.Errorf("%q is refused", id)
		}
	}
	for _, id := range badIDs {
		if err := mtls.CheckSPIFFE(id); !errors.Is(err, mtls.ErrSPIFFE) {
			t.Errorf("%q is taken", id)
		}
	}
}

// What is taken means the same to whoever reads it as a URL, and has one form.
func FuzzCheckSPIFFE(f *testing.F) {
	for _, id := range slices.Concat(goodIDs, badIDs) {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if mtls.CheckSPIFFE(id) != nil {
			return
		}
		u, err := url.Parse(id)
		if err != nil {
			t.Fatalf("%q: %v", id, err)
		}
		if u.Scheme != "spiffe" || u.User != nil || u.Port() != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.RawPath != "" ||
			u.Host == "" || u.Host != strings.ToLower(u.Host) || len(u.Path) < 2 || u.String() != id || u.JoinPath().String() != id || len(id) > 2048 {
			t.Errorf("%q is read as %#v", id, u)
		}
	})
}

// set is a name's set of attributes.
type set = []pkix.AttributeTypeAndValue

func at(oid asn1.ObjectIdentifier, value any) pkix.AttributeTypeAndValue {
	return pkix.AttributeTypeAndValue{Type: oid, Value: value}
}

var (
	cn = asn1.ObjectIdentifier{2, 5, 4, 3}
	o  = asn1.ObjectIdentifier{2, 5, 4, 10}
	dc = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}
)

func TestSubject(t *testing.T) {
	a, key := newAuthority(t), newKey(t)
	for _, tt := range []struct {
		name []set
		want string // "" to be refused
	}{
		{[]set{{at(o, "Example")}, {at(cn, "billing")}}, "CN=billing,O=Example"},
		{[]set{{at(cn, "billing")}, {at(o, "Example")}}, "O=Example,CN=billing"}, // another name
		{[]set{{at(dc, "org")}, {at(dc, "example")}, {at(cn, "a")}}, "CN=a,DC=example,DC=org"},
		{[]set{{at(cn, "a"), at(o, "b")}}, "CN=a+O=b"},
		{[]set{{at(cn, "a,O=b")}}, `CN=a\,O=b`},
		{[]set{{at(cn, `a+b"c;d<e>f\g`)}}, `CN=a\+b\"c\;d\<e\>f\\g`},
		{[]set{{at(cn, " a b ")}}, `CN=\ a b\ `},
		{[]set{{at(cn, "#a#")}}, `CN=\#a#`},
		{[]set{{at(cn, "Zoë")}}, "CN=Zoë"},
		{[]set{{at(asn1.ObjectIdentifier{2, 5, 4, 5}, "12")}, {at(cn, "a")}}, "CN=a,2.5.4.5=#13023132"},
		{[]set{{at(cn, "a\x00b")}}, ""},
		{[]set{{at(cn, "a\nb")}}, ""},
		{[]set{{at(cn, "a\u202eb")}}, ""}, // writes from right to left
		{[]set{{at(cn, strings.Repeat("a", 2048))}}, ""},
		{nil, ""},
	} {
		der, err := asn1.Marshal(sequence(tt.name))
		if err != nil {
			t.Fatal(err)
		}
		c := a.sign(t, &x509.Certificate{RawSubject: der, DNSNames: []string{"x"}}, key)
		p, err := identity(t, mtls.Subject).Principal(&tls.ConnectionState{HandshakeComplete: true, VerifiedChains: [][]*x509.Certificate{{c, a.cert}}})
		switch {
		case tt.want == "" && (p != nil || reason(err) != auth.Malformed):
			t.Errorf("%v: %v, %v", tt.name, p, err)
		case tt.want != "" && (err != nil || p.Subject != tt.want):
			t.Errorf("%v: %v, %v; want %s", tt.name, p, err, tt.want)
		case tt.want != "" && !strings.Contains(tt.want, "2.5.4.5") && len(tt.name[0]) == 1: // the order of a set means nothing
			if got, ok := openssl(t, c); ok && got != tt.want {
				t.Errorf("OpenSSL writes %s, we %s", got, tt.want)
			}
		}
	}
}

// Whatever a name is made of: it is refused, or text of which every attribute
// can be told, that no other name has.
func FuzzSubject(f *testing.F) {
	for _, name := range [][]set{{{at(o, "Example")}, {at(cn, "a,b")}}, {{at(cn, "a"), at(o, "b")}}, {{at(cn, 5)}}, {{at(dc, " #")}}, {{}}, nil} {
		der, err := asn1.Marshal(sequence(name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	i := identity(f, mtls.Subject)
	f.Fuzz(func(t *testing.T, der []byte) {
		c := &x509.Certificate{RawSubject: der, NotAfter: time.Now().Add(time.Hour)}
		p, err := i.Principal(&tls.ConnectionState{HandshakeComplete: true, VerifiedChains: [][]*x509.Certificate{{c}}})
		if err != nil {
			if reason(err) != auth.Malformed {
				t.Error(err)
			}
			return
		}
		var name pkix.RDNSequence
		if _, err := asn1.Unmarshal(der, &name); err != nil {
			return // package pkix reads fewer values than we need to
		}
		attributes := 0
		for _, rdn := range name {
			attributes += len(rdn)
		}
		unescaped, n := strings.NewReplacer(`\\`, "", `\,`, "", `\+`, "", `\=`, "").Replace(p.Subject), 1
		n += strings.Count(unescaped, ",") + strings.Count(unescaped, "+")
		if n != attributes || len(p.Subject) > 2048 || strings.ContainsFunc(p.Subject, unicode.IsControl) {
			t.Errorf("%x is written as %q", der, p.Subject)
		}
	})
}

func sequence(name []set) (s pkix.RDNSequence) {
	for _, rdn := range name {
		s = append(s, rdn)
	}
	return s
}

// openssl returns the subject as OpenSSL writes it.
func openssl(t *testing.T, c *x509.Certificate) (string, bool) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		return "", false
	}
	cmd := exec.Command("openssl", "x509", "-inform", "DER", "-noout", "-subject", "-nameopt", "RFC2253,-esc_msb,utf8")
	cmd.Stdin = strings.NewReader(string(c.Raw))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(strings.TrimSuffix(string(out), "\n"), "subject="), true
}

func BenchmarkPrincipal(b *testing.B) {
	a, key := newAuthority(b), newKey(b)
	c := a.sign(b, &x509.Certificate{ExtraExtensions: []pkix.Extension{rawURIs(b, "spiffe://example.org/billing")}}, key)
	i, state := identity(b, mtls.SPIFFE), &tls.ConnectionState{HandshakeComplete: true, VerifiedChains: [][]*x509.Certificate{{c, a.cert}}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := i.Principal(state); err != nil {
			b.Fatal(err)
		}
	}
}
