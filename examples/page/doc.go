// Package page is the service of the page "Production" of Goa's documentation,
// on Goa, Clue and OpenTelemetry alone, without Aguada. DO NOT COPY IT: it is a
// target. It keeps the page's defects on purpose, so that the prover has a real
// service whose defects are known; DEFECTS.md lists each with how it shows from
// outside, and the tests of cmd/page fail when one goes away by accident.
//
// The page's snippets are wired as they stand there, corrected only where they
// do not compile or do not start. A comment "As on the page" is where a defect
// is kept, "Corrected" where a snippet was changed, and "Not on the page" where
// something had to be added: routes, results, a database, and the functions that
// check credentials, which are written with care because the page has none.
//
// The page calls the package of the order code service and that of the generated
// code genservice; here they are page and gen/orders.
package page
