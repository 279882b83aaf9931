package dsl_test

import (
	"testing"

	goa "goa.design/goa/v3/dsl"

	prod "github.com/aguada-dev/aguada/dsl"
)

func TestNamedGood(t *testing.T) {
	checkGolden(t, "named-good.txtar", []golden{{"everything", func() {
		goa.API("shop", func() {
			prod.Deadline("5s")
			prod.MaxBody("1MB")
			prod.MaxInFlight(9)
			prod.RateLimit(9, "1s", prod.Global, prod.Burst(8))
			prod.Audit()
			prod.ShedPriority("low")
			prod.StreamIdle("30s")
			prod.MessageRate(5, "1s", prod.Burst(6))
			prod.DependsOn("payments")
		})
		basic := goa.BasicAuthSecurity("basic")
		goa.Service("orders", func() {
			prod.DependsOn("database")
			goa.Method("create", func() {
				goa.Security(basic)
				goa.Payload(func() {
					goa.Username("user", goa.String)
					goa.Password("password", goa.String)
					goa.Attribute("card", goa.String, func() { prod.Sensitive() })
				})
				prod.MaxInFlight(2)
				prod.NoAudit()
				prod.IdempotencyKey("Idempotency-Key", prod.KeepFor("1h"), prod.WaitFor("1s"), prod.KeyRequired())
			})
			goa.Method("list", func() {
				prod.Deadline("0s")
				prod.NoRateLimit()
			})
			goa.Method("talk", func() {
				goa.StreamingPayload(goa.String)
			})
		})
	}}}, contract)
}

func TestNamedBad(t *testing.T) {
	checkGolden(t, "named-bad.txtar", []golden{{"everything", func() {
		goa.API("shop", func() {
			prod.NoAudit()
			prod.DependsOn("")
		})
		goa.Service("orders", func() {
			goa.Method("create", func() {
				goa.Payload(func() {
					prod.Sensitive()
					goa.Attribute("card", goa.String, func() { prod.Audit() })
				})
				prod.Deadline("5x")
				prod.MaxBody("5x")
				prod.MaxInFlight(-5)
				prod.RateLimit(-5, "1s", prod.PerClientIP)
				prod.Burst(5)
				prod.IdempotencyKey("a b")
				prod.MessageRate(-5, "1s")
				prod.KeyRequired()
			})
		})
	}}}, diagnostics)
}
