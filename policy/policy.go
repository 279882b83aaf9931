// Package policy is the operational contract of a Goa service as plain data.
//
// The generator emits one [Contract] per design, twice: as Go literals in
// gen/production/production.go, which the runtime enforces, and as JSON in
// gen/production/contract.json, which tools read. Both forms hold the same
// facts, after inheritance and with every default filled in, so a reader never
// has to know the rules of the design language.
//
//	m := policy.Method{
//		Service: "orders", Name: "create", Access: policy.Secured,
//		Routes:   []policy.Route{{Verb: "POST", Pattern: "/orders"}},
//		Deadline: policy.Duration(5 * time.Second), MaxBody: 1 << 20,
//	}
//
// The package holds no behaviour beyond reading and printing the data: what a
// policy means is decided where it is enforced.
package policy

import (
	"fmt"
	"time"
)

// Defaults that the generator fills in where a design declares nothing.
const (
	// DefaultDeadline bounds a unary call. Streams have no default deadline.
	DefaultDeadline = Duration(30 * time.Second)
	// DefaultMaxBody is the largest request body, in bytes.
	DefaultMaxBody int64 = 1 << 20
)

// Contract is what one design promises.
type Contract struct {
	// SchemaURI names the JSON Schema of the document (its $id).
	SchemaURI string `json:"$schema"`
	// Generator is the version of Aguada that wrote the document.
	Generator string `json:"generator"`
	// API identifies the design.
	API API `json:"api"`
	// Source says what the document was generated from; nil when the design's
	// files could not be found.
	Source *Source `json:"source,omitempty"`
	// Schemes are the security schemes that some method uses, sorted by name.
	Schemes []Scheme `json:"schemes"`
	// Services are in design order.
	Services []Service `json:"services"`
}

// CORS says which pages of other origins may call a method, and read its
// answers (the fetch standard's CORS protocol).
type CORS struct {
	// Origins are compared byte by byte, as browsers write them (see
	// [CheckOrigin]); the one element "*" stands for any.
	Origins []string `json:"origins"`
	// Credentials lets the pages use what a browser adds to requests by
	// itself: cookies, remembered Basic credentials, client certificates.
	Credentials bool `json:"credentials,omitempty"`
}

// API identifies a design.
type API struct {
	Name    string `json:"name"`
	Title   string `json:"title,omitempty"`
	Version string `json:"version,omitempty"`
}

// Source identifies the design files behind a contract, so that a tool can
// tell whether it is stale.
type Source struct {
	// Dir is the design package's folder, slash-separated, relative to the
	// folder that holds gen/.
	Dir string `json:"dir"`
	// SHA256 is the hexadecimal digest of the folder's Go files (see
	// codegen.HashDir).
	SHA256 string `json:"sha256"`
}

// Service is one service of the design.
type Service struct {
	Name string `json:"name"`
	// DependsOn names the checks that must pass before the service is ready.
	DependsOn []string `json:"depends_on,omitempty"`
	// Methods are in design order; file servers, redirects and the routes
	// that other plugins mount follow, told apart by Kind.
	Methods []Method `json:"methods"`
}

// Method is the policy of one method. Values are effective: inheritance is
// resolved and defaults are filled in.
type Method struct {
	Service string `json:"service"`
	Name    string `json:"name"`
	Kind    Kind   `json:"kind"`
	// Routes are where the method is mounted over HTTP; empty for a method that
	// is called over gRPC or JSON-RPC alone. No two methods share a route.
	Routes []Route `json:"routes"`
	// Access says how the method came to be open or closed.
	Access Access `json:"access"`
	// Requirements are security alternatives: satisfying any one of them
	// suffices. Empty unless Access is Secured and the method has routes.
	Requirements []Requirement `json:"requirements,omitempty"`
	// Deadline bounds a call; 0 means none.
	Deadline Duration `json:"deadline"`
	// MaxBody is the largest request body in bytes; 0 means DefaultMaxBody.
	MaxBody int64 `json:"max_body"`
	// MaxInFlight bounds the calls running at once in one process; 0 means
	// no bound.
	MaxInFlight int `json:"max_in_flight,omitempty"`
	// RateLimits bound how often the method may be called, in design order; none
	// means no bound.
	RateLimits []RateLimit `json:"rate_limits,omitempty"`
	// ShedPriority says how early calls are refused while the process is
	// overloaded; "" means NormalPriority.
	ShedPriority Priority `json:"shed_priority,omitempty"`
	// Idempotency makes the method safe to call again; nil does not.
	Idempotency *Idempotency `json:"idempotency,omitempty"`
	// StreamIdle ends a stream on which no message passed, either way, for so
	// long; 0 means never.
	StreamIdle Duration `json:"stream_idle,omitempty"`
	// MessageRate bounds what a client may send on a stream; nil does not. No
	// message is larger than MaxBody.
	MessageRate *MessageRate `json:"message_rate,omitempty"`
	// GRPC is how the method is called over gRPC; nil where it is not.
	GRPC *GRPC `json:"grpc,omitempty"`
	// JSONRPC is how the method is called over JSON-RPC; nil where it is not.
	JSONRPC *JSONRPC `json:"jsonrpc,omitempty"`
	// Audit asks for an audit event per call.
	Audit bool `json:"audit,omitempty"`
	// HasBody says that the design maps part of the payload to the body.
	HasBody bool `json:"has_body,omitempty"`
	// HasResult says that the method returns a value, which must not be nil.
	HasResult bool `json:"has_result,omitempty"`
	// Consumes lists the media types accepted in a request body; "*/*" where
	// the method reads the raw body.
	Consumes []string `json:"consumes,omitempty"`
	// Produces lists the media types of answers, most preferred first.
	Produces []string `json:"produces,omitempty"`
	// StrictBody refuses JSON bodies with members that the design does not
	// name, in its spelling, or with a member twice.
	StrictBody bool `json:"strict_body,omitempty"`
	// Sensitive are the places in the JSON body whose values nobody may log or
	// show, as JSON pointers (RFC 6901) with "*" for every item of a list and
	// every member of a map: "/card", "/cards/*/number".
	Sensitive []string `json:"sensitive,omitempty"`
	// CORS says which pages of other origins may call; nil for none.
	CORS *CORS `json:"cors,omitempty"`
	// RequestHeaders are the headers that the design reads, those of
	// credentials included, and ResponseHeaders those that it writes; both
	// canonical and sorted, without Content-Type and Cookie, Set-Cookie.
	RequestHeaders  []string `json:"request_headers,omitempty"`
	ResponseHeaders []string `json:"response_headers,omitempty"`
	// Example is a request that the design's examples make up; nil for a
	// method that is not unary.
	Example *Example `json:"example,omitempty"`
}

