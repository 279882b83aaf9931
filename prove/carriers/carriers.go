// Package carriers holds the probes of what carries calls besides plain HTTP:
// gRPC, Server-Sent Events and WebSockets. The questions are those of the other
// families, asked in the terms of each protocol, and are counted among them.
package carriers

import (
	"slices"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/model"
	"github.com/aguada-dev/aguada/prove/probe"
)

type method = *model.Method

// Probes returns the probes of gRPC, SSE and WebSocket.
func Probes() []probe.Probe {
	rpc := slices.Concat(rpcAccess(), rpcTokens(), rpcPayloads(), rpcSurface(), rpcTime(), rpcGuards(), rpcSeen(), rpcDrain())
	for i := range rpc {
		rpc[i].Needs |= lab.GRPC
	}
	return slices.Concat(rpc, serverSent(), webSockets())
}

// describe is short for the description of a probe.
func describe(family finding.Family, code, question, why, fix string, references ...string) finding.Probe {
	return finding.Probe{Code: code, Family: family, Question: question, Why: why, Fix: fix, References: references}
}

// called chooses the methods over gRPC.
func called(m method) bool { return m.GRPC != nil }

// guarded chooses the methods over gRPC that need a credential.
func guarded(m method) bool { return called(m) && len(m.GRPC.Requirements) > 0 }

// unary chooses the methods over gRPC that take and give one message.
func unary(m method) bool { return called(m) && !m.GRPC.Stream() }

// withGRPC omits the probes of the service where it has no gRPC.
func withGRPC(l *lab.Lab) string {
	if !l.Service.GRPC() {
		return "no method over gRPC is known: the contract tells of them, OpenAPI does not"
	}
	return ""
}

// events chooses the methods that answer with Server-Sent Events.
func events(m method) bool { return m.HTTP() && m.Kind == policy.EventStream }

// sockets chooses the methods over WebSockets.
func sockets(m method) bool { return m.HTTP() && m.Kind == policy.WebSocket }
