package input

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/model"
	"github.com/aguada-dev/aguada/prove/probe"
)

func bodies() []probe.Probe { return []probe.Probe{malformed, deep, strict, odd, otherTypes} }

var malformed = probe.Probe{
	Probe: describe("body.malformed", "Is every body refused that is not one JSON text?",
		"Where one reader stops at the end of the first value and another goes on, they do not read the same request: what a gateway has checked is not what is then done.",
		"Read the body to its end, and refuse it unless it is exactly one value in JSON that fits the types of the design.",
		"RFC 8259 §2", "CWE-20", "CWE-436"),
	Each: probe.WithBody,
	Run: body("body.malformed", refused, "each refused", func(t *probe.Try, d *documents, r lab.Request) []attempt {
		return unreadable(t.Method, d, r)
	}),
}

// unreadable returns requests whose body is no JSON, or not of the design.
func unreadable(m method, d *documents, r lab.Request) []attempt {
	valid := string(d.valid(0))
	wide := make([]byte, 0, 2*len(valid))
	for _, u := range utf16.Encode([]rune(valid)) {
		wide = append(wide, byte(u), byte(u>>8))
	}
	list := []attempt{}
	add := func(name, text string) { list = append(list, attempt{name, with(r, []byte(text))}) }
	add("text", "prover")
	add("a body that ends in the middle", valid[:len(valid)/2])
	add("something behind the body", valid+" prover")
	add("a second body behind the first", valid+valid)
	add("a comma too many", strings.TrimSuffix(valid, "}")+",}")
	add("a comment", "/* prover */"+valid)
	add("single quotes", strings.ReplaceAll(valid, `"`, "'"))
	add("UTF-16", string(wide))
	add("a zero byte", valid+"\x00")
	add("a bracket", "[")
	s := m.Body.Resolved()
	if m.BodyRequired && len(s.Required) > 0 {
		add("no body", "")
		add("a body of spaces", "   ")
		add("null", "null")
	}
	if s.Type == "object" {
		add("an array of it", "["+valid+"]")
		add("a number", "17")
	}
	for name, text := range map[string]string{
		"1e999": "1e999", "-1e999": "-1e999", "a number of 400 digits": strings.Repeat("9", 400), "NaN": "NaN", "Infinity": "Infinity",
		"a number in hexadecimal": "0x10", "a number with a leading zero": "0017",
	} {
		if b, ok := d.put(isNumber, text); ok {
			add(name, string(b))
		}
	}
	if b, ok := d.put(isInteger, "9223372036854775808"); ok {
		add("an integer beyond 64 bits", string(b))
	}
	if b, ok := d.put(anyText, "\"a\nb\""); ok {
		add("a line end within a text", string(b))
	}
	slices.SortStableFunc(list, func(a, b attempt) int { return strings.Compare(a.name, b.name) })
	return list
}

// depth is how deep what is nested is: far beyond what any design has, little
// enough for any limit of size.
const depth = 100_000

var deep = probe.Probe{
	Probe: describe("body.depth", "Are bodies of many brackets or elements refused, and soon?",
		"A decoder that follows each bracket by a call runs out of stack, which ends the whole process; a list without end is memory without end.",
		"Limit how deep JSON may nest, limit its size, and give every list of the design a MaxLength.",
		"RFC 8259 §9", "CWE-674", "CWE-400", "OWASP API4:2023"),
	Needs: lab.Floods,
	Each:  probe.WithBody,
	Run: body("body.depth", refused, "each refused", func(_ *probe.Try, d *documents, r lab.Request) []attempt {
		return nested(d, r)
	}),
}

func nested(d *documents, r lab.Request) []attempt {
	open := strings.Repeat("[", depth)
	closed := open + strings.Repeat("]", depth)
	objects := strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth)
	list := []attempt{
		{"100,000 open brackets", with(r, []byte(open))},
		{"100,000 nested arrays", with(r, []byte(closed))},
		{"100,000 nested objects", with(r, []byte(`[`+objects+`]`))},
		{"an array of 100,000 numbers", with(r, []byte("["+strings.Repeat("0,", depth-1)+"0]"))},
	}
	if b, ok := d.put(anyText, closed); ok {
		list = append(list, attempt{"100,000 nested arrays instead of a text", with(r, b)})
	}
	if b, ok := d.member(`"prover_deep":` + closed); ok {
		list = append(list, attempt{"100,000 nested arrays under an unknown name", with(r, b)})
	}
	if b, ok := d.put(isArray, "["+strings.Repeat("[],", depth-1)+"[]]"); ok {
		list = append(list, attempt{"100,000 elements of another type", with(r, b)})
	}
	return list
}

var strict = probe.Probe{
	Probe: describe("body.strict", "Are bodies refused that name a member twice, or one that the design does not have?",
		"Of two members with one name each reader takes another one: the gateway checks the first, the service uses the last. A misspelt optional member is silently lost.",
		"Declare StrictBody, which refuses duplicates and names that the design does not have, in its spelling.",
		"RFC 8259 §4", "CWE-436", "CWE-915", "OWASP API3:2023"),
	Each: func(m method) bool { return probe.WithBody(m) && m.StrictBody },
	Run: body("body.strict", refused, "each refused", func(_ *probe.Try, d *documents, r lab.Request) []attempt {
		return lenient(d, r)
	}),
}

