package sink

import (
	"iter"
	"maps"
	"slices"
)

// Text is one text that was received, and where.
type Text struct {
	// Where is the kind of place: "span name", "span attribute", "log body"….
	Where string
	// Of is the name of the span or metric, the event of a log record, or empty.
	Of string
	// Key is the key of the attribute that the text is in, or is.
	Key string
	// Text is what was received: keys, and values as String writes them.
	Text string
}

func (t Text) size() int { return 160 + len(t.Of) + len(t.Key) + len(t.Text) }

// Texts goes through every text that was received and is kept: names, keys and
// values of attributes (numbers too, as text), bodies, messages of statuses,
// events, links, exemplars, trace states, resources, scopes, descriptions; also
// those of spans, points and records that were rejected, and of points that
// others took the place of. What Dropped counts is not among them.
func (s *store) Texts() iter.Seq[Text] {
	return func(yield func(Text) bool) {
		s.lock.Lock()
		spans, records, texts := s.spans, s.records, s.texts
		points, origins := slices.Collect(maps.Values(s.series)), slices.Collect(maps.Values(s.origins))
		s.lock.Unlock()
		_ = each(origins, yield, (*Origin).text) && each(spans, yield, (*Span).text) && each(records, yield, (*Record).text) &&
			each(points, yield, (*Point).text) && each(texts, yield, func(o other, f func(Text) bool) bool { return f(o.Text) })
	}
}

func each[T any](all []T, yield func(Text) bool, of func(T, func(Text) bool) bool) bool {
	for _, v := range all {
		if !of(v, yield) {
			return false
		}
	}
	return true
}

// text passes on the texts of a value; it returns false once yield did.
func (t Text) text(value any, yield func(Text) bool) bool {
	switch v := value.(type) {
	case nil:
		return true
	case []any:
		for _, member := range v {
			if !t.text(member, yield) {
				return false
			}
		}
		return true
	case Attributes:
		for i := range v {
			t.Key = v[i].Key
			if t.Text = v[i].Key; !yield(t) || !t.text(v[i].Value, yield) {
				return false
			}
		}
		return true
	}
	if t.Text = String(value); t.Text == "" {
		return true
	}
	return yield(t)
}

func (o *Origin) text(yield func(Text) bool) bool {
	return Text{Where: "resource attribute"}.text(o.Resource, yield) &&
		Text{Where: "scope name"}.text(o.Scope, yield) && Text{Where: "scope version", Of: o.Scope}.text(o.Version, yield) &&
		Text{Where: "scope attribute", Of: o.Scope}.text(o.ScopeAttributes, yield)
}

func (v *Span) text(yield func(Text) bool) bool {
	at := func(where string, value any) bool { return Text{Where: where, Of: v.Name}.text(value, yield) }
	if !at("span name", v.Name) || !at("span attribute", v.Attributes) || !at("span status", v.Message) || !at("span trace state", v.TraceState) {
		return false
	}
	for i := range v.Events {
		if !at("span event name", v.Events[i].Name) || !at("span event attribute", v.Events[i].Attributes) {
			return false
		}
	}
	for i := range v.Links {
		if !at("span link attribute", v.Links[i].Attributes) || !at("span link trace state", v.Links[i].TraceState) {
			return false
		}
	}
	return true
}

func (v *Record) text(yield func(Text) bool) bool {
	at := func(where string, value any) bool { return Text{Where: where, Of: v.Event}.text(value, yield) }
	return at("log body", v.Body) && at("log attribute", v.Attributes) && at("log event", v.Event) && at("log severity", v.SeverityText)
}

func (v *Point) text(yield func(Text) bool) bool {
	at := func(where string, value any) bool { return Text{Where: where, Of: v.Name}.text(value, yield) }
	if !at("metric name", v.Name) || !at("metric attribute", v.Attributes) || !at("metric unit", v.Unit) || !at("metric description", v.Description) {
		return false
	}
	return v.exemplarTexts(yield)
}

func (v *Point) exemplarTexts(yield func(Text) bool) bool {
	for i := range v.Exemplars {
		if !(Text{Where: "exemplar attribute", Of: v.Name}).text(v.Exemplars[i].Attributes, yield) {
			return false
		}
	}
	return true
}
