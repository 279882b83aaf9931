package design

import (
	. "github.com/aguada-dev/aguada/dsl"
	. "goa.design/goa/v3/dsl"
)

const eventID = `^(start|ord_[a-z2-7]{26}\.(placed|shipped|cancelled))$`

// lasting is what holds for methods whose calls may last for days.
func lasting() {
	Deadline("0s")
	// An event alive passes every 15 seconds, unless the client does not read.
	StreamIdle("1m")
	MaxInFlight(20_000)
	ShedPriority("low") // whoever is told to come back misses nothing
	Error("gone", ErrorResult, "Events after since are not kept any more, or since is no event of the caller's orders: "+
		"list the orders, and follow them from now on.")
	Error("slow", ErrorResult, "The client reads more slowly than events happen. It may come back with the id of the last one.", func() {
		Temporary()
	})
}

// Watch says where a stream of events begins.
var Watch = Type("Watch", func() {
	TokenField(15, "token", String, "A JWT.")
	Field(1, "since", String, "The id of the last event that the client got; start for all that are kept; absent for what happens from now on.", func() {
		Pattern(eventID)
		Example("start")
	})
	Required("token")
})

// OrderEvent is something that happened to an order.
var OrderEvent = Type("OrderEvent", func() {
	Field(1, "id", String, "What to send as since, or Last-Event-ID, to get the events after this one.", func() {
		Pattern(eventID)
		Example(exampleID + ".placed")
	})
	Field(2, "kind", String, "What happened to the order; alive: nothing did.", func() {
		Enum("alive", "placed", "shipped", "cancelled")
		Example("placed")
	})
	Field(3, "order_id", String, "The order; absent from alive.", func() {
		Pattern(orderID)
		Example(exampleID)
	})
	Field(4, "created_by", String, "The subject that placed the order; absent from alive.", func() {
		Example("alice")
	})
	Field(5, "at", String, "When it happened (RFC 3339, UTC).", func() {
		Format(FormatDateTime)
		Example("2026-11-22T18:23:07Z")
	})
	Required("id", "kind", "at")
})

// LiveFilter says which events a client wants.
var LiveFilter = Type("LiveFilter", func() {
	Field(1, "kinds", ArrayOf(String, func() {
		Enum("placed", "shipped", "cancelled")
	}), "The kinds of events; absent for all.", func() {
		MaxLength(3)
		Example([]string{"shipped", "cancelled"})
	})
	Field(2, "order_id", String, "The order; absent for all of the caller's.", func() {
		Pattern(orderID)
		Example(exampleID)
	})
})

// LiveUpdate is an event, or the answer to a filter.
var LiveUpdate = Type("LiveUpdate", func() {
	Field(1, "event", OrderEvent, "Something that happened to an order.")
	Field(2, "filter", LiveFilter, "The filter that holds from here on.")
})
