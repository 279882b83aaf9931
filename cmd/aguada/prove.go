package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/aguada-dev/aguada/cmd/aguada/internal/terminal"
	"github.com/aguada-dev/aguada/prove"
	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/setup"
)

// errNotProved ends a proof that did not pass; the table has said why.
var errNotProved = errors.New("not proved")

const proveHelp = `prove builds the service in DIR (the working folder by default), starts it on free
ports with credentials, an issuer and a receiver of telemetry of its own, and asks
of every method what its contract promises: by calls that must be served and by
attacks that must be beaten off. It prints a table, and exits with 0 only if all
that was not waived passed, and with 1 if not.

With --url a service is attacked that runs already. Only probes are asked that
need no control of its process, and credentials are read from files or from the
environment. Hosts other than this machine have to be allowed by name. What
changes things, or floods, is asked after a question only, or with --destructive.

With a COMMAND after -- that program is started instead; DIR then says where the
documents are: gen/production/contract.json, gen/http/openapi3.json. A service
that does not use Aguada is proved by its OpenAPI document, and says in
DIR/prove.yaml how it is started and whom it knows.

What the service reaches over TCP by a URL in its environment, a database or Redis, is
cut off, held up and given back: where --env or prove.yaml has the URL, and where
--dependency does. Only processes from which it is taken away see the latter; name an
empty database. --dependency NAME alone takes the URL from the environment, where a
password is not seen.

Nothing of the environment reaches the service: give variables with --env. All that
is started, ports and files are gone when the command ends, also after Ctrl-C.

A baseline accepts findings that somebody has judged, each with a reason:

  waivers:
    - code: tls.versions
      reason: the load balancer in front ends TLS
      date: 2026-11-23`

func newProve(out *terminal.Output, stdout io.Writer) *cobra.Command {
	p := &prover{out: out, stdout: stdout}
	cmd := &cobra.Command{
		Use:   "prove [DIR] [-- COMMAND ARGS…]",
		Short: "Attack a service as its contract promises, and say what holds",
		Long:  proveHelp,
		Example: `  aguada prove ./examples/orders
  aguada prove --only security --html proof.html .
  aguada prove --dependency DATABASE_URL=postgres://localhost/shop_proof ./examples/orders
  aguada prove --json . -- ./bin/ordersd --verbose
  aguada prove --url https://localhost:8443 --token-file token --ca-file ca.pem .`,
		Args: func(cmd *cobra.Command, args []string) error {
			if dash := cmd.ArgsLenAtDash(); dash >= 0 {
				p.command = args[dash:]
				args = args[:dash]
				if len(p.command) == 0 {
					return usageError{errors.New("no command after --")}
				}
			}
			p.dir = dirOf(args)
			return dirArgument(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, _, release := stopOnSignal(cmd.Context())
			defer release()
			return p.run(ctx)
		},
	}
	p.flags(cmd.Flags())
	cmd.AddCommand(newProbes(stdout))
	return cmd
}

// prover runs one proof.
type prover struct {
	out    *terminal.Output
	stdout io.Writer

	remote              remoteFlags
	dir, main, baseline string
	command, env, only  []string
	dependencies        []string
	seed                uint64
	parallel            int
	asJSON, verbose     bool
	html, junit, sarif  string

	target string // what is attacked, in words
}

func (p *prover) flags(f *pflag.FlagSet) {
	f.StringSliceVar(&p.only, "only", nil, "ask only these: families (security), codes (auth.*), methods (orders.create)")
	f.Uint64Var(&p.seed, "seed", 1, "number from which payloads are made; the same makes the same")
	f.StringVar(&p.baseline, "baseline", "", "file of accepted findings (default DIR/prove-baseline.yaml, if there)")
	f.StringArrayVar(&p.env, "env", nil, "NAME=VALUE for the service; may be repeated")
	f.StringArrayVar(&p.dependencies, "dependency", nil, "NAME=URL, or NAME of an own variable: what the service reaches by this variable is taken away from it; may be repeated")
	f.StringVar(&p.main, "main", "", "main package: a folder below DIR (default the only one below DIR/cmd)")
	f.BoolVar(&p.asJSON, "json", false, "print the report as JSON")
	f.StringVar(&p.html, "html", "", "write the report as one HTML page to this file")
	f.StringVar(&p.junit, "junit", "", "write the report as JUnit XML to this file")
	f.StringVar(&p.sarif, "sarif", "", "write the report as SARIF 2.1.0 to this file")
	p.remote.flags(f)
	f.IntVar(&p.parallel, "parallel", 0, "probes that run at once (default 4 for each processor)")
	f.BoolVarP(&p.verbose, "verbose", "v", false, "print what passed too, with its detail")
}

// aim settles what is attacked: a service that runs already, or one that is
// started. The caller calls remove at the end.
func (p *prover) aim(ctx context.Context, cfg *setup.Config) (remove func(), err error) {
	if p.remote.url == "" {
		cfg.Path, cfg.Args, remove, err = p.program(ctx, cfg.File)
		return remove, err
	}
	return func() {}, p.far(ctx, cfg)
}

func (p *prover) run(ctx context.Context) error {
	if err := p.check(); err != nil {
		return err
	}
	env, err := variables(p.env)
	if err != nil {
		return err
	}
	baseline, err := p.readBaseline()
	if err != nil {
		return err
	}
	file, err := setup.ReadFile(filepath.Join(p.dir, "prove.yaml"))
	if err != nil {
		return err
	}
	dependencies, err := dependencies(p.dependencies, os.LookupEnv)
	if err != nil {
		return err
	}
	cfg := setup.Config{Dir: p.dir, File: file, Env: env, Dependencies: dependencies, Seed: p.seed}
	remove, err := p.aim(ctx, &cfg)
	if err != nil {
		return err
	}
	defer remove()
	s, err := setup.New(cfg)
	if err != nil {
		return err
	}
	defer s.Close()
	counter, failed := p.out.Count("proving "+s.Lab.Service.Name), 0
	r, err := prove.Run(ctx, prove.Config{
		Lab: s.Lab, Only: p.only, Parallel: p.parallel, Baseline: baseline,
		Target: p.target, Version: generatorVersion,
		Progress: func(done, all int, last finding.Finding) {
			more := ""
			if last.Open() {
				failed++
			}
			if failed > 0 {
				more = fmt.Sprintf("%d failed", failed)
			}
			counter.Note(done, all, more)
		},
	})
	counter.End()
	if err != nil {
		return err
	}
	if err := errors.Join(p.write(r), p.remember(r)); err != nil {
		return err
	}
	if !r.Passed() {
		return errNotProved
	}
	return nil
}
