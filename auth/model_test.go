package auth_test

import (
	"context"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/aguada-dev/aguada/auth"
)

// model is the guard as one would write it without a thought for speed: every
// alternative is tried on its own, by the letters of its uses.
func model(alternatives []string, r request) string {
	scheme := func(use string) string { return uses[use].Scheme }
	var order []string
	seen := map[string]bool{}
	for _, a := range alternatives {
		names, _, _ := strings.Cut(a, ":")
		for _, n := range strings.Fields(names) {
			if !seen[n] {
				order, seen[n] = append(order, n), true
			}
		}
	}
	for _, n := range order {
		if r[n] == "twice" {
			return "duplicate " + scheme(n)
		}
	}
	kind := func(n string) string { // what the credential of a use comes to
		switch {
		case r[n] == "late" && n != "l":
			return ""
		case strings.HasPrefix(r[n], "ok"):
			return "ok"
		default:
			return r[n]
		}
	}
	judged := map[string]bool{}
	forbidden, pending := "", false
	for _, a := range alternatives {
		names, scopes, _ := strings.Cut(a, ":")
		has := map[string]bool{}
		for _, n := range strings.Fields(names) {
			judged[n] = true
			has[kind(n)] = true
			if kind(n) == "bad" || kind(n) == "malformed" {
				break
			}
		}
		if has["bad"] || has["malformed"] || has[""] || has["down"] {
			continue
		}
		if has["late"] {
			pending = true
			continue
		}
		lacks := ""
		for _, n := range strings.Fields(names) {
			for _, s := range strings.Fields(scopes) {
				declared := n == "j" || (n == "o" && s == "read")
				if lacks == "" && declared && !strings.Contains(r[n], s) {
					lacks = "insufficient_scope " + scheme(n)
				}
			}
		}
		if lacks == "" {
			var all []string
			for _, n := range strings.Fields(names) {
				all = append(all, scheme(n)+":"+r[n])
			}
			return strings.Join(all, "+")
		}
		if forbidden == "" {
			forbidden = lacks
		}
	}
	if pending {
		return "late "
	}
	if forbidden != "" {
		return forbidden
	}
	for _, rank := range []string{"bad malformed", "down", ""} {
		for _, n := range order {
			k := kind(n)
			switch {
			case rank == "bad malformed" && k == "malformed":
				return "malformed " + scheme(n)
			case rank == "bad malformed" && k == "bad" && judged[n]:
				return "expired " + scheme(n)
			case rank == "down" && k == "down" && judged[n]:
				return "unavailable " + scheme(n)
			case rank == "" && k == "":
				return "missing " + scheme(n)
			}
		}
	}
	return "nothing fits"
}

func TestCheckIsTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var alternatives []string
		for range rapid.IntRange(1, 4).Draw(t, "alternatives") {
			names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"b", "k", "j", "o", "l"}), 1, 3, rapid.ID[string]).Draw(t, "uses")
			a := strings.Join(names, " ")
			if strings.Contains(a, "j") {
				a += rapid.SampledFrom([]string{"", " : read", " : read write"}).Draw(t, "scopes")
			}
			alternatives = append(alternatives, a)
		}
		r := request{}
		for n := range uses {
			r[n] = rapid.SampledFrom([]string{"", "", "ok", "ok read", "ok read write", "bad", "down", "malformed", "late", "twice"}).Draw(t, n)
			if r[n] == "twice" && rapid.IntRange(0, 3).Draw(t, "rarely") > 0 {
				r[n] = "ok"
			}
		}
		s := &store{}
		v := auth.Verifiers{}
		for _, scheme := range schemes {
			v[scheme.Name] = s
		}
		g, err := auth.NewGuard("shop", secured(alternatives...), schemes, v)
		if err != nil {
			t.Fatal(err)
		}
		want := model(alternatives, r)
		if got := verdict(g.Check(context.Background(), r)); got != want {
			t.Fatalf("%q with %q: got %q, want %q", alternatives, r, got, want)
		}
		if s.calls > len(uses) {
			t.Fatalf("%d verifications of %d uses", s.calls, len(uses))
		}
	})
}
