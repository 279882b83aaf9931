package jwt_test

import (
	"bytes"
	"compress/flate"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"hash"
	"log/slog"
	"math/big"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/jwt"
)

// attack is a token, and what its refusal says.
type attack struct{ token, want, why string }

// repel expects refusals, twice: none is remembered as a success. No error
// holds a part of its token.
func repel(t *testing.T, v *jwt.Verifier, attacks map[string]attack) {
	t.Helper()
	for name, a := range attacks {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				p, err := v.Verify(t.Context(), auth.Credential{Token: a.token})
				if got := reason(p, err); got != a.want || !strings.HasSuffix(err.Error(), a.why) {
					t.Fatalf("got %q (%v), want %q (%s)", got, err, a.want, a.why)
				}
				for _, part := range strings.Split(a.token, ".") {
					if len(part) > 4 && strings.Contains(err.Error(), part) {
						t.Errorf("the error holds a part of the token: %v", err)
					}
				}
			}
		})
	}
}

// Texts of refusals.
const (
	whyAlgorithm = "the algorithm is not allowed"
	whySignature = "the signature does not verify"
	whyForbidden = "the header has a member that is not accepted: a key, a link to one, crit, b64, zip or enc"
	whyKeyID     = "no key of the set has the token's key id"
	whyMember    = "a header member is not a string"
	whyBase64    = "a part is empty or not canonical base64url"
	whyHeader    = "the header is not a JSON object without duplicates"
	whyClaims    = "the claims are not a JSON object without duplicates"
	whyUnsigned  = "the token has no signature"
)

// headed signs claims with the ec key under a changed header.
func headed(change object) string {
	h := object{"alg": "ES256", "kid": "ec"}
	for name, v := range change {
		h[name] = v
	}
	return sign("ec", "ES256", h, with(nil))
}

func TestAttackNone(t *testing.T) {
	v, _ := verifier(t, jwt.Config{}, "ec")
	signature := good(nil)[strings.LastIndexByte(good(nil), '.')+1:]
	attacks := map[string]attack{}
	for i := range 16 { // every way to write it
		alg := []byte("none")
		for bit := range alg {
			if i>>bit&1 == 1 {
				alg[bit] ^= 0x20
			}
		}
		input := encode(object{"alg": string(alg), "kid": "ec"}) + "." + encode(with(nil)) + "."
		attacks[string(alg)] = attack{input, "!wrong_algorithm", whyUnsigned}
		attacks[string(alg)+" with a signature"] = attack{input + signature, "!wrong_algorithm", whyUnsigned}
	}
	for _, alg := range []string{"", " none", "none ", "n\u043ene", "null", "es256", "ES256 ", "HS256", "ES256K", "RSA1_5", "dir"} {
		attacks["alg "+alg] = attack{headed(object{"alg": alg}), "!wrong_algorithm", whyAlgorithm}
	}
	repel(t, v, attacks)
}

// Public keys are known to everybody: as the secret of a MAC they prove nothing.
func TestAttackKeyConfusion(t *testing.T) {
	v, _ := verifier(t, jwt.Config{}, "rsa", "ec")
	attacks := map[string]attack{}
	for _, kid := range []string{"rsa", "ec"} {
		public := keys[kid].Public()
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		jwk, err := json.Marshal(jose.JSONWebKey{Key: public, KeyID: kid})
		if err != nil {
			t.Fatal(err)
		}
		secrets := map[string][]byte{
			"DER": der, "PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "JWK": jwk, "set": []byte(set(t, kid)), "nothing": {},
		}
		secrets["PEM without its last newline"] = bytes.TrimSpace(secrets["PEM"])
		if r, ok := public.(*rsa.PublicKey); ok {
			secrets["PKCS 1"] = x509.MarshalPKCS1PublicKey(r)
			secrets["PKCS 1 PEM"] = pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: secrets["PKCS 1"]})
			secrets["modulus"] = r.N.Bytes()
		}
		for form, secret := range secrets {
			for alg, h := range map[string]func() hash.Hash{"HS256": sha256.New, "HS384": sha512.New384, "HS512": sha512.New, "RS256": sha256.New} {
				input := encode(object{"alg": alg, "kid": kid}) + "." + encode(with(nil))
				mac := hmac.New(h, secret)
				mac.Write([]byte(input))
				a := attack{input + "." + b64(mac.Sum(nil)), "!wrong_algorithm", whyAlgorithm}
				if alg == "RS256" && kid == "rsa" {
					a.want, a.why = "!bad_signature", whySignature
				} else if alg == "RS256" {
					a.why = "the algorithm does not fit the key"
				}
				attacks[alg+" "+kid+" "+form] = a
			}
		}
	}
	repel(t, v, attacks)
}

