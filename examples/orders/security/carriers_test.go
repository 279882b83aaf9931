package security

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	goapb "goa.design/goa/v3/grpc/pb"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/aguada-dev/aguada/policy"
)

// carrier takes a request of HTTP to another transport, where the same attack is
// to have the same verdict. It reports whether there is such a request.
type carrier struct {
	name  string
	takes func(attack string) bool
	carry func(request) (request, bool)
}

// carriers are the transports beside HTTP. Streams are refused before they
// begin, as calls are.
var carriers = []carrier{
	{"grpc", func(name string) bool { return !slices.Contains(onlyHTTP, name) && !slices.Contains(inQuery, name) },
		func(r request) (request, bool) { return r.over(calls[r.verb+r.path]) }},
	{"watch", aboutList, func(r request) (request, bool) { return r.over(onList(r, "orders.Orders/WatchOrders")) }},
	{"live", aboutList, func(r request) (request, bool) { return r.over(onList(r, "orders.Orders/Live")) }},
	{"sse", aboutListOrQuery, func(r request) (request, bool) {
		r.path = strings.Replace(r.path, "/orders", "/orders/events", 1)
		return r, r.verb == "" && strings.HasPrefix(r.path, "/orders/events")
	}},
	{"websocket", aboutListOrQuery, func(r request) (request, bool) {
		r.path = strings.Replace(r.path, "/orders", "/orders/live", 1)
		r.header = append(slices.Clone(r.header), handshake...)
		return r, r.verb == "" && strings.HasPrefix(r.path, "/orders/live")
	}},
}

var (
	// onlyHTTP are about what only HTTP has: the base64 of a login, control
	// characters in it, and a login and a token at one place.
	onlyHTTP = []string{"basic_not_base64", "basic_nul", "place_two_schemes", "place_key_in_query"}
	inQuery  = []string{"place_token_in_query", "place_payload_in_query"}
	// ofList are the cases about GET /orders that do not say so in their names.
	ofList = []string{"place_two_tokens", "place_good_and_bad", "place_joined", "place_wrong_scheme", "place_key_for_token", "place_token_in_cookie", "opaque_for_jwt"}
)

func aboutList(name string) bool {
	return strings.HasPrefix(name, "jwt_") && name != "jwt_admin_scope" && name != "jwt_write_scope" || slices.Contains(ofList, name)
}

func aboutListOrQuery(name string) bool { return aboutList(name) || slices.Contains(inQuery, name) }

// calls are the methods of gRPC by the requests that call them over HTTP.
var calls = map[string]string{
	"/orders": "orders.Orders/List", "POST/orders": "orders.Orders/Create", "/users": "users.Users/List", "/users/admin": "users.Users/Admin",
	"/accounts/me": "accounts.Accounts/Me", "/reports/sales": "reports.Reports/Sales",
}

// handshake is that of a WebSocket (RFC 6455, section 4.1).
var handshake = [][2]string{
	{"Connection", "Upgrade"}, {"Upgrade", "websocket"}, {"Sec-WebSocket-Version", "13"}, {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="},
}

func onList(r request, call string) string {
	if r.verb+r.path != "/orders" {
		return ""
	}
	return call
}

// over returns the request as a call, with its headers as metadata. A login, which
// HTTP has in one header, is two keys of metadata.
func (r request) over(call string) (request, bool) {
	r.call = call
	var header [][2]string
	for _, h := range r.header {
		word, rest, _ := strings.Cut(h[1], " ")
		if call != calls["/accounts/me"] || h[0] != "Authorization" || word != "Basic" {
			if h[0] != "Content-Type" {
				header = append(header, h)
			}
			continue
		}
		text, err := base64.StdEncoding.DecodeString(rest)
		if err != nil || slices.ContainsFunc(text, func(c byte) bool { return c < ' ' }) {
			return r, false // no metadata
		}
		user, password, both := strings.Cut(string(text), ":")
		if header = append(header, [2]string{"Username", user}); both {
			header = append(header, [2]string{"Password", password})
		}
	}
	r.header = header
	return r, call != ""
}

// carried returns the attacks on credentials as they are over the other
// transports.
func carried(attacks []attack) (all []attack) {
	for _, c := range carriers {
		for _, a := range attacks {
			if a.make == nil || !c.takes(a.name) {
				continue
			}
			of, name := a.make, a.name
			a.make = func(s *shop) request {
				r, ok := c.carry(of(s))
				if !ok {
					panic(name + " is not to be had over " + c.name)
				}
				return r
			}
			a.name, a.defence = c.name+"_"+a.name, a.defence+", over "+c.name
			all = append(all, a)
		}
	}
	return all
}

// everywhere returns the request as it is over the other transports, as far as
// they have it.
func everywhere(r request) (all []request) {
	for _, c := range carriers {
		if r, ok := c.carry(r); ok {
			all = append(all, r)
		}
	}
	return all
}

// overRPC is a refusal as gRPC has it, where credentials are in metadata.
func (want refusal) overRPC() refusal {
	want.challenge = strings.Replace(want.challenge, `name="X-API-Key", in="header"`, `name="x-api-key", in="metadata"`, 1)
	return want
}

// speaking returns a client that speaks HTTP/2 only, in plain text without a
// configuration, and none of the politeness of clients of gRPC.
func speaking(c *tls.Config) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(c == nil)
	protocols.SetHTTP2(c != nil)
	return &http.Client{Timeout: patience, Transport: &http.Transport{Protocols: protocols, TLSClientConfig: c, DisableCompression: true}}
}

