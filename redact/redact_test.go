package redact_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aguada-dev/aguada/redact"
)

const secret = "4111111111111111"

// order is shaped like a generated payload.
type order struct {
	Card    string
	Note    *string
	Owner   *struct{ Name, Pin string }
	Parts   []*struct{ SKU, Serial string }
	Backup  *card
	Cards   []*card
	ByName  map[string]*card
	Image   []byte
	When    time.Time
	Count   int
	Rate    float64
	Paid    bool
	Missing *int
	Any     any
}

func (o order) LogValue() slog.Value {
	return redact.LogValue(o, "Card", "Owner.Pin", "Parts.Serial")
}

func (o order) Format(f fmt.State, verb rune) {
	redact.Format(f, verb, o, "Card", "Owner.Pin", "Parts.Serial")
}

type card struct {
	Number string
	Next   *card
}

func (c card) LogValue() slog.Value          { return redact.LogValue(c, "Number") }
func (c card) Format(f fmt.State, verb rune) { redact.Format(f, verb, c, "Number") }

// token is secret as a whole.
type token string

func (t token) LogValue() slog.Value          { return redact.LogValue(t, redact.All) }
func (t token) Format(f fmt.State, verb rune) { redact.Format(f, verb, t, redact.All) }

// export has a field that takes the name of a method.
type export struct{ Format, Key string }

func (e export) LogValue() slog.Value { return redact.LogValue(e, "Key") }
func (e export) String() string       { return redact.String(e, "Key") }
func (e export) GoString() string     { return redact.GoString(e, "Key") }

// refused is shaped like a generated error type.
type refused struct{ Card string }

func (*refused) Error() string                  { return "card refused" }
func (r refused) LogValue() slog.Value          { return redact.LogValue(r, "Card") }
func (r refused) Format(f fmt.State, verb rune) { redact.Format(f, verb, r, "Card") }

// holder has secrets where a field's path does not lead.
type holder struct {
	ByToken map[token]string
	hidden  string
	Foreign foreign
}

func (h holder) LogValue() slog.Value          { return redact.LogValue(h, "hidden") }
func (h holder) Format(f fmt.State, verb rune) { redact.Format(f, verb, h, "hidden") }

// foreign masks itself by String alone, as types of other packages do.
type foreign struct{ Secret string }

func (foreign) String() string { return "masked" }

func held() holder { return holder{map[token]string{secret: "x"}, secret, foreign{secret}} }

func full() *order {
	note := "fragile"
	return &order{
		Card: secret, Note: &note,
		Owner:  &struct{ Name, Pin string }{"Ana", secret},
		Parts:  []*struct{ SKU, Serial string }{{"a-1", secret}, nil},
		Backup: &card{Number: secret},
		Cards:  []*card{{Number: secret}, nil},
		ByName: map[string]*card{"b": {Number: secret}, "a": {Number: secret}},
		Image:  []byte(secret), When: time.Unix(0, 0).UTC(), Count: 3, Rate: 0.5, Paid: true,
		Any: map[string]any{"card": &card{Number: secret}},
	}
}

func TestNoVerbShowsSecret(t *testing.T) {
	values := map[string]any{
		"pointer": full(), "value": *full(), "slice": []*order{full()}, "map": map[string]order{"x": *full()},
		"in a struct": struct{ O *order }{full()}, "in a value struct": struct{ O order }{*full()},
		"in an interface": struct{ O any }{full()}, "array": [1]order{*full()},
		"whole": token(secret), "wholes": []token{secret}, "no Format": export{"csv", secret},
		"error": &refused{secret}, "wrapped error": fmt.Errorf("pay: %w", &refused{secret}),
		"joined error": errors.Join(&refused{secret}), "off the paths": held(),
	}
	for name, v := range values {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%5.2v", "% x", "%T: %[1]v"} {
			if (format == "%d" || format == "%t") && (name == "no Format" || strings.HasSuffix(name, "ed error")) {
				continue // fmt asks neither String nor what an unexported field holds
			}
			got := fmt.Sprintf(format, v)
			hex := fmt.Sprintf("%x", secret)
			if strings.Contains(got, secret) || strings.Contains(strings.ToLower(got), hex) {
				t.Errorf("%s with %s shows the secret: %s", name, format, got)
			}
		}
	}
}

