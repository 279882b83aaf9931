// Package apikey verifies API keys, of which only a keyed digest is stored.
package apikey

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/internal/digest"
	"github.com/aguada-dev/aguada/auth/internal/object"
	"github.com/aguada-dev/aguada/auth/internal/text"
	"github.com/aguada-dev/aguada/internal/reload"
)

// Prefix begins every API key, so that scanners for leaked secrets find it.
const Prefix = "agd_"

// MinPepper is the least length of the pepper of API keys, in bytes.
const MinPepper = 16

// The grammar of an API key is
//
//	agd_ID_SECRETCHECK
//
// with an ID of 1 to 32 characters a-z and 0-9, 160 random bits as 32
// characters of lower-case base32 (RFC 4648), and the CRC-32 (IEEE) of all that
// stands before it as 7 such characters.
const (
	maxKeyID  = 32
	keySecret = 32
	keyCheck  = 7
)

const keyAlphabet = "abcdefghijklmnopqrstuvwxyz234567"

var keyEncoding = base32.NewEncoding(keyAlphabet).WithPadding(base32.NoPadding)

// Record is what is stored of an API key: enough to verify it, not to make
// it.
type Record struct {
	// ID names the key in logs and in the file. It is part of the key, and
	// not secret.
	ID string `json:"id"`
	// HMAC is the hexadecimal HMAC-SHA256 of the whole key by the pepper.
	HMAC string `json:"hmac"`
	// Owner is whom the key stands for: the principal's Subject.
	Owner string `json:"owner"`
	// Scopes are those that the key carries.
	Scopes []string `json:"scopes,omitempty"`
	// ExpiresAt is when the key ends; zero if it does not.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// File is the content of a file of API keys, in JSON.
type File struct {
	Keys []Record `json:"keys"`
}

// New mints an API key with a random id. The key is shown to its owner once;
// the record is what is stored. A zero time means that the key does not expire.
func New(pepper []byte, owner string, scopes []string, expires time.Time) (key string, r Record, err error) {
	if len(pepper) < MinPepper {
		return "", Record{}, fmt.Errorf("make API key: the pepper is shorter than %d bytes", MinPepper)
	}
	var raw [30]byte // 10 for the id, 20 for the secret
	if _, err := rand.Read(raw[:]); err != nil {
		return "", Record{}, fmt.Errorf("make API key: %w", err)
	}
	id := keyEncoding.EncodeToString(raw[:10])
	key = Prefix + id + "_" + keyEncoding.EncodeToString(raw[10:])
	check := keySum(key)
	key += string(check[:])
	sum := digest.New(pepper).Text(key)
	r = Record{ID: id, HMAC: hex.EncodeToString(sum[:]), Owner: owner, Scopes: slices.Clone(scopes), ExpiresAt: expires}
	if _, err := r.compile(""); err != nil {
		return "", Record{}, fmt.Errorf("make API key: %w", err)
	}
	return key, r, nil
}

// keySum returns the check characters of what stands before them.
func keySum(s string) [keyCheck]byte {
	crc := ^uint32(0)
	for i := range len(s) { // as crc32.ChecksumIEEE, which would need a copy
		crc = crc32.IEEETable[byte(crc)^s[i]] ^ crc>>8
	}
	var out [keyCheck]byte
	for i := range out {
		out[keyCheck-1-i] = keyAlphabet[^crc>>(5*i)&31]
	}
	return out
}

// keyID returns the id of a key that is in the form of one.
func keyID(key string) (string, bool) {
	rest, ok := strings.CutPrefix(key, Prefix)
	if !ok {
		return "", false
	}
	id, secret, ok := strings.Cut(rest, "_")
	if !ok || !validKeyID(id) || len(secret) != keySecret+keyCheck {
		return "", false
	}
	for i := range len(secret) {
		if c := secret[i]; (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return "", false
		}
	}
	check := keySum(key[:len(key)-keyCheck])
	return id, string(check[:]) == key[len(key)-keyCheck:]
}

func validKeyID(id string) bool {
	for i := range len(id) {
		if c := id[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return id != "" && len(id) <= maxKeyID
}

// Config tunes a [Keys]. The zero value works.
type Config struct {
	// Scheme is the design's name of the scheme. Without it a [auth.Guard] fills it
	// into each principal, at the price of an allocation per call.
	Scheme string
	// Interval is how often the file is looked at, at most; 1 s if 0.
	Interval time.Duration
	// Logger is told why a changed file was not taken; slog.Default() if nil.
	Logger *slog.Logger
}

// Keys verifies API keys against a file of their HMACs (see [File]). It is
// safe for concurrent use, and needs no closing.
//
// What is not in the form of a key is refused without a look-up. The file is
// read again when it changes. One that cannot be read or parsed leaves the old
// one in force and is logged; to revoke all keys, leave none in it rather than
// remove it. Two records of one owner may overlap, for rotation.
type Keys struct {
	file   *reload.File[keyring]
	digest *digest.Digest
}

var _ auth.Verifier = (*Keys)(nil)

type keyring map[string]*apiKey

type apiKey struct {
	sum       [sha256.Size]byte
	principal *auth.Principal
}

// Errors of Verify.
var (
	errKeyForm    = &auth.Error{Reason: auth.Malformed, Err: errors.New("not in the form of an API key")}
	errKeyUnknown = &auth.Error{Reason: auth.Unknown, Err: errors.New("unknown API key")}
	errKeyWrong   = &auth.Error{Reason: auth.Unknown, Err: errors.New("known id, wrong API key")}
	errKeyExpired = &auth.Error{Reason: auth.Expired, Err: errors.New("the API key expired")}
)

// Open reads a file of API keys. A file that is missing or broken is an
// error, and so is a pepper of less than [MinPepper] bytes.
func Open(path string, pepper []byte, cfg Config) (*Keys, error) {
	if len(pepper) < MinPepper {
		return nil, fmt.Errorf("open API keys: the pepper is shorter than %d bytes", MinPepper)
	}
	parse := func(data []byte) (*keyring, error) { return parseKeys(data, cfg.Scheme) }
	file, err := reload.Open(path, parse, reload.Config{Interval: cfg.Interval, Report: report(cfg.Logger)})
	if err != nil {
		return nil, fmt.Errorf("open API keys: %w", err)
	}
	return &Keys{file: file, digest: digest.New(pepper)}, nil
}

// report returns a function that logs why a file was not taken.
func report(l *slog.Logger) func(error) {
	return func(err error) {
		if l == nil {
			l = slog.Default()
		}
		l.Error("credential file not reloaded", "error", err)
	}
}

// Verify implements [auth.Verifier] by c's Token. The principal's Subject is the
// owner of the key, its CredentialID the id.
func (k *Keys) Verify(_ context.Context, c auth.Credential) (*auth.Principal, error) {
	id, ok := keyID(c.Token)
	if !ok {
		return nil, errKeyForm
	}
	known := (*k.file.Value())[id]
	sum := k.digest.Text(c.Token)
	if known == nil {
		return nil, errKeyUnknown
	}
	if subtle.ConstantTimeCompare(sum[:], known.sum[:]) != 1 {
		return nil, errKeyWrong
	}
	if at := known.principal.ExpiresAt; !at.IsZero() && !time.Now().Before(at) {
		return nil, errKeyExpired
	}
	return known.principal, nil
}

// parseKeys reads a file of API keys.
func parseKeys(data []byte, scheme string) (*keyring, error) {
	var file File
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("parse JSON: %w", err)
	}
	if err := exact(data); err != nil {
		return nil, fmt.Errorf("parse JSON: %w", err)
	}
	if file.Keys == nil {
		return nil, errors.New(`there is no list "keys"`)
	}
	ring := keyring{}
	for i := range file.Keys {
		k, err := file.Keys[i].compile(scheme)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		id := file.Keys[i].ID
		if ring[id] != nil {
			return nil, fmt.Errorf("key %d: its id is there already", i+1)
		}
		ring[id] = k
	}
	return &ring, nil
}

// exact refuses a file with members that are unknown, twice there or in other
// letters than they should be: encoding/json would merge the last two, and a
// key could get the scopes of another.
func exact(data []byte) error {
	file, err := object.Decode(data)
	if err != nil {
		return err
	}
	if err := only(file, "keys"); err != nil {
		return err
	}
	list, _ := file["keys"].([]any)
	for i, v := range list {
		record, _ := v.(map[string]any)
		if err := only(record, "id", "hmac", "owner", "scopes", "expires_at"); err != nil {
			return fmt.Errorf("key %d: %w", i+1, err)
		}
	}
	return nil
}

// only refuses members with other names.
func only(members map[string]any, names ...string) error {
	for name := range members {
		if !slices.Contains(names, name) {
			return fmt.Errorf("a member is not one of %s", strings.Join(names, ", "))
		}
	}
	return nil
}

// compile checks a record.
func (r *Record) compile(scheme string) (*apiKey, error) {
	k := &apiKey{}
	if !validKeyID(r.ID) {
		return nil, fmt.Errorf("id is not 1 to %d characters a-z and 0-9", maxKeyID)
	}
	sum, err := hex.DecodeString(r.HMAC)
	if err != nil || len(sum) != len(k.sum) {
		return nil, fmt.Errorf("hmac is not %d hexadecimal digits", 2*len(k.sum))
	}
	copy(k.sum[:], sum)
	if r.Owner == "" || !text.Printable(r.Owner) {
		return nil, errors.New("owner is empty or has control characters")
	}
	scopes := slices.Clone(r.Scopes)
	for _, s := range scopes {
		if !text.Visible(s) {
			return nil, errors.New("a scope is empty or not one word of visible ASCII")
		}
	}
	slices.Sort(scopes)
	k.principal = &auth.Principal{
		Subject: r.Owner, Scheme: scheme, CredentialID: r.ID,
		Scopes: slices.Compact(scopes), ExpiresAt: r.ExpiresAt,
	}
	return k, nil
}
