//go:build linux

package traffic

import (
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"
)

// reasonOf returns the reason that the service gives for an error of gRPC, and
// when to try again. An error that the client made up itself has no reason.
func reasonOf(err error) (reason string, wait time.Duration) {
	for _, d := range status.Convert(err).Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			reason = d.Reason
		case *errdetails.RetryInfo:
			wait = d.RetryDelay.AsDuration()
		}
	}
	return reason, wait
}
