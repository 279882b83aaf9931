package apikey

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/internal/text"
)

// What a record may hold, in bytes. The bounds of a verifier's memory rest on
// them.
const (
	maxOwner  = 1024
	maxScopes = 4096 // all of them together
	maxLabel  = 256
)

// Record is what is stored of an API key: enough to verify it, not to make it.
// Its times are kept to the millisecond.
type Record struct {
	// ID names the key in logs and in the store. It is part of the key, and
	// not secret.
	ID string `json:"id"`
	// HMAC is the hexadecimal HMAC-SHA256 of the whole key by the pepper.
	HMAC string `json:"hmac"`
	// Pepper is the PepperID of that pepper. Nothing means the current one,
	// whichever that is: such a key does not survive a change of the pepper.
	Pepper string `json:"pepper,omitempty"`
	// Owner is whom the key stands for: the principal's Subject.
	Owner string `json:"owner"`
	// Scopes are those that the key carries.
	Scopes []string `json:"scopes,omitempty"`
	// Label is the owner's note on what the key is for; it decides nothing.
	Label string `json:"label,omitempty"`
	// CreatedAt is when the key was made; zero if nobody noted it.
	CreatedAt time.Time `json:"created_at,omitzero"`
	// ExpiresAt is when the key ends; zero if it does not.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// RevokedAt is when the key was revoked; zero if it was not. A key that
	// has one is refused, also if the time has not come.
	RevokedAt time.Time `json:"revoked_at,omitzero"`
	// RetiresAt is when a key that was rotated ends, ExpiresAt aside.
	RetiresAt time.Time `json:"retires_at,omitzero"`
	// Replaces and ReplacedBy are the ids of the key that this one came for
	// and of the one that came for this one.
	Replaces   string `json:"replaces,omitempty"`
	ReplacedBy string `json:"replaced_by,omitempty"`
	// LastUsedAt is when the key was last accepted, about a minute late; zero
	// if it never was, or if the store does not keep it.
	LastUsedAt time.Time `json:"last_used_at,omitzero"`
}

// State is where a key is in its life.
type State string

// The states. Keys in the first two are accepted.
const (
	Active   State = "active"
	Retiring State = "retiring" // rotated, within its grace period
	Expired  State = "expired"  // its time is over, or its grace period
	Revoked  State = "revoked"
)

// State returns the key's state at a time.
func (r *Record) State(now time.Time) State {
	end := r.End()
	switch {
	case !r.RevokedAt.IsZero():
		return Revoked
	case !end.IsZero() && !now.Before(end):
		return Expired
	case !r.RetiresAt.IsZero():
		return Retiring
	}
	return Active
}

// End returns when the key ends if nobody revokes it: the earlier of ExpiresAt
// and RetiresAt; zero if never.
func (r *Record) End() time.Time {
	if r.ExpiresAt.IsZero() || (!r.RetiresAt.IsZero() && r.RetiresAt.Before(r.ExpiresAt)) {
		return r.RetiresAt
	}
	return r.ExpiresAt
}

// clone returns a copy that shares nothing.
func (r *Record) clone() Record {
	c := *r
	c.Scopes = slices.Clone(r.Scopes)
	return c
}

// Check returns an error if no key can have this record. A store calls it for
// what it is asked to keep.
func (r *Record) Check() error {
	_, err := r.compile("")
	return err
}

// Request says what a new key shall be.
type Request struct {
	// Owner is whom the key stands for. Required.
	Owner string
	// Scopes are those that the key carries, in any order.
	Scopes []string
	// Label is a note on what the key is for.
	Label string
	// ExpiresAt is when the key ends; zero if it does not.
	ExpiresAt time.Time
}

// Mint makes an API key with a random id. The key is shown to its owner once;
// the record is what is stored (see [Registry.Create], which does both).
func Mint(pepper string, q Request) (key string, r Record, err error) {
	p, err := newPepper(pepper)
	if err != nil {
		return "", Record{}, fmt.Errorf("make API key: %w", err)
	}
	var raw [30]byte // 10 for the id, 20 for the secret
	if _, err := rand.Read(raw[:]); err != nil {
		return "", Record{}, fmt.Errorf("make API key: %w", err)
	}
	id := keyEncoding.EncodeToString(raw[:10])
	key = Prefix + id + "_" + keyEncoding.EncodeToString(raw[10:])
	check := keySum(key)
	key += string(check[:])
	sum := p.digest.Text(key)
	r = Record{
		ID: id, HMAC: hex.EncodeToString(sum[:]), Pepper: p.id, Owner: q.Owner, Scopes: sorted(q.Scopes), Label: q.Label,
		CreatedAt: stamp(time.Now()), ExpiresAt: stamp(q.ExpiresAt),
	}
	if err := r.Check(); err != nil {
		return "", Record{}, fmt.Errorf("make API key: %w", err)
	}
	return key, r, nil
}

// stamp returns a time as records have it.
func stamp(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Millisecond)
}

func sorted(scopes []string) []string {
	s := slices.Clone(scopes)
	slices.Sort(s)
	return slices.Compact(s)
}

// known is a record that is ready for verification. It is never modified.
type known struct {
	sum       [sha256.Size]byte
	pepper    string
	revoked   bool
	principal *auth.Principal // its ExpiresAt is the key's End
	entry     *entry          // in a cache; nil in a file
}

// compile checks a record. Its errors hold nothing of it.
func (r *Record) compile(scheme string) (*known, error) {
	k := &known{pepper: r.Pepper, revoked: !r.RevokedAt.IsZero()}
	if !validKeyID(r.ID) {
		return nil, fmt.Errorf("id is not 1 to %d characters a-z and 0-9", maxKeyID)
	}
	sum, err := hex.DecodeString(r.HMAC)
	if err != nil || len(sum) != len(k.sum) {
		return nil, fmt.Errorf("hmac is not %d hexadecimal digits", 2*len(k.sum))
	}
	copy(k.sum[:], sum)
	if r.Owner == "" || len(r.Owner) > maxOwner || !text.Printable(r.Owner) {
		return nil, fmt.Errorf("owner is empty, longer than %d bytes or has control characters", maxOwner)
	}
	if len(r.Label) > maxLabel || !text.Printable(r.Label) {
		return nil, fmt.Errorf("label is longer than %d bytes or has control characters", maxLabel)
	}
	if len(r.Pepper) > maxKeyID || !text.Printable(r.Pepper) {
		return nil, errors.New("pepper is not the id of one")
	}
	for name, id := range map[string]string{"replaces": r.Replaces, "replaced_by": r.ReplacedBy} {
		if id != "" && !validKeyID(id) {
			return nil, fmt.Errorf("%s is not the id of a key", name)
		}
	}
	if len(strings.Join(r.Scopes, " ")) > maxScopes {
		return nil, fmt.Errorf("scopes are longer than %d bytes", maxScopes)
	}
	for _, s := range r.Scopes {
		if !text.Visible(s) {
			return nil, errors.New("a scope is empty or not one word of visible ASCII")
		}
	}
	k.principal = &auth.Principal{
		Subject: r.Owner, Scheme: scheme, CredentialID: r.ID, Scopes: sorted(r.Scopes), ExpiresAt: r.End(),
	}
	return k, nil
}
