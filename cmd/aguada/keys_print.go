package main

import (
	"bytes"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aguada-dev/aguada/auth/apikey"
)

// keyView is what is shown of a key, in JSON too.
type keyView struct {
	ID         string       `json:"id"`
	Owner      string       `json:"owner"`
	Label      string       `json:"label,omitempty"`
	Scopes     []string     `json:"scopes"`
	State      apikey.State `json:"state"`
	CreatedAt  time.Time    `json:"created_at,omitzero"`
	ExpiresAt  time.Time    `json:"expires_at,omitzero"`
	RetiresAt  time.Time    `json:"retires_at,omitzero"`
	RevokedAt  time.Time    `json:"revoked_at,omitzero"`
	LastUsedAt time.Time    `json:"last_used_at,omitzero"`
	Replaces   string       `json:"replaces,omitempty"`
	ReplacedBy string       `json:"replaced_by,omitempty"`
	Pepper     string       `json:"pepper,omitempty"`
	// PepperIs is current, old or unknown, where the environment has a pepper.
	PepperIs string `json:"pepper_is,omitempty"`
	end      time.Time
}

func (s *openKeys) view(r apikey.Record) keyView {
	v := keyView{
		ID: r.ID, Owner: r.Owner, Label: r.Label, Scopes: append([]string{}, r.Scopes...), State: r.State(time.Now()),
		CreatedAt: r.CreatedAt, ExpiresAt: r.ExpiresAt, RetiresAt: r.RetiresAt, RevokedAt: r.RevokedAt, LastUsedAt: r.LastUsedAt,
		Replaces: r.Replaces, ReplacedBy: r.ReplacedBy, Pepper: r.Pepper, end: r.End(),
	}
	switch {
	case s.current == "":
	case r.Pepper == s.current || r.Pepper == "":
		v.PepperIs = "current"
	case r.Pepper == s.old:
		v.PepperIs = "old"
	default:
		v.PepperIs = "unknown"
	}
	return v
}

// printKey prints a new key, alone on standard output, and says the rest
// elsewhere.
func (k *keys) printKey(s *openKeys, key string, r apikey.Record, old *apikey.Record) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("print key: %w; it is stored and nobody has seen it: run aguada keys revoke %s", err, r.ID)
		}
	}()
	k.out.Printf("made %s for %s, scopes [%s], %s; stored in %s", r.ID, r.Owner, strings.Join(r.Scopes, " "), ending("expires", r.ExpiresAt), s.keys.Text)
	if old != nil {
		k.out.Printf("%s, which it replaces, is accepted until %s", old.ID, moment(old.End()))
	}
	if r.ExpiresAt.IsZero() {
		k.out.Println("warning: a key that never expires is good until somebody notices that it leaked")
	}
	k.out.Println("This is the only time that the key is shown:")
	if k.asJSON {
		return writeJSON(k.stdout, struct {
			Key string `json:"key"`
			keyView
		}{key, s.view(r)})
	}
	_, err = fmt.Fprintln(k.stdout, key)
	return err
}

// printList prints a table, or a list in JSON.
func (k *keys) printList(s *openKeys, records []apikey.Record) error {
	views := make([]keyView, len(records))
	for i, r := range records {
		views[i] = s.view(r)
	}
	if k.asJSON {
		return writeJSON(k.stdout, views)
	}
	if len(views) == 0 {
		k.out.Printf("no keys in %s", s.keys.Text)
		return nil
	}
	var text bytes.Buffer
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tOWNER\tSTATE\tENDS\tLAST USED\tPEPPER\tSCOPES\tLABEL")
	for _, v := range views {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", v.ID, v.Owner, v.State, moment(v.end), moment(v.LastUsedAt),
			dash(v.PepperIs), dash(strings.Join(v.Scopes, " ")), dash(v.Label))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print keys: %w", err)
	}
	if _, err := k.stdout.Write(text.Bytes()); err != nil {
		return fmt.Errorf("print keys: %w", err)
	}
	return nil
}

// printRecord prints all that is known of one key.
func (k *keys) printRecord(s *openKeys, r apikey.Record) error {
	v := s.view(r)
	if k.asJSON {
		return writeJSON(k.stdout, v)
	}
	var text strings.Builder
	for _, line := range [][2]string{
		{"id", v.ID},
		{"owner", v.Owner},
		{"label", v.Label},
		{"scopes", strings.Join(v.Scopes, " ")},
		{"state", string(v.State)},
		{"created", moment(v.CreatedAt)},
		{"expires", moment(v.ExpiresAt)},
		{"retires", moment(v.RetiresAt)},
		{"revoked", moment(v.RevokedAt)},
		{"last used", moment(v.LastUsedAt)},
		{"replaces", v.Replaces},
		{"replaced by", v.ReplacedBy},
		{"pepper", strings.TrimSpace(v.Pepper + " " + v.PepperIs)},
	} {
		fmt.Fprintf(&text, "%-12s %s\n", line[0], dash(line[1]))
	}
	if _, err := fmt.Fprint(k.stdout, text.String()); err != nil {
		return fmt.Errorf("print key: %w", err)
	}
	return nil
}

func ending(verb string, t time.Time) string {
	if t.IsZero() {
		return "never " + verb
	}
	return verb + " " + moment(t)
}

func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
