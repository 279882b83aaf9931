// Package security attacks the reference service: ordersd, built as it is
// deployed and run as a process, over real sockets.
//
// It holds no code but tests. TestAttacks is a table of cases; each has a
// stable name and says which defence it is about, what is sent, and how that
// has to be refused: the status, the challenge, the name of the error, and that
// the log, the metrics and the audit have the reason, and never the credential.
// What is about credentials is written once, as a request of HTTP, and is sent
// over gRPC, as a call and as both kinds of streams, as Server-Sent Events and as
// the handshake of a WebSocket, too: the verdict is the same, by the table of
// answers of package policy.
//
//	go test -run 'TestAttacks/jwt_alg_none$' .
//
// TestMutations removes one defence after the other from the source of the
// service and expects the case that is about it to fail:
//
//	make mutate
//	AGUADA_MUTATE='lock|jwt_' go test -run 'TestMutations$' -v -timeout 60m .
//
// The second form takes those mutations only whose defence or case fits.
package security
