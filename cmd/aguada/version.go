package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	goa "goa.design/goa/v3/pkg"
)

// built is what the binary was made of.
type built struct {
	// Version is Aguada's, Revision the commit where the build knows it.
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Goa      string `json:"goa"`
	Platform string `json:"platform"`
}

func thisBuild() built {
	b := built{
		Version: strings.TrimPrefix(generatorVersion, "aguada "), Go: runtime.Version(), Goa: goa.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.Revision = s.Value
			}
		}
	}
	return b
}

func newVersion(stdout io.Writer) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the versions of aguada, Go and Goa",
		Example: "  aguada version --json",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("no arguments are accepted, got %q", args)}
			}
			return nil
		},
		RunE: func(*cobra.Command, []string) error {
			b := thisBuild()
			if asJSON {
				return writeJSON(stdout, b)
			}
			text := "aguada " + b.Version
			if b.Revision != "" {
				text += " (" + b.Revision + ")"
			}
			if _, err := fmt.Fprintf(stdout, "%s\nGo     %s %s\nGoa    %s\n", text, b.Go, b.Platform, b.Goa); err != nil {
				return fmt.Errorf("print version: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the versions as JSON")
	return cmd
}
