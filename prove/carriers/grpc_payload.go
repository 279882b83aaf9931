package carriers

import (
	"bytes"
	"context"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/rpc"
)

func rpcPayloads() []probe.Probe {
	return []probe.Probe{rpcTooLarge, rpcBomb, rpcConstraint, rpcUndecodable, rpcText, rpcErrorInfo}
}

// limit is the largest message that the method takes.
func limit(m method) int {
	if m.MaxBody > 0 {
		return int(m.MaxBody)
	}
	return int(policy.DefaultMaxBody)
}

// padded returns a message with a field that nobody knows, of n bytes.
func padded(message []byte, n int) []byte {
	const unknown = 2047
	b := protowire.AppendTag(bytes.Clone(message), unknown, protowire.BytesType)
	return protowire.AppendBytes(b, make([]byte, n))
}

// sized chooses the methods whose limit is known, and small enough to be tried.
func sized(m method) bool { return called(m) && limit(m) <= 64<<20 }

var rpcTooLarge = probe.Probe{
	Probe: describe(finding.Input, "grpc.too-large", "Is a message larger than the method's limit refused with RESOURCE_EXHAUSTED?",
		"Without a limit of its own a method takes as much as the largest of all may, for as many callers as come.",
		"Declare MaxBody, or bound messages with grpc.MaxRecvMsgSize.",
		"gRPC status codes", "CWE-770", "OWASP API4:2023"),
	Each: sized,
	Run: with(func(ctx context.Context, k *call) finding.Outcome {
		n := limit(k.t.Method)
		k.message = padded(k.message, n)
		o := k.refused(ctx, codes.ResourceExhausted)
		if o.Verdict == finding.Pass {
			return probe.Pass("RESOURCE_EXHAUSTED for %d bytes", len(k.message))
		}
		return o
	}),
}

var rpcBomb = probe.Probe{
	Probe: describe(finding.Input, "grpc.bomb", "Is a compressed message refused that is too large once it is unpacked?",
		"A few KiB that become gigabytes: whoever counts only what comes over the wire runs out of memory.",
		"Bound messages by their size after decompression.",
		"CWE-409", "OWASP API4:2023"),
	Each: sized,
	Run: with(func(ctx context.Context, k *call) finding.Outcome {
		k.message = padded(k.message, max(16<<20, 4*limit(k.t.Method)))
		r := k.refusal(ctx, k.md, k.message, grpc.UseCompressor(gzip.Name))
		// A service that takes no compression at all says so.
		if c := r.Status.Code(); r.Open || c != codes.ResourceExhausted && c != codes.Unimplemented {
			return k.fail(r, "%d MiB, packed into a few KiB, end with %s, not RESOURCE_EXHAUSTED", len(k.message)>>20, r)
		}
		return probe.Pass("%s for %d MiB", rpc.Name(r.Status.Code()), len(k.message)>>20)
	}),
}

// undecodable are bytes that are no message of any type.
var undecodable = []struct {
	name  string
	bytes []byte
}{
	{"bytes that are no field", []byte{0xff, 0xff, 0xff}},
	{"a field that ends too early", []byte{0x0a, 0x7f, 'x'}},
	{"a field with the number 0", []byte{0x02, 0x01, 'x'}},
	{"a group that does not end", []byte{0x0b}},
	{"a number of eleven bytes", bytes.Repeat([]byte{0x80}, 11)},
	{"JSON", []byte(`{"id":"x"}`)},
	{"a length of more than is there", []byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f}},
	{"ten thousand groups in each other", bytes.Repeat([]byte{0x0b}, 10_000)},
}

// garbled returns, of a message type, a text that is not UTF-8 in its first field
// of text; nil where it has none.
func garbled(d protoreflect.MessageDescriptor) []byte {
	for i := range d.Fields().Len() {
		if f := d.Fields().Get(i); f.Kind() == protoreflect.StringKind && !f.IsMap() && f.Syntax() == protoreflect.Proto3 {
			return protowire.AppendBytes(protowire.AppendTag(nil, f.Number(), protowire.BytesType), []byte("x\xff\xfe"))
		}
	}
	return nil
}

