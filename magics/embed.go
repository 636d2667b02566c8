package magics

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/remote"
	"github.com/llcuda/llcuda/jupyter"
	"github.com/llcuda/llcuda/magics/expr"
	"github.com/llcuda/llcuda/tensor"
)

func init() {
	register(Magic{Name: "embed", Args: "TEXT", Doc: "makes vectors of texts, compares them, and finds the texts that are nearest to a question", Line: true, Cell: true, Prose: true,
		Help: `%embed The cat sat on the mat.
%%embed --var E                      one text a line: their cosines as a table, their vectors as the rows of E
%embed --in E where do cats sit?     the lines of E that are nearest to it, the likest first
%embed --in E --top 1 --var best where do cats sit?    stores the text that was found
Encoders (BERT, BGE, MiniLM, E5, Nomic) are made for this; of other models it takes the last token's state.
Vectors have length 1, so that E @ E.T are cosines. E5 and Nomic want a --prefix: query: or passage: .
Of a model at an endpoint, its server makes the vectors; --extra '{"dimensions": 256}' sends it a field of its own.`,
		Flags: func(f *pflag.FlagSet) {
			f.String("var", "", "store the vectors, or with --in the texts found, in the variable of this `name`")
			f.String("in", "", "look in the texts whose vectors are in the variable of this `name`")
			f.Int("top", 3, "with --in, so many `texts` at most")
			f.String("prefix", "", "a `text` that the model wants before each text")
			f.String("pooling", "auto", "auto (the model's), mean, cls or last")
			f.Bool("truncate", false, "cut texts off that are too long for the model")
			f.Bool("json", false, "print one JSON object instead")
			f.String("model", "", "the loaded model of this `name` (default: the last one; with --in, the one that made the vectors)")
			f.String("extra", "", "of an endpoint: further fields of the request, a JSON `object`")
		},
		Run: embed})
}

// An embedded variable has the vectors of texts.
type embedded struct {
	array   expr.Value // what the variable held then
	texts   []string
	vectors [][]float32
	model   string
	pooling engine.Pooling
}

// embedding is what %embed was asked for, and what came of it.
type embedding struct {
	texts  []string
	o      engine.EmbedOptions
	prefix string
	in     *embedded // nil: no search
	top    int
	toVar  string
	json   bool

	model   string
	how     string // the pooling, where it is known
	bar     progressBar
	vectors [][]float32
	tokens  int
	took    time.Duration
	notes   []string
}

func embed(ctx context.Context, c *Call) error {
	q, err := readEmbedding(c)
	if err != nil {
		return err
	}
	l, err := c.models.findAny(q.model)
	if err != nil {
		return err
	}
	q.model = l.name
	if err := q.compute(ctx, c, l); err != nil {
		return err
	}
	if q.in != nil {
		return q.found(c)
	}
	if q.toVar != "" {
		if err := q.store(c); err != nil {
			return err
		}
	}
	if q.json {
		return q.print(c)
	}
	q.show()
	return nil
}

func readEmbedding(c *Call) (*embedding, error) {
	f := c.Flags
	q := &embedding{}
	q.prefix, _ = f.GetString("prefix")
	q.top, _ = f.GetInt("top")
	q.toVar, _ = f.GetString("var")
	q.json, _ = f.GetBool("json")
	q.model, _ = f.GetString("model")
	for line := range strings.Lines(strings.Join(c.Args, "") + "\n" + c.Body) {
		if line = strings.TrimSpace(line); line != "" {
			q.texts = append(q.texts, line)
		}
	}
	var err error
	pooling, _ := f.GetString("pooling")
	if q.o.Pooling, err = engine.ParsePooling(pooling); err != nil {
		return nil, c.usage("--pooling %s: want mean, cls, last or auto", pooling)
	}
	in, _ := f.GetString("in")
	switch {
	case len(q.texts) == 0:
		return nil, c.usage("the text is missing")
	case q.top < 1:
		return nil, c.usage("--top %d: want at least 1", q.top)
	case q.toVar != "" && !expr.IsName(q.toVar):
		return nil, c.usage("--var %s: want a name of letters and digits that is no word of %%tensor", q.toVar)
	case in == "":
		return q, nil
	case len(q.texts) > 1:
		return nil, c.usage("--in looks for one text, got %d lines", len(q.texts))
	}
	q.in = c.embedded[in]
	if v, ok := c.vars.Get(in); q.in == nil || !ok || v != q.in.array {
		return nil, c.usage("--in %s: no texts of %%embed are there; %%%%embed --var %s stores some", in, in)
	}
	if !f.Changed("model") {
		q.model = q.in.model
	}
	if !f.Changed("pooling") {
		q.o.Pooling = q.in.pooling
	}
	return q, nil
}

// compute makes the vectors.
func (q *embedding) compute(ctx context.Context, c *Call, l *loaded) error {
	bar := &q.bar
	*bar = progressBar{d: c.Display, what: "embedding", off: q.json || !c.Display.Interactive(), start: time.Now(),
		count: func(n int64) string { return count(int(n), "text") }}
	q.o.Progress = func(done int) { bar.update(int64(done), int64(len(q.texts))) }
	texts := make([]string, len(q.texts))
	for i, t := range q.texts {
		texts[i] = q.prefix + t
	}
	var err error
	if l.endpoint != nil {
		err = q.ask(ctx, c, l, texts)
	} else {
		err = q.embed(ctx, c, l, texts)
	}
	q.took = time.Since(bar.start)
	if err != nil {
		bar.failed()
		return err
	}
	if q.in != nil && len(q.in.vectors[0]) != len(q.vectors[0]) {
		return modelError("%s makes vectors of %d numbers, those of --in have %d; take the model that made them: %s",
			l.name, len(q.vectors[0]), len(q.in.vectors[0]), q.in.model)
	}
	return nil
}

