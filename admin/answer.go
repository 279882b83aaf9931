package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// format is the form of an answer.
type format string

// The forms of an answer.
const (
	asText   format = "text"
	asJSON   format = "json"
	asNDJSON format = "ndjson"
)

// formOf returns the form that the caller wants: what ?format= says, else the
// first of the Accept header that there is, else usual. It has answered if the
// format is unknown.
func formOf(w http.ResponseWriter, r *http.Request, usual format) (format, bool) {
	w.Header().Add("Vary", "Accept")
	if q := r.URL.Query(); q.Has("format") {
		switch f := format(q.Get("format")); f {
		case asText, asJSON, asNDJSON:
			return f, true
		}
		fail(w, http.StatusBadRequest, "unknown format: text and json are known, ndjson for /audit")
		return "", false
	}
	for part := range strings.SplitSeq(strings.Join(r.Header["Accept"], ","), ",") {
		media, params, _ := strings.Cut(part, ";")
		if q, err := strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(params), "q="), 64); err == nil && q == 0 {
			continue
		}
		switch strings.ToLower(strings.TrimSpace(media)) {
		case "application/json":
			return asJSON, true
		case "application/x-ndjson", "application/ndjson":
			return asNDJSON, true
		case "text/plain", "text/html", "text/*":
			return asText, true
		}
	}
	return usual, true
}

// writeJSON answers with v.
func writeJSON(w http.ResponseWriter, status int, v any) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		fail(w, http.StatusInternalServerError, "encode answer: "+err.Error())
		return
	}
	write(w, status, "application/json", escape(b.Bytes()))
}

func writeText(w http.ResponseWriter, status int, text []byte) {
	write(w, status, "text/plain; charset=utf-8", text)
}

func write(w http.ResponseWriter, status int, media string, body []byte) {
	w.Header().Set("Content-Type", media)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) //nolint:gosec // text, JSON and profiles only: no media type here runs scripts, and nosniff holds
}

// fail answers with an error, as JSON.
func fail(w http.ResponseWriter, status int, text string) {
	writeJSON(w, status, struct {
		Error string `json:"error"`
	}{text})
}

// table is text in aligned columns.
type table struct {
	b bytes.Buffer
	w *tabwriter.Writer
}

func newTable(head ...string) *table {
	t := new(table)
	t.w = tabwriter.NewWriter(&t.b, 0, 0, 2, ' ', 0)
	t.row(head...)
	return t
}

// row adds a line; empty cells are shown as a dash.
func (t *table) row(cells ...string) {
	for i, c := range cells {
		if c = printable(c); c == "" {
			c = "-"
		}
		cells[i] = c
	}
	_, _ = t.w.Write([]byte(strings.Join(cells, "\t") + "\n"))
}

func (t *table) bytes() []byte {
	_ = t.w.Flush()
	return t.b.Bytes()
}

// curl returns the command that asks for a page of this port as the request
// did. What the request says of itself is only repeated where no shell would
// take it for more than an address.
func (s *Server) curl(r *http.Request, path string, options ...string) string {
	scheme, host := "http://", r.Host
	if r.TLS != nil {
		scheme = "https://"
	}
	if host == "" || strings.Trim(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:-[]") != "" {
		host = "ADDRESS"
	}
	all := []string{"curl", quote(scheme + host + path)}
	if s.cfg.verifiesClients() {
		all = append(all, "--cert CERTIFICATE --key KEY")
	}
	if s.tokened {
		all = append(all, `-H "Authorization: Bearer $ADMIN_TOKEN"`)
	}
	return strings.Join(append(all, options...), " ")
}

// quote returns a text as one word of a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// escape writes what a terminal could take for a command as escapes of JSON.
// It may be anywhere but in the text of numbers and the like: whatever is not
// printable in JSON that package json has encoded is within a string, but for
// the ends of lines.
func escape(text []byte) []byte {
	odd := func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }
	i := bytes.IndexFunc(text, odd)
	if i < 0 {
		return text
	}
	out := append(make([]byte, 0, len(text)+64), text[:i]...)
	for _, r := range string(text[i:]) {
		switch {
		case !odd(r):
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

// printable quotes what a terminal could take for a command.
func printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) || !utf8.ValidString(s) {
		return strconv.Quote(s)
	}
	return s
}
