package idp

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"strings"
)

// References of several forgeries.
const (
	rightAlgorithm = "RFC 8725 §3.1"
	confusion      = "RFC 8725 §2.1"
	verifyHeader   = "RFC 7515 §5.2"
	wrongSignature = "CWE-347"
)

var algorithmForgeries = []Forgery{
	none("alg-none", "none", false), none("alg-none-signed", "none", true),
	none("alg-none-title", "None", false), none("alg-none-title-signed", "None", true),
	none("alg-none-upper", "NONE", false), none("alg-none-upper-signed", "NONE", true),
	none("alg-none-mixed", "nOnE", false), none("alg-none-mixed-signed", "nOnE", true),
	none("alg-empty", "", false),
	{
		Name: "alg-missing", Description: "the header has no alg, and the token no signature", References: []string{"RFC 7515 §4.1.1", wrongSignature}, Must: true,
		make: func(_ *Provider, d *draft) (string, error) {
			delete(d.header, "alg")
			input, err := d.input()
			return input + ".", err
		},
	},
	confused("hs256-rsa-pem", "RSA key in PEM", RS256, func(g *generation) ([]byte, error) { return inPEM(g.rsa()) }),
	confused("hs256-rsa-pem-trimmed", "RSA key in PEM, without its last line break", RS256, func(g *generation) ([]byte, error) {
		b, err := inPEM(g.rsa())
		return []byte(strings.TrimSpace(string(b))), err
	}),
	confused("hs256-rsa-pkcs1-pem", "RSA key in PEM, in the form of PKCS #1", RS256, func(g *generation) ([]byte, error) {
		return pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(g.rsa())}), nil
	}),
	confused("hs256-rsa-der", "RSA key in DER", RS256, func(g *generation) ([]byte, error) { return x509.MarshalPKIXPublicKey(g.rsa()) }),
	confused("hs256-rsa-modulus", "RSA key's modulus", RS256, func(g *generation) ([]byte, error) { return g.rsa().N.Bytes(), nil }),
	confused("hs256-rsa-jwk", "RSA key as a JSON Web Key", RS256, func(g *generation) ([]byte, error) { return json.Marshal(g.jwk(RS256, g)) }),
	confused("hs256-ec-pem", "EC key in PEM", ES256, func(g *generation) ([]byte, error) { return inPEM(g.keys[ES256].Public()) }),
	confused("hs256-ed25519", "Ed25519 key's 32 bytes", EdDSA, func(g *generation) ([]byte, error) {
		return g.keys[EdDSA].Public().(ed25519.PublicKey), nil
	}),
	secret("hs256-empty-secret", "", "nothing at all"),
	secret("hs256-common-secret", "secret", `the word "secret"`),
	{
		Name: "alg-of-another-key", Description: "the header says RS256 and names an RSA key; the signature is the EC key's", References: []string{rightAlgorithm, verifyHeader, wrongSignature}, Must: true, fits: keyed,
		make: func(_ *Provider, d *draft) (string, error) {
			d.header["alg"], d.header["kid"] = RS256, d.issuing.kid(RS256)
			d.alg, d.key = ES256, d.issuing.keys[ES256]
			return d.token()
		},
	},
	{
		Name: "zero-signature", Description: "an ES256 signature whose two numbers are 0", References: []string{verifyHeader, "FIPS 186-5 §6.4.2", "CVE-2022-21449"}, Must: true, fits: keyed,
		make: func(_ *Provider, d *draft) (string, error) {
			d.header["alg"], d.header["kid"] = ES256, d.issuing.kid(ES256)
			input, err := d.input()
			return input + "." + encode(make([]byte, 64)), err
		},
	},
	{
		Name: "alg-asymmetric", Description: "the header says RS256, and the signature is by a key that the token brings along; the service knows a secret only", References: []string{rightAlgorithm, wrongSignature}, Must: true, fits: withSecret,
		make: func(p *Provider, d *draft) (string, error) {
			d.header["alg"], d.header["jwk"] = RS256, p.rogue.jwk(RS256, p.rogue)
			d.alg, d.key = RS256, p.rogue.keys[RS256]
			return d.token()
		},
	},
}

// none makes the forgery of an unsecured token (RFC 7519, 6).
func none(name, alg string, signed bool) Forgery {
	f := Forgery{
		Name: name, Description: `alg is "` + alg + `", and there is no signature`, Must: true,
		References: []string{"RFC 8725 §3.2", "RFC 7518 §3.6", "RFC 9068 §2.1", wrongSignature},
	}
	if signed {
		f.Description = `alg is "` + alg + `", and the signature is that of another token`
	}
	f.make = func(_ *Provider, d *draft) (string, error) {
		good, err := d.token()
		if err != nil {
			return "", err
		}
		d.header["alg"] = alg
		input, err := d.input()
		if err != nil || !signed {
			return input + ".", err
		}
		return input + good[strings.LastIndexByte(good, '.'):], nil
	}
	return f
}

// confused makes the forgery of a public key taken for the secret of a MAC.
func confused(name, what, alg string, secret func(*generation) ([]byte, error)) Forgery {
	return Forgery{
		Name: name, Description: "alg is HS256, and the secret is the issuer's public " + what, Must: true, fits: keyed,
		References: []string{confusion, rightAlgorithm, wrongSignature},
		make: func(_ *Provider, d *draft) (string, error) {
			key, err := secret(d.issuing)
			if err != nil {
				return "", err
			}
			d.header["alg"], d.header["kid"] = HS256, d.issuing.kid(alg)
			d.alg, d.key = HS256, key
			return d.token()
		},
	}
}

// secret makes the forgery of a MAC whose secret anybody knows. Where it is the
// service's own secret the token is as good as any, and that is what is wrong.
func secret(name, value, what string) Forgery {
	return Forgery{
		Name: name, Description: "alg is HS256, and the secret is " + what, Must: true,
		References: []string{"RFC 8725 §2.2", "RFC 8725 §3.5", "RFC 7518 §3.2", "CWE-521"},
		make: func(_ *Provider, d *draft) (string, error) {
			d.header["alg"], d.alg, d.key = HS256, HS256, []byte(value)
			return d.token()
		},
	}
}

// inPEM encodes a public key as most tools print it.
func inPEM(public any) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), err
}
