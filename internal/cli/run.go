package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

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
the first failing cell, whose error is written too, and exits with 1. As under Jupyter,
paths in cells are those of the notebook's folder.`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			nb, err := jupyter.ReadNotebook(args[0])
			if err != nil {
				return err
			}
			if output == "" {
				output = args[0]
			}
			if output, err = filepath.Abs(output); err != nil {
				return err
			}
			if err := enterFolder(args[0]); err != nil {
				return fmt.Errorf("run %s: %w", args[0], err)
			}
			in := newInterpreter()
			defer in.Close()
			o := jupyter.RunOptions{AllowErrors: allowErrors}
			if !quiet {
				o.Echo = cmd.OutOrStdout()
			}
			failed := nb.Run(cmd.Context(), in, o)
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

// enterFolder makes a notebook's folder the current one. One from a pipe has
// none. The folders of LLCUDA_MODELS stay those that the user meant.
func enterFolder(notebook string) error {
	path, err := filepath.Abs(notebook)
	if err != nil || strings.HasPrefix(path, "/dev/") {
		return err
	}
	dirs := filepath.SplitList(os.Getenv("LLCUDA_MODELS"))
	for i, dir := range dirs {
		if dir == "" {
			continue
		}
		if dirs[i], err = filepath.Abs(dir); err != nil {
			return err
		}
	}
	if len(dirs) > 0 {
		if err := os.Setenv("LLCUDA_MODELS", strings.Join(dirs, string(filepath.ListSeparator))); err != nil {
			return err
		}
	}
	return os.Chdir(filepath.Dir(path))
}
