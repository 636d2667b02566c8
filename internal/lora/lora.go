// Package lora reads adapters: low-rank changes of a base model's weights (Hu
// et al. 2021), their rank-stabilised (Kalajdzievski 2023) and
// weight-decomposed forms (DoRA, Liu et al. 2024), and weights that were
// trained whole.
//
// An adapter is a *gguf.File in the form of llama.cpp's adapters:
// general.type is "adapter", adapter.type "lora", and <base>.lora_a with
// <base>.lora_b change the tensor <base> of the base model by
//
//	W + adapter.lora.alpha/rank · B·A
//
// Four things go beyond what llama.cpp reads, which refuses such files:
// <base>.lora_bias is added, scaled, to the product's result;
// <base>.lora_magnitude are DoRA's lengths of the rows; a plain <base> is in
// the place of the base's tensor; a bias or norm may be such a tensor, too.
//
// Open reads adapters of PEFT for a base, as views in that form: the names,
// the order of rows and what else llama.cpp's converter changes are the base's.
package lora

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/tensor"
)

// Endings of an adapter's tensors, after the name of the base's.
const (
	endA         = ".lora_a"
	endB         = ".lora_b"
	endBias      = ".lora_bias"
	endMagnitude = ".lora_magnitude"
)

const embedding = "token_embd.weight"

// An Adapter is what an adapter's file says. Its tensors are those of the file.
type Adapter struct {
	Name   string // general.name, or ""
	Arch   string // general.architecture of the base
	Base   string // what the base is called, or ""
	Deltas []Delta
	Whole  []*gguf.Tensor // in the place of the base's tensors of these names
}

// A Delta changes one weight W (out, in) of the base: a product with it becomes
// W·x + Scale·(B·(A·x) + Bias). With Magnitude, of which there is no Bias, it is
// Magnitude/‖W + Scale·B·A‖ · (W + Scale·B·A)·x, where the norm is that of each
// row (of the embedding: of each column).
type Delta struct {
	Name      string       // of the base's tensor
	A         *gguf.Tensor // (rank, in); of the embedding transposed, (vocab, rank)
	B         *gguf.Tensor // (out, rank)
	Bias      *gguf.Tensor // (out), or nil
	Magnitude *gguf.Tensor // (out), or nil
	Scale     float32
}

// Rank is the inner dimension of B·A.
func (d *Delta) Rank() int { return d.B.Shape[1] }

// Embeds says whether d changes the embedding, whose rows are looked up: the
// delta of a token is Scale·B·(its row of A).
func (d *Delta) Embeds() bool { return d.Name == embedding }

// In and Out are the shape of the weight that d changes, as A and B have it.
func (d *Delta) In() int {
	if d.Embeds() {
		return d.A.Shape[0]
	}
	return d.A.Shape[1]
}

func (d *Delta) Out() int { return d.B.Shape[0] }

// Is reports whether f is an adapter and no model.
func Is(f *gguf.File) bool {
	kind, err := f.StringOr("general.type", "")
	return err == nil && kind == "adapter"
}

// Read reads an adapter's file and checks that it is whole. What it says
// depends on the file, which has to stay open as long as numbers are read.
func Read(f *gguf.File) (*Adapter, error) {
	a := &Adapter{}
	fail := func(format string, args ...any) (*Adapter, error) {
		return nil, fmt.Errorf("lora: %s: "+format, append([]any{cmp.Or(f.Path, "adapter")}, args...)...)
	}
	if !Is(f) {
		return fail("the file is no adapter: general.type is not \"adapter\"")
	}
	if kind, err := f.String("adapter.type"); err != nil {
		return fail("%w", err)
	} else if kind != "lora" {
		return fail("adapters of type %q are not supported, only lora", kind)
	}
	var err error
	if a.Arch, err = f.String("general.architecture"); err != nil {
		return fail("%w", err)
	}
	alpha, err := f.Float("adapter.lora.alpha")
	if err != nil {
		return fail("%w", err)
	}
	if tokens, ok := f.Value("adapter.alora.invocation_tokens"); ok {
		return fail("it acts only after certain tokens (adapter.alora.invocation_tokens is %v), which is not supported", tokens)
	}
	a.Name, _ = f.StringOr("general.name", "")
	a.Base, _ = f.StringOr("general.base_model.0.repo_url", "")
	if a.Base = strings.TrimPrefix(a.Base, "https://huggingface.co/"); a.Base == "" {
		a.Base, _ = f.StringOr("general.base_model.0.name", "")
	}
	if err := a.sort(f.Tensors); err != nil {
		return fail("%w", err)
	}
	for i := range a.Deltas {
		d := &a.Deltas[i]
		if err := d.check(); err != nil {
			return fail("%w", err)
		}
		if d.Scale = 1; alpha != 0 { // as llama.cpp has it
			d.Scale = float32(alpha / float64(d.Rank()))
		}
	}
	return a, nil
}

