package dsl

import (
	"strconv"
	"strings"

	"github.com/aguada-dev/aguada/expr"
	"github.com/aguada-dev/aguada/policy"
)

// StreamIdle ends streams that nobody uses: one on which no message passed,
// either way, for that long. What keeps a connection alive, such as the pings of
// a WebSocket, is no message. The stream ends by its protocol, with the error
// name stream_idle.
//
// StreamIdle must appear in an API, Service or Method expression; the nearest
// wins. In an API or a Service it concerns the methods that stream, over
// whichever transport; in a method that does not it is refused. Without any,
// streams may be silent for as long as they like.
//
// StreamIdle accepts a single argument: the duration, as a number and a unit
// ("s", "m", "h"; several may follow each other), of at least "1s". "0s"
// switches an inherited one off. [Deadline] bounds the whole life of a stream.
//
// Example:
//
//	var _ = Service("orders", func() {
//	    StreamIdle("5m")
//	    Method("watch", func() {
//	        StreamingResult(Event)
//	        StreamIdle("0s") // there may be no order for days
//	    })
//	})
func StreamIdle(duration string) {
	c := newCall("StreamIdle(" + strconv.Quote(duration) + ")")
	p := c.policy("StreamIdle")
	if p == nil {
		return
	}
	d, err := parseIdle(duration)
	if err != nil {
		c.refuse(err.Error())
		return
	}
	set(c, &p.StreamIdle, d)
}

// MessageRate bounds how often a client may send on one stream. A client that
// sends faster ends its stream, with the error name too_many_messages. How
// large a message may be is what [MaxBody] says, how often the method may be
// called what [RateLimit] says.
//
// MessageRate must appear in an API, Service or Method expression; the nearest
// wins. In an API or a Service it concerns each stream, alone, of the methods
// with a StreamingPayload, over whichever transport; in a method without one it
// is refused. Without any there is no bound.
//
// MessageRate accepts two or three arguments: the number of messages, from 1 to
// a million a second; the window in which they may come, of "1s" to "24h" in
// whole seconds; and a [Burst], without which as many may come at once.
//
// Example:
//
//	var _ = Service("chat", func() {
//	    Method("talk", func() {
//	        StreamingPayload(Line)
//	        StreamingResult(Line)
//	        MessageRate(50, "1s", Burst(100))
//	    })
//	})
func MessageRate(messages int, window string, burst ...*expr.Burst) {
	args := append([]string{strconv.Itoa(messages), strconv.Quote(window)}, take(burst)...)
	c := newCall("MessageRate(" + strings.Join(args, ", ") + ")")
	p := c.policy("MessageRate")
	if p == nil {
		return
	}
	m := policy.MessageRate{Rate: messages}
	var ok bool
	if m.Burst, ok = c.burst(messages, burst); !ok {
		return
	}
	var err error
	if m.Per, err = parseWindow(window); err == nil {
		err = checkRate(m.Rate, m.Burst, m.Per, "leave MessageRate out for no bound")
	}
	if err != nil {
		c.refuse(err.Error())
		return
	}
	set(c, &p.MessageRate, &m)
}
