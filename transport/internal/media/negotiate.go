package media

import (
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Offer is a media type that an answer may have by negotiation. A type that the
// design fixes for a response comes with the response instead.
type Offer struct {
	Media  string
	Kind   Kind
	Header []string // Content-Type, shared: not to be changed
}

// negotiable are the types that Goa's encoder knows, without text/html: what an
// error says shall not be markup because a browser asked for it.
var negotiable = []string{TypeJSON, "application/xml", "application/gob", "text/plain"}

// Offers returns those of the media types that can be negotiated; JSON alone if
// there are none.
func Offers(produces []string) []Offer {
	var offers []Offer
	for _, p := range produces {
		media, _, err := mime.ParseMediaType(p)
		if err == nil && slices.Contains(negotiable, media) {
			offers = append(offers, Offer{Media: media, Kind: KindOf(media), Header: []string{media}})
		}
	}
	if len(offers) == 0 {
		offers = []Offer{{TypeJSON, JSON, []string{TypeJSON}}}
	}
	return offers
}

// Negotiate returns the offer, of one at least, that the values of an Accept header
// prefer (RFC 9110, 12.5.1); of equals the earlier one. If they accept none, it is
// the first, as in Goa: an answer in an unwanted form beats none.
func Negotiate(offers []Offer, accept []string) *Offer {
	first := &offers[0]
	if len(accept) == 0 || len(offers) == 1 {
		return first
	}
	if len(accept) == 1 && (accept[0] == first.Media || accept[0] == "*/*") {
		return first
	}
	best, bestQ := first, 0
	for i := range offers {
		if q := quality(accept, offers[i].Media); q > bestQ {
			best, bestQ = &offers[i], q
		}
	}
	return best
}

// Values of Vary that answers share.
var (
	onAccept       = []string{"Accept"}
	onOriginAccept = []string{"Origin", "Accept"}
)

// Vary tells caches, in the header of an answer, that it depends on the Accept
// header. Of what the header has it changes nothing in place.
func Vary(answer http.Header) {
	if v := answer["Vary"]; len(v) == 0 {
		answer["Vary"] = onAccept[:1:1]
	} else if len(v) == 1 && v[0] == onOriginAccept[0] {
		answer["Vary"] = onOriginAccept[:2:2]
	} else if !slices.Contains(v, onAccept[0]) {
		answer.Add("Vary", onAccept[0])
	}
}

// AcceptsProblem reports whether a client names the problem type itself.
func AcceptsProblem(request http.Header) bool {
	for _, line := range request["Accept"] {
		for line != "" {
			var item string
			item, line, _ = strings.Cut(line, ",")
			name, params, _ := strings.Cut(item, ";")
			if strings.EqualFold(strings.TrimSpace(name), TypeProblem) {
				return weight(params) > 0
			}
		}
	}
	return false
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
