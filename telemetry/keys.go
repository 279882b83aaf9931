package telemetry

import (
	"log/slog"
	"slices"
)

// keySet are keys that a line has of its own outside of groups.
type keySet []string

var (
	lineKeys    = keySet{slog.TimeKey, slog.LevelKey, slog.MessageKey}
	requestKeys = keySet{slog.TimeKey, slog.LevelKey, slog.MessageKey, "trace_id", "span_id", "request_id", "service", "method"}
)

// renamed precedes the key of an attribute that has one of the line's own.
const renamed = "attr."

// rename returns the attribute with a key that is not in the set. Members of a
// group without a name are attributes like any other.
func (k keySet) rename(a slog.Attr) slog.Attr {
	if a.Key == "" && len(k) > 0 {
		if v := a.Value.Resolve(); v.Kind() == slog.KindGroup {
			members := slices.Clone(v.Group())
			for i := range members {
				members[i] = k.rename(members[i])
			}
			a.Value = slog.GroupValue(members...)
		}
		return a
	}
	if slices.Contains(k, a.Key) {
		a.Key = renamed + a.Key
	}
	return a
}
