package design

import (
	. "github.com/aguada-dev/aguada/dsl"
	. "goa.design/goa/v3/dsl"
)

var _ = Service("reports", func() {
	Description("Figures over everybody's orders.")
	Security(OAuth2, func() {
		Scope("api:read")
	})
	DependsOn("database")
	Error("bad_request", ErrorResult, "The period makes no sense.")
	HTTP(func() {
		Path("/reports")
		Response("bad_request", StatusBadRequest)
	})
	GRPC(func() {
		Response("bad_request", CodeInvalidArgument)
	})

	Method("sales", func() {
		Description("Add up what was sold, by day (UTC) and currency. Cancelled orders do not count.")
		// Nobody waits for it at a counter: it goes first when the shop is busy.
		ShedPriority("low")
		Payload(func() {
			AccessTokenField(15, "token", String, "An OAuth2 access token.")
			Field(1, "from", String, "First day; 30 days before the last where absent.", func() {
				Format(FormatDate)
				Example("2026-11-01")
			})
			Field(2, "to", String, "Last day, at most 366 days after the first; today where absent.", func() {
				Format(FormatDate)
				Example("2026-11-30")
			})
			Required("token")
		})
		Result(func() {
			Field(1, "from", String, "First day of the report.", func() {
				Format(FormatDate)
				Example("2026-11-01")
			})
			Field(2, "to", String, "Last day of the report.", func() {
				Format(FormatDate)
				Example("2026-11-30")
			})
			Field(3, "sales", ArrayOf(DailySales), "One entry for each day and currency with an order, by day, then currency.")
			Required("from", "to", "sales")
		})
		HTTP(func() {
			GET("/sales")
			Param("from")
			Param("to")
			Response(StatusOK)
		})
		GRPC(func() {
			Response(CodeOK)
		})
	})
})

// DailySales is what was sold in one currency on one day.
var DailySales = Type("DailySales", func() {
	Field(1, "day", String, "The day (UTC).", func() {
		Format(FormatDate)
		Example("2026-11-22")
	})
	Field(2, "currency", String, "ISO 4217 code.", func() {
		Enum(currencies...)
		Example("EUR")
	})
	Field(3, "orders", Int64, "How many orders were placed.", func() {
		Example(3)
	})
	Field(4, "total_cents", Int64, "Sum of their totals, in the currency's minor unit.", func() {
		Example(22200)
	})
	Required("day", "currency", "orders", "total_cents")
})
