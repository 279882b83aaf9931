package rpc

import "google.golang.org/grpc/codes"

// names are the codes as the specification writes them.
var names = [...]string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
	"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
}

// Name returns the name of a code as the gRPC specification writes it.
func Name(c codes.Code) string {
	if int(c) < len(names) {
		return names[c]
	}
	return c.String()
}
