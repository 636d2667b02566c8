package cli

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/magics"
)

// newModels lists the models that short names find.
func newModels() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "models",
		Short: "The models on this machine",
		Long:  "Models lists the GGUF files that a short name finds: in the folders of LLCUDA_MODELS,\nin the current one and its models and .models, and in the user's cache.",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			models := magics.LocalModels()
			if asJSON {
				out := []map[string]any{}
				for _, m := range models {
					out = append(out, map[string]any{"name": m.Name, "path": m.Path, "bytes": m.Size})
				}
				return encodeJSON(cmd.OutOrStdout(), out)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
			fmt.Fprintln(w, "demo\t(in this program)\tstory teller of the first steps")
			for _, m := range models {
				fmt.Fprintf(w, "%s\t%.1f MiB\t%s\n", m.Name, float64(m.Size)/(1<<20), m.Path)
			}
			return w.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
