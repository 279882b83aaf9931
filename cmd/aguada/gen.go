package main

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/aguada-dev/aguada/cmd/aguada/internal/project"
	"github.com/aguada-dev/aguada/cmd/aguada/internal/terminal"
)

func newGen(out *terminal.Output, stdout io.Writer) *cobra.Command {
	var design, output string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "gen [DIR]",
		Short: "Generate the code of a design",
		Long: `gen runs the goa tool of the module in DIR (the working folder by default) on
the design package, which is DIR/design unless --design names another. It prints
the files written, one a line. It is the same as running, in DIR:

  go tool goa gen DESIGN-IMPORT-PATH

For a design with gRPC, Goa runs protoc with two plugins. They need not be
installed: protoc is part of aguada, so that generated code is the same on every
machine, and the plugins are built once and kept in the user's cache folder. A
design that wants another protoc names it: Meta("protoc:cmd", "/usr/bin/protoc").`,
		Example: `  aguada gen ./examples/orders
  aguada gen --design example.com/shop/api/design --json`,
		Args: dirArgument,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, _, release := stopOnSignal(cmd.Context())
			defer release()
			p, err := project.FindDesign(ctx, dirOf(args), project.Config{Design: design})
			if err != nil {
				return err
			}
			if output != "" {
				if output, err = filepath.Abs(output); err != nil {
					return fmt.Errorf("locate output folder: %w", err)
				}
			}
			start := time.Now()
			files, err := generate(ctx, out, p, "generating from "+p.DesignPath, output)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(stdout, struct {
					Design  string   `json:"design"`
					Dir     string   `json:"dir"`
					Files   []string `json:"files"`
					Seconds float64  `json:"seconds"`
				}{p.DesignPath, p.Dir, files, time.Since(start).Seconds()})
			}
			for _, file := range files {
				if _, err := fmt.Fprintln(stdout, file); err != nil {
					return fmt.Errorf("print files: %w", err)
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&design, "design", "", "design package: a folder below DIR or an import path (default DIR/design)")
	cmd.Flags().StringVarP(&output, "output", "o", "", "folder that receives gen/ (default DIR)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	return cmd
}

const firstBuild = "a first build compiles every dependency; with SQLite this takes about a minute"

// writeJSON prints v as indented JSON, characters of HTML unescaped.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("print result: %w", err)
	}
	return nil
}
