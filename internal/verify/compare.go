package verify

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// A Report is what two forms have in common.
type Report struct {
	A, B     string   // their names
	Same     bool     // they differ no more than their types explain
	Findings []string // what was compared, a line each
	Faults   []string // what differs and should not
	Verdict  string

	KL         float64 // mean over positions of A's divergence to B, in nats; NaN: not comparable
	MaxKL      float64
	Top        float64 // share of positions with the same likeliest token
	Allowed    float64 // KL that their types explain
	Perplexity [2]float64
	Tokens     int // that were read
}

// Compare says how two forms differ.
func Compare(a, b *Side) *Report {
	r := &Report{A: a.Name, B: b.Name, KL: math.NaN(), Tokens: len(a.read)}
	r.vocabulary(a, b)
	r.tokens(a, b)
	r.written(a, b)
	r.end(a, b)
	r.end(b, a)
	r.template(a, b)
	r.numbers(a, b)
	r.Same = len(r.Faults) == 0
	switch {
	case !r.Same:
		r.Verdict = fmt.Sprintf("%s and %s are not the same model in two forms: %s", r.A, r.B, strings.Join(r.Faults, "; "))
	case r.KL < 1e-6:
		r.Verdict = fmt.Sprintf("%s and %s are the same", r.A, r.B)
	default:
		r.Verdict = fmt.Sprintf("%s and %s are the same model; they differ as %.2g and %.2g bits a weight explain", r.A, r.B, a.Bits, b.Bits)
	}
	return r
}

func (r *Report) found(format string, args ...any) {
	r.Findings = append(r.Findings, fmt.Sprintf(format, args...))
}
func (r *Report) fault(format string, args ...any) {
	r.Faults = append(r.Faults, fmt.Sprintf(format, args...))
}

func (r *Report) vocabulary(a, b *Side) {
	if a.Info.Arch != b.Info.Arch || a.Info.Layers != b.Info.Layers || a.Info.EmbeddingLength != b.Info.EmbeddingLength {
		r.fault("one is %s of %d layers and width %d, the other %s of %d and %d", a.Info.Arch, a.Info.Layers, a.Info.EmbeddingLength,
			b.Info.Arch, b.Info.Layers, b.Info.EmbeddingLength)
	}
	if a.Info.Vocab != b.Info.Vocab {
		r.fault("their vocabularies have %d and %d tokens", a.Info.Vocab, b.Info.Vocab)
	}
}

func (r *Report) tokens(a, b *Side) {
	if slices.Equal(a.tokens, b.tokens) {
		r.found("tokens: the same, %d of the text", len(a.tokens))
		return
	}
	i := 0
	for i < min(len(a.tokens), len(b.tokens)) && a.tokens[i] == b.tokens[i] {
		i++
	}
	at := func(s *Side) string {
		if i == len(s.tokens) {
			return "the end"
		}
		return fmt.Sprintf("%d %q", s.tokens[i], s.pieces[i])
	}
	r.found("tokens: %d and %d; token %d is %s and %s", len(a.tokens), len(b.tokens), i, at(a), at(b))
	r.fault("the text becomes other tokens, first at token %d: compare tokenizer.ggml.pre, add_bos_token and the vocabulary (%%gguf show), and convert again", i)
}

// written compares what tokens become that a model chooses: those of the text
// may be the same where others are not.
func (r *Report) written(a, b *Side) {
	if len(a.written) != len(b.written) {
		return // said
	}
	first, n := 0, 0
	for i := range a.written {
		if a.written[i] != b.written[i] {
			if n == 0 {
				first = i
			}
			n++
		}
	}
	if n > 0 {
		r.fault("token %d is written %q by %s and %q by %s, and so differ %d of the vocabulary: compare tokenizer.ggml.tokens and token_type (%%gguf show), and convert again",
			first, a.written[first], a.Name, b.written[first], b.Name, n)
	}
}