var rpcUndecodable = probe.Probe{
	Probe: describe(finding.Input, "grpc.undecodable", "Is a message that cannot be decoded refused with INVALID_ARGUMENT?",
		"INTERNAL says that the service is at fault: alarms ring, clients try again, and nobody finds anything.",
		"Answer INVALID_ARGUMENT to a message that is malformed, also where its text is not UTF-8.",
		"gRPC status codes", "Protocol Buffers encoding", "CWE-20"),
	Each: called,
	Run: with(func(ctx context.Context, k *call) finding.Outcome {
		tried := 0
		d, err := k.Method(ctx, k.t.Method)
		if err != nil {
			return probe.Skip("%v", err)
		}
		try := func(name string, message []byte) *finding.Outcome {
			tried++
			k.message = message
			if o := k.refused(ctx, codes.InvalidArgument); o.Verdict != finding.Pass {
				o.Detail = name + ": " + o.Detail
				return &o
			}
			return nil
		}
		for _, bad := range undecodable {
			if len(bad.bytes) > limit(k.t.Method) {
				continue
			}
			if o := try(bad.name, bad.bytes); o != nil {
				return *o
			}
		}
		if message := garbled(d.Input()); message != nil {
			if o := try("a text that is not UTF-8", message); o != nil {
				return *o
			}
		}
		return probe.Pass("%d kinds, each INVALID_ARGUMENT", tried)
	}),
}

// mistake is a call that was refused.
type mistake struct {
	what  string
	reply *rpc.Reply
}

// mistakes are calls whose statuses are looked at: a stranger's, one whose message
// is none, and, where the schema allows, one that breaks a constraint. That a
// message is too large is said by gRPC's libraries themselves.
func (k *call) mistakes(ctx context.Context) []mistake {
	var all []mistake
	m := k.t.Method
	try := func(what string, md metadata.MD, message []byte) {
		all = append(all, mistake{what, k.refusal(ctx, md, message)})
	}
	if guarded(m) {
		try("without credentials", nil, k.message)
	}
	try("with a message that is none", k.md, undecodable[0].bytes)
	if d, err := k.Method(ctx, m); err == nil {
		if message := garbled(d.Input()); message != nil {
			try("with a text that is not UTF-8", k.md, message)
		}
	}
	if broken, err := k.broken(ctx); err == nil && len(broken) > 0 {
		try("with "+broken[0].name, k.md, broken[0].message)
	}
	return all
}

var rpcText = probe.Probe{
	Probe: describe(finding.Input, "grpc.status-text", "Does no status tell what the service is written in, or how it decodes?",
		"The words of a decoder, or of an error that was meant for a log, show strangers the inside of the service, and help nobody who calls it.",
		"Map errors to statuses with texts of their own; keep what went wrong for the log.",
		"CWE-209", "OWASP API8:2023"),
	Each: called,
	Run: with(func(ctx context.Context, k *call) finding.Outcome {
		all := k.mistakes(ctx)
		for _, x := range all {
			if tell := untold(x.reply.Status.Message()); tell != "" {
				return k.fail(x.reply, "%s the status says %q", x.what, tell)
			}
		}
		return probe.Pass("%d kinds of mistakes", len(all))
	}),
}

var rpcErrorInfo = probe.Probe{
	Probe: describe(finding.Input, "grpc.error-info", "Does each refusal say by google.rpc.ErrorInfo why?",
		"A code alone says too little to act on, and texts are for people: clients that parse them break with the next release.",
		"Add google.rpc.ErrorInfo, with a reason and a domain, to the status of every error.",
		"AIP-193", "google.rpc error model"),
	Each: called,
	Omit: func(l *lab.Lab) string {
		if !l.Service.Contracted {
			return "nothing is promised of the details of errors"
		}
		return ""
	},
	Run: with(func(ctx context.Context, k *call) finding.Outcome {
		all := k.mistakes(ctx)
		for _, x := range all {
			if because(x.reply) == "" {
				return k.fail(x.reply, "%s the status has no google.rpc.ErrorInfo with reason and domain", x.what)
			}
		}
		return probe.Pass("%d kinds of mistakes", len(all))
	}),
}

// because is the reason of a status.
func because(r *rpc.Reply) string {
	for _, d := range r.Status.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() != "" {
			return strings.TrimSpace(info.GetReason())
		}
	}
	return ""
}
