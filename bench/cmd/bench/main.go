// Command bench measures what each layer of a production service costs, side
// by side in one run: net/http by hand, Goa, Goa with Clue as the page
// "Production" of Goa's documentation wires them, and Aguada with everything on.
//
//	go run ./cmd/bench                      three tables, in two minutes
//	go run ./cmd/bench -json                the same as JSON
//	go run ./cmd/bench -rounds 5 -rate 0    sooner
//
// Every layer is a process of its own, so that neither the heap of another nor
// its globals are measured with it. Where taskset is there and the machine has
// two cores, the layers are on one, and the load and the receiver of telemetry
// on another. Unix only.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// command is main without the process.
func command(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	if len(args) == 2 && args[0] == childFlag {
		return child(ctx, args[1], stdin, stdout)
	}
	o := Options{Layers: layers(), Pin: true, Log: stderr}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	asJSON := flags.Bool("json", false, "print JSON instead of tables")
	flags.IntVar(&o.Rounds, "rounds", 20, "rounds of direct calls; in each, every layer has its turn")
	flags.DurationVar(&o.Duration, "duration", 100*time.Millisecond, "how long a layer's turn of direct calls lasts")
	flags.DurationVar(&o.Saturated, "saturated", 600*time.Millisecond, "how long a layer's turn of saturating load over loopback lasts; 0 leaves it out")
	flags.IntVar(&o.Rate, "rate", 2000, "requests per second of the load at a fixed rate; 0 leaves it out")
	flags.DurationVar(&o.Paced, "paced", 700*time.Millisecond, "how long a layer's turn of load at the fixed rate lasts")
	flags.DurationVar(&o.Delivery, "delivery", 150*time.Millisecond, "how long a turn of the comparison of telemetry's receivers lasts; 0 leaves it out")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || o.Rounds < 1 || o.Duration <= 0 || o.Saturated < 0 || o.Rate < 0 || o.Rate > 100_000 || o.Paced <= 0 || o.Delivery < 0 {
		flags.Usage()
		return fmt.Errorf("read command line: a value is out of range, or an argument is no flag")
	}
	report, err := Run(ctx, o)
	if report == nil {
		return err
	}
	if *asJSON {
		e := json.NewEncoder(stdout)
		e.SetIndent("", "  ")
		return errors.Join(e.Encode(report), err)
	}
	return errors.Join(report.Print(stdout), err)
}
