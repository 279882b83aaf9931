package transport

import (
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/aguada-dev/aguada/policy"
)

// mediaKind is how a body is encoded.
type mediaKind uint8

const (
	mediaJSON mediaKind = iota
	mediaOther
)

const (
	typeJSON    = "application/json"
	typeProblem = "application/problem+json"
)

// offer is a media type that an answer may have by negotiation. A type that the
// design fixes for a response comes with the response instead.
type offer struct {
	media  string
	kind   mediaKind
	header []string // Content-Type, shared
}

// negotiable are the types that Goa's encoder knows, without text/html: what an
// error says shall not be markup because a browser asked for it.
var negotiable = []string{typeJSON, "application/xml", "application/gob", "text/plain"}

func compileOffers(produces []string) []offer {
	var offers []offer
	for _, p := range produces {
		media, _, err := mime.ParseMediaType(p)
		if err == nil && slices.Contains(negotiable, media) {
			offers = append(offers, offer{media: media, kind: kindOf(media), header: []string{media}})
		}
	}
	if len(offers) == 0 {
		offers = []offer{{typeJSON, mediaJSON, []string{typeJSON}}}
	}
	return offers
}

func kindOf(media string) mediaKind {
	if isJSON(media) {
		return mediaJSON
	}
	return mediaOther
}

func isJSON(media string) bool { return media == typeJSON || strings.HasSuffix(media, "+json") }

// negotiate returns the offer that an Accept header prefers (RFC 9110,
// 12.5.1); of equals the earlier one. If it accepts none, it gets the first,
// as in Goa: an answer in an unwanted form beats none.
func negotiate(offers []offer, accept []string) *offer {
	first := &offers[0]
	if len(accept) == 0 || len(offers) == 1 {
		return first
	}
	if len(accept) == 1 && (varyOn[0] == first.media || varyOn[0] == "*/*") {
		return first
	}
	best, bestQ := first, 0
	for i := range offers {
		if q := quality(accept, offers[i].media); q > bestQ {
			best, bestQ = &offers[i], q
		}
	}
	return best
}

// varyAccept tells caches that the answer depends on the Accept header.
func varyAccept(header http.Header) {
	if len(header["Vary"]) == 0 {
		header["Vary"] = varyOn
	} else if v := header["Vary"]; len(v) == 1 && v[0] == varyOrigin[0] {
		header["Vary"] = varyOriginAccept[:2:2]
	} else if !slices.Contains(header["Vary"], varyOn[0]) {
		header.Add("Vary", varyOn[0])
	}
}

// quality returns the weight, in thousandths, that an Accept header gives to a
// media type by its most specific range.
func quality(accept []string, media string) int {
	quality, specific := 0, 0
	for _, line := range accept {
		for line != "" {
			var item string
			item, line, _ = strings.Cut(line, ",")
			name, params, _ := strings.Cut(item, ";")
			if s := fits(strings.TrimSpace(name), media); s > specific {
				quality, specific = weight(params), s
			}
		}
	}
	return quality
}

// fits tells how specifically a media range covers a type; 0 if not at all.
func fits(accepted, media string) int {
	switch {
	case strings.EqualFold(accepted, media):
		return 3
	case accepted == "*/*":
		return 1
	}
	if prefix, ok := strings.CutSuffix(accepted, "/*"); ok && len(media) > len(prefix) &&
		media[len(prefix)] == '/' && strings.EqualFold(media[:len(prefix)], prefix) {
		return 2
	}
	return 0
}

// weight reads the q parameter; a malformed one is no wish.
func weight(params string) int {
	for params != "" {
		var p string
		p, params, _ = strings.Cut(params, ";")
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if !strings.EqualFold(name, "q") {
			continue
		}
		q, err := strconv.ParseFloat(value, 64)
		if err != nil || !(q >= 0 && q <= 1) {
			return 0
		}
		return int(q * 1000)
	}
	return 1000
}

// acceptsProblem reports whether a client names the problem type itself.
func acceptsProblem(h http.Header) bool {
	for _, line := range h["Accept"] {
		for line != "" {
			var item string
			item, line, _ = strings.Cut(line, ",")
			name, params, _ := strings.Cut(item, ";")
			if strings.EqualFold(strings.TrimSpace(name), typeProblem) {
				return weight(params) > 0
			}
		}
	}
	return false
}

// checkMedia refuses a body in a form that the design does not consume. A body
// without a type is JSON.
func (c *call) checkMedia() *refused {
	if c.m.consumes[0] == "*/*" { // the method reads the raw body
		return nil
	}
	if coding := c.req.Header["Content-Encoding"]; len(coding) > 0 && !(len(coding) == 1 && strings.EqualFold(coding[0], "identity")) {
		c.w.Header()["Accept-Encoding"] = []string{"identity"}
		return unsupportedMedia("compressed bodies are not accepted")
	}
	values := c.req.Header["Content-Type"]
	media := typeJSON
	switch {
	case len(values) > 1:
		return unsupportedMedia("there is more than one content type")
	case len(values) == 1 && values[0] != typeJSON:
		var params map[string]string
		var err error
		if media, params, err = mime.ParseMediaType(values[0]); err != nil {
			return unsupportedMedia("the content type is malformed")
		}
		if charset := params["charset"]; isJSON(media) && charset != "" &&
			!strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "us-ascii") {
			return unsupportedMedia("the charset is not utf-8")
		}
	}
	if !consumed(c.m.consumes, media) {
		return unsupportedMedia("the content type is not accepted")
	}
	c.media = kindOf(media)
	return nil
}

func unsupportedMedia(text string) *refused {
	return refuse(&policy.UnsupportedMediaType).saying(text)
}

// consumed reports whether a list of media types and ranges covers a type; one
// that has application/json covers application/*+json.
func consumed(consumes []string, media string) bool {
	if strings.HasPrefix(media, "application/") && isJSON(media) && slices.Contains(consumes, typeJSON) {
		return true
	}
	return slices.ContainsFunc(consumes, func(accepted string) bool { return fits(accepted, media) > 0 })
}
