package magics

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/internal/catalog"
	"github.com/llcuda/llcuda/internal/export"
	"github.com/llcuda/llcuda/internal/lora"
	"github.com/llcuda/llcuda/internal/quantize"
	"github.com/llcuda/llcuda/tensor"
)

func init() {
	register(Magic{Name: "export", Args: "FILE.gguf", Doc: "writes the loaded model as a GGUF file, with the adapters that are on in its weights", Line: true,
		Help: `%export story.gguf                          the numbers in the types they have
%export story-q4.gguf --type q4_k_m        smaller; the types are ` + strings.Join(quantize.Names(), ", ") + `
%export story.gguf --type q4_k_m --imatrix m.gguf    with an importance matrix of llcuda imatrix or llama.cpp
%export big.gguf --split-max-size 4G       several files
The file is for llcuda, llama.cpp, Ollama and all that read GGUF. It gets its name when it is complete, is
checked then, and is never written over another without --force. ■ stops it, and leaves nothing.`,
		Flags: func(f *pflag.FlagSet) {
			f.String("type", "", "the `type` of most tensors, and the rule for the others (default: as they are)")
			f.String("imatrix", "", "spend the bits where this importance matrix says, a `file`")
			f.String("split-max-size", "", "write several files of at most so many `bytes` of numbers: 2G, 500M")
			f.Bool("force", false, "write over a file that is there")
			f.String("model", "", "the loaded model of this `name` (default: the last one)")
		},
		Run:      exportMagic,
		Complete: func(_ *Interpreter, c Completing) []string { return c.files(".gguf") }})
}

func exportMagic(ctx context.Context, c *Call) error {
	if len(c.Args) != 1 || c.Args[0] == "" {
		return c.usage("want one file, got %d; a path with blanks stands in quotes", len(c.Args))
	}
	name, _ := c.Flags.GetString("model")
	l, err := c.models.find(name)
	if err != nil {
		return err
	}
	var o ExportOptions
	o.Type, _ = c.Flags.GetString("type")
	o.Imatrix, _ = c.Flags.GetString("imatrix")
	o.Split, _ = c.Flags.GetString("split-max-size")
	o.Force, _ = c.Flags.GetBool("force")
	o.Imatrix = catalog.InHome(o.Imatrix)
	in, with, done, err := l.asUsed()
	defer done()
	if err != nil {
		return modelError("%v", err)
	}
	f, out, err := o.Prepare(in)
	if err != nil {
		return c.usage("%v", err)
	}
	path := catalog.InHome(c.Args[0])
	bar := progressBar{d: c.Display, what: "writing " + filepath.Base(path), off: !c.Display.Interactive(), rate: true}
	bar.begin()
	out.Progress = bar.update
	r, err := export.File(ctx, f, path, out)
	switch {
	case ctx.Err() != nil:
		bar.failed()
		return ctx.Err()
	case err != nil:
		bar.failed()
		return modelError("%s", strings.TrimPrefix(err.Error(), "export: "))
	}
	bar.done(strings.TrimSuffix(ExportText(in, f, r), "\n") + with + "\nin " + secondsText(time.Since(bar.start)) + "; %load " + quoted(c.Args[0], r) + " runs it")
	return nil
}

// quoted is what %load takes for what was written.
func quoted(path string, r *export.Result) string {
	if len(r.Paths) > 1 {
		path = r.Paths[0]
	}
	if strings.ContainsAny(path, " \t") {
		return strconv.Quote(path)
	}
	return path
}

// asUsed is the model's file with the adapters that are on in its weights. It
// must not be closed, since the file is the model's; done closes the adapters'.
func (l *loaded) asUsed() (f *gguf.File, with string, done func(), err error) {
	var opened []*gguf.File
	done = func() {
		for _, a := range opened {
			a.Close()
		}
	}
	f = l.model.File()
	for _, a := range l.adapters {
		if a.scale == 0 {
			continue
		}
		file, err := lora.Open(a.path, f)
		if err != nil {
			return nil, "", done, err
		}
		opened = append(opened, file)
		if f, err = lora.Merge(f, file, a.scale); err != nil {
			return nil, "", done, err
		}
		with += fmt.Sprintf("\nwith %s×%g in its weights", a.name, a.scale)
	}
	return f, with, done, nil
}