// sort puts tensors where they belong by their names.
func (a *Adapter) sort(tensors []gguf.Tensor) error {
	at := map[string]int{} // in a.Deltas
	for i := range tensors {
		t := &tensors[i]
		if !numbers(t.DType) {
			return fmt.Errorf("tensor %q has type %s, which is no type of weights", t.Name, t.DType)
		}
		base, end := t.Name, ""
		for _, e := range []string{endA, endB, endBias, endMagnitude} {
			if b, ok := strings.CutSuffix(t.Name, e); ok {
				base, end = b, e
			}
		}
		if end == "" {
			a.Whole = append(a.Whole, t)
			continue
		}
		n, known := at[base]
		if !known {
			n = len(a.Deltas)
			at[base] = n
			a.Deltas = append(a.Deltas, Delta{Name: base})
		}
		d := &a.Deltas[n]
		switch end {
		case endA:
			d.A = t
		case endB:
			d.B = t
		case endBias:
			d.Bias = t
		case endMagnitude:
			d.Magnitude = t
		}
	}
	return nil
}

// check says whether d's tensors go together.
func (d *Delta) check() error {
	switch {
	case d.A == nil:
		return fmt.Errorf("tensor %q is missing", d.Name+endA)
	case d.B == nil:
		return fmt.Errorf("tensor %q is missing", d.Name+endB)
	case len(d.A.Shape) != 2 || len(d.B.Shape) != 2:
		return fmt.Errorf("tensor %q: A has shape %v and B %v, want two dimensions", d.Name, d.A.Shape, d.B.Shape)
	case !d.Embeds() && d.A.Shape[0] != d.Rank() || d.Embeds() && d.A.Shape[1] != d.Rank():
		return fmt.Errorf("tensor %q: A has shape %v and B %v, which are of different ranks", d.Name, d.A.Shape, d.B.Shape)
	case d.Bias != nil && d.Bias.Len() != d.Out():
		return fmt.Errorf("tensor %q has shape %v, want (%d)", d.Bias.Name, d.Bias.Shape, d.Out())
	case d.Magnitude != nil && d.Magnitude.Len() != d.Out():
		return fmt.Errorf("tensor %q has shape %v, want (%d)", d.Magnitude.Name, d.Magnitude.Shape, d.Out())
	case d.Magnitude != nil && d.Bias != nil:
		return fmt.Errorf("tensor %q has both %s and %s, which have no meaning together", d.Name, endBias, endMagnitude)
	}
	return nil
}

// Ranks are the smallest and the largest rank, 0 without deltas.
func (a *Adapter) Ranks() (lo, hi int) {
	for i := range a.Deltas {
		r := a.Deltas[i].Rank()
		if hi = max(hi, r); lo == 0 || r < lo {
			lo = r
		}
	}
	return lo, hi
}

// DoRA says whether some weights are decomposed into length and direction.
func (a *Adapter) DoRA() bool {
	for i := range a.Deltas {
		if a.Deltas[i].Magnitude != nil {
			return true
		}
	}
	return false
}

// Floats reads all numbers of a tensor.
func Floats(t *gguf.Tensor) ([]float32, error) {
	data := make([]byte, t.Bytes())
	if err := t.Read(data, 0); err != nil {
		return nil, err
	}
	f := make([]float32, t.Len())
	t.DType.Decode(f, data)
	return f, nil
}

// numbers says whether weights may have type d.
func numbers(d tensor.DType) bool {
	return d.Known() && d != tensor.I8 && d != tensor.I16 && d != tensor.I32 && d != tensor.I64
}
