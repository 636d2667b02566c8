package cli

import (
	"errors"
	"fmt"
	"math"
	"os"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/internal/verify"
)

// newVerify compares two forms of one model.
func newVerify() *cobra.Command {
	var mf modelFlags
	var o verify.Options
	var file string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify A B",
		Short: "Are two forms of a model the same one?",
		Long: `Verify compares two forms of one model (a checkpoint and its GGUF, a base with an adapter
and the two merged, two quantisations): the tokens of a text in many scripts, the prompt of
a conversation, the probabilities of every next token, and the perplexity. A and B are what
every command takes, also folders of transformers and of adapters; --adapter and --merge are
those of A. They are loaded one after the other.

Exit code 1 says that they differ more than their types explain.`,
		Args: exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.Tokens < 2 {
				return usageError{fmt.Errorf("verify: --tokens %d: want 2 or more", o.Tokens)}
			}
			if file != "" {
				text, err := os.ReadFile(file)
				if err != nil {
					return err
				}
				o.Text = string(text)
			}
			var sides [2]*verify.Side
			for i, name := range args {
				flags := mf.adapterFlags
				if i == 1 {
					flags = adapterFlags{}
				}
				var err error
				if sides[i], err = look(cmd, &mf, &flags, name, o, sides[0]); err != nil {
					return err
				}
			}
			r := verify.Compare(sides[0], sides[1])
			if err := printReport(cmd, r, asJSON); err != nil {
				return err
			}
			if !r.Same {
				return errors.New("verify: they differ")
			}
			return nil
		},
	}
	mf.add(cmd)
	f := cmd.Flags()
	f.StringVar(&file, "file", "", "compare on the text of this file")
	f.IntVar(&o.Tokens, "tokens", 256, "compute the probabilities of so many `tokens` of the text at most")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func look(cmd *cobra.Command, mf *modelFlags, af *adapterFlags, name string, vo verify.Options, first *verify.Side) (*verify.Side, error) {
	o, err := mf.options(cmd)
	if err != nil {
		return nil, err
	}
	var m *engine.Model
	if m, err = af.load(cmd, name, o); err != nil {
		return nil, err
	}
	s, err := verify.Look(cmd.Context(), m, name, vo, first)
	return s, errors.Join(err, m.Close())
}

func printReport(cmd *cobra.Command, r *verify.Report, asJSON bool) error {
	if !asJSON {
		for _, f := range r.Findings {
			fmt.Fprintln(cmd.OutOrStdout(), f)
		}
		_, err := fmt.Fprintln(cmd.OutOrStdout(), r.Verdict)
		return err
	}
	v := map[string]any{"a": r.A, "b": r.B, "same": r.Same, "verdict": r.Verdict, "findings": r.Findings, "faults": r.Faults, "tokens": r.Tokens}
	if !math.IsNaN(r.KL) {
		v["kl"], v["max_kl"], v["allowed_kl"], v["same_top"], v["perplexity"] = r.KL, r.MaxKL, r.Allowed, r.Top, r.Perplexity
	}
	return encodeJSON(cmd.OutOrStdout(), v)
}