// Route is one HTTP route, with Goa's pattern syntax ({name}, {*name}).
type Route struct {
	Verb    string `json:"verb"`
	Pattern string `json:"pattern"`
}

// Example is a well-formed request. Credentials are left out of it.
type Example struct {
	// Verb and Path (with its query) address the request.
	Verb string `json:"verb"`
	Path string `json:"path"`
	// Header holds the headers that the payload needs.
	Header map[string]string `json:"header,omitempty"`
	// Body is the JSON body; nil for none.
	Body any `json:"body,omitempty"`
	// Status is the status code of the first success response.
	Status int `json:"status"`
}

// Kind tells what a route leads to.
type Kind string

// The kinds of a method.
const (
	Unary       Kind = "unary"
	WebSocket   Kind = "websocket"   // a stream over a WebSocket
	EventStream Kind = "eventstream" // Server-Sent Events
	Stream      Kind = "stream"      // a stream over gRPC or JSON-RPC alone, without routes
	Files       Kind = "files"       // Goa's file server
	Redirect    Kind = "redirect"
	Preflight   Kind = "preflight" // CORS OPTIONS, mounted by a plugin
)

// Stream reports whether calls of this kind may outlive the server's write
// timeout.
func (k Kind) Stream() bool { return k == WebSocket || k == EventStream }

// Access says how a method came to be open or closed.
type Access string

// The ways of access.
const (
	// Secured methods need one of their Requirements.
	Secured Access = "secured"
	// Public methods are open by NoSecurity, or by their kind.
	Public Access = "public"
	// Undeclared methods are open because the design says nothing.
	Undeclared Access = "undeclared"
)

// Requirement is satisfied when every one of Schemes is.
type Requirement struct {
	Schemes []Use `json:"schemes"`
	// Scopes must be held by the principal of each scheme that declares them.
	Scopes []string `json:"scopes,omitempty"`
}

// Use is a scheme as one method uses it.
type Use struct {
	// Scheme is the name of a Scheme of the contract.
	Scheme string `json:"scheme"`
	// In is where the credential is found.
	In In `json:"in"`
	// Name is the header, query parameter, cookie, path wildcard or body
	// field, or the metadata key that holds it.
	Name string `json:"name"`
	// Password is the metadata key of the password where Name is that of the
	// user name, as Goa has it for Basic over gRPC; empty elsewhere.
	Password string `json:"password,omitempty"`
}

// In is the place of a credential in a request.
type In string

// The places of a credential. A credential in the body can be verified only
// after decoding: the requirement is late.
const (
	InHeader In = "header"
	InQuery  In = "query"
	InCookie In = "cookie"
	InPath   In = "path"
	InBody   In = "body"
	// InMetadata is gRPC's; the key is in lower case.
	InMetadata In = "metadata"
)

// Late reports whether a credential of the method is known only once its body
// is decoded.
func (m *Method) Late() bool { return late(m.Requirements) }

func late(requirements []Requirement) bool {
	for _, r := range requirements {
		for _, u := range r.Schemes {
			if u.In == InBody {
				return true
			}
		}
	}
	return false
}

// Scheme is a security scheme of the design.
type Scheme struct {
	Name string     `json:"name"`
	Kind SchemeKind `json:"kind"`
	// Scopes are those that the scheme declares, sorted.
	Scopes []string `json:"scopes,omitempty"`
	// ScopeDescriptions says in words what each scope allows; scopes that the
	// design does not describe are not in it.
	ScopeDescriptions map[string]string `json:"scope_descriptions,omitempty"`
	// Flows are the OAuth2 flows, in design order. URLs are as in the design,
	// which may leave the host to the deployment ("/token").
	Flows []Flow `json:"flows,omitempty"`
}

// Flow is an OAuth2 flow of a scheme (RFC 6749).
type Flow struct {
	// Type is "authorization_code", "implicit", "password" or
	// "client_credentials".
	Type             string `json:"type"`
	AuthorizationURL string `json:"authorization_url,omitempty"`
	TokenURL         string `json:"token_url,omitempty"`
	RefreshURL       string `json:"refresh_url,omitempty"`
}

// SchemeKind is Goa's kind of a security scheme.
type SchemeKind string

// The kinds of scheme.
const (
	Basic  SchemeKind = "basic"
	APIKey SchemeKind = "api_key"
	JWT    SchemeKind = "jwt"
	OAuth2 SchemeKind = "oauth2"
	Bearer SchemeKind = "bearer"
)

// Duration is a time.Duration that is written as text ("5s") in JSON.
type Duration time.Duration

// MarshalText writes the duration as time.Duration does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration accepts, negatives excepted.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return err
	}
	if v < 0 {
		return fmt.Errorf("negative duration %s", v)
	}
	*d = Duration(v)
	return nil
}
