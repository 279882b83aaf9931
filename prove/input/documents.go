package input

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"

	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/model"
	"github.com/aguada-dev/aguada/prove/payload"
	"github.com/aguada-dev/aguada/prove/probe"
)

// documents are bodies that the method is known to take.
type documents struct {
	schema *model.Schema
	seed   uint64
	// fixed is taken again and again; nil where each call needs another body,
	// such as one that chooses its own id.
	fixed any
}

// accepted finds out which bodies the method takes.
func accepted(ctx context.Context, t *probe.Try, code string) (*documents, error) {
	h := fnv.New64a()
	_, _ = h.Write([]byte(code + " " + t.Method.ID()))
	d := &documents{schema: t.Method.Body, seed: t.Seed ^ h.Sum64()}
	var example any
	if err := json.Unmarshal(t.Body(t.Method), &example); err != nil {
		return nil, fmt.Errorf("read the design's example: %w", err)
	}
	var last *lab.Answer
	for _, fixed := range []any{t.Payload.Complete(d.schema, example), example, nil} {
		d.fixed = fixed
		taken := 0
		for n := range 2 {
			r, err := ready(ctx, t)
			if err != nil {
				return nil, err
			}
			if last = ask(ctx, t, with(r, encode(d.nth(n)))); lab.Succeeds(t.Method, last) {
				taken++
			}
		}
		if taken == 2 {
			return d, nil
		}
	}
	return nil, errors.New("no body is taken twice, the last answer is " + last.String())
}

// nth returns one of the bodies; each n another where that is needed.
func (d *documents) nth(n int) any {
	if d.fixed != nil {
		return d.fixed
	}
	return d.maker(n).Full(d.schema)
}

func (d *documents) maker(n int) *payload.Maker { return payload.New(d.seed + uint64(n)) }

// violations returns bodies that break one constraint each.
func (d *documents) violations() []payload.Case {
	return d.maker(0).ViolationsOf(d.schema, d.nth(0))
}

// boundaries returns bodies that meet one limit each. Where each call needs
// another body, so does each case.
func (d *documents) boundaries() []payload.Case {
	cases := func(n int) []payload.Case { return d.maker(n).BoundariesOf(d.schema, d.nth(n)) }
	list := cases(0)
	if d.fixed != nil {
		return list
	}
	for i := range list {
		if fresh := cases(i + 2); len(fresh) == len(list) { // 0 and 1 were sent already
			list[i] = fresh[i]
		}
	}
	return list
}

// valid returns a body that is taken.
func (d *documents) valid(n int) []byte { return encode(d.nth(n + 2)) }

// hole stands in a document where text that is no JSON is put.
const hole = "\u2039prover\u203a"

// put returns the first document with text, JSON or not, in the first place whose
// schema is wanted; false where there is none.
func (d *documents) put(want func(*model.Schema) bool, text string) ([]byte, bool) {
	return d.putAt(0, 0, want, text)
}

// putAll returns documents from the n-th on, one for each such place.
func (d *documents) putAll(n int, want func(*model.Schema) bool, text string) [][]byte {
	var all [][]byte
	for k := range 32 {
		b, ok := d.putAt(n+k, k, want, text)
		if !ok {
			break
		}
		all = append(all, b)
	}
	return all
}

func (d *documents) putAt(n, k int, want func(*model.Schema) bool, text string) ([]byte, bool) {
	doc, left := replaced(d.schema, d.nth(n), want, k, 0)
	return bytes.Replace(encode(doc), []byte(`"`+hole+`"`), []byte(text), 1), left < 0
}

// replaced puts the hole into the k-th place that is wanted; left is how many
// more places there would have to be, -1 where it is done.
func replaced(s *model.Schema, doc any, want func(*model.Schema) bool, k, depth int) (with any, left int) {
	s = s.Resolved()
	if s == nil || depth > 8 {
		return doc, k
	}
	if want(s) {
		if k == 0 {
			return hole, -1
		}
		k--
	}
	switch x := doc.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(x)) {
			var v any
			if v, k = replaced(s.Properties[name], x[name], want, k, depth+1); k < 0 {
				x = maps.Clone(x)
				x[name] = v
				return x, -1
			}
		}
	case []any:
		if len(x) > 0 {
			var v any
			if v, k = replaced(s.Items, x[0], want, k, depth+1); k < 0 {
				x = slices.Clone(x)
				x[0] = v
				return x, -1
			}
		}
	}
	return doc, k
}

// member returns the first document, an object, with more members in front, whose
// text is given.
func (d *documents) member(text string) ([]byte, bool) {
	body := encode(d.nth(0))
	if len(body) < 3 || body[0] != '{' {
		return nil, false
	}
	return slices.Concat([]byte("{"+text+","), body[1:]), true
}

func isText(s *model.Schema) bool {
	return s.Type == "string" && s.Format == "" && s.Pattern == "" && len(s.Enum) == 0
}
func unlimitedText(s *model.Schema) bool { return isText(s) && s.MaxLength == nil }
func anyText(s *model.Schema) bool       { return s.Type == "string" }
func isNumber(s *model.Schema) bool      { return s.Type == "number" || s.Type == "integer" }
func isInteger(s *model.Schema) bool     { return s.Type == "integer" }
func isArray(s *model.Schema) bool       { return s.Type == "array" }

// encode writes JSON without escapes for HTML.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil {
		return nil
	}
	return bytes.TrimSpace(b.Bytes())
}
