package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/tokenizer"
	"github.com/llcuda/llcuda/internal/quantize"
)

// newImatrix finds what counts in a model's matrices when it reads a text.
func newImatrix() *cobra.Command {
	var mf modelFlags
	var text, out string
	var chunks int
	var force bool
	cmd := &cobra.Command{
		Use:   "imatrix MODEL --text FILE",
		Short: "What counts in a model's weights, for quantize --imatrix",
		Long: `Imatrix lets a model read a text, in windows of --ctx tokens (default 512), and writes
how large the inputs of each matrix were, column by column: an importance matrix, in
llama.cpp's GGUF form. quantize and export take it by --imatrix and spend the bits where
they count. The text should be of the kind that the model is for; 50,000 tokens will do.`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case text == "":
				return usageError{errors.New("imatrix: --text is missing: a file for the model to read")}
			case chunks < 0:
				return usageError{fmt.Errorf("imatrix: --chunks %d: want 1 or more, or 0 for all", chunks)}
			}
			if _, err := os.Stat(out); err == nil && !force {
				return fmt.Errorf("imatrix: %s is there already; --force writes over it", out)
			}
			b, err := os.ReadFile(text)
			if err != nil {
				return err
			}
			if mf.context == 0 {
				mf.context = 512
			}
			o, err := mf.options(cmd)
			if err != nil {
				return err
			}
			c := quantize.Collect(o.Device)
			o.Device = c
			for i, dev := range o.GPUs {
				o.GPUs[i] = c.On(dev)
			}
			r, err := readText(cmd, &mf, args[0], string(b), chunks, o)
			if err != nil {
				return err
			}
			m := c.Importance(filepath.Base(text), r.Windows, mf.context)
			var file bytes.Buffer
			if err := m.Write(&file); err != nil {
				return err
			}
			if err := os.WriteFile(out, file.Bytes(), 0o644); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %d matrices, %d windows of %d tokens, perplexity %.4f\n",
				out, m.Len(), r.Windows, mf.context, r.Perplexity)
			return err
		},
	}
	mf.add(cmd)
	f := cmd.Flags()
	f.StringVar(&text, "text", "", "the `file` that the model reads")
	f.StringVarP(&out, "output", "o", "imatrix.gguf", "write to this `file`")
	f.IntVar(&chunks, "chunks", 0, "use only so many windows (default: all)")
	f.BoolVar(&force, "force", false, "write over a file that is there")
	return cmd
}

// readText lets a model read windows of a text, and scores it on the way.
func readText(cmd *cobra.Command, mf *modelFlags, name, text string, chunks int, o engine.Options) (r engine.PerplexityResult, err error) {
	m, err := mf.load(cmd, name, o)
	if err != nil {
		return r, err
	}
	defer m.Close()
	s, err := m.NewSession()
	if err != nil {
		return r, err
	}
	defer s.Close()
	ids := m.Tokenizer().Encode(text, tokenizer.Options{})
	if n := chunks * o.Context; chunks > 0 && n < len(ids) {
		ids = ids[:n]
	}
	return engine.Perplexity(cmd.Context(), s, ids, o.Context, windowsProgress(cmd))
}
