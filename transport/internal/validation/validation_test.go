package validation

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	goa "goa.design/goa/v3/pkg"
)

// violation makes one of Goa's validation errors about a value.
func violation(kind int, value string) error {
	switch kind % 8 {
	case 0:
		return goa.InvalidFieldTypeError("limit", value, "integer")
	case 1:
		return goa.MissingFieldError("currency", "body")
	case 2:
		return goa.InvalidEnumValueError("body.currency", value, []any{"EUR", "USD"})
	case 3:
		return goa.InvalidFormatError("body.customer_id", value, goa.FormatUUID, errors.New("invalid UUID: "+value))
	case 4:
		return goa.InvalidPatternError("body.items[*].sku", value, "^[A-Z]{2}$")
	case 5:
		return goa.InvalidRangeError("body.items[*].quantity", value, 1.5, true)
	case 6:
		return goa.InvalidLengthError("body.card", value, len(value), 12, false)
	default:
		return goa.InvalidFieldTypeError("ids", []string{value, value}, "array of integers")
	}
}

func TestDetails(t *testing.T) {
	want := []string{
		`limit must be a integer`,
		`"currency" is missing from body`,
		`value of body.currency must be one of "EUR", "USD"`,
		`body.customer_id must be formatted as a uuid`,
		`body.items[*].sku must match the regexp "^[A-Z]{2}$"`,
		`body.items[*].quantity must be greater or equal than 1.5`,
		`length of body.card must be lesser or equal than 12`,
		`ids must be a array of integers`,
	}
	var all error
	for kind, text := range want {
		var e *goa.ServiceError
		errors.As(violation(kind, `x" but got value "secret`), &e)
		if got := Join(Details(e)); got != text {
			t.Errorf("got  %q\nwant %q", got, text)
		}
		all = goa.MergeErrors(all, violation(kind, `secret`))
	}
	var e *goa.ServiceError
	errors.As(all, &e)
	details := Details(e)
	if diff := cmp.Diff(strings.Join(want, "; "), Join(details)); diff != "" {
		t.Errorf("merged: %s", diff)
	}
	if details[2].Field != "body.currency" || details[2].Name != goa.InvalidEnumValue {
		t.Errorf("detail = %+v", details[2])
	}
	for name, err := range map[string]error{
		"no field": goa.PermanentError(goa.InvalidEnumValue, "value of x is secret"),
		"payload":  goa.DecodePayloadError("secret"),
		"media":    goa.UnsupportedMediaTypeError("secret"),
		"range":    goa.PermanentError(goa.InvalidRange, "a secret"),
	} {
		errors.As(err, &e)
		if got := Join(Details(e)); strings.Contains(got, "secret") || got == "" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// FuzzValueIsNeverEchoed merges validation errors about a value in any order:
// the value is in none of what is told of them.
func FuzzValueIsNeverEchoed(f *testing.F) {
	f.Add("4111111111111111", []byte{0, 1, 2, 3, 4, 5, 6, 7})
	f.Add(` for "limit", must be a integer; x`, []byte{0, 2, 0})
	f.Add(`" is missing from body; secret`, []byte{1, 0, 1})
	f.Add(" but got value \x00", []byte{7, 6, 5})
	safe := map[string]bool{}
	f.Fuzz(func(t *testing.T, value string, kinds []byte) {
		if len(kinds) == 0 || len(kinds) > 12 {
			return
		}
		// The marked value cannot be part of any constraint.
		marked := "\u00abmark\u00bb" + value + "\u00abmark\u00bb"
		var left, right error
		for i, k := range kinds {
			if i%3 == 2 {
				right = goa.MergeErrors(right, violation(int(k), marked))
			} else {
				left = goa.MergeErrors(left, violation(int(k), marked))
			}
		}
		var e *goa.ServiceError
		errors.As(goa.MergeErrors(left, right), &e)
		clear(safe)
		for kind := range 8 {
			var one *goa.ServiceError
			errors.As(violation(kind, ""), &one)
			for _, d := range Details(one) {
				safe[d.Detail] = true
			}
		}
		for _, d := range Details(e) {
			if strings.Contains(d.Detail, "mark") {
				t.Fatalf("the value is in %q", d.Detail)
			}
			if !safe[d.Detail] && !strings.HasSuffix(d.Detail, "has the wrong type") {
				t.Fatalf("the detail depends on the value: %q", d.Detail)
			}
		}
	})
}
