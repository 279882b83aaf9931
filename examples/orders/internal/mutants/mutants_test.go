package mutants

import "testing"

const root = "../../../.."

// Every mutant can be made, and its name is its own.
func TestAll(t *testing.T) {
	names := map[string]bool{}
	for _, m := range All {
		if names[m.Defence] {
			t.Errorf("two mutants are called %q", m.Defence)
		}
		names[m.Defence] = true
		if _, err := m.Overlay(root, t.TempDir()); err != nil {
			t.Errorf("%s: %v", m.Defence, err)
		}
	}
}

// An edit that no longer changes anything, or more than one place, is refused.
func TestEdit(t *testing.T) {
	for name, e := range map[string]Edit{
		"absent":  {"run.go", "text that run.go does not have", ""},
		"twice":   {"run.go", "err", ""},
		"no file": {"none.go", "package", ""},
	} {
		if err := (Overlay{}).Add(e, root, t.TempDir()); err == nil {
			t.Errorf("%s: the edit is made", name)
		}
	}
}
