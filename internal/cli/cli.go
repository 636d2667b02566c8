// Package cli is the command line: it wires the packages together, one file a
// command. Exit codes: 0 done, 1 failed, 2 wrong usage.
package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// Version is set by the build (-ldflags -X).
var Version = "0.1.0-dev"

// A usageError is the caller's mistake: it ends with exit code 2.
type usageError struct{ error }

// Main runs the command line and returns the exit code.
func Main(args []string) int {
	root := newRoot()
	root.SetArgs(args)
	err := root.Execute()
	if err == nil {
		return 0
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
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	return root
}
