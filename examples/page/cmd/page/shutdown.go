package main

import (
	"context"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"goa.design/clue/log"
)

// serve is the page's "graceful shutdown".
//
// As on the page: its context has no logger, so that errors are silent and an
// address in use leaves a process that waits for a signal; readiness does not
// change and the listener closes at once; a second signal does nothing; an open
// stream uses the whole time up; and the process exits with 0 whatever was cut.
func serve(server *http.Server) {
	ctx, cancel := context.WithCancel(context.Background())

	// Start server in goroutine
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		if err := server.ListenAndServe(); err != http.ErrServerClosed {
			log.Errorf(ctx, err, "server error")
		}
	}()

	// Wait for interrupt signal
	sigChan := make(chan os.Signal, 1)
	signal.Notify(sigChan, os.Interrupt, syscall.SIGTERM)
	<-sigChan

	// Graceful shutdown with timeout
	shutdownCtx, shutdownCancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer shutdownCancel()

	if err := server.Shutdown(shutdownCtx); err != nil {
		log.Errorf(ctx, err, "shutdown error")
	}

	cancel()
	wg.Wait()
}
