package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// bindProcess shows what the process takes of the processors, where the system
// tells, by OpenTelemetry's conventions for processes.
func bindProcess(m metric.Meter) error {
	if _, _, ok := cpuTime(); !ok {
		return nil
	}
	of := func(mode string) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(attribute.String("cpu.mode", mode)))
	}
	user, system := of("user"), of("system")
	_, err := m.Float64ObservableCounter("process.cpu.time", metric.WithUnit("s"),
		metric.WithDescription("Total CPU seconds broken down by different CPU modes."),
		metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
			u, s, ok := cpuTime()
			if ok {
				o.Observe(u.Seconds(), user)
				o.Observe(s.Seconds(), system)
			}
			return nil
		}))
	return err
}
