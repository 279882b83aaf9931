package policy

// Answer is one thing that the chassis tells a caller by itself, on every
// transport.
type Answer struct {
	// Name is the error's name in the body, and in upper case the reason of
	// google.rpc.ErrorInfo.
	Name string
	// HTTP is the status code, GRPC the code's name.
	HTTP int
	GRPC string
	// JSONRPC is the error code. Those of the chassis are -32000 less what the
	// HTTP status is above 400, and -32050 less what it is above 500; where
	// JSON-RPC 2.0 has a code of its own, it is that.
	JSONRPC int
	// Message is what the caller is told.
	Message string
	// Temporary says that the same call may succeed later; Timeout that time
	// ran out; Fault that the caller did nothing wrong.
	Temporary, Timeout, Fault bool
	// Meaning is for the documentation: when it is given.
	Meaning string
}

// The answers of the chassis. They are not to be modified.
var (
	Unauthorized = Answer{
		Name: "unauthorized", HTTP: 401, GRPC: "UNAUTHENTICATED", JSONRPC: -32001, Message: "authentication is required",
		Meaning: "No credential, or one that is wrong, expired or revoked. WWW-Authenticate names the schemes (RFC 9110).",
	}
	Forbidden = Answer{
		Name: "forbidden", HTTP: 403, GRPC: "PERMISSION_DENIED", JSONRPC: -32003, Message: "the credential does not allow this call",
		Meaning: "The caller is known and lacks a scope that the method requires.",
	}
	CertificateRefused = Answer{
		Name: "certificate_refused", HTTP: 403, GRPC: "PERMISSION_DENIED", JSONRPC: -32003, Message: "the client certificate names nobody that this service knows",
		Meaning: "The client certificate is trusted, and its holder is nobody to this service, or it has expired meanwhile. Over HTTP the connection is closed.",
	}
	CertificateWithdrawn = Answer{
		Name: "certificate_withdrawn", HTTP: 421, GRPC: "UNAUTHENTICATED", JSONRPC: -32021, Message: "the client certificate is no longer trusted",
		Meaning: "The authority of the client certificate was withdrawn since the connection began. Over HTTP the connection is closed.",
	}
	CrossOrigin = Answer{
		Name: "cross_origin", HTTP: 403, GRPC: "PERMISSION_DENIED", JSONRPC: -32003, Message: "pages of this origin may not make this call",
		Meaning: "A browser asks for a page of another origin, which the design's origins do not name.",
	}
	NotFound = Answer{
		Name: "not_found", HTTP: 404, GRPC: "UNIMPLEMENTED", JSONRPC: -32601, Message: "no such resource",
		Meaning: "There is no such route or method.",
	}
	MethodNotAllowed = Answer{
		Name: "method_not_allowed", HTTP: 405, GRPC: "UNIMPLEMENTED", JSONRPC: -32601, Message: "the resource does not have this method",
		Meaning: "The path exists, with other HTTP methods: Allow names them.",
	}
	BodyTimeout = Answer{
		Name: "body_timeout", HTTP: 408, GRPC: "DEADLINE_EXCEEDED", JSONRPC: -32008, Message: "the request's body did not arrive in time", Timeout: true,
		Meaning: "The body took longer than READ_TIMEOUT or the method's deadline.",
	}
	BodyTooLarge = Answer{
		Name: "body_too_large", HTTP: 413, GRPC: "RESOURCE_EXHAUSTED", JSONRPC: -32013, Message: "the request's body is too large",
		Meaning: "The body, or one message of a stream, is larger than MaxBody.",
	}
	UnsupportedMediaType = Answer{
		Name: "unsupported_media_type", HTTP: 415, GRPC: "INVALID_ARGUMENT", JSONRPC: -32015, Message: "the content type is not accepted",
		Meaning: "The body is of a media type, a charset or a content coding that the method does not take.",
	}
	RateLimited = Answer{
		Name: "rate_limited", HTTP: 429, GRPC: "RESOURCE_EXHAUSTED", JSONRPC: -32029, Message: "too many calls", Temporary: true,
		Meaning: "A RateLimit of the method refuses the call; Retry-After says when to come back.",
	}
	TooManyFailures = Answer{
		Name: "too_many_failures", HTTP: 429, GRPC: "RESOURCE_EXHAUSTED", JSONRPC: -32029, Message: "too many wrong credentials came from this address", Temporary: true,
		Meaning: "The client's address is locked out for a while; Retry-After says how long.",
	}
	TooManyMessages = Answer{
		Name: "too_many_messages", HTTP: 429, GRPC: "RESOURCE_EXHAUSTED", JSONRPC: -32029, Message: "too many messages", Temporary: true,
		Meaning: "The client sends faster on a stream than MessageRate allows. The stream ends.",
	}
	StreamIdled = Answer{
		Name: "stream_idle", HTTP: 408, GRPC: "DEADLINE_EXCEEDED", JSONRPC: -32008, Message: "no message for too long", Timeout: true, Temporary: true,
		Meaning: "No message passed on the stream, either way, for StreamIdle. The stream ends.",
	}
	BadHandshake = Answer{
		Name: "bad_handshake", HTTP: 400, GRPC: "INVALID_ARGUMENT", JSONRPC: -32600, Message: "the WebSocket handshake failed",
		Meaning: "The request is no WebSocket handshake (RFC 6455), or one that cannot be served.",
	}
	KeyMissing = Answer{
		Name: "idempotency_key_missing", HTTP: 400, GRPC: "INVALID_ARGUMENT", JSONRPC: -32000, Message: "the method requires an idempotency key",
		Meaning: "IdempotencyKey is declared with KeyRequired, and the call has no key.",
	}
	KeyMalformed = Answer{
		Name: "idempotency_key_malformed", HTTP: 400, GRPC: "INVALID_ARGUMENT", JSONRPC: -32000, Message: "the idempotency key is malformed",
		Meaning: "The key is there twice, empty, longer than 255 bytes, or not a string of printable ASCII.",
	}
	KeyConflict = Answer{
		Name: "idempotency_conflict", HTTP: 409, GRPC: "ABORTED", JSONRPC: -32009, Message: "a call with this idempotency key is still running", Temporary: true,
		Meaning: "The first call under the key has no answer yet.",
	}
	KeySpent = Answer{
		Name: "idempotency_answer_lost", HTTP: 409, GRPC: "FAILED_PRECONDITION", JSONRPC: -32009, Message: "the call was done, and its answer cannot be given again",
		Meaning: "The answer to the first call under the key was too large to be stored, or was given over another transport. The method is not called again.",
	}
	KeyMismatch = Answer{
		Name: "idempotency_mismatch", HTTP: 422, GRPC: "FAILED_PRECONDITION", JSONRPC: -32022, Message: "the idempotency key was used for another request",
		Meaning: "The key belongs to a call with another payload.",
	}
	KeyUnavailable = Answer{
		Name: "idempotency_unavailable", HTTP: 503, GRPC: "UNAVAILABLE", JSONRPC: -32053, Message: "idempotency keys cannot be looked up now", Temporary: true, Fault: true,
		Meaning: "The store of answers is away. The method was not called, or its answer could not be stored.",
	}
	InternalFault = Answer{
		Name: "fault", HTTP: 500, GRPC: "INTERNAL", JSONRPC: -32603, Message: "internal error", Fault: true,
		Meaning: "A panic, or an error that the design does not declare. Only the log has its text, under the id that the caller gets.",
	}
	TooManyInFlight = Answer{
		Name: "too_many_in_flight", HTTP: 503, GRPC: "UNAVAILABLE", JSONRPC: -32053, Message: "too many calls at once", Temporary: true,
		Meaning: "MaxInFlight calls of the method are running.",
	}
	Overloaded = Answer{
		Name: "overloaded", HTTP: 503, GRPC: "UNAVAILABLE", JSONRPC: -32053, Message: "the service is overloaded", Temporary: true,
		Meaning: "The process has more calls than it can serve in time, and this one is of a priority that has to wait.",
	}
	LimitsUnavailable = Answer{
		Name: "limits_unavailable", HTTP: 503, GRPC: "UNAVAILABLE", JSONRPC: -32053, Message: "calls cannot be counted now", Temporary: true,
		Meaning: "Redis is away, and RATE_LIMIT_ON_OUTAGE=closed.",
	}
	Unavailable = Answer{
		Name: "unavailable", HTTP: 503, GRPC: "UNAVAILABLE", JSONRPC: -32053, Message: "the service is not available now", Temporary: true,
		Meaning: "The process is about to stop, or what proves credentials is away.",
	}
	Canceled = Answer{
		Name: "canceled", HTTP: 503, GRPC: "CANCELLED", JSONRPC: -32053, Message: "the call was canceled", Temporary: true,
		Meaning: "The client left, or the process had to cut the call.",
	}
	DeadlineExceeded = Answer{
		Name: "deadline_exceeded", HTTP: 504, GRPC: "DEADLINE_EXCEEDED", JSONRPC: -32054, Message: "the call took too long", Temporary: true, Timeout: true,
		Meaning: "The method's Deadline, or the caller's, passed.",
	}
)