// lenient returns requests whose body some decoders take: members twice, unknown,
// in another case, and bytes that are no UTF-8.
func lenient(d *documents, r lab.Request) []attempt {
	var list []attempt
	add := func(name string, body []byte, ok bool) {
		if ok {
			list = append(list, attempt{name, with(r, body)})
		}
	}
	object, _ := d.nth(0).(map[string]any)
	for i, name := range slices.Sorted(maps.Keys(object)) {
		value := string(encode(object[name]))
		b, ok := d.member(string(encode(name)) + ":" + value)
		add(name+" twice", b, ok)
		if folded := strings.ToUpper(name); i == 0 && folded != name {
			b, ok = d.member(string(encode(folded)) + ":" + value)
			add(folded+" beside "+name, b, ok)
			other := maps.Clone(object)
			delete(other, name)
			other[folded] = object[name]
			add(folded+" instead of "+name, encode(other), true)
		}
		if i == 0 && name != "" {
			escaped := fmt.Sprintf(`"\u%04x%s"`, name[0], name[1:])
			b, ok = d.member(escaped + ":" + value)
			add(name+" twice, once with an escape", b, ok)
		}
	}
	b, ok := d.member(`"prover_unknown":1`)
	add("an unknown member", b, ok)
	b, ok = d.member(`"__proto__":{"admin":true}`)
	add("__proto__", b, ok)
	b, ok = d.put(isText, "\"a\xff\xfe\"")
	add("a text that is no UTF-8", b, ok)
	return list
}

var odd = probe.Probe{
	Probe: describe("body.odd", "Does the service survive what JSON allows and few expect?",
		"A zero in a text that the database does not take, half of a surrogate pair, or a mark in front of the body: where nobody thought of it the answer is a 500, or none.",
		"Refuse with 400 what cannot be stored, before it is sent to the database.",
		"RFC 8259 §7", "RFC 8259 §8", "CWE-176", "CWE-626"),
	Each: probe.WithBody,
	Run: body("body.odd", unharmed, "none failed", func(_ *probe.Try, d *documents, r lab.Request) []attempt {
		return slices.Concat(unusual(d, r), lenient(d, r))
	}),
}

func unusual(d *documents, r lab.Request) []attempt {
	list := []attempt{{"a byte order mark", with(r, append([]byte("\xef\xbb\xbf"), d.valid(1)...))}}
	add := func(n int, want func(*model.Schema) bool, what, text string) {
		for _, b := range d.putAll(n, want, text) {
			list = append(list, attempt{what, with(r, b)})
		}
	}
	for i, text := range []string{
		`"\u0000"`, `"\ud800"`, `"\udc00\ud800"`, `"\uffff"`, `"a\r\nb: c"`, `"'; SELECT 1; --"`, `"${jndi:ldap://127.0.0.1:1/x}"`, `"{{7*7}}"`, `"../../etc/passwd"`, `""`, `" "`,
	} {
		add(32*(i+1), isText, "a text "+text, text)
	}
	add(512, unlimitedText, "a text of 5,000 letters", `"`+strings.Repeat("a", 5000)+`"`)
	for i, text := range []string{"-0", "1e-999", "1e300", "-1e300", "9007199254740993", "1E0", "1.0", "0." + strings.Repeat("3", 5000)} {
		add(32*(i+20), isNumber, "a number "+text[:min(len(text), 8)], text)
	}
	return list
}

var otherTypes = probe.Probe{
	Probe: describe("body.type", "Are bodies refused whose type the design does not take?",
		"A second decoder is a second way in, with rules of its own: XML and gob are decoded into the same value, and a page of any origin may send text and forms without asking.",
		"Answer 415 unless the media type is one that the design names; do not fall back to JSON, and leave out decoders that nobody asked for.",
		"RFC 9110 §15.5.16", "CWE-352", "CWE-436"),
	Each: func(m method) bool { return probe.WithBody(m) && !slices.Contains(m.Consumes, "*/*") },
	Run: body("body.type", refused, "each refused", func(t *probe.Try, d *documents, r lab.Request) []attempt {
		return typed(t.Method, d, r)
	}),
}

func typed(m method, d *documents, r lab.Request) []attempt {
	var list []attempt
	doc := d.nth(4)
	add := func(kind, what string, body []byte) {
		if !slices.Contains(m.Consumes, kind) {
			list = append(list, attempt{what + " as " + kind, with(r, body).With("Content-Type", kind)})
		}
	}
	valid := encode(doc)
	for _, kind := range []string{
		"application/xml", "text/xml", "application/gob", "application/x-gob", "application/x-www-form-urlencoded",
		"multipart/form-data; boundary=prover", "text/plain", "text/html", "application/octet-stream", "application/x-protobuf", "image/png", "/", "prover", "application/json, text/plain",
	} {
		add(kind, "JSON", valid)
	}
	if x, ok := asXML(doc); ok {
		add("application/xml", "XML", x)
		add("text/xml", "XML", x)
	}
	if object, ok := doc.(map[string]any); ok {
		form := url.Values{}
		for name, v := range object {
			form.Set(name, fmt.Sprint(v))
		}
		add("application/x-www-form-urlencoded", "a form", []byte(form.Encode()))
	}
	return list
}

// asXML writes the document as encoding/xml reads it into a struct with the same
// names.
func asXML(doc any) ([]byte, bool) {
	object, ok := doc.(map[string]any)
	if !ok {
		return nil, false
	}
	var b strings.Builder
	b.WriteString("<prover>")
	elements(&b, object)
	b.WriteString("</prover>")
	return []byte(b.String()), true
}

func elements(b *strings.Builder, object map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(object)) {
		list, ok := object[name].([]any)
		if !ok {
			list = []any{object[name]}
		}
		for _, v := range list {
			b.WriteString("<" + name + ">")
			switch x := v.(type) {
			case map[string]any:
				elements(b, x)
			case string:
				_ = xml.EscapeText(b, []byte(x)) // a Builder takes all
			default:
				text, _ := json.Marshal(x) // what was decoded can be encoded
				b.Write(text)
			}
			b.WriteString("</" + name + ">")
		}
	}
}
