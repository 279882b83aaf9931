// The command page serves the service of Goa's page "Production", with its
// defects. It is a target for the prover and not to be copied: see the package
// page.
package main

import (
	"goa.design/clue/log"

	"github.com/aguada-dev/aguada/examples/page"
)

func main() {
	ctx := newLogger()
	cfg, err := loadConfig()
	if err != nil {
		log.Fatal(ctx, err)
	}
	configureClue(ctx)
	store, err := page.OpenStore(ctx, cfg.DatabaseURL)
	if err != nil {
		log.Fatalf(ctx, err, "failed to open database")
	}
	serve(newServer(cfg, newHandler(ctx, cfg, store)))
}
