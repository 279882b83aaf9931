package codegen

import "github.com/aguada-dev/aguada/policy"

// Design is all that the templates of the production package see: plain data,
// in design order, fit for JSON.
type Design struct {
	// Package is the name of the generated package, Dir its folder,
	// slash-separated, relative to the folder that holds gen/.
	Package, Dir string
	// Imports are the user's generated packages.
	Imports []Import
	// AuthKinds are the kinds of scheme ("Basic", "JWT", …) for which Goa asks
	// an auther, in Goa's spelling, sorted.
	AuthKinds []string
	// Services are those that are mounted.
	Services []Service
	// Contract is everything that the design promises, mounted or not.
	Contract *policy.Contract
}

// Import is an import with its name.
type Import struct{ Name, Path string }

// Service is how one service is built and mounted.
type Service struct {
	// Name is the design's name, GoName its exported Go form, VarName its
	// unexported one.
	Name, GoName, VarName string
	// Package and Server are the import names of the service's package and of
	// its HTTP server; Server is empty where it has none.
	Package, Server string
	// GRPC is how the service's gRPC server is registered; nil where it has
	// none.
	GRPC *Registration
	// Remote is how the service's JSON-RPC server is made; nil where it has none.
	Remote *Remote
	// HasMethods says that there is something for the user to implement.
	HasMethods bool
	// Secured says that NewEndpoints asks for an auther.
	Secured bool
	// Interceptors says that NewEndpoints asks for server interceptors.
	Interceptors bool
	// Fields are what the user provides, in the order of Services.
	Fields []Field
	// Endpoints are those to wrap.
	Endpoints []Endpoint
	// Late are the methods with credentials in the body.
	Late []Late
	// ErrorBodies are the methods with errors of the design's own types.
	ErrorBodies []ErrorBodies
	// Args are the arguments of the server's New after the formatter, as Go
	// expressions.
	Args []string
}

// Registration is how a gRPC server is made and registered.
type Registration struct {
	// Server and Messages are the import names of the server and of what
	// protoc generates.
	Server, Messages string
	// Init and Register are functions of these packages; Args are Init's
	// arguments after the endpoints, as Go expressions.
	Init, Register string
	Args           []string
}

// Remote is how a service's JSON-RPC server is made, and its methods handed over.
type Remote struct {
	// Server is the import name of the server.
	Server string
	// WebSocket says that the server mounts itself, and asks for how connections
	// are configured.
	WebSocket  bool
	Procedures []Procedure
	// ErrorBodies are the methods with errors of the design's own types.
	ErrorBodies []ErrorBodies
}

// Procedure is a method by its design name, its field in the server, and the
// function that makes the decoder of its params; empty for none.
type Procedure struct{ Name, Field, Decoder string }

// Field is one field of the generated Services.
type Field struct {
	Name, Type string
	// Doc completes the sentence "Name …"; empty for a field that needs none.
	Doc string
	// Required says that nil refuses to start.
	Required bool
}

// Endpoint is a method by its design name and its field in Endpoints.
type Endpoint struct{ Name, Field string }

// Late is a method whose body holds credentials.
type Late struct {
	Name string
	// Request is the Go type that the endpoint is given, Payload the selector
	// from it to the payload ("" or ".Payload").
	Request, Payload string
	Credentials      []Credential
}

// Credential is where the payload holds the credential of one scheme.
type Credential struct {
	Scheme string
	// Field is the Go field; Pointer says that it may be nil.
	Field   string
	Pointer bool
}

// ErrorBodies is a method and how its errors of the design's own types become
// bodies: Goa hands them to the formatter instead.
type ErrorBodies struct {
	Name   string
	Bodies []ErrorBody
}

// ErrorBody makes the body of one declared error.
type ErrorBody struct {
	// Error is the design's name of the error, Type its Go type.
	Error, Type string
	// Init is the generated constructor, Arg its argument, where e is the error.
	Init, Arg string
}

// Redaction is all that the redaction template sees: the types of one package.
type Redaction struct {
	// Dir is the package's folder, slash-separated, relative to the folder that
	// holds gen/, Package its name.
	Dir, Package string
	Types        []RedactedType
}

// RedactedType is a type that holds something sensitive.
type RedactedType struct {
	Name string
	// Paths are the paths of package redact; empty where only values of other
	// such types are held.
	Paths []string
	// Stringer says that the type cannot have a method Format, since it has a
	// field of that name.
	Stringer bool
	// LogOnly says that Goa's own code prints values of the type into requests
	// or answers, so that fmt must show them.
	LogOnly bool
}
