package transport

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/transport/internal/jsonscan"
)

// Codes of JSON-RPC 2.0 itself.
const (
	codeParseError     = -32700
	codeInvalidRequest = -32600
)

// maxCallID bounds the id of a call, as it is in the request, in bytes: each
// answer repeats it.
const maxCallID = 256

// maxMembers bounds the members of a call: JSON-RPC has four.
const maxMembers = 16

var nullID = []byte("null")

// notJSON and invalidCall are what JSON-RPC 2.0 has for what is no request of
// its, and tooManyCalls for a batch that is too long. Over HTTP they come with
// status 200, as every error of a call does.
var (
	notJSON      = policy.Answer{Name: "parse_error", HTTP: 400, GRPC: "INVALID_ARGUMENT", JSONRPC: codeParseError, Message: "the body is not valid JSON"}
	invalidCall  = policy.Answer{Name: "invalid_request", HTTP: 400, GRPC: "INVALID_ARGUMENT", JSONRPC: codeInvalidRequest}
	tooManyCalls = policy.Answer{Name: "batch_too_large", HTTP: 400, GRPC: "INVALID_ARGUMENT", JSONRPC: codeInvalidRequest, Message: "there are too many calls in one batch"}
)

func invalid(why string) *refused { return refuse(&invalidCall).saying(why) }

// splitCalls returns the calls of a request's body, each a part of it, and whether
// they are a batch. Either all of it is JSON, or there are none.
func splitCalls(body []byte) (calls [][]byte, batch bool, r *refused) {
	switch {
	case !utf8.Valid(body):
		return nil, false, refuse(&notJSON).saying("the body is not UTF-8")
	case jsonscan.TooDeep(body):
		return nil, false, refuse(&notJSON).saying("the body is nested too deeply")
	case !json.Valid(body):
		return nil, false, refuse(&notJSON)
	}
	s := jsonscan.New(body)
	if s.Next() != '[' {
		return [][]byte{bytes.Trim(body, " \t\r\n")}, false, nil
	}
	s.Bracket()
	for s.Next() != ']' {
		if len(calls) == policy.MaxBatch {
			return nil, true, refuse(&tooManyCalls)
		}
		calls = append(calls, s.Take())
	}
	if len(calls) == 0 {
		return nil, true, invalid("the batch is empty")
	}
	return calls, true, nil
}

// envelope is what a call consists of.
type envelope struct {
	method string
	params []byte // nil for none
	ref    []byte // the id, as it came; nil for a notification
	extra  bool   // there are members that JSON-RPC does not have
}

// parse reads the envelope of a call, which is valid JSON. Where it is refused,
// what was read of its id stays.
func (e *envelope) parse(text []byte) *refused {
	s := jsonscan.New(text)
	if s.Next() != '{' {
		return invalid("a call is an object")
	}
	s.Bracket()
	var seen jsonscan.Names
	var version, method []byte
	for s.Next() == '"' {
		name := s.Text()
		if seen.Len() == maxMembers {
			e.ref = nil
			return invalid("the call has too many members")
		}
		if seen.Add(name) {
			e.ref = nil
			return invalid("the call has a member twice")
		}
		value := s.Take()
		switch string(name) {
		case "jsonrpc":
			version = value
		case "method":
			method = value
		case "params":
			e.params = value
		case "id":
			e.ref = value
		default:
			e.extra = true
		}
	}
	return e.judge(version, method)
}

func (e *envelope) judge(version, method []byte) *refused {
	if e.ref != nil {
		switch c := e.ref[0]; {
		case len(e.ref) > maxCallID:
			e.ref = nil
			return invalid("the id is too long")
		case c != '"' && c != '-' && (c < '0' || c > '9') && !bytes.Equal(e.ref, nullID):
			e.ref = nil
			return invalid("the id is neither a string nor a number")
		}
	}
	switch {
	case string(plain(version)) != "2.0":
		return invalid(`the member jsonrpc is not "2.0"`)
	case len(method) == 0 || method[0] != '"':
		return invalid("the member method is not a string")
	}
	e.method = string(plain(method))
	return nil
}

// plain returns the text of a JSON string, nil for any other value.
func plain(value []byte) []byte {
	if len(value) == 0 || value[0] != '"' {
		return nil
	}
	s := jsonscan.New(value)
	return s.Text()
}
