package verify

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/internal/lora"
	"github.com/llcuda/llcuda/tensor"
)

const fixtures = "../lora/testdata/" // tiny models and adapters of theirs

func open(t *testing.T, name string) *gguf.File {
	t.Helper()
	f, err := gguf.Open(fixtures + name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func load(t *testing.T, f *gguf.File) *engine.Model {
	t.Helper()
	m, err := engine.LoadFile(t.Context(), f, engine.Options{ExactCache: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// changed is f with other metadata (nil takes a key away) and its matrices in
// another type.
func changed(t *testing.T, f *gguf.File, d tensor.DType, meta map[string]any) *gguf.File {
	t.Helper()
	kvs := slices.DeleteFunc(slices.Clone(f.Meta), func(kv gguf.KV) bool { _, ok := meta[kv.Key]; return ok })
	for k, v := range meta {
		if v != nil {
			kvs = append(kvs, gguf.KV{Key: k, Value: v})
		}
	}
	all := slices.Clone(f.Tensors)
	for i := range all {
		if x := &all[i]; len(x.Shape) == 2 && x.Shape[1]%d.BlockLen() == 0 {
			n, err := lora.Floats(x)
			if err != nil {
				t.Fatal(err)
			}
			x.DType, x.Data = d, make([]byte, d.Bytes(len(n)))
			d.Encode(x.Data, n)
		}
	}
	g, err := gguf.New(kvs, all)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestCompare(t *testing.T) {
	base := open(t, "llama.gguf")
	adapter := func() *gguf.File {
		a, err := lora.Open(fixtures+"llama/plain", base)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	merged, err := lora.Merge(base, adapter(), 1)
	if err != nil {
		t.Fatal(err)
	}
	with := load(t, base)
	a, err := with.Attach(t.Context(), adapter(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := with.SetAdapters(engine.Scaled{Adapter: a, Scale: 1}); err != nil {
		t.Fatal(err)
	}
	const template = "{% for m in messages %}{{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}a:{% endif %}"
	key := func(k string, v any) *gguf.File { return changed(t, base, tensor.F32, map[string]any{k: v}) }
	tokens, _ := base.Strings("tokenizer.ggml.tokens")
	renamed := slices.Clone(tokens)
	renamed[len(renamed)-1] = "hhi" // of "hhh", which the text has not
	for _, c := range []struct {
		name string
		a, b *engine.Model
		same bool
		want string // in the findings and the verdict
	}{
		{"itself", load(t, base), load(t, base), true, "are the same"},
		{"an adapter, and merged", with, load(t, merged), true, "A and B are the same"},
		{"the base, and merged", load(t, base), load(t, merged), false, "their probabilities differ by"},
		{"in bf16", load(t, base), load(t, changed(t, base, tensor.BF16, nil)), true, "they differ as 32 and 16 bits a weight explain"},
		{"in 8 bits", load(t, base), load(t, changed(t, base, tensor.Q8_0, nil)), true, "as 32 and"},
		{"another architecture", load(t, base), load(t, open(t, "gemma3.gguf")), false, "one is llama of 2 layers and width 32, the other gemma3"},
		{"without BOS", load(t, base), load(t, key("tokenizer.ggml.add_bos_token", false)), false, "the text becomes other tokens, first at token 0"},
		{"another end of text", load(t, base), load(t, key("tokenizer.ggml.eos_token_id", uint32(5))), false, `B ends a text with 5 "b", which does not end one of A`},
		{"the other way round", load(t, key("tokenizer.ggml.eos_token_id", uint32(5))), load(t, base), false, `A ends a text with 5 "b", which does not end one of B`},
		{"a token of another text", load(t, base), load(t, key("tokenizer.ggml.tokens", renamed)), false, `token 63 is written "hhh" by A and "hhi" by B`},
		{"one template", load(t, base), load(t, key("tokenizer.chat_template", template)), false, "only one has a chat template"},
		{"the same template", load(t, key("tokenizer.chat_template", template)), load(t, key("tokenizer.chat_template", template)), true, "the same prompt of a conversation, 42 bytes"},
		{"other templates", load(t, key("tokenizer.chat_template", template)), load(t, key("tokenizer.chat_template", "x"+template)), false, "their chat templates make different prompts"},
		{"a broken template", load(t, key("tokenizer.chat_template", template)), load(t, key("tokenizer.chat_template", "{% x %}")), false, "the template of one works, the other's does not"},
	} {
		first, err := Look(t.Context(), c.a, "A", Options{Tokens: 40}, nil)
		if err != nil {
			t.Fatal(c.name, err)
		}
		second, err := Look(t.Context(), c.b, "B", Options{Tokens: 40}, first)
		if err != nil {
			t.Fatal(c.name, err)
		}
		r := Compare(first, second)
		if text := strings.Join(append(r.Findings, r.Verdict), "\n"); r.Same != c.same || !strings.Contains(text, c.want) {
			t.Errorf("%s: same %v, want %v and %q:\n%s", c.name, r.Same, c.same, c.want, text)
		}
	}
}

// TestNumbers: divergence and perplexity by their definitions.
func TestNumbers(t *testing.T) {
	logs := func(p ...float64) (l []float32) {
		for _, x := range p {
			l = append(l, float32(math.Log(x)))
		}
		return l
	}
	info := engine.Info{Vocab: 2}
	a := &Side{Info: info, Bits: 4.5, read: []int32{0, 1, 0}, logprobs: [][]float32{logs(.5, .5), logs(.25, .75), logs(.5, .5)}}
	b := &Side{Info: info, Bits: 4.5, read: a.read, logprobs: [][]float32{logs(.9, .1), logs(.5, .5), logs(.4, .6)}}
	r := Compare(a, b)
	kl := []float64{
		.5*math.Log(.5/.9) + .5*math.Log(.5/.1),
		.25*math.Log(.25/.5) + .75*math.Log(.75/.5),
		.5*math.Log(.5/.4) + .5*math.Log(.5/.6),
	}
	mean := (kl[0] + kl[1] + kl[2]) / 3
	near := func(got, want float64) bool { return math.Abs(got-want) < 1e-6 }
	if !near(r.KL, mean) || !near(r.MaxKL, kl[0]) || !near(r.Top, 1./3) {
		t.Errorf("KL %g, at most %g, top %g; want %g, %g, 1/3", r.KL, r.MaxKL, r.Top, mean, kl[0])
	}
	if want := [2]float64{1 / math.Sqrt(.5*.25), 1 / math.Sqrt(.1*.5)}; !near(r.Perplexity[0], want[0]) || !near(r.Perplexity[1], want[1]) {
		t.Errorf("perplexity %v, want %v", r.Perplexity, want)
	}
	if !r.Same { // 0.25 of 0.6
		t.Errorf("in 4.5 bits: %s", r.Verdict)
	}
	a.Bits, b.Bits = 16, 16
	if r := Compare(a, b); r.Same || !strings.Contains(r.Verdict, "other weights, or a broken conversion") {
		t.Errorf("in 16 bits: %s", r.Verdict)
	}
}

// TestFaults: each known fault is told, and a sound file tells nothing.
func TestFaults(t *testing.T) {
	base := open(t, "llama.gguf")
	const sound = "{{ bos_token }}{% for m in messages %}{{ m.role }}{{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}assistant{% endif %}"
	for _, c := range []struct {
		name string
		meta map[string]any
		want string
	}{
		{"no template", nil, ""},
		{"sound", map[string]any{"tokenizer.chat_template": sound}, ""},
		{"BOS twice", map[string]any{"tokenizer.chat_template": "<s>" + sound}, "the chat template begins with <s> twice"},
		{"no generation prompt", map[string]any{"tokenizer.chat_template": strings.Replace(sound, "add_generation_prompt", "false", 1)}, "has no generation prompt"},
		{"no end", map[string]any{"tokenizer.chat_template": strings.Replace(sound, "</s>", "\n", 1), "tokenizer.ggml.eos_token_id": nil}, "names no end-of-text token"},
		{"an end that is none", map[string]any{"tokenizer.chat_template": strings.Replace(sound, "</s>", "<s>", 1)}, `answers end with <s> in the chat template, which the file does not know as an end`},
		{"turns without tokens", map[string]any{"tokenizer.chat_template": strings.Replace(sound, "</s>", "\n", 1)}, ""},
		{"a template that fails", map[string]any{"tokenizer.chat_template": "{{ raise_exception('no') }}"}, ""},
	} {
		got := strings.Join(Faults(load(t, changed(t, base, tensor.F32, c.meta))), "\n")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) || strings.Contains(got, "\n") {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	llama3 := func(id int32) string {
		if id == 128000 {
			return "<|begin_of_text|>"
		}
		return "x"
	}
	for _, c := range []struct {
		kind, pre string
		want      bool
	}{{"gpt2", "llama-bpe", false}, {"gpt2", "default", true}, {"gpt2", "qwen2", true}, {"gpt2", "", false}, {"llama", "default", false}} {
		if got := preTokenizer(c.kind, c.pre, llama3); (len(got) > 0) != c.want || c.want && !strings.Contains(got[0], "cut by the rules of llama-bpe, and the file says "+c.pre) {
			t.Errorf("%+v: %q", c, got)
		}
	}
}