func TestAttackHeader(t *testing.T) {
	v, _ := verifier(t, jwt.Config{}, "ec", "rsa")
	own := jose.JSONWebKey{Key: keys["other"].Public(), KeyID: "ec"}
	ec := object{"alg": "ES256", "kid": "ec"}
	attacks := map[string]attack{
		"embedded key":         {sign("other", "ES256", object{"alg": "ES256", "kid": "ec", "jwk": own}, with(nil)), "!malformed", whyForbidden},
		"embedded key, no kid": {sign("other", "ES256", object{"alg": "ES256", "jwk": own}, with(nil)), "!malformed", whyForbidden},
		"zipped claims":        {sign("ec", "ES256", object{"alg": "ES256", "kid": "ec", "zip": "DEF"}, zipped(t)), "!malformed", whyForbidden},
		"number as key id":     {headed(object{"kid": 7}), "!malformed", whyMember},
		"object as key id":     {headed(object{"kid": own}), "!malformed", whyMember},
		"null as key id":       {headed(object{"kid": nil}), "!malformed", whyMember},
		"list as alg":          {headed(object{"alg": []string{"ES256"}}), "!malformed", whyMember},
		"null as alg":          {headed(object{"alg": nil}), "!malformed", whyMember},
		"nested":               {sign("ec", "ES256", object{"alg": "ES256", "kid": "ec", "cty": "JWT"}, good(nil)), "!malformed", "a token within a token"},
		"nested, says nothing": {sign("ec", "ES256", ec, good(nil)), "!malformed", whyClaims},
		"cty number":           {headed(object{"cty": 7}), "!malformed", whyMember},
		"duplicate alg":        {sign("ec", "ES256", `{"alg":"none","alg":"ES256","kid":"ec"}`, with(nil)), "!malformed", whyHeader},
		"duplicate kid":        {sign("ec", "ES256", `{"alg":"ES256","kid":"rsa","kid":"ec"}`, with(nil)), "!malformed", whyHeader},
		"duplicate by escape":  {sign("ec", "ES256", `{"alg":"ES256","kid":"ec","\u0061lg":"none"}`, with(nil)), "!malformed", whyHeader},
		"byte order mark":      {sign("ec", "ES256", "\ufeff"+`{"alg":"ES256","kid":"ec"}`, with(nil)), "!malformed", whyHeader},
		"two headers":          {sign("ec", "ES256", `{"alg":"ES256","kid":"ec"}{}`, with(nil)), "!malformed", whyHeader},
		"list":                 {sign("ec", "ES256", `["ES256"]`, with(nil)), "!malformed", whyHeader},
		"not UTF-8":            {sign("ec", "ES256", "{\"alg\":\"ES256\",\"kid\":\"\xff\"}", with(nil)), "!malformed", whyHeader},
	}
	for name, value := range map[string]any{
		"jku": "https://evil.example/jwks.json", "x5u": "https://evil.example/x", "x5c": []string{"MIIB"}, "crit": []string{"exp"},
		"b64": false, "zip": "DEF", "enc": "A256GCM", "epk": own, "apu": "x", "apv": "x", "iv": "x", "tag": "x", "p2s": "x", "p2c": 1 << 30,
	} {
		attacks[name] = attack{headed(object{name: value}), "!malformed", whyForbidden}
		attacks[name+" null"] = attack{headed(object{name: nil}), "!malformed", whyForbidden}
	}
	attacks["crit of nothing"] = attack{headed(object{"crit": []string{}}), "!malformed", whyForbidden}
	attacks["b64 true"] = attack{headed(object{"b64": true}), "!malformed", whyForbidden}
	for _, cty := range []string{"jwt", "application/jwt", "at+jwt"} {
		attacks["cty "+cty] = attack{headed(object{"cty": cty}), "!malformed", "a token within a token"}
	}
	for _, kid := range []string{
		"../../../../dev/null", "/etc/passwd", `C:\key`, "file:///dev/null", "https://evil.example/key", "ec' OR '1'='1", "ec\x00", "\x00", "", " ec",
		"ec ", "EC", "ec\n", "*", "ec|cat /etc/passwd", "${jndi:ldap://evil.example}", strings.Repeat("k", 4<<10),
	} {
		attacks["key id "+kid[:min(len(kid), 30)]] = attack{headed(object{"kid": kid}), "!unknown_key", whyKeyID}
	}
	attacks["key id of 10 KB"] = attack{headed(object{"kid": strings.Repeat("k", 10<<10)}), "!malformed", "the token is longer than 8 KiB"}
	repel(t, v, attacks)
	if got := verify(v, headed(object{"cty": "json", "x5t": "x", "typ": "at+jwt"})); got != "ann" {
		t.Errorf("members that change nothing: got %q", got)
	}
}

