package idempotency_test

import (
	"bytes"
	"io"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/aguada-dev/aguada/idempotency"
)

type item struct {
	SKU      string
	Quantity int
	Price    float64
}

type card interface{ isCard() }

type visa struct{ Number string }

type amex struct{ Number string }

func (*visa) isCard() {}
func (*amex) isCard() {}

type node struct{ Next *node }

type payload struct {
	Token *string
	Key   string
	Note  *string
	Items []*item
	Tags  map[string]string
	Blob  []byte
	Card  card
	Any   any
	Flag  bool
	At    time.Time
}

func text(s string) *string { return &s }

func full() *payload {
	return &payload{
		Token: text("token"), Key: "key", Note: text("note"), Items: []*item{{"a", 1, 1.5}, {"b", 2, 2.5}},
		Tags: map[string]string{"a": "1", "b": "2"}, Blob: []byte{1, 2}, Card: &visa{"4111"}, Any: map[string]any{"x": []any{1.0, "2", nil, true}},
		Flag: true, At: time.Unix(1, 0).UTC(),
	}
}

func printOf(t testing.TB, v any, except ...string) [32]byte {
	t.Helper()
	p, err := idempotency.Fingerprint(v, except...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Every difference that a client can make shows, and nothing else does.
func TestFingerprint(t *testing.T) {
	want := printOf(t, full())
	for range 20 { // maps have no order
		if printOf(t, full()) != want {
			t.Fatal("equal payloads differ")
		}
	}
	prints := map[[32]byte]string{want: "the payload"}
	for name, change := range map[string]func(*payload){
		"token":               func(p *payload) { p.Token = text("other") },
		"no note":             func(p *payload) { p.Note = nil },
		"empty note":          func(p *payload) { p.Note = text("") },
		"note and key":        func(p *payload) { p.Key, p.Note = "keyno", text("te") },
		"order of items":      func(p *payload) { p.Items[0], p.Items[1] = p.Items[1], p.Items[0] },
		"fewer items":         func(p *payload) { p.Items = p.Items[:1] },
		"nil item":            func(p *payload) { p.Items[1] = nil },
		"no items":            func(p *payload) { p.Items = nil },
		"empty items":         func(p *payload) { p.Items = []*item{} },
		"quantity":            func(p *payload) { p.Items[1].Quantity = -2 },
		"price":               func(p *payload) { p.Items[1].Price = math.Nextafter(2.5, 3) },
		"tag":                 func(p *payload) { p.Tags["a"] = "2" },
		"tags":                func(p *payload) { p.Tags["c"] = "" },
		"tags swapped":        func(p *payload) { p.Tags = map[string]string{"a": "2", "b": "1"} },
		"blob":                func(p *payload) { p.Blob = []byte{2, 1} },
		"kind of card":        func(p *payload) { p.Card = &amex{"4111"} },
		"card":                func(p *payload) { p.Card = &visa{"4112"} },
		"no card":             func(p *payload) { p.Card = nil },
		"any":                 func(p *payload) { p.Any = map[string]any{"x": []any{1.0, 2.0, nil, true}} },
		"any of another kind": func(p *payload) { p.Any = map[string]any{"x": []any{"1", "2", nil, true}} },
		"flag":                func(p *payload) { p.Flag = false },
		"time":                func(p *payload) { p.At = time.Unix(2, 0).UTC() },
	} {
		p := full()
		change(p)
		got := printOf(t, p)
		if other := prints[got]; other != "" {
			t.Errorf("%s is the same as %s", name, other)
		}
		prints[got] = name
	}
	for _, v := range []any{nil, (*payload)(nil), "", 0, false, "0", []string{}, []string{""}, map[string]int{}, struct{}{}, int8(0), uint(0)} {
		got := printOf(t, v)
		if other := prints[got]; other != "" {
			t.Errorf("%#v is the same as %s", v, other)
		}
		prints[got] = "another value"
	}
}

// A credential may be renewed between two attempts.
func TestFingerprintWithoutCredentials(t *testing.T) {
	p := full()
	want := printOf(t, p, "Token")
	p.Token = text("renewed")
	if printOf(t, p, "Token") != want {
		t.Error("the token counts")
	}
	p.Key = "other"
	if printOf(t, p, "Token") == want {
		t.Error("the rest does not count")
	}
	type outer struct{ In struct{ Token string } }
	var a, b outer
	b.In.Token = "x"
	if printOf(t, a, "Token") == printOf(t, b, "Token") {
		t.Error("a field of the same name further inside does not count")
	}
}

// A new version of a service may have new optional attributes.
func TestFingerprintOfNewVersion(t *testing.T) {
	type old struct{ Name string }
	type grown struct {
		Name string
		Note *string
		Tags []string
		More map[string]string
		Any  any
	}
	if printOf(t, &old{"x"}) != printOf(t, &grown{Name: "x"}) {
		t.Error("an attribute that the request does not have counts")
	}
}

func TestFingerprintRefuses(t *testing.T) {
	cycle := &node{}
	cycle.Next = cycle
	loop := map[string]any{}
	loop["x"] = loop
	for name, v := range map[string]any{
		"reader": io.Reader(bytes.NewReader(nil)), "func": func() {}, "channel": make(chan int), "hidden fields": struct{ a int }{1},
		"inside": &payload{Any: struct{ R io.Reader }{bytes.NewReader(nil)}}, "itself": cycle, "map of itself": loop, "complex": 1i,
	} {
		if _, err := idempotency.Fingerprint(v); err == nil {
			t.Errorf("%s has a fingerprint", name)
		}
	}
}

// Two lists of texts have one fingerprint if and only if they are equal.
func TestFingerprintProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lists := rapid.SliceOfN(rapid.SliceOfN(rapid.SliceOfN(rapid.StringOfN(rapid.RuneFrom([]rune("a\x00\x01")), 0, 2, -1), 0, 2), 0, 2), 2, 2).Draw(t, "lists")
		a, err1 := idempotency.Fingerprint(lists[0])
		b, err2 := idempotency.Fingerprint(lists[1])
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		equal := len(lists[0]) == len(lists[1])
		for i := 0; equal && i < len(lists[0]); i++ {
			x, y := lists[0][i], lists[1][i]
			equal = len(x) == len(y)
			for j := 0; equal && j < len(x); j++ {
				equal = x[j] == y[j]
			}
		}
		if (a == b) != equal {
			t.Fatalf("%q and %q", lists[0], lists[1])
		}
	})
}
