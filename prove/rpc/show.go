package rpc

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc/metadata"

	"github.com/aguada-dev/aguada/prove/finding"
)

// Show returns a call and its reply as evidence, without credentials.
func (c *Client) Show(name string, md metadata.MD, message []byte, r *Reply) []finding.Evidence {
	var b strings.Builder
	fmt.Fprintf(&b, "call of %s\n%s", name, lines(md))
	if message != nil {
		fmt.Fprintf(&b, "\nmessage %s", Hex(message))
	}
	shown := []finding.Evidence{{Label: "request", Text: c.lab.Mask(b.String())}}
	if r == nil {
		return shown
	}
	text := r.String() + "\n" + lines(r.Header) + lines(r.Trailer)
	if r.Status != nil {
		for _, d := range r.Status.Details() {
			text += fmt.Sprintf("detail %T: %v\n", d, d)
		}
	}
	return append(shown, finding.Evidence{Label: "answer", Text: c.lab.Mask(text)})
}

// lines writes metadata, one value a line. What ends in -bin is no text.
func lines(md metadata.MD) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(md)) {
		for _, v := range md[k] {
			if strings.HasSuffix(k, "-bin") {
				v = fmt.Sprintf("(%d bytes)", len(v))
			}
			fmt.Fprintf(&b, "%s: %s\n", k, v)
		}
	}
	return b.String()
}

// Text is all that the caller is told by the end of a call: message, details and
// metadata.
func (r *Reply) Text() string {
	var b strings.Builder
	if r.Status != nil {
		fmt.Fprintf(&b, "%s\n%v\n", r.Status.Message(), r.Status.Proto())
	}
	b.WriteString(lines(r.Header) + lines(r.Trailer))
	return b.String()
}