// mix is what --quantize of %load asks for; nil is nothing.
func (c *Call) mix() (*quantize.Mix, error) {
	name, _ := c.Flags.GetString("quantize")
	if name == "" {
		return nil, nil
	}
	m, err := quantize.ParseMix(name)
	if err != nil {
		return nil, c.usage("--%v", err)
	}
	return &m, nil
}

// quantize makes l's file one in the types of a mix, if there is one.
func (l *loaded) quantize(mix *quantize.Mix) (err error) {
	if mix == nil {
		return nil
	}
	if err := l.opened(); err != nil {
		return err
	}
	f, err := quantize.File(l.file, quantize.Options{Mix: *mix})
	if err != nil {
		return modelError("%v", errors.Join(err, l.file.Close()))
	}
	l.file = f
	return nil
}

// ExportOptions are what users say of a file to be written.
type ExportOptions struct {
	Type    string // of quantize.Names; "": the types there are
	Imatrix string // path of an importance matrix; "": none
	Split   string // bytes of a part: 2G, 500M; "": all in one
	Force   bool
}

// Prepare is the model as it is to be written, a view of in, and how to write it.
// Errors are the user's mistakes.
func (o ExportOptions) Prepare(in *gguf.File) (f *gguf.File, out export.Options, err error) {
	out.Force = o.Force
	if o.Split != "" {
		if out.MaxBytes, err = parseBytes(o.Split); err != nil {
			return nil, out, fmt.Errorf("--split-max-size %s: %w", o.Split, err)
		}
	}
	if o.Type == "" {
		if o.Imatrix != "" {
			return nil, out, errors.New("--imatrix goes with --type: without it, the numbers stay as they are")
		}
		if i := slices.IndexFunc(in.Tensors, func(t gguf.Tensor) bool { return t.DType.Foreign() }); i >= 0 {
			return nil, out, fmt.Errorf("its weights are %s, which GGUF has not: choose --type, such as q4_k_m", in.Tensors[i].DType)
		}
		return in, out, nil
	}
	q := quantize.Options{}
	if q.Mix, err = quantize.ParseMix(o.Type); err != nil {
		return nil, out, err
	}
	if o.Imatrix != "" {
		q.Name = filepath.Base(o.Imatrix)
		if q.Importance, err = quantize.ReadImportance(o.Imatrix); err != nil {
			return nil, out, err
		}
	}
	f, err = quantize.File(in, q)
	return f, out, err
}

// parseBytes reads a size as llama.cpp's tools have it: with K, M or G, of 1000.
func parseBytes(s string) (int64, error) {
	unit := int64(1)
	number := strings.TrimSuffix(strings.ToUpper(s), "B")
	for i, u := range "KMG" {
		if n, ok := strings.CutSuffix(number, string(u)); ok {
			number, unit = n, [...]int64{1e3, 1e6, 1e9}[i]
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 1 || n > 1<<50/unit {
		return 0, errors.New("want bytes, such as 2G or 500M")
	}
	return n * unit, nil
}

// ExportText says what was written of in as f: where, how much, and what is
// wrong with it.
func ExportText(in, f *gguf.File, r *export.Result) string {
	var b strings.Builder
	where := r.Paths[0]
	if n := len(r.Paths); n > 1 {
		where = fmt.Sprintf("%s and %d more", where, n-1)
	}
	params := in.Params()
	fmt.Fprintf(&b, "wrote %s: %s, %s parameters, %.2f bits each\n", where, bytesText(r.Bytes), countText(params), 8*float64(r.Bytes)/float64(max(params, 1)))
	if d, much := again(in, f); much {
		fmt.Fprintf(&b, "note: most weights were %s, which had lost something already; the original makes a better file\n", d)
	}
	for _, p := range r.Problems {
		fmt.Fprintln(&b, p)
	}
	return b.String()
}

// again says whether most of f's numbers were quantised twice, and from which
// type.
func again(in, f *gguf.File) (from tensor.DType, much bool) {
	var twice int64
	for i := range in.Tensors {
		d := in.Tensors[i].DType
		if d != f.Tensors[i].DType && d.Quantised() && d.BlockBytes() < d.BlockLen() {
			twice += int64(in.Tensors[i].Len())
			from = d
		}
	}
	return from, 2*twice > in.Params()
}