// embed has a model of this process make the vectors.
func (q *embedding) embed(ctx context.Context, c *Call, l *loaded, texts []string) error {
	if c.Flags.Changed("extra") {
		return c.usage("--extra is for endpoints; %s is on this machine", l.name)
	}
	if cut, _ := c.Flags.GetBool("truncate"); cut {
		q.o.Cut = func(text, tokens int) {
			q.notes = append(q.notes, fmt.Sprintf("text %d had %d tokens and was cut", text+1, tokens))
		}
	}
	e, err := l.model.NewEmbedder(q.o)
	if err != nil {
		return modelError("%s: %v", l.name, err)
	}
	defer e.Close()
	q.o.Pooling = e.Pooling()
	q.how = q.o.Pooling.String() + " pooling"
	q.vectors, q.tokens, err = e.Embed(ctx, texts)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, engine.ErrContextFull):
		return modelError("%s: %v (--truncate)", l.name, err)
	case err != nil:
		return modelError("%s: %v", l.name, err)
	}
	return nil
}

// ask has an endpoint make the vectors.
func (q *embedding) ask(ctx context.Context, c *Call, l *loaded, texts []string) (err error) {
	for _, flag := range []string{"pooling", "truncate"} {
		if c.Flags.Changed(flag) {
			return c.usage("--%s is for models on this machine; the server of %s chooses by itself", flag, l.name)
		}
	}
	r := remote.EmbedRequest{Model: l.endpoint.model.ID, Texts: texts, Fields: map[string]any{}, Progress: q.o.Progress, Parallel: l.endpoint.oneByOne()}
	if err := extraFields(c.Flags, r.Fields, "model", "input", "encoding_format"); err != nil {
		return c.usage("%v", err)
	}
	defer l.endpoint.watch(c.Display)()
	if q.vectors, q.tokens, err = l.endpoint.pool.Embed(ctx, r); err != nil {
		return endpointError(ctx, l, err)
	}
	return nil
}

// store makes the vectors the rows of a variable.
func (q *embedding) store(c *Call) error {
	n, dim := len(q.vectors), len(q.vectors[0])
	data := make([]byte, 4*n*dim)
	tensor.F32.Encode(data, slices.Concat(q.vectors...))
	c.env.Devices = c.devices.all()
	if err := c.env.Put(q.toVar, tensor.F32, []int{n, dim}, data); err != nil {
		return tensorError(err, "", 0)
	}
	v, _ := c.vars.Get(q.toVar)
	for name, e := range c.embedded { // of variables that are gone or something else now
		if held, ok := c.vars.Get(name); !ok || held != e.array {
			delete(c.embedded, name)
		}
	}
	c.embedded[q.toVar] = &embedded{v, q.texts, q.vectors, q.model, q.o.Pooling}
	return nil
}

// A match is a text that was found.
type match struct {
	Index  int     `json:"index"` // row of the variable
	Cosine float64 `json:"cosine"`
	Text   string  `json:"text"`
}

// found shows the texts that are nearest to the one that was embedded.
func (q *embedding) found(c *Call) error {
	matches := make([]match, len(q.in.texts))
	for i, v := range q.in.vectors {
		matches[i] = match{i, cosine(q.vectors[0], v), q.in.texts[i]}
	}
	slices.SortStableFunc(matches, func(a, b match) int { return cmp.Compare(b.Cosine, a.Cosine) })
	matches = matches[:min(q.top, len(matches))]
	if q.toVar != "" {
		var texts []string
		for _, m := range matches {
			texts = append(texts, m.Text)
		}
		c.vars.Set(q.toVar, strings.Join(texts, "\n"))
	}
	if q.json {
		return printJSON(c, map[string]any{"model": q.model, "query": q.texts[0], "tokens": q.tokens, "matches": matches})
	}
	rows := [][]string{}
	for _, m := range matches {
		rows = append(rows, []string{fmt.Sprintf("%.3f", m.Cosine), m.Text})
	}
	note := q.note(fmt.Sprintf("of %s", count(len(q.in.texts), "text")))
	q.bar.end(jupyter.Bundle{"text/plain": columns(rows) + note + "\n", "text/html": renderHTML(matchesHTML, struct {
		Rows [][]string
		Note string
	}{rows, note})})
	return nil
}

// cosine of two vectors of length 1.
func cosine(a, b []float32) float64 {
	sum := 0.0
	for i, x := range a {
		sum += float64(x) * float64(b[i])
	}
	return sum
}

func (q *embedding) print(c *Call) error {
	v := map[string]any{"model": q.model, "dimensions": len(q.vectors[0]), "tokens": q.tokens, "texts": q.texts, "vectors": q.vectors}
	if q.how != "" {
		v["pooling"] = q.o.Pooling.String()
	}
	return printJSON(c, v)
}

func printJSON(c *Call, v any) error {
	enc := json.NewEncoder(c.Display.Stdout())
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// note is the line of figures.
func (q *embedding) note(first string) string {
	parts := []string{first}
	if q.tokens > 0 { // a server may not count
		parts = append(parts, count(q.tokens, "token"))
	}
	parts = append(parts, q.model)
	if q.how != "" {
		parts = append(parts, q.how)
	}
	return strings.Join(append(append(parts, secondsText(q.took)), q.notes...), " · ")
}
