package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/engine/demo"
	"github.com/llcuda/llcuda/jupyter"
	"github.com/llcuda/llcuda/magics"
)

// newKernel runs the kernel; Jupyter starts it with a connection file.
func newKernel() *cobra.Command {
	return &cobra.Command{
		Use:   "kernel CONNECTION_FILE",
		Short: "Run the Jupyter kernel (Jupyter calls this)",
		Args:  exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := newInterpreter()
			defer in.Close()
			// Interrupts are for the cell: the kernel handles them itself.
			return jupyter.Serve(context.WithoutCancel(cmd.Context()), args[0], in)
		},
	}
}

// newInterpreter is what executes cells, in the kernel and headless.
func newInterpreter() *magics.Interpreter {
	return magics.New(magics.Options{Version: Version, Demo: demo.Open, Cards: openCards, GPU: gpuCards})
}