func TestNoLogShowsSecret(t *testing.T) {
	note := "fragile"
	values := map[string]any{
		"pointer": full(), "value": *full(), "whole": token(secret), "error": &refused{secret},
		"no Format": export{"csv", secret}, "sparse": &order{Note: &note}, "off the paths": held(),
	}
	for name, v := range values {
		var buf bytes.Buffer
		slog.New(slog.NewJSONHandler(&buf, nil)).Info("x", "v", v, slog.Group("g", "v", v))
		slog.New(slog.NewTextHandler(&buf, nil)).Info("x", "v", v, slog.Group("g", "v", v))
		slog.New(slog.NewTextHandler(&buf, nil)).With("v", v).Info("x")
		if got := buf.String(); strings.Contains(got, secret) || strings.Contains(got, "PANIC") {
			t.Errorf("%s in a log shows the secret: %s", name, got)
		}
	}
}

func TestFormat(t *testing.T) {
	note := "fragile"
	o := &order{Card: secret, Note: &note, Cards: []*card{{Number: secret}, nil}, Image: []byte("abc"), When: time.Unix(0, 0).UTC()}
	tests := []struct {
		name, format string
		v            any
		want         string
	}{
		{"v", "%v", card{Number: secret}, "{[redacted] <nil>}"},
		{"s", "%s", &card{Number: secret}, "{[redacted] <nil>}"},
		{"wrong verb", "%d", &card{Number: secret}, "{[redacted] <nil>}"},
		{"plus", "%+v", &card{Number: secret, Next: &card{}}, "{Number:[redacted] Next:{Number:[redacted] Next:<nil>}}"},
		{"sharp", "%#v", card{Number: secret}, `redact_test.card{Number:"[redacted]", Next:<nil>}`},
		{"nil pointer", "%v", (*card)(nil), "<nil>"},
		{"rest is shown", "%+v", o, "{Card:[redacted] Note:fragile Owner:<nil> Parts:[] Backup:<nil> " +
			"Cards:[{Number:[redacted] Next:<nil>} <nil>] ByName:map[] Image:(3 bytes) When:1970-01-01 00:00:00 +0000 UTC " +
			"Count:0 Rate:0 Paid:false Missing:<nil> Any:<nil>}"},
		{"error keeps its message", "%v", &refused{secret}, "card refused"},
		{"error with a flag", "%+v", &refused{secret}, "{Card:[redacted]}"},
		{"whole", "%v", token(secret), "[redacted]"},
		{"whole, sharp", "%#v", token(secret), `"[redacted]"`},
		{"no Format", "%+v", export{"csv", secret}, "{csv [redacted]}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, fmt.Sprintf(tt.format, tt.v)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLogValue(t *testing.T) {
	var buf bytes.Buffer
	drop := func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key != "o" {
			return slog.Attr{}
		}
		return a
	}
	note := "fragile"
	o := &order{Card: secret, Note: &note, Owner: &struct{ Name, Pin string }{"Ana", secret},
		Cards: []*card{{Number: secret}}, ByName: map[string]*card{"a": {Number: secret}}, Image: []byte("abc"), Count: 3,
		When: time.Unix(0, 0).UTC()}
	slog.New(slog.NewJSONHandler(&buf, &slog.HandlerOptions{ReplaceAttr: drop})).Info("", "o", o)
	want := `{"o":{"Card":"[redacted]","Note":"fragile","Owner":{"Name":"Ana","Pin":"[redacted]"},"Parts":[],"Backup":null,` +
		`"Cards":[{"Next":null,"Number":"[redacted]"}],"ByName":{"a":{"Next":null,"Number":"[redacted]"}},"Image":"(3 bytes)",` +
		`"When":"1970-01-01T00:00:00Z","Count":3,"Rate":0,"Paid":false,"Missing":null,"Any":null}}` + "\n"
	if diff := cmp.Diff(want, buf.String()); diff != "" {
		t.Error(diff)
	}
}

// TestSelfReference prints a value that contains itself.
func TestSelfReference(t *testing.T) {
	c := &card{Number: secret}
	c.Next = c
	type loop struct{ Next any }
	l := &loop{}
	l.Next = l
	if got := redact.String(*l); !strings.Contains(got, "...") {
		t.Errorf("%s", got)
	}
	_ = redact.LogValue(*l).String()
}
