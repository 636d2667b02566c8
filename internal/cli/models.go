package cli

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/internal/catalog"
	"github.com/llcuda/llcuda/magics"
)

// newModels lists the models and adapters that names find.
func newModels() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "models",
		Short: "The models and adapters on this machine; search and rm",
		Long: `Models lists the models and adapters that a name finds: in the folders of
LLCUDA_MODELS, in the current one and its models and .models, in the user's cache, in
Hugging Face's cache (HF_HOME, HF_HUB_CACHE), Ollama's store (OLLAMA_MODELS) and llama.cpp's cache (LLAMA_CACHE).`,
		Args: usageArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			places := catalog.FromEnv()
			if asJSON {
				return encodeJSON(cmd.OutOrStdout(), magics.ModelsJSON(places))
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
			fmt.Fprintln(w, "demo\t\t\t(in this program) story teller of the first steps")
			for _, m := range places.Local() {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", m.Name, m.Quant, magics.BytesText(m.Size), magics.WhereText(m))
			}
			for _, a := range places.Adapters() {
				fmt.Fprintf(w, "%s\tadapter\t%s\t%s\n", a.Name, magics.BytesText(a.Size), magics.AdapterText(a))
			}
			for _, m := range places.Unfinished() {
				fmt.Fprintf(w, "%s\t\t%s\tunfinished: llcuda pull goes on\n", m.Name, magics.BytesText(m.Size))
			}
			return w.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(newModelsSearch(), newModelsRemove())
	return cmd
}

func newModelsSearch() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "search [TEXT…]",
		Short: "Short names of models that can be fetched",
		RunE: func(cmd *cobra.Command, args []string) error {
			found := catalog.Search(strings.Join(args, " "))
			if asJSON {
				return encodeJSON(cmd.OutOrStdout(), found)
			}
			if len(found) == 0 {
				return errors.New("models search: no short name has all that; any repository of GGUF files can be named as org/name")
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
			_, rows := magics.SearchTable(found)
			for _, row := range rows {
				fmt.Fprintln(w, strings.Join(row, "\t"))
			}
			return w.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newModelsRemove() *cobra.Command {
	return &cobra.Command{
		Use:   "rm NAME",
		Short: "Remove a model or adapter from Hugging Face's cache",
		Long: `Rm removes a fetched model or adapter. NAME has to be exact, as llcuda models shows it; org/name:QUANT
where several have it, org/name for all of a repository. Bytes that another revision has,
too, stay; folders of yours and the stores of other programs are never touched.`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			done, err := catalog.FromEnv().Remove(cmd.Context(), args[0])
			if err != nil {
				return plain(err)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), magics.RemovedText(args[0], done.Bytes, done.Shared))
			return err
		},
	}
}
