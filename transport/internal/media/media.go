// Package media knows in which form the body of a request is, and in which one
// that of an answer ought to be: content negotiation (RFC 9110, section 12).
//
//	offers := media.Offers(m.Produces)
//	kind, why := media.Consumed(r.Header["Content-Type"], m.Consumes) // why not, or ""
//	offer := media.Negotiate(offers, r.Header["Accept"])
//
// It neither decodes nor encodes.
package media

import (
	"mime"
	"net/http"
	"slices"
	"strings"
)

// Kind is how a body is encoded.
type Kind uint8

// The zero Kind is JSON.
const (
	JSON  Kind = iota
	Other      // as the media type says
)

// The types of JSON bodies.
const (
	TypeJSON    = "application/json"
	TypeProblem = "application/problem+json" // RFC 9457
)

// KindOf returns the kind of a media type without parameters.
func KindOf(media string) Kind {
	if isJSON(media) {
		return JSON
	}
	return Other
}

func isJSON(media string) bool { return media == TypeJSON || strings.HasSuffix(media, "+json") }

// Compressed reports whether a request says that its body is encoded once more.
func Compressed(request http.Header) bool {
	coding := request["Content-Encoding"]
	return len(coding) > 0 && !(len(coding) == 1 && strings.EqualFold(coding[0], "identity"))
}

// Consumed returns the kind of a request's body by the values of its Content-Type,
// or why a method that consumes such types and ranges does not take it. A body
// without a type is JSON.
func Consumed(contentType, consumes []string) (k Kind, why string) {
	media := TypeJSON
	switch {
	case len(contentType) > 1:
		return 0, "there is more than one content type"
	case len(contentType) == 1 && contentType[0] != TypeJSON:
		var params map[string]string
		var err error
		if media, params, err = mime.ParseMediaType(contentType[0]); err != nil {
			return 0, "the content type is malformed"
		}
		if charset := params["charset"]; isJSON(media) && charset != "" &&
			!strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "us-ascii") {
			return 0, "the charset is not utf-8"
		}
	}
	if !consumed(consumes, media) {
		return 0, "the content type is not accepted"
	}
	return KindOf(media), ""
}

// consumed reports whether a list of media types and ranges covers a type; one
// that has application/json covers application/*+json.
func consumed(consumes []string, media string) bool {
	if strings.HasPrefix(media, "application/") && isJSON(media) && slices.Contains(consumes, TypeJSON) {
		return true
	}
	return slices.ContainsFunc(consumes, func(accepted string) bool { return fits(accepted, media) > 0 })
}
