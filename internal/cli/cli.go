// Package cli is the command line: it wires the packages together, one file a
// command. Exit codes: 0 done, 1 failed, 2 wrong usage.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/magics"
)

// Version is set by the build (-ldflags -X).
var Version = "0.1.0-dev"

// A usageError is the caller's mistake: it ends with exit code 2.
type usageError struct{ error }

// Main runs the command line and returns the exit code.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second interrupt ends the program at once
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	fmt.Fprintln(os.Stderr, "llcuda:", err)
	var usage usageError
	if errors.As(err, &usage) {
		return 2
	}
	return 1
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "llcuda",
		Short:         "A Jupyter kernel and toolkit for LLM inference on NVIDIA GPUs",
		Version:       Version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.Args = usageArgs
	root.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	root.AddCommand(newInstall(), newUninstall(), newKernel(), newRun(), newDoctor(), newGPU(), newPull(), newModels(), newInfer(), newChat(),
		newEmbed(), newServe(), newBench(), newSelftest(), newEval(), newTokenize(), newPerplexity(), newVerify(), newGGUF(), newQuantize(), newExport(), newImatrix(), newVersion())
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if err := cmd.ValidateFlagGroups(); err != nil {
			return usageError{err}
		}
		return nil
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%s: %s", cmd.Name(), magics.FlagError(cmd.Flags(), err))}
	})
	return root
}

// usageArgs refuses words that are no command, with the exit code of wrong
// usage and the commands that the user may have meant.
func usageArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := fmt.Sprintf("see %s --help", cmd.CommandPath())
	cmd.SuggestionsMinimumDistance = 2 // letters; SuggestionsFor has no default of its own
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return usageError{fmt.Errorf("unknown command %q for %s; %s", args[0], cmd.CommandPath(), hint)}
}