// framed returns a message as gRPC sends it.
func framed(message string) string {
	var head [5]byte
	binary.BigEndian.PutUint32(head[1:], uint32(len(message)))
	return string(head[:]) + message
}

// readRPC reads the answer to a call: up to the first message, or its status, as
// HTTP would have it by the table of answers.
func readRPC(res *http.Response) (*answer, error) {
	a := &answer{Response: res}
	if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), "application/grpc") {
		text, err := io.ReadAll(res.Body)
		a.text = fmt.Sprint(string(text), res.Header, res.Trailer)
		a.code, a.said = codeName(res.Header.Get("Grpc-Status")), res.Header.Get("Grpc-Message")
		return a, err
	}
	var head [5]byte
	_, err := io.ReadFull(res.Body, head[:])
	if err == nil {
		a.message = make([]byte, min(binary.BigEndian.Uint32(head[1:]), 4<<20))
		_, err = io.ReadFull(res.Body, a.message)
		a.text = fmt.Sprint(string(a.message), res.Header)
		return a, err
	}
	if !errors.Is(err, io.EOF) {
		return nil, err
	}
	for name, values := range res.Trailer {
		res.Header[name] = append(res.Header[name], values...)
	}
	return a, a.status()
}

// status reads the status of a call.
func (a *answer) status() error {
	a.code = codeName(a.Header.Get("Grpc-Status"))
	said, err := url.PathUnescape(a.Header.Get("Grpc-Message"))
	if err != nil {
		return err
	}
	a.said = said
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(a.Header.Get("Grpc-Status-Details-Bin"), "="))
	if err != nil {
		return err
	}
	st := new(spb.Status)
	if err := proto.Unmarshal(raw, st); err != nil {
		return err
	}
	a.details = string(raw)
	a.text = fmt.Sprint(a.Header, said, a.details)
	reason := ""
	for _, d := range st.GetDetails() {
		switch m, _ := d.UnmarshalNew(); m := m.(type) {
		case *goapb.ErrorResponse:
			a.Name, a.ID = m.GetName(), m.GetId()
		case *errdetails.ErrorInfo:
			reason = m.GetReason()
		}
	}
	if len(raw) > 0 && (!strings.EqualFold(reason, a.Name) || st.GetMessage() != said) {
		return fmt.Errorf("the status is of %q, its reason %q; it says %q and %q", a.Name, reason, said, st.GetMessage())
	}
	a.StatusCode = verdict(a.code, a.Name)
	return nil
}

// verdict is what HTTP answers where gRPC answers with a code: 0 for a code that
// the table does not have for the error.
func verdict(code, name string) int {
	for _, a := range policy.Answers {
		if a.Name == name && a.GRPC == code {
			return a.HTTP
		}
	}
	own := name == "not_found" // which the design has, too
	for _, a := range policy.Answers {
		if a.Name == name && !own && code != "OK" {
			return 0
		}
	}
	return map[string]int{"OK": 200, "INVALID_ARGUMENT": 400, "NOT_FOUND": 404, "FAILED_PRECONDITION": 409, "PERMISSION_DENIED": 403}[code]
}

// codeName is the name of a code, as the conventions write it.
func codeName(number string) string {
	n, err := strconv.Atoi(number)
	if err != nil {
		return "none"
	}
	text, name := []byte(codes.Code(n).String()), strings.Builder{}
	if n == int(codes.OK) {
		return "OK"
	}
	if n == int(codes.Canceled) {
		return "CANCELLED"
	}
	for i, c := range text {
		if i > 0 && c >= 'A' && c <= 'Z' {
			name.WriteByte('_')
		}
		name.WriteByte(c &^ 0x20)
	}
	return name.String()
}
