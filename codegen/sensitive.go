package codegen

import (
	"slices"
	"strings"

	goaexpr "goa.design/goa/v3/expr"

	"github.com/aguada-dev/aguada/expr"
)

// sensitivePlaces returns the JSON pointers of what is sensitive in a body; "*"
// stands for the items of a list and the members of a map. Types that contain
// themselves are followed once.
func sensitivePlaces(att *goaexpr.AttributeExpr, at string, seen []string) []string {
	if att == nil {
		return nil
	}
	if expr.IsSensitive(att) {
		return []string{at}
	}
	switch t := att.Type.(type) {
	case goaexpr.UserType:
		if slices.Contains(seen, t.ID()) {
			return nil
		}
		return sensitivePlaces(t.Attribute(), at, append(slices.Clone(seen), t.ID()))
	case *goaexpr.Object:
		var places []string
		for _, nat := range *t {
			name := strings.NewReplacer("~", "~0", "/", "~1").Replace(nat.Name)
			places = append(places, sensitivePlaces(nat.Attribute, at+"/"+name, seen)...)
		}
		return places
	case *goaexpr.Array:
		return sensitivePlaces(t.ElemType, at+"/*", seen)
	case *goaexpr.Map:
		return sensitivePlaces(t.ElemType, at+"/*", seen)
	}
	return nil
}