// zipped returns compressed claims.
func zipped(t *testing.T) string {
	t.Helper()
	text, err := json.Marshal(with(nil))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestAttackForm(t *testing.T) {
	v, _ := verifier(t, jwt.Config{}, "ec", "rsa")
	ok := good(nil)
	parts := strings.Split(ok, ".")
	recipient := jose.Recipient{Algorithm: jose.RSA_OAEP_256, Key: keys["rsa"].Public(), KeyID: "rsa"}
	encrypter, err := jose.NewEncrypter(jose.A256GCM, recipient, (&jose.EncrypterOptions{}).WithContentType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	jwe, err := encrypter.Encrypt([]byte(ok))
	if err != nil {
		t.Fatal(err)
	}
	encrypted, err := jwe.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	attacks := map[string]attack{
		"encrypted":           {encrypted, "!malformed", "an encrypted token"},
		"four parts":          {ok + "." + parts[2], "!malformed", "not three parts"},
		"six parts":           {ok + "." + ok, "!malformed", "not three parts"},
		"JSON serialization":  {`{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`, "!malformed", "not three parts"},
		"huge":                {parts[0] + "." + strings.Repeat("A", 1<<20) + "." + parts[2], "!malformed", "the token is longer than 8 KiB"},
		"a megabyte of dots":  {strings.Repeat(".", 1<<20), "!malformed", "the token is longer than 8 KiB"},
		"detached":            {parts[0] + ".." + parts[2], "!malformed", whyBase64},
		"no header":           {"." + parts[1] + "." + parts[2], "!malformed", whyBase64},
		"signature, loose":    {parts[0] + "." + parts[1] + "." + loosen(parts[2]), "!malformed", whyBase64},
		"padded header":       {parts[0] + "=." + parts[1] + "." + parts[2], "!malformed", whyBase64},
		"header by + and /":   {encode(`{"alg":"ES256","kid":"ec","x":"`) + "+/." + parts[1] + "." + parts[2], "!malformed", whyBase64},
		"header, loose end":   {loosen(encode(`{"alg":"ES256","kid":"ec"}`)) + "." + parts[1] + "." + parts[2], "!malformed", whyBase64},
		"NUL":                 {ok + "\x00", "!malformed", whyBase64},
		"Bearer once more":    {"Bearer " + ok, "!malformed", whyBase64},
		"token twice":         {ok + "," + ok, "!malformed", "an encrypted token"},
		"claims, one member":  {sign("ec", "ES256", object{"alg": "ES256", "kid": "ec"}, `{"iss":"x","iss":"`+issuer+`"}`), "!malformed", whyClaims},
		"claims, trailing":    {sign("ec", "ES256", object{"alg": "ES256", "kid": "ec"}, encodeJSON(with(nil))+"\x00"), "!malformed", whyClaims},
		"claims, NaN":         {sign("ec", "ES256", object{"alg": "ES256", "kid": "ec"}, `{"exp":NaN}`), "!malformed", whyClaims},
		"claims, deep nested": {sign("ec", "ES256", object{"alg": "ES256", "kid": "ec"}, `{"a":`+strings.Repeat("[", 3000)+strings.Repeat("]", 3000)+`}`), "!malformed", whyClaims},
	}
	for name, blank := range map[string]string{"blank": " ", "tab": "\t", "newline": "\n", "return": "\r", "both": "\r\n", "vertical tab": "\v", "no-break space": "\u00a0"} {
		attacks[name+" before"] = attack{blank + ok, "!malformed", whyBase64}
		attacks[name+" after"] = attack{ok + blank, "!malformed", whyBase64}
		attacks[name+" in the claims"] = attack{parts[0] + "." + parts[1][:4] + blank + parts[1][4:] + "." + parts[2], "!malformed", whyBase64}
	}
	for _, name := range []string{"iss", "aud", "exp", "sub", "scope", "nbf"} {
		text := encodeJSON(with(object{"scope": "a", "nbf": 0}))
		attacks["duplicate "+name] = attack{sign("ec", "ES256", object{"alg": "ES256", "kid": "ec"}, `{"`+name+`":1,`+text[1:]), "!malformed", whyClaims}
	}
	repel(t, v, attacks)
}

// loosen sets the last bit of base64url, which says nothing where the bytes are
// not a multiple of three.
func loosen(s string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return s[:len(s)-1] + string(alphabet[strings.IndexByte(alphabet, s[len(s)-1])|1])
}

func encodeJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func TestAttackSignature(t *testing.T) {
	v, _ := verifier(t, jwt.Config{}, "ec", "rsa", "ed", "ec384")
	curve := elliptic.P256().Params()
	input := encode(object{"alg": "ES256", "kid": "ec"}) + "." + encode(with(nil)) + "."
	pair := func(r, s *big.Int) string {
		return input + b64(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
	}
	zero, one := big.NewInt(0), big.NewInt(1)
	sum := sha256.Sum256([]byte(strings.TrimSuffix(input, ".")))
	der, err := keys["ec"].Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &rs); err != nil {
		t.Fatal(err)
	}
	attacks := map[string]attack{}
	for name, token := range map[string]string{
		"r = s = 0": pair(zero, zero), "r = 0": pair(zero, rs.S), "s = 0": pair(rs.R, zero), // CVE-2022-21449
		"r = s = n": pair(curve.N, curve.N), "r = n": pair(curve.N, rs.S), "s = n": pair(rs.R, curve.N), "r = p": pair(curve.P, rs.S),
		"r = s = 1": pair(one, one), "swapped": pair(rs.S, rs.R), "DER": input + b64(der),
		"P-384 signature":       sign("ec384", "ES384", object{"alg": "ES256", "kid": "ec"}, with(nil)),
		"RSA signature":         sign("rsa", "RS256", object{"alg": "ES256", "kid": "ec"}, with(nil)),
		"Ed25519 signature":     sign("ed", "EdDSA", object{"alg": "ES256", "kid": "ec"}, with(nil)),
		"another's":             sign("other", "ES256", object{"alg": "ES256", "kid": "ec"}, with(nil)),
		"RSA zeros":             encode(object{"alg": "RS256", "kid": "rsa"}) + "." + encode(with(nil)) + "." + b64(make([]byte, 256)),
		"RSA one":               encode(object{"alg": "RS256", "kid": "rsa"}) + "." + encode(with(nil)) + "." + b64(one.FillBytes(make([]byte, 256))),
		"RSA short":             encode(object{"alg": "RS256", "kid": "rsa"}) + "." + encode(with(nil)) + "." + b64(make([]byte, 128)),
		"RSA PSS as PKCS 1":     sign("rsa", "PS256", object{"alg": "RS256", "kid": "rsa"}, with(nil)),
		"RSA PKCS 1 as PSS":     sign("rsa", "RS256", object{"alg": "PS256", "kid": "rsa"}, with(nil)),
		"Ed25519 zeros":         encode(object{"alg": "EdDSA", "kid": "ed"}) + "." + encode(with(nil)) + "." + b64(make([]byte, 64)),
		"Ed25519 short":         encode(object{"alg": "EdDSA", "kid": "ed"}) + "." + encode(with(nil)) + "." + b64(make([]byte, 63)),
		"P-256 in place of 384": sign("ec", "ES256", object{"alg": "ES384", "kid": "ec384"}, with(nil)),
	} {
		attacks[name] = attack{token, "!bad_signature", whySignature}
	}
	repel(t, v, attacks)
	if got := verify(v, pair(rs.R, rs.S)); got != "ann" {
		t.Errorf("the signature that they were made from: got %q", got)
	}
}

// Keys of the set that are not to verify tokens verify none.
func TestAttackUnfitKeys(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := p224.PublicKey.Bytes() // 4, x, y
	if err != nil {
		t.Fatal(err)
	}
	jwk := func(kid string, change object) object {
		var k object
		if err := json.Unmarshal([]byte(encodeJSON(jose.JSONWebKey{Key: keys[kid].Public()})), &k); err != nil {
			t.Fatal(err)
		}
		for name, v := range change {
			k[name] = v
		}
		return k
	}
	list := []any{
		jwk("ec", object{"kid": "encrypts", "use": "enc"}),
		jwk("ec", object{"kid": "signs", "key_ops": []string{"sign"}}),
		jwk("ec", object{"kid": "no ops", "key_ops": []string{}}),
		jwk("ec", object{"kid": "ops text", "key_ops": "verify"}),
		jwk("ec", object{"kid": "ES384 only", "alg": "ES384"}),
		jwk("ec", object{"kid": "MAC", "alg": "HS256"}),
		jwk("rsa", object{"kid": "PS256 only", "alg": "PS256"}),
		jwk("rsa", object{"kid": "e=1", "e": "AQ"}),
		object{"kid": "weak", "kty": "RSA", "n": b64(weak.N.Bytes()), "e": "AQAB"},
		object{"kid": "p224", "kty": "EC", "crv": "P-224", "x": b64(point[1:29]), "y": b64(point[29:])},
		object{"kid": "k1", "kty": "EC", "crv": "secp256k1", "x": b64(make([]byte, 32)), "y": b64(make([]byte, 32))},
		jwk("ed", object{"kid": "fit"}),
	}
	path := filepath.Join(t.TempDir(), "jwks.json")
	write(t, path, encodeJSON(object{"keys": list}))
	ks, err := jwt.NewFileKeySet(path, jwt.KeySetConfig{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	v, err := jwt.New([]jwt.Issuer{{Name: issuer, Keys: ks}}, jwt.Config{Audience: []string{audience}})
	if err != nil {
		t.Fatal(err)
	}
	attacks := map[string]attack{}
	for _, kid := range []string{"encrypts", "signs", "no ops", "ops text", "ES384 only", "MAC", "p224", "k1"} {
		attacks[kid] = attack{sign("ec", "ES256", object{"alg": "ES256", "kid": kid}, with(nil)), "!unknown_key", whyKeyID}
	}
	attacks["alg of the key"] = attack{sign("rsa", "RS256", object{"alg": "RS256", "kid": "PS256 only"}, with(nil)), "!wrong_algorithm", "the algorithm does not fit the key"}
	attacks["e=1"] = attack{sign("rsa", "RS256", object{"alg": "RS256", "kid": "e=1"}, with(nil)), "!unknown_key", whyKeyID}
	keys["weak"] = weak
	defer delete(keys, "weak")
	attacks["weak"] = attack{sign("weak", "RS256", object{"alg": "RS256", "kid": "weak"}, with(nil)), "!unknown_key", whyKeyID}
	repel(t, v, attacks)
	if got := verify(v, sign("rsa", "PS256", object{"alg": "PS256", "kid": "PS256 only"}, with(nil))); got != "ann" {
		t.Errorf("the algorithm that the key is for: got %q", got)
	}
}
