package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/tokenizer"
)

// newInfer streams a completion to standard output.
func newInfer() *cobra.Command {
	var mf modelFlags
	o := engine.GenerateOptions{}
	var file string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "infer MODEL [PROMPT…]",
		Short: "Stream a completion",
		Long: `Infer loads a model and streams the completion of a prompt, given as arguments, by
--file, or on standard input; the speed follows on standard error.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 && file != "" {
				return usageError{errors.New("infer: want one of PROMPT and --file")}
			}
			var prompt []string
			if len(args) > 1 {
				prompt = []string{strings.Join(args[1:], " ")}
			}
			text, err := inputText(cmd, prompt, file)
			if err != nil {
				return err
			}
			m, err := mf.open(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer m.Close()
			return infer(cmd, m, text, o, asJSON)
		},
	}
	mf.add(cmd)
	f := cmd.Flags()
	f.StringVar(&file, "file", "", "read the prompt from this file")
	f.IntVar(&o.MaxTokens, "max-tokens", 256, "tokens to generate at most")
	f.Float32Var(&o.Sampler.Temperature, "temperature", 0, "0 is greedy")
	f.IntVar(&o.Sampler.TopK, "top-k", 0, "sample from the K likeliest tokens")
	f.Float32Var(&o.Sampler.TopP, "top-p", 0, "sample from the likeliest tokens of this total probability")
	f.Float32Var(&o.Sampler.MinP, "min-p", 0, "drop tokens less likely than this share of the likeliest")
	f.Float32Var(&o.Sampler.RepeatPenalty, "repeat-penalty", 0, "divide the logits of recent tokens by this")
	f.Uint64Var(&o.Sampler.Seed, "seed", 0, "same seed, same text")
	f.StringArrayVar(&o.Stop, "stop", nil, "end before this text; may be given more than once")
	f.BoolVar(&asJSON, "json", false, "print one JSON object at the end")
	return cmd
}

// inferResult is what --json prints.
type inferResult struct {
	Text                  string  `json:"text"`
	Tokens                []int32 `json:"tokens"`
	PromptTokens          int     `json:"prompt_tokens"`
	NewTokens             int     `json:"new_tokens"`
	TokensPerSecond       float64 `json:"tokens_per_second"`
	PromptTokensPerSecond float64 `json:"prompt_tokens_per_second"`
	FirstTokenSeconds     float64 `json:"first_token_seconds"`
	StopReason            string  `json:"stop_reason"`
}

func infer(cmd *cobra.Command, m *engine.Model, prompt string, o engine.GenerateOptions, asJSON bool) error {
	s, err := m.NewSession()
	if err != nil {
		return err
	}
	defer s.Close()
	var stats engine.Stats
	o.Stats = &stats
	out := bufio.NewWriter(cmd.OutOrStdout())
	var text strings.Builder
	ids := []int32{}
	for tok, err := range s.Generate(cmd.Context(), m.Tokenizer().Encode(prompt, tokenizer.Options{}), o) {
		if err != nil {
			return err
		}
		ids = append(ids, tok.ID)
		text.WriteString(tok.Text)
		if !asJSON {
			out.WriteString(tok.Text)
			out.Flush()
		}
	}
	if asJSON {
		return encodeJSON(cmd.OutOrStdout(), inferResult{text.String(), ids, stats.PromptTokens, stats.NewTokens,
			stats.TokensPerSecond(), stats.PromptTokensPerSecond(), stats.FirstToken.Seconds(), stats.StopReason})
	}
	fmt.Fprintln(out)
	out.Flush()
	return printStats(cmd.ErrOrStderr(), stats)
}

func printStats(w io.Writer, s engine.Stats) error {
	_, err := fmt.Fprintf(w, "%d tokens at %.1f tokens/s; first token after %s; prompt %d tokens at %.1f tokens/s; %s\n",
		s.NewTokens, s.TokensPerSecond(), s.FirstToken.Round(time.Millisecond/10), s.PromptTokens, s.PromptTokensPerSecond(), s.StopReason)
	return err
}
