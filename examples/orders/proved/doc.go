// Package proved proves the prover: it finds nothing in the reference service,
// and it finds what is missing when a defence was taken away.
//
// It holds no code but tests. TestProof asks every question of ordersd, built as
// it is deployed, and TestOutages takes PostgreSQL and Redis away from it.
// TestMutants and TestOutageMutants, which AGUADA_MUTATE turns on, build it once
// for each defence of examples/orders/internal/mutants without that defence, and
// expect the probes that the list names to say so:
//
//	AGUADA_MUTATE=1 go test -count 1 -run 'Mutants$' -v -timeout 120m .
//	AGUADA_MUTATE='lock|jwt_' go test -count 1 -run 'Mutants$' -v .
//
// With AGUADA_LONG=1 it also asks every question of the mutants that no probe is
// known to find, and TestRepeated proves the service twice by the same seed.
// docs/proof.md shows the lists:
//
//	go test -run TestDocument -update .
package proved
