package auth

import (
	"errors"
	"net/http"
	"time"
)

// Reason says why a call was not authenticated. The set is bounded, so that a
// reason may label a metric.
type Reason string

// The reasons.
const (
	Missing           Reason = "missing"            // no credential of the scheme was presented
	Late              Reason = "late"               // the credential is in a body that is not decoded yet
	Malformed         Reason = "malformed"          // not in the form of the scheme
	Duplicate         Reason = "duplicate"          // presented more than once
	Unknown           Reason = "unknown"            // unknown user or API key, or wrong password
	UnknownKey        Reason = "unknown_key"        // no key of the issuer has the token's key id: not seen yet, gone, or made up
	Expired           Reason = "expired"            // no longer valid
	NotYetValid       Reason = "not_yet_valid"      // nbf or iat lies in the future
	BadSignature      Reason = "bad_signature"      // no key of the set made the signature
	WrongIssuer       Reason = "wrong_issuer"       // iss is not the configured issuer
	WrongAudience     Reason = "wrong_audience"     // aud does not name this service
	WrongType         Reason = "wrong_type"         // typ is not that of an access token
	WrongAlgorithm    Reason = "wrong_algorithm"    // alg is not allowed, or not one of the key's
	InsufficientScope Reason = "insufficient_scope" // authenticated, but lacks a scope
	Unavailable       Reason = "unavailable"        // the verifier cannot decide now
	Locked            Reason = "locked"             // the client has to wait: it guessed too often
)

// Error says that a call was not authenticated or not authorised. Its text is
// for the server's log: it never holds a credential nor any part of one, and is
// not for the caller, who learns the status and the challenges.
type Error struct {
	Reason Reason
	// Scheme is the design's name of the scheme that failed; a [Guard] fills
	// it in.
	Scheme string
	// Principal is the caller who lacks a scope; nil for all other reasons.
	Principal *Principal
	// Account is whose credential it seemed to be, for logs and audit events:
	// the name of an existing user whose password was wrong, the id of an
	// existing key. It is empty where the verifier knows nobody of that name,
	// since people type passwords where names belong.
	Account string
	// RetryAfter is how long a Locked client has to wait.
	RetryAfter time.Duration
	// Err says more; it may be nil.
	Err error

	alt int // position of the alternative that lacks a scope
}

// ErrMissing is what a [Source] may return for a credential that the request
// does not have.
var ErrMissing error = &Error{Reason: Missing}

// ErrDuplicate is what a [Source] may return for a credential that the request
// has more than once.
var ErrDuplicate error = &Error{Reason: Duplicate}

// ErrLate is what a [Source] returns for a credential in a body that is not
// decoded yet, and what [Guard.Check] then returns when that credential decides
// the call. It is an error like any other: a caller that does not know it
// refuses the request.
var ErrLate error = &Error{Reason: Late}

// Error implements error.
func (e *Error) Error() string {
	text := "authenticate: " + string(e.Reason)
	if e.Scheme != "" {
		text = "authenticate by " + e.Scheme + ": " + string(e.Reason)
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Status returns the HTTP status that answers the call: 403 for a missing
// scope, 429 for a client that is locked out, 503 where the verifier could not
// decide, and 401 for all else, reasons unknown to this package included.
func (e *Error) Status() int {
	switch e.Reason {
	case InsufficientScope:
		return http.StatusForbidden
	case Unavailable:
		return http.StatusServiceUnavailable
	case Locked:
		return http.StatusTooManyRequests
	default:
		return http.StatusUnauthorized
	}
}

// Refuse returns an *Error with the given text, which must not hold any part
// of a credential.
func Refuse(r Reason, text string) *Error { return &Error{Reason: r, Err: errors.New(text)} }

// asError returns err as an *Error. What is not one comes from a verifier that
// failed rather than refused: it is unavailable.
func asError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		if e == nil {
			return Refuse(Unavailable, "verifier returned a nil *Error")
		}
		return e
	}
	return &Error{Reason: Unavailable, Err: err}
}
