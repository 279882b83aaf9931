package telemetry

import (
	enchex "encoding/hex"
	"strings"

	"go.opentelemetry.io/otel/trace"
)

// traceParent is the length of a traceparent header of version 00.
const traceParent = 55

// maxTraceState is the longest tracestate that is passed on, in bytes.
const maxTraceState = 512

// ParseTraceParent reads a traceparent header (W3C Trace Context, level 2). Of
// a later version it reads what version 00 has. It allocates nothing.
func ParseTraceParent(s string) (trace.SpanContext, bool) {
	var none trace.SpanContext
	if len(s) < traceParent || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return none, false
	}
	var version, flags [1]byte
	var c trace.SpanContextConfig
	if !unhex(version[:], s[:2]) || !unhex(c.TraceID[:], s[3:35]) || !unhex(c.SpanID[:], s[36:52]) || !unhex(flags[:], s[53:55]) {
		return none, false
	}
	switch {
	case version[0] == 0xff, version[0] == 0 && len(s) != traceParent, len(s) > traceParent && s[traceParent] != '-':
		return none, false
	}
	c.TraceFlags = trace.TraceFlags(flags[0]) & (trace.FlagsSampled | trace.FlagsRandom)
	c.Remote = true
	sc := trace.NewSpanContext(c)
	return sc, sc.IsValid()
}

// unhex decodes lower-case hexadecimal digits, the only ones that are allowed.
func unhex(dst []byte, s string) bool {
	for i := range dst {
		hi, lo := nibble(s[2*i]), nibble(s[2*i+1])
		if hi|lo > 0xf {
			return false
		}
		dst[i] = hi<<4 | lo
	}
	return true
}

func nibble(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}

// AppendTraceParent appends the traceparent header that carries sc on.
func AppendTraceParent(b []byte, sc trace.SpanContext) []byte {
	id, span := sc.TraceID(), sc.SpanID()
	b = append(b, '0', '0', '-')
	b = append(appendHex(b, id[:]), '-')
	b = append(appendHex(b, span[:]), '-')
	return appendHex(b, []byte{byte(sc.TraceFlags())})
}

func appendHex(b []byte, src []byte) []byte { return enchex.AppendEncode(b, src) }

// remoteParent is the span that a request continues; not valid when it begins
// a trace of its own. A tracestate that is not one is dropped, which the trace
// survives.
func remoteParent(parents, states []string) trace.SpanContext {
	if len(parents) != 1 {
		return trace.SpanContext{}
	}
	sc, ok := ParseTraceParent(parents[0])
	if !ok {
		return trace.SpanContext{}
	}
	if state, err := trace.ParseTraceState(traceState(states)); err == nil {
		sc = sc.WithTraceState(state)
	}
	return sc
}

// traceState joins the headers, which are a list; one that is too long is none.
func traceState(lines []string) string {
	n := 0
	for _, line := range lines {
		n += len(line) + 1
	}
	switch {
	case n == 0 || n > maxTraceState+1:
		return ""
	case len(lines) == 1:
		return lines[0]
	}
	return strings.Join(lines, ",")
}