// end says that b goes on where a is at its end. Other tokens that end a
// generation are known by their text, also where no key of the file names them.
func (r *Report) end(a, b *Side) {
	if a.end >= 0 && int(a.end) < len(a.written) && len(a.written) == len(b.written) && !slices.Contains(b.ends, a.end) {
		r.fault("%s ends a text with %d %q, which does not end one of %s: compare tokenizer.ggml.eos_token_id, and convert again", a.Name, a.end, a.endText, b.Name)
	}
}

func (r *Report) template(a, b *Side) {
	switch {
	case a.refused != "" || b.refused != "":
		r.found("template: %s", strings.Join(slices.DeleteFunc([]string{a.refused, b.refused}, func(s string) bool { return s == "" }), "; "))
		if a.refused != b.refused {
			r.fault("the template of one works, the other's does not")
		}
	case a.template == "" && b.template == "":
		r.found("template: none")
	case a.template == b.template:
		r.found("template: the same prompt of a conversation, %d bytes", len(a.template))
	case a.template == "" || b.template == "":
		r.found("template: only one has one")
		r.fault("only one has a chat template: export it with the tokenizer's")
	default:
		i := 0
		for i < min(len(a.template), len(b.template)) && a.template[i] == b.template[i] {
			i++
		}
		r.found("template: different prompts, from byte %d on: %.40q and %.40q", i, a.template[i:], b.template[i:])
		r.fault("their chat templates make different prompts")
	}
}

// numbers compares probabilities, and the perplexity of both.
func (r *Report) numbers(a, b *Side) {
	r.Allowed = allowed(a.Bits) + allowed(b.Bits)
	if len(a.logprobs) == 0 || len(a.logprobs) != len(b.logprobs) || a.Info.Vocab != b.Info.Vocab {
		r.found("probabilities: not comparable")
		return
	}
	var sum, same float64
	var nll [2]float64
	for i, p := range a.logprobs {
		q := b.logprobs[i]
		kl := 0.0
		for j, lp := range p {
			kl += math.Exp(float64(lp)) * float64(lp-q[j])
		}
		sum, r.MaxKL = sum+kl, max(r.MaxKL, kl)
		if argMax(p) == argMax(q) {
			same++
		}
		if i+1 < len(a.read) {
			next := a.read[i+1]
			nll[0] -= float64(p[next])
			nll[1] -= float64(q[next])
		}
	}
	n := float64(len(a.logprobs))
	r.KL, r.Top = max(0, sum/n), same/n
	for i := range nll {
		r.Perplexity[i] = math.Exp(nll[i] / (n - 1))
	}
	r.found("probabilities: divergence (KL) %.2g in the mean, %.2g at most; the likeliest token is the same at %.1f %% of %d positions", r.KL, r.MaxKL, 100*r.Top, len(a.logprobs))
	r.found("perplexity: %.4g and %.4g (%+.2f %%)", r.Perplexity[0], r.Perplexity[1], 100*(r.Perplexity[1]/r.Perplexity[0]-1))
	if !(r.KL <= r.Allowed) { // NaN, too
		r.fault("their probabilities differ by %.2g (KL), where %.2g and %.2g bits a weight explain %.2g: other weights, or a broken conversion", r.KL, a.Bits, b.Bits, r.Allowed)
	}
}

func argMax(x []float32) int {
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return best
}

// allowed is the divergence from the exact model that a form of so many bits a
// weight may have: some times what is usual for models of 1B and less (KL of
// llama.cpp's types, https://github.com/ggml-org/llama.cpp/pull/1684 and later
// tables), which suffer most.
func allowed(bits float64) float64 {
	for _, c := range []struct{ bits, kl float64 }{{30, 1e-4}, {15, 2e-3}, {8, 0.02}, {6.5, 0.04}, {5.4, 0.1}, {4.3, 0.3}, {3.4, 0.8}} {
		if bits >= c.bits {
			return c.kl
		}
	}
	return 2
}
