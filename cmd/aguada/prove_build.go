package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/aguada-dev/aguada/cmd/aguada/internal/development"
	"github.com/aguada-dev/aguada/cmd/aguada/internal/project"
	"github.com/aguada-dev/aguada/prove"
	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/proxy"
	"github.com/aguada-dev/aguada/prove/report"
	"github.com/aguada-dev/aguada/prove/setup"
)

// program returns what is to be started: the command line's, the file's, or what
// is built from the folder. The caller removes what was built.
func (p *prover) program(ctx context.Context, f *setup.File) (path string, args []string, remove func(), err error) {
	remove = func() {}
	command := p.command
	if len(command) == 0 && f != nil && len(f.Command) > 0 {
		command = slices.Clone(f.Command)
		if strings.ContainsRune(command[0], filepath.Separator) && !filepath.IsAbs(command[0]) {
			if command[0], err = filepath.Abs(filepath.Join(p.dir, command[0])); err != nil {
				return "", nil, remove, fmt.Errorf("find the program to be proved: %w", err)
			}
		}
	}
	if len(command) > 0 {
		if path, err = exec.LookPath(command[0]); err != nil {
			return "", nil, remove, fmt.Errorf("find the program to be proved: %w", err)
		}
		if p.target = strings.Join(command, " "); len(p.command) == 0 {
			p.target = strings.Join(f.Command, " ")
		}
		return path, command[1:], remove, nil
	}
	cfg := project.Config{Main: p.main}
	if f != nil && cfg.Main == "" {
		cfg.Main = f.Build
	}
	pr, err := project.Find(ctx, p.dir, cfg)
	if err != nil {
		return "", nil, remove, err
	}
	if err := p.refresh(ctx, pr); err != nil {
		return "", nil, remove, err
	}
	dir, err := os.MkdirTemp("", "aguada-prove-")
	if err != nil {
		return "", nil, remove, fmt.Errorf("make folder of the program: %w", err)
	}
	remove = func() { _ = os.RemoveAll(dir) }
	path, p.target = filepath.Join(dir, pr.Name), pr.Main+" of "+shortPath(pr.Dir)
	done := p.out.Progress("building "+pr.Main, firstBuild)
	err = pr.Build(ctx, path)
	done(err)
	if err != nil {
		remove()
		return "", nil, func() {}, err
	}
	return path, nil, remove, nil
}

// refresh generates the code of a service that uses Aguada, if it is stale.
func (p *prover) refresh(ctx context.Context, pr *project.Project) error {
	if _, err := pr.Contract(); errors.Is(err, fs.ErrNotExist) {
		return nil // the design is not ours to generate from
	}
	reason, err := pr.Stale(generatorVersion, hashDesign)
	if err != nil || reason == "" {
		return err
	}
	_, err = generate(ctx, p.out, pr, "generating ("+reason+")", "")
	return err
}

// readBaseline reads the accepted findings: those of the flag, which must be
// there, or the usual file.
func (p *prover) readBaseline() (*prove.Baseline, error) {
	if p.baseline != "" {
		return prove.ReadBaseline(p.baseline)
	}
	b, err := prove.ReadBaseline(filepath.Join(p.dir, "prove-baseline.yaml"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // there is none
	}
	return b, err
}

// variables reads NAME=VALUE pairs.
func variables(pairs []string) (map[string]string, error) {
	env := map[string]string{}
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, usageError{fmt.Errorf("--env %q: want NAME=VALUE", name)}
		}
		env[name] = value
	}
	return env, nil
}

// dependencies reads NAME=URL pairs; of a name alone the value is that of the
// environment.
func dependencies(pairs []string, lookup func(string) (string, bool)) (map[string]string, error) {
	all := map[string]string{}
	for _, pair := range pairs {
		name, value, given := strings.Cut(pair, "=")
		if name == "" {
			return nil, usageError{errors.New("--dependency: want NAME=URL, or NAME")}
		}
		if !given {
			if value, given = lookup(name); !given {
				return nil, usageError{fmt.Errorf("--dependency %s: the environment has no such variable: set it, or give NAME=URL", name)}
			}
		}
		if _, err := proxy.Target(value); err != nil {
			return nil, usageError{fmt.Errorf("--dependency %s: %w", name, err)}
		}
		all[name] = value
	}
	return all, nil
}

// write writes the report wherever it was asked for.
func (p *prover) write(r *finding.Report) error {
	for _, to := range []struct {
		file  string
		write func(io.Writer, *finding.Report) error
	}{{p.html, report.HTML}, {p.junit, report.JUnit}, {p.sarif, report.SARIF}} {
		if to.file == "" {
			continue
		}
		if err := writeFile(to.file, func(w io.Writer) error { return to.write(w, r) }); err != nil {
			return err
		}
	}
	if p.asJSON {
		return writeJSON(p.stdout, r)
	}
	return report.Text(p.stdout, r, report.TextConfig{Bold: p.out.Bold, Faint: p.out.Faint, All: p.verbose})
}

// remember leaves the report of a whole proof of a project, which is what the
// console shows, in the folder of what is kept for development.
func (p *prover) remember(r *finding.Report) error {
	if p.remote.url != "" || len(p.only) > 0 || r.Interrupted {
		return nil
	}
	if _, err := project.Contract(p.dir); err != nil {
		return nil //nolint:nilerr // a service that has no contract has no page of it
	}
	state, err := development.MakeState(p.dir)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(state, proofFile), func(w io.Writer) error { return writeJSON(w, r) })
}

// writeFile writes a file whole, or leaves what was there.
func writeFile(name string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write report: %w", err), os.Remove(f.Name()))
		}
	}()
	if err := errors.Join(write(f), f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// newProbes lists what is asked.
func newProbes(stdout io.Writer) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "probes",
		Short:   "List every probe: its code and its question",
		Example: "  aguada prove probes --json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			var all []finding.Probe
			for _, p := range prove.Probes() {
				all = append(all, p.Probe)
			}
			if asJSON {
				return writeJSON(stdout, all)
			}
			return report.Probes(stdout, all)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print them as JSON")
	return cmd
}
