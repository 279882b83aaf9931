package idp

import (
	"encoding/base64"
	"strings"
)

// Names of the forgeries that point to an address of the attacker's.
const (
	forgeryJKU    = "jku"
	forgeryJKUKid = "jku-own-kid"
	forgeryX5U    = "x5u"
	forgeryKidURL = "kid-url"
	forgeryIssuer = "issuer-own-keys"
)

// pointing are those forgeries.
var pointing = []string{forgeryJKU, forgeryJKUKid, forgeryX5U, forgeryKidURL, forgeryIssuer}

// References of several forgeries.
const (
	foreignLink = "RFC 8725 §3.10"
	keyID       = "RFC 7515 §4.1.4"
)

// keyForgeries are signed by a key of the attacker's.
var keyForgeries = []Forgery{
	{
		Name: "wrong-key", Description: "the signature is by another key than that of the token's kid", References: []string{verifyHeader, profile, wrongSignature}, Must: true,
		make: strange(func(*Provider, *draft, map[string]any) {}),
	},
	{
		Name: "unknown-kid", Description: "kid and signature are those of a key that the issuer never published", References: []string{keyID, verifyHeader, wrongSignature}, Must: true,
		make: strange(func(p *Provider, d *draft, h map[string]any) { h["kid"] = p.rogue.kid(d.alg) }),
	},
	{
		Name: "no-kid", Description: "there is no kid, and the signature is by a key that the issuer never published", References: []string{keyID, verifyHeader, wrongSignature}, Must: true,
		make: strange(func(_ *Provider, _ *draft, h map[string]any) { delete(h, "kid") }),
	},
	{
		Name: "embedded-jwk", Description: "the token brings its own key along (jwk), under the id of a good one", References: []string{"RFC 7515 §4.1.3", "RFC 9068 §4", "CVE-2018-0114", wrongSignature}, Must: true, fits: keyed,
		make: strange(func(p *Provider, d *draft, h map[string]any) { h["jwk"] = p.rogue.jwk(d.alg, d.issuing) }),
	},
	{
		Name: "embedded-jwk-no-kid", Description: "the token brings its own key along (jwk), and names no other", References: []string{"RFC 7515 §4.1.3", "RFC 9068 §4", "CVE-2018-0114", wrongSignature}, Must: true, fits: keyed,
		make: strange(func(p *Provider, d *draft, h map[string]any) {
			delete(h, "kid")
			h["jwk"] = p.rogue.jwk(d.alg, p.rogue)
		}),
	},
	{
		Name: "embedded-x5c", Description: "the token brings its own certificate along (x5c)", References: []string{"RFC 7515 §4.1.6", wrongSignature}, Must: true, fits: keyed,
		make: rogueRSA(func(p *Provider, d *draft) {
			d.header["x5c"] = []string{base64.StdEncoding.EncodeToString(p.chain)}
			d.header["kid"] = d.issuing.kid(RS256)
		}),
	},
	{
		Name: forgeryJKU, Description: "the token says where its keys are (jku), under the id of a good one", References: []string{"RFC 7515 §4.1.2", foreignLink, "CWE-918"}, Must: true, fits: keyed,
		make: strange(func(p *Provider, _ *draft, h map[string]any) { h["jku"] = p.address(forgeryJKU) + keysPath }),
	},
	{
		Name: forgeryJKUKid, Description: "the token says where its keys are (jku), under an id that is only there", References: []string{"RFC 7515 §4.1.2", foreignLink, "CWE-918"}, Must: true, fits: keyed,
		make: strange(func(p *Provider, d *draft, h map[string]any) {
			h["jku"], h["kid"] = p.address(forgeryJKUKid)+keysPath, p.rogue.kid(d.alg)
		}),
	},
	{
		Name: forgeryX5U, Description: "the token says where its certificate is (x5u)", References: []string{"RFC 7515 §4.1.5", foreignLink, "CWE-918"}, Must: true, fits: keyed,
		make: rogueRSA(func(p *Provider, d *draft) {
			d.header["x5u"] = p.address(forgeryX5U) + "/chain.pem"
			delete(d.header, "kid")
		}),
	},
	{
		Name: forgeryKidURL, Description: "kid is an address of the attacker's", References: []string{keyID, foreignLink, "CWE-918"}, Must: true,
		make: strange(func(p *Provider, _ *draft, h map[string]any) { h["kid"] = p.address(forgeryKidURL) + keysPath }),
	},
	{
		Name: "kid-path", Description: "kid is the path of an empty file, and the signature a MAC whose secret is empty", References: []string{foreignLink, "CWE-22"}, Must: true,
		make: header(func(_ *Provider, d *draft, h map[string]any) {
			h["kid"], h["alg"] = "../../../../../../../../dev/null", HS256
			d.alg, d.key = HS256, []byte{}
		}),
	},
	{
		Name: "kid-sql", Description: "kid has a query return the secret of the MAC that signed", References: []string{foreignLink, "CWE-89"}, Must: true,
		make: header(func(_ *Provider, d *draft, h map[string]any) {
			h["kid"], h["alg"] = "x' UNION SELECT 'forged' -- ", HS256
			d.alg, d.key = HS256, []byte("forged")
		}),
	},
	kid("kid-newline", "kid ends a line of the log and begins another", "\r\n"+`{"level":"ERROR","msg":"forged by kid"}`, "CWE-117"),
	kid("kid-nul", "kid has a NUL behind the id of a good key", "\x00", "CWE-158"),
	kid("kid-long", "kid has 4 KiB behind the id of a good key", strings.Repeat("k", 4<<10), "CWE-770"),
	{
		Name: "kid-number", Description: "kid is a number", References: []string{keyID, "CWE-704"}, Must: true,
		make: strange(func(_ *Provider, _ *draft, h map[string]any) { h["kid"] = 0 }),
	},
}

