package codegen

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	goacodegen "goa.design/goa/v3/codegen"

	"github.com/aguada-dev/aguada/policy"
)

// SchemaURI identifies the JSON Schema of contracts.
const SchemaURI = "https://aguada.dev/schema/contract-1.json"

// Schema is the JSON Schema (draft 2020-12) of contract.json.
//
//go:embed contract.schema.json
var Schema []byte

// ContractPath is where the contract is written, slash-separated, relative to
// the folder that holds gen/.
const ContractPath = goacodegen.Gendir + "/production/contract.json"

const modulePath = "github.com/aguada-dev/aguada"

// productionFiles renders production.go and contract.json.
func productionFiles(d *Design) ([]*goacodegen.File, error) {
	text, err := contractJSON(d.Contract)
	if err != nil {
		return nil, err
	}
	imports := []*goacodegen.ImportSpec{
		{Path: "context"}, {Path: "encoding/json"}, {Path: "errors"}, {Path: "net/http"}, {Path: "time"},
		{Path: "goa.design/goa/v3/http", Name: "goahttp"}, {Path: "goa.design/goa/v3/jsonrpc"}, {Path: "goa.design/goa/v3/security"},
		{Path: modulePath}, {Path: modulePath + "/policy"},
	}
	for _, i := range d.Imports {
		imports = append(imports, &goacodegen.ImportSpec{Name: i.Name, Path: i.Path})
	}
	sections := []*goacodegen.SectionTemplate{
		goacodegen.Header("Production services", d.Package, imports),
		section("app", "aguada-app", d),
	}
	for _, s := range d.Services {
		sections = append(sections, section("mount", "aguada-mount-"+s.Name, s, "bodies", "remote"))
	}
	sections = append(sections, section("auther", "aguada-auther", d), section("contract", "aguada-contract", d.Contract))
	for i, s := range d.Contract.Services {
		sections = append(sections, section("service", "aguada-service-"+s.Name, struct {
			Index int
			policy.Service
		}{i, s}, "requirements", "grpc", "jsonrpc", "traffic", "example"))
	}
	return []*goacodegen.File{
		{Path: filepath.FromSlash(path.Join(d.Dir, "production.go")), SectionTemplates: sections},
		{Path: filepath.FromSlash(ContractPath), SectionTemplates: []*goacodegen.SectionTemplate{{
			Name: "aguada-contract-json", Source: "{{ . }}", Data: text,
		}}},
	}, nil
}

// section returns what a template makes of data; the templates of the same
// names are what it includes.
func section(template, name string, data any, includes ...string) *goacodegen.SectionTemplate {
	source := readTemplate(template)
	for _, include := range includes {
		source += readTemplate(include)
	}
	return &goacodegen.SectionTemplate{
		Name:    name,
		Source:  source,
		Data:    data,
		FuncMap: map[string]any{"duration": durationLiteral, "raw": rawLiteral, "quote": strconv.Quote},
	}
}

// contractJSON returns the text of contract.json.
func contractJSON(c *policy.Contract) (string, error) {
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return "", fmt.Errorf("encode contract: %w", err)
	}
	return string(text) + "\n", nil
}

// durationLiteral returns d as a Go expression.
func durationLiteral(d policy.Duration) string {
	for _, u := range []struct {
		size time.Duration
		name string
	}{{time.Hour, "Hour"}, {time.Minute, "Minute"}, {time.Second, "Second"}, {time.Millisecond, "Millisecond"}, {time.Microsecond, "Microsecond"}} {
		if v := time.Duration(d); v%u.size == 0 {
			return fmt.Sprintf("policy.Duration(%d * time.%s)", v/u.size, u.name)
		}
	}
	return strconv.FormatInt(int64(d), 10)
}

// rawLiteral returns a JSON text as a Go string literal.
func rawLiteral(body any) string {
	text := string(body.(json.RawMessage))
	if strings.ContainsAny(text, "`\r") || !strconv.CanBackquote(text) {
		return strconv.Quote(text)
	}
	return "`" + text + "`"
}
