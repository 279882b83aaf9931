//go:build design

// Package design is the design behind the generated service that the tests of
// streams drive: Server-Sent Events with every field, and a WebSocket whose
// messages are traced by Clue's interceptor. After a change:
//
//	goa gen github.com/aguada-dev/aguada/transport/internal/streamsvc/design
//
// run without the build tag; of what it writes, the clients, the command lines
// and the OpenAPI documents are left out.
package design

import . "goa.design/goa/v3/dsl"

var _ = API("tape", func() {
	Title("Streams")
})

var traceBidirectionalStream = Interceptor("TraceBidirectionalStream", func() {
	ReadStreamingPayload(func() { Attribute("TraceMetadata", MapOf(String, String)) })
	WriteStreamingPayload(func() { Attribute("TraceMetadata", MapOf(String, String)) })
	ReadStreamingResult(func() { Attribute("TraceMetadata", MapOf(String, String)) })
	WriteStreamingResult(func() { Attribute("TraceMetadata", MapOf(String, String)) })
})

var traceServerToClientStream = Interceptor("TraceServerToClientStream", func() {
	ReadStreamingResult(func() { Attribute("TraceMetadata", MapOf(String, String)) })
	WriteStreamingResult(func() { Attribute("TraceMetadata", MapOf(String, String)) })
})

var word = Type("Word", func() {
	Attribute("text", String)
	Attribute("TraceMetadata", MapOf(String, String))
	Required("text")
})

var tick = Type("Tick", func() {
	Attribute("id", String)
	Attribute("kind", String)
	Attribute("retry", UInt)
	Attribute("text", String)
	Required("id", "kind", "retry", "text")
})

var blob = Type("Blob", func() {
	Attribute("data", Bytes)
	Required("data")
})

var _ = Service("tape", func() {
	Method("ticks", func() {
		Payload(func() { Attribute("since", String) })
		StreamingResult(tick)
		HTTP(func() {
			GET("/ticks")
			Header("since:Last-Event-ID") // SSERequestID("since") of Goa 3.30 does not compile
			ServerSentEvents(func() {
				SSEEventID("id")
				SSEEventType("kind")
				SSEEventRetry("retry")
				SSEEventData("text")
			})
		})
	})
	Method("blobs", func() {
		StreamingResult(blob)
		HTTP(func() {
			GET("/blobs")
			ServerSentEvents(func() { SSEEventData("data") })
		})
	})
	Method("words", func() {
		ServerInterceptor(traceServerToClientStream)
		StreamingResult(word)
		HTTP(func() {
			GET("/words")
			ServerSentEvents()
		})
	})
	Method("talk", func() {
		StreamingPayload(word)
		StreamingResult(word)
		HTTP(func() { GET("/talk") })
	})
	Method("traced", func() {
		ServerInterceptor(traceBidirectionalStream)
		StreamingPayload(word)
		StreamingResult(word)
		HTTP(func() { GET("/traced") })
	})
})
