package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/grammar"
	"github.com/llcuda/llcuda/engine/tokenizer"
	"github.com/llcuda/llcuda/magics"
)

// newInfer streams a completion to standard output, with the sampler that
// %infer has.
func newInfer() *cobra.Command {
	var mf modelFlags
	o := engine.GenerateOptions{Sampler: engine.DefaultSampler()}
	var file, schema, gbnf string
	var asJSON bool
	var batch *tokensOrFile
	cmd := &cobra.Command{
		Use:   "infer MODEL [PROMPT…]",
		Short: "Stream a completion, or answer a file of prompts",
		Long: `Infer loads a model and streams the completion of a prompt, given as arguments, by
--file, or on standard input; the speed follows on standard error, with the seed
that --seed repeats the text with. --temperature 0 always takes the likeliest token.

--schema makes the text a JSON value that is valid for a JSON schema, --grammar one of a
GBNF grammar. What of a schema cannot be kept is refused. A text that ends by --max-tokens
before it is complete is an error behind what there is of it. The model knows nothing of the schema: say in the
prompt what is wanted.

--batch F --output G answers the lines of a JSONL file, several at once (--parallel);
run it again to go on where it was stopped. MODEL may be the address of a server that
speaks OpenAI's API, http://host:8000/v1 (--model, --key-env, --extra).`,
		Args: between(1, math.MaxInt),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 && file != "" {
				return usageError{errors.New("infer: want one of PROMPT and --file")}
			}
			if inCells(cmd, batch, args[0]) {
				return inferCells(cmd, &mf, batch, args, file)
			}
			if !cmd.Flags().Changed("seed") {
				o.Sampler.Seed = engine.RandomSeed()
			}
			if err := checkGenerate(&o); err != nil {
				return usageError{err}
			}
			g, err := grammar.Open(schema, gbnf)
			if err != nil {
				return usageError{fmt.Errorf("infer: %w", err)}
			}
			var prompt []string
			if len(args) > 1 {
				prompt = []string{strings.Join(args[1:], " ")}
			}
			text, err := inputText(cmd, prompt, file)
			if err != nil {
				return err
			}
			m, err := mf.open(cmd, args[0])
			if err != nil {
				return err
			}
			defer m.Close()
			return infer(cmd, m, text, o, g, asJSON)
		},
	}
	mf.add(cmd)
	batch = addCellFlags(cmd, &mf)
	f, s := cmd.Flags(), &o.Sampler
	f.StringVar(&file, "file", "", "read the prompt from this file")
	f.IntVar(&o.MaxTokens, "max-tokens", 256, "at most so many new `tokens`; 0 is as many as the context holds")
	f.Float32Var(&s.Temperature, "temperature", s.Temperature, "0 takes the likeliest token, more is more varied")
	f.IntVar(&s.TopK, "top-k", s.TopK, "only the `k` likeliest tokens; 0 is off")
	f.Float32Var(&s.TopP, "top-p", s.TopP, "only the likeliest tokens that have this probability together; 1 is off")
	f.Float32Var(&s.MinP, "min-p", s.MinP, "only tokens with this share of the likeliest one's probability; 0 is off")
	f.Float32Var(&s.RepeatPenalty, "repeat-penalty", s.RepeatPenalty, "above 1 makes repetition less likely")
	f.Uint64Var(&s.Seed, "seed", 0, "the same `seed` gives the same text (default: another each time)")
	f.StringArrayVar(&o.Stop, "stop", nil, "a `text` that ends the generation; may be given several times; \\n is a line break")
	f.StringVar(&schema, "schema", "", "the text is JSON that is valid for this `schema`, a file or {…}")
	f.StringVar(&gbnf, "grammar", "", "the text is one of the GBNF grammar in this `file`")
	f.BoolVar(&asJSON, "json", false, "print one JSON object at the end")
	return cmd
}

