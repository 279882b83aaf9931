// Package proved holds the prover to its word: it has to find the defects of the
// page's service.
//
// It holds no code but a test, which builds and runs "aguada prove" as a program
// of its own, as the service knows nothing of Aguada. Every defect of
// DEFECTS.md that shows from outside is in one of two lists: the probes that
// find it, or the reason why none does. docs/proof.md shows both:
//
//	go test -run TestDocument -update .
package proved