// Answers are all of them, by HTTP status and name.
var Answers = []*Answer{
	&BadHandshake, &KeyMalformed, &KeyMissing, &Unauthorized, &CertificateRefused, &CrossOrigin, &Forbidden, &NotFound, &MethodNotAllowed,
	&BodyTimeout, &StreamIdled, &KeySpent, &KeyConflict, &BodyTooLarge, &UnsupportedMediaType, &CertificateWithdrawn, &KeyMismatch,
	&RateLimited, &TooManyFailures, &TooManyMessages, &InternalFault, &Canceled, &KeyUnavailable, &LimitsUnavailable, &Overloaded,
	&TooManyInFlight, &Unavailable, &DeadlineExceeded,
}

// ErrorKind is what Goa says about an error by its flags (Fault, Timeout and
// Temporary in the design), and what callers are told where the design names
// no code for it.
type ErrorKind struct {
	Name                      string
	Fault, Timeout, Temporary bool
	HTTP                      int
	GRPC                      string
	JSONRPC                   int
	Meaning                   string
}

// ErrorKinds are in the order in which they are tried; the last one fits all
// others. They are not to be modified.
var ErrorKinds = []ErrorKind{
	{Name: "fault", Fault: true, HTTP: 500, GRPC: "INTERNAL", JSONRPC: -32603, Meaning: "Declared with Fault. The text is in the log only."},
	{Name: "temporary timeout", Timeout: true, Temporary: true, HTTP: 504, GRPC: "DEADLINE_EXCEEDED", JSONRPC: -32054, Meaning: "Declared with Timeout and Temporary."},
	{Name: "timeout", Timeout: true, HTTP: 408, GRPC: "DEADLINE_EXCEEDED", JSONRPC: -32008, Meaning: "Declared with Timeout."},
	{Name: "temporary", Temporary: true, HTTP: 503, GRPC: "UNAVAILABLE", JSONRPC: -32053, Meaning: "Declared with Temporary."},
	{Name: "validation and others", HTTP: 400, GRPC: "INVALID_ARGUMENT", JSONRPC: -32602, Meaning: "A payload that cannot be decoded or breaks a constraint of the design, and errors without flags and without a code of the design."},
}