// checkGenerate refuses options before a model is loaded for them, and reads
// the escapes of stop texts.
func checkGenerate(o *engine.GenerateOptions) error {
	if o.MaxTokens < 0 {
		return fmt.Errorf("infer: --max-tokens %d: want 0 or more", o.MaxTokens)
	}
	for i, s := range o.Stop {
		if s == "" {
			return errors.New("infer: --stop: want a text")
		}
		o.Stop[i] = strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\\`, `\`).Replace(s)
	}
	return o.Sampler.Check(0)
}

// inferResult is what --json prints.
type inferResult struct {
	Text                  string  `json:"text"`
	Tokens                []int32 `json:"tokens"`
	Seed                  uint64  `json:"seed"`
	PromptTokens          int     `json:"prompt_tokens"`
	NewTokens             int     `json:"new_tokens"`
	TokensPerSecond       float64 `json:"tokens_per_second"`
	PromptTokensPerSecond float64 `json:"prompt_tokens_per_second"`
	FirstTokenSeconds     float64 `json:"first_token_seconds"`
	StopReason            string  `json:"stop_reason"`
	Complete              *bool   `json:"complete,omitempty"` // with --schema or --grammar: it is one of the texts
}

// infer generates and reports. A text that an interrupt or the end of the
// context cut short is reported too.
func infer(cmd *cobra.Command, m *engine.Model, prompt string, o engine.GenerateOptions, g *grammar.Grammar, asJSON bool) error {
	s, err := m.NewSession()
	if err != nil {
		return err
	}
	defer s.Close()
	var stats engine.Stats
	o.Stats = &stats
	var matcher *grammar.Matcher
	if g != nil {
		matcher = m.Constrain(g)
		o.Constraint = matcher
	}
	stream := cmd.OutOrStdout()
	if asJSON {
		stream = io.Discard
	}
	text, ids, err := complete(cmd.Context(), s, m.Tokenizer().Encode(prompt, tokenizer.Options{NoEOS: true}), o, stream)
	if err != nil && (stats.NewTokens == 0 || cmd.Context().Err() == nil && !errors.Is(err, engine.ErrContextFull)) {
		return err
	}
	if errors.Is(err, engine.ErrContextFull) {
		stats.StopReason, err = "context full", nil
	}
	var whole *bool
	if matcher != nil {
		whole = new(bool)
		*whole = matcher.MayEnd()
	}
	if asJSON {
		err = errors.Join(err, encodeJSON(cmd.OutOrStdout(), inferResult{text, ids, o.Sampler.Seed, stats.PromptTokens, stats.NewTokens,
			stats.TokensPerSecond(), stats.PromptTokensPerSecond(), stats.FirstToken.Seconds(), stats.StopReason, whole}))
	} else {
		if !strings.HasSuffix(text, "\n") {
			fmt.Fprintln(stream)
		}
		err = errors.Join(err, printStats(cmd.ErrOrStderr(), stats, o.Sampler))
	}
	if whole != nil && !*whole && err == nil {
		err = errCut
	}
	return err
}

// errCut ends a command whose text is there and not complete.
var errCut = errors.New("infer: " + magics.CutText + "; a larger --max-tokens may help")

// complete writes the text to w as it comes.
func complete(ctx context.Context, s *engine.Session, prompt []int32, o engine.GenerateOptions, w io.Writer) (string, []int32, error) {
	var text strings.Builder
	ids := []int32{}
	for tok, err := range s.Generate(ctx, prompt, o) {
		if err != nil {
			return text.String(), ids, err
		}
		if tok.ID >= 0 {
			ids = append(ids, tok.ID)
		}
		text.WriteString(tok.Text)
		if _, err := io.WriteString(w, tok.Text); err != nil {
			return text.String(), ids, err
		}
	}
	return text.String(), ids, nil
}

func printStats(w io.Writer, s engine.Stats, p engine.Sampler) error {
	seed := ""
	if p.Temperature > 0 {
		seed = fmt.Sprintf("; seed %d", p.Seed)
	}
	_, err := fmt.Fprintf(w, "%d tokens at %.1f tokens/s; first token after %s; prompt %d tokens at %.1f tokens/s; stop: %s%s\n",
		s.NewTokens, s.TokensPerSecond(), s.FirstToken.Round(time.Millisecond/10), s.PromptTokens, s.PromptTokensPerSecond(), s.StopReason, seed)
	return err
}
