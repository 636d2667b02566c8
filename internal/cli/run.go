package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/jupyter"
)

// newRun executes a notebook without Jupyter.
func newRun() *cobra.Command {
	var output string
	var allowErrors, quiet bool
	cmd := &cobra.Command{
		Use:   "run NOTEBOOK",
		Short: "Execute a notebook headless and write its outputs back",
		Long: `Run executes the code cells of a notebook in order, shows each cell and its output as
it arrives, and writes the outputs into the notebook, or into --output. It stops at
the first failing cell, whose error is written too, and exits with 1.`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			nb, err := jupyter.ReadNotebook(args[0])
			if err != nil {
				return err
			}
			in := newInterpreter()
			defer in.Close()
			o := jupyter.RunOptions{AllowErrors: allowErrors}
			if !quiet {
				o.Echo = cmd.OutOrStdout()
			}
			failed := nb.Run(cmd.Context(), in, o)
			if output == "" {
				output = args[0]
			}
			if err := nb.Write(output); err != nil {
				return err
			}
			if failed != nil {
				return fmt.Errorf("run %s: %w", args[0], failed)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVarP(&output, "output", "o", "", "write the executed notebook here instead of back")
	f.BoolVar(&allowErrors, "allow-errors", false, "go on after a failing cell")
	f.BoolVarP(&quiet, "quiet", "q", false, "show nothing")
	return cmd
}
