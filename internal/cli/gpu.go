package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/install"
	"github.com/llcuda/llcuda/internal/nvml"
	"github.com/llcuda/llcuda/magics"
)

// newGPU lists the cards, or says exactly why there are none.
func newGPU() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "gpu",
		Short: "The NVIDIA cards and their state, or why there are none",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cards, err := nvml.Cards()
			if asJSON {
				out := map[string]any{"gpus": append([]nvml.Card{}, cards...)}
				if err != nil {
					out["error"], out["hint"] = err.Error(), nvml.Advice(err)
				}
				return encodeJSON(cmd.OutOrStdout(), out)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), strings.TrimRight(magics.GPUText(cards, err), "\n"))
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// gpuCheck is doctor's line about cards. None is not a failure: the CPU works.
func gpuCheck() install.Check {
	cards, err := nvml.Cards()
	if err != nil {
		return install.Check{Name: "gpu", OK: true, Detail: fmt.Sprintf("none: %v; the CPU is used", err)}
	}
	return install.Check{Name: "gpu", OK: true, Detail: fmt.Sprintf("%d × %s, driver %s", len(cards), cards[0].Name, cards[0].Driver)}
}
