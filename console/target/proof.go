package target

import (
	"encoding/json"
	"time"
)

// Proof is the report of a proof, as far as the console shows it.
type Proof struct {
	Began  time.Time `json:"began"`
	Probes []struct {
		Code     string `json:"code"`
		Question string `json:"question"`
		Fix      string `json:"fix"`
	} `json:"probes"`
	Findings []Finding `json:"findings"`
}

// Finding is one answer.
type Finding struct {
	Code    string `json:"code"`
	Method  string `json:"method"` // service.method; empty for the whole service
	Verdict string `json:"verdict"`
	Detail  string `json:"detail"`
	Waived  string `json:"waived"`
}

// Outcome is the verdict, or that a failure was accepted.
func (f *Finding) Outcome() string {
	if f.Waived != "" {
		return "waived"
	}
	return f.Verdict
}

// Proof returns the report of the last proof; nil if there is none that can be
// read.
func (v *Target) Proof() *Proof {
	if v.ProofFile == "" {
		return nil
	}
	b, err := readFile(v.ProofFile)
	if err != nil {
		return nil
	}
	var p Proof
	if err := json.Unmarshal(b, &p); err != nil || p.Began.IsZero() {
		return nil
	}
	return &p
}

// Verdicts counts the findings of the last proof, by method and outcome.
func (v *Target) Verdicts() map[string]map[string]int {
	p := v.Proof()
	if p == nil {
		return nil
	}
	all := make(map[string]map[string]int)
	for i := range p.Findings {
		f := &p.Findings[i]
		if all[f.Method] == nil {
			all[f.Method] = make(map[string]int)
		}
		all[f.Method][f.Outcome()]++
	}
	return all
}