// kid makes a forgery whose key id is that of a good key with something behind.
func kid(name, description, more, weakness string) Forgery {
	return Forgery{
		Name: name, Description: description, References: []string{keyID, foreignLink, weakness}, Must: true,
		make: strange(func(_ *Provider, d *draft, h map[string]any) { h["kid"] = d.issuing.kid(d.alg) + more }),
	}
}

// rogueRSA makes a token that the attacker's RSA key signs, the one that has a
// certificate.
func rogueRSA(change func(p *Provider, d *draft)) forge {
	return func(p *Provider, d *draft) (string, error) {
		change(p, d)
		d.header["alg"], d.alg, d.key = RS256, RS256, p.rogue.keys[RS256]
		return d.token()
	}
}

// headerForgeries are signed as they should be: it is the header that forbids
// to accept them.
var headerForgeries = []Forgery{
	{
		Name: "crit-unknown", Description: "the header has a critical member that nobody knows", References: []string{"RFC 7515 §4.1.11", "RFC 7515 §5.2"}, Must: true,
		make: header(func(_ *Provider, _ *draft, h map[string]any) {
			h["crit"], h["urn:example:forged"] = []string{"urn:example:forged"}, true
		}),
	},
	{
		Name: "crit-b64", Description: "b64 is false, which says that the payload is not what was signed", References: []string{"RFC 7797 §7", "RFC 7515 §4.1.11"}, Must: true,
		make: header(func(_ *Provider, _ *draft, h map[string]any) { h["crit"], h["b64"] = []string{"b64"}, false }),
	},
	{
		Name: "duplicate-alg", Description: "the header has alg twice, and it is none the last time", References: []string{"RFC 7515 §4", "RFC 8725 §3.2", "CWE-436"}, Must: true,
		make: func(_ *Provider, d *draft) (string, error) {
			text, err := marshal(d.header)
			if err != nil {
				return "", err
			}
			d.headerText = with(text, `"alg":"none"`)
			return d.token()
		},
	},
	{
		Name: "header-null", Description: "the header is null", References: []string{"RFC 7515 §5.2"}, Must: true,
		make: func(_ *Provider, d *draft) (string, error) { d.headerText = "null"; return d.token() },
	},
	{
		Name: "header-utf8", Description: "the header is no UTF-8", References: []string{"RFC 7515 §5.2", "RFC 8725 §3.7"}, Must: true,
		make: func(_ *Provider, d *draft) (string, error) {
			text, err := marshal(d.header)
			if err != nil {
				return "", err
			}
			d.headerText = with(text, "\"forged\":\"\xff\"")
			return d.token()
		},
	},
}
