package report

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/aguada-dev/aguada/prove/finding"
)

// promised is the file that says what was promised: code hosts refuse results
// that are in no file.
var promised = func() (p sarifPhysical) {
	p.Artifact.URI, p.Region.Line = "gen/http/openapi3.json", 1
	return p
}()

// SARIF writes the report as a SARIF 2.1.0 log, which code hosts show beside the
// code. A service has methods, not lines: results name logical
// locations, in the document of the service's interface.
func SARIF(w io.Writer, r *finding.Report) error {
	run := sarifRun{Tool: sarifTool{Driver: sarifDriver{
		Name: "aguada prove", Version: r.Prover, URI: "https://aguada.dev/", Rules: []sarifRule{},
	}}, Results: []sarifResult{}}
	rules := map[string]int{}
	for i, p := range r.Probes {
		rules[p.Code] = i
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{
			ID: p.Code, Short: sarifText{p.Question}, Full: sarifText{p.Why}, Help: sarifText{p.Fix},
			Properties: map[string]any{"tags": append([]string{string(p.Family)}, p.References...)},
		})
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Verdict == finding.Pass {
			continue
		}
		result := sarifResult{
			Rule: f.Code, Index: rules[f.Code], Level: "error", Message: sarifText{f.Detail},
			Locations:    []sarifLocation{{Physical: promised, Logical: []sarifLogical{{Name: subject(r, f), Kind: "function"}}}},
			Fingerprints: map[string]string{"aguada/v1": f.Code + " " + f.Method},
		}
		if f.Verdict != finding.Fail {
			result.Level = "warning"
		}
		if f.Waived != "" {
			result.Suppressions = []sarifSuppression{{Kind: "external", Justification: f.Waived}}
		}
		run.Results = append(run.Results, result)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(sarifLog{
		Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run},
	}); err != nil {
		return fmt.Errorf("write SARIF report: %w", err)
	}
	return nil
}

type sarifLog struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool    sarifTool     `json:"tool"`
	Results []sarifResult `json:"results"`
}

type sarifTool struct {
	Driver sarifDriver `json:"driver"`
}

type sarifDriver struct {
	Name    string      `json:"name"`
	Version string      `json:"version"`
	URI     string      `json:"informationUri"`
	Rules   []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID         string         `json:"id"`
	Short      sarifText      `json:"shortDescription"`
	Full       sarifText      `json:"fullDescription"`
	Help       sarifText      `json:"help"`
	Properties map[string]any `json:"properties"`
}

type sarifText struct {
	Text string `json:"text"`
}

type sarifResult struct {
	Rule         string             `json:"ruleId"`
	Index        int                `json:"ruleIndex"`
	Level        string             `json:"level"`
	Message      sarifText          `json:"message"`
	Locations    []sarifLocation    `json:"locations"`
	Fingerprints map[string]string  `json:"partialFingerprints"`
	Suppressions []sarifSuppression `json:"suppressions,omitempty"`
}

type sarifLocation struct {
	Physical sarifPhysical  `json:"physicalLocation"`
	Logical  []sarifLogical `json:"logicalLocations"`
}

type sarifPhysical struct {
	Artifact struct {
		URI string `json:"uri"`
	} `json:"artifactLocation"`
	Region struct {
		Line int `json:"startLine"`
	} `json:"region"`
}

type sarifLogical struct {
	Name string `json:"fullyQualifiedName"`
	Kind string `json:"kind"`
}

type sarifSuppression struct {
	Kind          string `json:"kind"`
	Justification string `json:"justification"`
}
