package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/tokenizer"
)

// newPerplexity measures a model on a text, in windows as llama-perplexity.
func newPerplexity() *cobra.Command {
	var mf modelFlags
	var chunks int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "perplexity MODEL FILE",
		Short: "Perplexity of a text",
		Long: `Perplexity cuts a text file into windows of --ctx tokens (default 512) and scores
the second half of each, as llama-perplexity does.`,
		Args: exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if chunks < 0 {
				return usageError{fmt.Errorf("perplexity: --chunks %d: want 1 or more, or 0 for all", chunks)}
			}
			text, err := os.ReadFile(args[1])
			if err != nil {
				return err
			}
			if mf.context == 0 {
				mf.context = 512
			}
			m, err := mf.open(cmd, args[0])
			if err != nil {
				return err
			}
			defer m.Close()
			s, err := m.NewSession()
			if err != nil {
				return err
			}
			defer s.Close()
			ids := m.Tokenizer().Encode(string(text), tokenizer.Options{})
			if n := chunks * mf.context; chunks > 0 && n < len(ids) {
				ids = ids[:n]
			}
			var progress func(done, total int, r engine.PerplexityResult)
			if !asJSON {
				progress = windowsProgress(cmd)
			}
			r, err := engine.Perplexity(cmd.Context(), s, ids, mf.context, progress)
			if err != nil {
				return err
			}
			if asJSON {
				return encodeJSON(cmd.OutOrStdout(), map[string]any{"perplexity": r.Perplexity, "stderr": r.Error, "tokens": r.Tokens, "windows": r.Windows})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "perplexity %.4f ± %.4f over %d tokens in %d windows of %d\n",
				r.Perplexity, r.Error, r.Tokens, r.Windows, mf.context)
			return err
		},
	}
	mf.add(cmd)
	cmd.Flags().IntVar(&chunks, "chunks", 0, "use only so many windows (default: all)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// windowsProgress shows on standard error how far a text is read, and how well
// the model predicts it.
func windowsProgress(cmd *cobra.Command) func(done, total int, r engine.PerplexityResult) {
	return func(done, total int, r engine.PerplexityResult) {
		fmt.Fprintf(cmd.ErrOrStderr(), "\r%d of %d windows: %.4f", done, total, r.Perplexity)
		if done == total {
			fmt.Fprintln(cmd.ErrOrStderr())
		}
	}
}
