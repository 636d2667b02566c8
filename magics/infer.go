package magics

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/grammar"
	"github.com/llcuda/llcuda/engine/tokenizer"
	"github.com/llcuda/llcuda/internal/catalog"
	"github.com/llcuda/llcuda/jupyter"
	"github.com/llcuda/llcuda/magics/expr"
)

func init() {
	register(Magic{Name: "infer", Args: "PROMPT", Doc: "continues a prompt with the loaded model; tokens stream into the cell", Line: true, Cell: true, Prose: true,
		Help: `%infer What is AI? --max-tokens 100
%infer --temperature 0 The capital of France is
%%infer --seed 7 --var story     the prompt is the rest of the cell
%infer --schema person.json --var emma Describe Emma as JSON:
--schema makes the text a JSON value that is valid for the schema, --grammar one of a GBNF grammar. What the schema
asks for and can't be kept is an error. Say in the prompt what you want: the model knows nothing of the schema.
%infer --batch prompts.jsonl --output answers.jsonl     each line {"prompt": …} or {"messages": …}; run it again to go on
Flags stand before or behind the prompt; a prompt in quotes, or behind --, is taken as it is.`,
		Flags: func(f *pflag.FlagSet) { inferFlags(f); batchFlags(f) }, Run: infer})
}

func inferFlags(f *pflag.FlagSet) {
	s := engine.DefaultSampler()
	f.IntP("max-tokens", "", 256, "at most so many new `tokens`; 0 is as many as the context holds")
	f.Float32("temperature", s.Temperature, "0 takes the likeliest token, more is more varied")
	f.Int("top-k", s.TopK, "only the `k` likeliest tokens; 0 is off")
	f.Float32("top-p", s.TopP, "only the likeliest tokens that have this probability together; 1 is off")
	f.Float32("min-p", s.MinP, "only tokens with this share of the likeliest one's probability; 0 is off")
	f.Float32("repeat-penalty", 1, "above 1 makes repetition less likely")
	f.Uint64("seed", 0, "the same `seed` gives the same text (default: another each time)")
	f.StringArray("stop", nil, "a `text` that ends the generation; may be given several times; \\n is a line break")
	f.String("schema", "", "the text is JSON that is valid for this `schema`, a file or {…}")
	f.String("grammar", "", "the text is one of the GBNF grammar in this `file`")
	f.Bool("json", false, "print one JSON object instead of the text")
	f.String("var", "", "also store the text in the variable of this `name`")
	f.String("model", "", "the loaded model of this `name` (default: the last one)")
	f.String("extra", "", "of an endpoint: further `fields` of the request, as a JSON object")
}

// inference is what %infer was asked for.
type inference struct {
	prompt string
	o      engine.GenerateOptions
	fresh  bool // the seed was chosen here, and matters
	json   bool
	toVar  string

	grammar *grammar.Grammar // of --schema or --grammar; nil: the text is free
	schema  bool             // the grammar is of a schema
	cut     bool             // the text ended before it was one of the grammar

	promptTokens int

	// Of an endpoint.
	reasoning string
	pieces    bool     // the server does not count: Stats.NewTokens are pieces
	notes     []string // for the line of figures
}

func infer(ctx context.Context, c *Call) error {
	if c.Flags.Changed("batch") || c.Flags.Changed("output") || c.Flags.Changed("parallel") {
		return runBatch(ctx, c)
	}
	q, err := readInference(c)
	if err != nil {
		return err
	}
	name, _ := c.Flags.GetString("model")
	l, err := c.models.findAny(name)
	if err != nil {
		return err
	}
	q.o.Stats = new(engine.Stats)
	var text string
	if l.endpoint != nil {
		text, err = l.endpoint.answer(ctx, c, l, &q)
	} else {
		text, err = l.answer(ctx, c, &q)
	}
	var u *jupyter.Error
	if errors.As(err, &u) { // says what to do itself
		return err
	}
	if q.toVar != "" && (err == nil || text != "") {
		c.vars.Set(q.toVar, text)
	}
	if err != nil && ctx.Err() == nil {
		return err
	}
	if err := q.report(c, l, text); err != nil {
		return err
	}
	return ctx.Err()
}

// answer streams what a model of this process continues the prompt with into
// the cell, or only collects it for --json.
func (l *loaded) answer(ctx context.Context, c *Call, q *inference) (_ string, err error) {
	if c.Flags.Changed("extra") {
		return "", c.usage("--extra is for endpoints; %s is on this machine", l.name)
	}
	ids := l.model.Tokenizer().Encode(q.prompt, tokenizer.Options{NoEOS: true})
	if len(ids) == 0 {
		return "", c.usage("the prompt has no tokens")
	}
	q.promptTokens = len(ids)
	if l.session == nil {
		if l.session, err = l.model.NewSession(); err != nil {
			return "", modelError("%s: %v", l.name, err)
		}
	}
	l.session.Reset()
	if q.grammar != nil {
		m := l.model.Constrain(q.grammar)
		q.o.Constraint = m
		defer func() { q.cut = !m.MayEnd() }()
	}
	var text strings.Builder
	out := c.Display.Stdout()
	for t, err := range l.session.Generate(ctx, ids, q.o) {
		switch {
		case errors.Is(err, engine.ErrContextFull) && q.o.Stats.NewTokens > 0:
			q.o.Stats.StopReason = "context full"
			return text.String(), nil
		case ctx.Err() != nil && err != nil:
			return text.String(), err
		case err != nil:
			return text.String(), modelError("%s: %v", l.name, err)
		}
		text.WriteString(t.Text)
		if !q.json {
			fmt.Fprint(out, t.Text)
		}
	}
	return text.String(), nil
}

