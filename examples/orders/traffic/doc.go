// Package traffic puts the reference service under the traffic that it is made
// for: ordersd, built as it is deployed and run as processes, over real sockets.
//
// It holds no code but tests. They kill a replica with SIGKILL while clients
// repeat their orders under idempotency keys, stop one with SIGTERM while
// streams of all kinds are open and calls come in, use clients that others
// wrote, and open thousands of streams.
//
//	go test -v .                               # in less than a minute
//	AGUADA_LONG=1 go test -v -timeout 20m .    # in full
//
// PostgreSQL, grpcurl, ghz and wrk have to be there where CI is set; elsewhere,
// tests that miss one are skipped and say so. make tools installs what Debian
// has not.
package traffic
