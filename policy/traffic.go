package policy

// Priority says which calls are refused first while the process is overloaded.
type Priority string

// The priorities of calls. Health probes and the private port are never
// refused.
const (
	HighPriority   Priority = "high"
	NormalPriority Priority = "normal" // of methods that declare none
	LowPriority    Priority = "low"
)

// Idempotency makes a method safe to be called again under the same key
// (draft-ietf-httpapi-idempotency-key-header-07): the first call's answer is
// stored, and given to the later ones.
type Idempotency struct {
	// Header is the canonical header that holds the key; over gRPC, the
	// metadata key is the same in lower case.
	Header string `json:"header"`
	// Keep is how long an answer is stored, at least one second.
	Keep Duration `json:"keep"`
	// Wait is how long a call waits for the first one under its key, which is
	// still running; 0 refuses it at once.
	Wait Duration `json:"wait,omitempty"`
	// Required refuses calls without a key; otherwise they are served as if the
	// method had none.
	Required bool `json:"required,omitempty"`
	// Credentials are the payload's fields, named in Go, that hold credentials.
	// They do not tell requests apart: a client may renew its token between
	// two attempts.
	Credentials []string `json:"credentials,omitempty"`
}

// Replayed is the header, "true", of an answer that was given before.
const Replayed = "Idempotency-Replayed"

// MessageRate bounds how often a client may send on one stream. A client that
// sends faster ends its stream.
type MessageRate struct {
	// Rate is how many messages may come in Per; at least 1.
	Rate int `json:"rate"`
	// Per is in whole seconds, at least one.
	Per Duration `json:"per"`
	// Burst is how many may come at once after a pause; at least 1.
	Burst int `json:"burst"`
}

// GRPC is how a method is called over gRPC.
type GRPC struct {
	// Method is the full name, "package.Service/Method".
	Method string `json:"method"`
	// ClientStream and ServerStream say who sends a stream of messages.
	ClientStream bool `json:"client_stream,omitempty"`
	ServerStream bool `json:"server_stream,omitempty"`
	// Requirements are those of the method with the places of credentials in
	// metadata.
	Requirements []Requirement `json:"requirements,omitempty"`
}

// Stream reports whether either side sends a stream of messages.
func (g *GRPC) Stream() bool { return g.ClientStream || g.ServerStream }

// JSONRPC is how a method is called over JSON-RPC 2.0. The methods of a service
// share their route.
type JSONRPC struct {
	// Method is what requests name.
	Method string `json:"method"`
	Route  Route  `json:"route"`
	// Kind is Unary, EventStream or WebSocket. A route with WebSockets has no
	// others.
	Kind Kind `json:"kind"`
	// Requirements are those of the method with the places of credentials in the
	// request that carries the call; InBody is in its params.
	Requirements []Requirement `json:"requirements,omitempty"`
	// HasParams says that the design reads params.
	HasParams bool `json:"has_params,omitempty"`
	// RequestHeaders are the headers that the design reads, as in Method.
	RequestHeaders []string `json:"request_headers,omitempty"`
	// Errors are the codes of the errors that the design declares, by name.
	Errors map[string]int `json:"errors,omitempty"`
}

// MaxBatch is how many calls one JSON-RPC request may hold.
const MaxBatch = 100

// Late reports whether a credential is known only once the params are decoded.
func (j *JSONRPC) Late() bool { return late(j.Requirements) }
