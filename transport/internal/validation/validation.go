// Package validation says what is wrong with a payload without a word of what is in
// it: Goa's own messages end with the value.
//
//	if e, ok := errors.AsType[*goa.ServiceError](err); ok && validation.Known(e.Name) {
//		text := validation.Join(validation.Details(e))
//	}
//
// Of a message it takes only what has the very form that Goa writes, and stands
// before the value. Errors of other names it is not for.
package validation

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	goa "goa.design/goa/v3/pkg"
)

// Known reports whether errors of the name are Goa's own about a payload:
// their text may echo a value.
func Known(name string) bool {
	switch name {
	case goa.InvalidFieldType, goa.MissingField, goa.InvalidEnumValue, goa.InvalidFormat, goa.InvalidPattern,
		goa.InvalidRange, goa.InvalidLength, goa.DecodePayload, goa.MissingPayload, goa.UnsupportedMediaType:
		return true
	}
	return false
}

// Detail is one violated constraint.
type Detail struct {
	Name   string `json:"name"`            // of the error
	Field  string `json:"field,omitempty"` // in the names of the design
	Detail string `json:"detail"`          // the constraint
}

// Details returns what may be told of an error of Goa's about a payload: for each
// violated constraint its name, field and what the design says of it.
func Details(e *goa.ServiceError) []Detail {
	history := e.History()
	details := make([]Detail, 0, len(history))
	for _, one := range history {
		d := Detail{Name: one.Name}
		if one.Field != nil {
			d.Field = strings.ToValidUTF8(*one.Field, "\ufffd")
		}
		d.Detail = constraint(one.Name, d.Field, one.Message)
		details = append(details, d)
	}
	return details
}

// Join returns the constraints in one text.
func Join(details []Detail) string {
	if len(details) == 1 {
		return details[0].Detail
	}
	texts := make([]string, len(details))
	for i := range details {
		texts[i] = details[i].Detail
	}
	return strings.Join(texts, "; ")
}

// gotValue stands between the constraint and the value in Goa's messages.
const gotValue = " but got value "

// constraint says what was violated. It takes from Goa's message only what
// stands before the value, and only in the form that Goa writes; otherwise it
// says no more than the name of the error does. The message of a merged error
// begins with its own and goes on with others, so that nothing may be read
// from its end.
func constraint(name, field, message string) string {
	head, _, found := strings.Cut(message, gotValue)
	switch name {
	case goa.InvalidEnumValue:
		return beforeValue(head, found, "value of "+field+" must be one of ", field+" must be one of the values of the design")
	case goa.InvalidFormat:
		return beforeValue(head, found, field+" must be formatted as a ", field+" has not the format of the design")
	case goa.InvalidPattern:
		return beforeValue(head, found, field+" must match the regexp ", field+" does not match the pattern of the design")
	case goa.InvalidRange:
		return number(beforeValue(head, found, field+" must be ", field+" is out of the range of the design"))
	case goa.InvalidLength:
		return beforeValue(head, found, "length of "+field+" must be ", field+" has not the length of the design")
	case goa.InvalidFieldType:
		return fieldType(field, message)
	case goa.MissingField:
		return missing(field, message)
	case goa.MissingPayload:
		return "missing required payload"
	case goa.UnsupportedMediaType:
		return "unsupported media type"
	case goa.DecodePayload:
		return "the request's payload cannot be decoded"
	default:
		return "invalid request"
	}
}

// beforeValue returns the head of a message if it has the form that Goa writes.
func beforeValue(head string, found bool, form, otherwise string) string {
	if !found || !strings.HasPrefix(head, form) {
		return otherwise
	}
	return head
}

// formatted finds a number that fmt could not print with %d.
var formatted = regexp.MustCompile(`%!d\(float(?:32|64)=([^)]*)\)`)

// number repairs the bound of a range that is not an integer.
func number(s string) string { return formatted.ReplaceAllString(s, "$1") }

// types are what generated code says that a parameter must be.
var types = []string{
	"integer", "unsigned integer", "float", "boolean", "array of integers", "array of unsigned integers",
	"array of floats", "array of booleans", "array of strings", "non-null JSON value",
}

// fieldType names the expected type. The value stands before it, so only a
// known word is taken.
func fieldType(field, message string) string {
	_, after, found := strings.Cut(skipValue(message), " for "+strconv.Quote(field)+", must be a ")
	if found {
		expected, _, _ := strings.Cut(after, "; ")
		if slices.Contains(types, expected) {
			return field + " must be a " + expected
		}
	}
	return field + " has the wrong type"
}

// skipValue returns what follows a quoted value.
func skipValue(message string) string {
	rest, ok := strings.CutPrefix(message, "invalid value ")
	if !ok {
		return ""
	}
	if quoted, err := strconv.QuotedPrefix(rest); err == nil {
		return rest[len(quoted):]
	}
	return rest
}

// places are where generated code says that a field is missing from, beside
// paths into the body.
var places = []string{"body", "header", "query string", "cookie", "path", "payload", "metadata", "message"}

// missing says where the field is missing.
func missing(field, message string) string {
	rest, found := strings.CutPrefix(message, strconv.Quote(field)+" is missing from ")
	if found {
		place, _, _ := strings.Cut(rest, "; ")
		if slices.Contains(places, place) || bodyPath.MatchString(place) {
			return strconv.Quote(field) + " is missing from " + place
		}
	}
	return strconv.Quote(field) + " is missing"
}

// bodyPath is a path into the body, in the names of the design.
var bodyPath = regexp.MustCompile(`^body(?:\.[A-Za-z0-9_-]+|\[(?:\*|key)\])+$`)
