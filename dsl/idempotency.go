package dsl

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"goa.design/goa/v3/eval"
	goaexpr "goa.design/goa/v3/expr"

	"github.com/aguada-dev/aguada/expr"
	"github.com/aguada-dev/aguada/policy"
)

// defaultKeep is how long answers are kept where a design does not say.
const defaultKeep = 24 * time.Hour

// IdempotencyKey makes a method safe to call again: the client makes a key up
// for what it wants done, and sends it in a header with the call and with every
// repetition (draft-ietf-httpapi-idempotency-key-header-07). The method runs
// once. Its answer is stored, and given to later calls of the same principal
// under the same key, with the header Idempotency-Replayed: true. The same key
// with another payload is answered 422 Unprocessable Content, a call while the
// first one is running 409 Conflict, and one whose key cannot be looked up 503
// Service Unavailable with Retry-After. Over gRPC the key is metadata of the
// header's name in lower case.
//
// Goa's Idempotent is something else: it tells clients that a method is safe to
// call again by its nature, and does nothing to make it so.
//
// IdempotencyKey must appear in a Method expression. It is refused on a method
// that anybody may call; that streams; that has a GET or HEAD route, or
// redirects; that has a MultipartRequest, SkipRequestBodyEncodeDecode or
// SkipResponseBodyEncodeDecode; and where the design itself reads the header.
//
// IdempotencyKey accepts the name of the header, of letters, digits and '-',
// and then up to one each of [KeepFor], [WaitFor] and [KeyRequired]. Without
// them answers are kept for 24 hours, a call while the first one is running is
// refused at once, and a call without a key is served as if the method had
// none.
//
// Example:
//
//	var _ = Service("orders", func() {
//	    Method("create", func() {
//	        IdempotencyKey("Idempotency-Key", KeepFor("72h"), WaitFor("5s"), KeyRequired())
//	        HTTP(func() { POST("/orders") })
//	    })
//	})
func IdempotencyKey(header string, options ...*expr.KeyOption) {
	args := []string{strconv.Quote(header)}
	for _, o := range options {
		if o != nil {
			o.Take()
			args = append(args, o.Text)
		}
	}
	c := newCall("IdempotencyKey(" + strings.Join(args, ", ") + ")")
	m, ok := eval.Current().(*goaexpr.MethodExpr)
	if !ok {
		c.misplaced("IdempotencyKey", "a Method")
		return
	}
	if why := refuseKeyHeader(header); why != "" {
		c.refuse(why)
		return
	}
	key := policy.Idempotency{Header: http.CanonicalHeaderKey(header), Keep: policy.Duration(defaultKeep)}
	if !c.fillKey(&key, options) {
		return
	}
	if key.Wait >= key.Keep {
		c.refuse("a call would wait for an answer longer than it is kept; wait for less, or keep it longer")
		return
	}
	set(c, &expr.Root.Policy(m).Idempotency, key)
}

// fillKey sets what the options say, and reports whether all of them can be
// used; it has recorded an error otherwise.
func (c call) fillKey(key *policy.Idempotency, options []*expr.KeyOption) bool {
	ok := true
	for i, o := range options {
		switch {
		case o == nil:
			c.refuse(`an option is nil; write one, such as KeepFor("24h"), or leave it out`)
			ok = false
			continue
		case o.Wrong != "":
			o.Pos.Report("%s in %s: %s", o.Text, eval.Current().EvalName(), o.Wrong)
			ok = false
			continue
		case slices.ContainsFunc(options[:i], func(other *expr.KeyOption) bool { return other != nil && other.Name == o.Name }):
			c.refuse("a key has one " + o.Name + "; keep one of them")
			ok = false
			continue
		}
		if o.Value.Keep > 0 {
			key.Keep = o.Value.Keep
		}
		key.Wait += o.Value.Wait
		key.Required = key.Required || o.Value.Required
	}
	return ok
}

// KeepFor is an argument of [IdempotencyKey]: how long an answer is stored, from
// the moment it is given. A call under the same key after that runs again.
//
// KeepFor must appear in the arguments of an IdempotencyKey.
//
// KeepFor accepts a single argument: the duration, of "1s" to "8784h". Without
// KeepFor it is "24h". It should be longer than clients try again.
//
// Example:
//
//	var _ = Service("orders", func() {
//	    Method("create", func() {
//	        IdempotencyKey("Idempotency-Key", KeepFor("168h")) // a week
//	    })
//	})
func KeepFor(duration string) *expr.KeyOption {
	d, err := parseKeep(duration)
	return keyOption("KeepFor", strconv.Quote(duration), policy.Idempotency{Keep: d}, err)
}

// WaitFor is an argument of [IdempotencyKey]: how long a call waits for the
// first one under its key, which is still running, before it is answered 409.
// Its time counts towards the method's [Deadline], and it is one of the calls
// of [MaxInFlight].
//
// WaitFor must appear in the arguments of an IdempotencyKey.
//
// WaitFor accepts a single argument: the duration, of at least "1ms" and less
// than the method's deadline. Without WaitFor nothing waits.
//
// Example:
//
//	var _ = Service("orders", func() {
//	    Method("create", func() {
//	        Deadline("20s")
//	        IdempotencyKey("Idempotency-Key", WaitFor("5s"))
//	    })
//	})
func WaitFor(duration string) *expr.KeyOption {
	d, err := parseWait(duration)
	return keyOption("WaitFor", strconv.Quote(duration), policy.Idempotency{Wait: d}, err)
}

// KeyRequired is an argument of [IdempotencyKey]: a call without a key is
// answered 400 Bad Request.
//
// KeyRequired must appear in the arguments of an IdempotencyKey.
//
// KeyRequired takes no argument.
//
// Example:
//
//	var _ = Service("payments", func() {
//	    Method("transfer", func() {
//	        IdempotencyKey("Idempotency-Key", KeyRequired())
//	    })
//	})
func KeyRequired() *expr.KeyOption {
	return keyOption("KeyRequired", "", policy.Idempotency{Required: true}, nil)
}

func keyOption(name, arg string, value policy.Idempotency, wrong error) *expr.KeyOption {
	o := &expr.KeyOption{
		Argument: expr.Root.NewArgument(name+"("+arg+")", "an argument of an IdempotencyKey", expr.Here()),
		Name:     name, Value: value,
	}
	if wrong != nil {
		o.Wrong = wrong.Error()
	}
	return o
}