func readInference(c *Call) (inference, error) {
	q := inference{prompt: strings.Join(c.Args, "")}
	if c.Cell { // text on the first line leads
		q.prompt = strings.Trim(strings.TrimRight(q.prompt, " ")+"\n"+c.Body, "\n")
	}
	if strings.TrimSpace(q.prompt) == "" {
		return q, c.usage("the prompt is missing")
	}
	err := q.readFlags(c)
	return q, err
}

// readFlags reads inferFlags.
func (q *inference) readFlags(c *Call) error {
	f := c.Flags
	q.o.MaxTokens, _ = f.GetInt("max-tokens")
	s := &q.o.Sampler
	s.Temperature, _ = f.GetFloat32("temperature")
	s.TopK, _ = f.GetInt("top-k")
	s.TopP, _ = f.GetFloat32("top-p")
	s.MinP, _ = f.GetFloat32("min-p")
	s.RepeatPenalty, _ = f.GetFloat32("repeat-penalty")
	s.Seed, _ = f.GetUint64("seed")
	if !f.Changed("seed") {
		s.Seed = engine.RandomSeed()
		q.fresh = s.Temperature > 0
	}
	stops, _ := f.GetStringArray("stop")
	for _, t := range stops {
		if t != "" {
			q.o.Stop = append(q.o.Stop, strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\\`, `\`).Replace(t))
		}
	}
	schema, _ := f.GetString("schema")
	gbnf, _ := f.GetString("grammar")
	var err error
	if q.grammar, err = grammar.Open(catalog.InHome(schema), catalog.InHome(gbnf)); err != nil {
		return c.usage("%v", err)
	}
	q.schema = schema != ""
	q.json, _ = f.GetBool("json")
	q.toVar, _ = f.GetString("var")
	switch {
	case q.o.MaxTokens < 0:
		return c.usage("--max-tokens %d: want 0 or more", q.o.MaxTokens)
	case !(s.Temperature >= 0 && s.Temperature <= 100):
		return c.usage("--temperature %g: want 0 to 100", s.Temperature)
	case s.TopK < 0:
		return c.usage("--top-k %d: want 0 or more", s.TopK)
	case !(s.TopP >= 0 && s.TopP <= 1):
		return c.usage("--top-p %g: want 0 to 1", s.TopP)
	case !(s.MinP >= 0 && s.MinP <= 1):
		return c.usage("--min-p %g: want 0 to 1", s.MinP)
	case !(s.RepeatPenalty > 0):
		return c.usage("--repeat-penalty %g: want more than 0; 1 is off", s.RepeatPenalty)
	case q.toVar != "" && !expr.IsName(q.toVar):
		return c.usage("--var %s: want a name of letters and digits that is no word of %%tensor", q.toVar)
	}
	return nil
}

// report shows the figures below the text, or everything as JSON.
func (q *inference) report(c *Call, l *loaded, text string) error {
	s := q.o.Stats
	if q.json {
		v := map[string]any{
			"model": l.name, "prompt": q.prompt, "text": text, "stop_reason": s.StopReason, "seed": q.o.Sampler.Seed,
			"prompt_tokens": q.promptTokens, "new_tokens": s.NewTokens, "tokens_per_second": s.TokensPerSecond(),
			"prompt_tokens_per_second": s.PromptTokensPerSecond(), "first_token_seconds": s.FirstToken.Seconds(),
			"seconds": (s.FirstToken + s.DecodeTime).Seconds(),
		}
		if q.grammar != nil {
			v["complete"] = !q.cut
		}
		if l.endpoint != nil {
			q.endpointJSON(c, v)
		}
		return printJSON(c, v)
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		fmt.Fprintln(c.Display.Stdout())
	}
	line := q.summary()
	c.Display.Show(jupyter.Bundle{"text/plain": line, "text/html": renderHTML(noteHTML, line)})
	return nil
}

// summary is the one line of figures below a text.
func (q *inference) summary() string {
	s, unit := q.o.Stats, "token"
	parts := []string{count(q.promptTokens, "prompt token"), count(s.NewTokens, "new token")}
	if q.pieces {
		unit, parts = "piece", []string{count(s.NewTokens, "piece") + " (the server counts no tokens)"}
	}
	if speed := s.TokensPerSecond(); speed > 0 {
		parts = append([]string{fmt.Sprintf("%.1f %ss/s", speed, unit)}, parts...)
	}
	if s.NewTokens > 0 {
		parts = append(parts, "first token after "+secondsText(s.FirstToken.Round(time.Millisecond/10)))
	}
	if q.fresh {
		parts = append(parts, fmt.Sprintf("seed %d", q.o.Sampler.Seed))
	}
	parts = append(parts, q.notes...)
	stop := "stop: " + stopText(s.StopReason)
	if q.cut {
		stop += ", so " + CutText
	}
	return strings.Join(append(parts, stop), " · ")
}

// CutText is said of a text that ended before it was complete.
const CutText = "the text is cut: what --schema or --grammar asks for is not complete"

func stopText(reason string) string {
	switch reason {
	case "eog":
		return "end of text"
	case "length":
		return "max-tokens"
	case "stop":
		return "stop text"
	case "cancelled":
		return "interrupted"
	}
	return reason
}
