package gguf

import (
	"fmt"
	"math"
	"strings"

	"github.com/llcuda/llcuda/tensor"
)

// A Problem is something in a well-formed file that an engine will refuse or
// that makes it compute nonsense (Serious), or that is odd.
type Problem struct {
	Where   string
	What    string
	Serious bool
}

func (p Problem) String() string {
	kind := "odd"
	if p.Serious {
		kind = "bad"
	}
	return fmt.Sprintf("%s: %s: %s", kind, p.Where, p.What)
}

// Check looks for problems in metadata, vocabulary and numbers. It reads the
// whole file. Of problems that repeat it reports the first and their number.
func Check(f *File) []Problem {
	c := &checker{f: f}
	err := Guard(func() error {
		c.layout()
		c.model()
		c.vocabulary()
		read := 0
		for i := range f.Tensors {
			c.numbers(&f.Tensors[i])
			if read += f.Tensors[i].Bytes(); read > forgetBytes {
				f.Forget()
				read = 0
			}
		}
		return nil
	})
	if err != nil {
		c.bad("file", "%v", err)
	}
	return c.found
}

// forgetBytes is how much is read before its memory is given back.
const forgetBytes = 256 << 20

type checker struct {
	f     *File
	found []Problem
}

func (c *checker) bad(where, format string, args ...any) {
	c.found = append(c.found, Problem{where, fmt.Sprintf(format, args...), true})
}

func (c *checker) odd(where, format string, args ...any) {
	c.found = append(c.found, Problem{where, fmt.Sprintf(format, args...), false})
}

// layout looks at the bytes that belong to nothing.
func (c *checker) layout() {
	for i := range c.f.shards {
		s := &c.f.shards[i]
		if s.slack > 0 {
			c.odd("file", "%d bytes after the last tensor", s.slack)
		}
		if s.dirty {
			c.odd("file", "padding between tensors is not zero")
		}
	}
}

// model looks at the keys that describe a network, if the file has one.
func (c *checker) model() {
	if len(c.f.Tensors) == 0 {
		return
	}
	arch, err := c.f.String("general.architecture")
	if err != nil || arch == "" {
		c.bad("general.architecture", "%s", reason(err, "is empty"))
		return
	}
	blocks := c.size(arch+".block_count", 1<<16)
	c.size(arch+".context_length", 1<<31)
	dim := c.size(arch+".embedding_length", 1<<24)
	heads := c.perBlock(arch+".attention.head_count", blocks, true)
	kv := c.perBlock(arch+".attention.head_count_kv", blocks, false)
	c.blocks(arch, blocks)
	for i := range heads {
		switch h := heads[i]; {
		case h == 0:
		case len(kv) > 0 && kv[i] > 0 && h%kv[i] != 0:
			c.bad(arch+".attention.head_count_kv", "%d key-value heads do not divide %d heads (block %d)", kv[i], h, i)
			return
		case dim%h != 0 && !c.has(arch+".attention.key_length"):
			c.bad(arch+".attention.head_count", "%d heads do not divide the embedding length %d", h, dim)
			return
		}
	}
	c.positive(arch + ".rope.freq_base")
	c.positive(arch + ".attention.layer_norm_rms_epsilon")
	c.positive(arch + ".attention.layer_norm_epsilon")
	if n, err := c.f.UintOr(arch+".attention.sliding_window", 1); err != nil || n == 0 {
		c.odd(arch+".attention.sliding_window", "%s", reason(err, "is 0"))
	}
	if t := c.f.Tensor("token_embd.weight"); t != nil && dim > 0 && t.Shape[len(t.Shape)-1] != dim {
		c.bad("token_embd.weight", "has %d columns, the embedding length is %d", t.Shape[len(t.Shape)-1], dim)
	}
}

// size is a whole number from 1 to most that a network needs; 0 on a problem.
func (c *checker) size(key string, most uint64) int {
	n, err := c.f.Uint(key)
	if err != nil || n == 0 || n > most {
		c.bad(key, "%s", reason(err, fmt.Sprintf("is %d, want 1 to %d", n, most)))
		return 0
	}
	return int(n)
}

// perBlock is a number of heads: one for all blocks, or a list. Blocks without
// attention have none.
func (c *checker) perBlock(key string, blocks int, needed bool) []int {
	if !c.has(key) && !needed {
		return nil
	}
	counts := make([]int, min(blocks, 1<<16))
	if list, err := c.f.Ints(key); err == nil {
		if len(list) != blocks {
			c.bad(key, "has %d elements for %d blocks", len(list), blocks)
			return nil
		}
		for i, n := range list {
			if n < 0 || n > 1<<16 {
				c.bad(key, "is %d for block %d", n, i)
				return nil
			}
			counts[i] = int(n)
		}
		return counts
	}
	n := c.size(key, 1<<16)
	for i := range counts {
		counts[i] = n
	}
	return counts
}

// blocks compares the number of blocks with the tensors' names.
func (c *checker) blocks(arch string, want int) {
	last := -1
	for i := range c.f.Tensors {
		var n int
		if _, err := fmt.Sscanf(c.f.Tensors[i].Name, "blk.%d.", &n); err == nil {
			last = max(last, n)
		}
	}
	if want == 0 { // said already
		return
	}
	if last >= want {
		c.bad(arch+".block_count", "is %d, but there is a tensor of block %d", want, last)
	} else if last >= 0 && last < want-1 && len(c.f.shards) == c.shards() {
		c.bad(arch+".block_count", "is %d, but the last block with tensors is %d", want, last)
	}
}

// shards is how many files there should be: a shard may have been parsed alone.
func (c *checker) shards() int {
	n, _ := c.f.UintOr("split.count", 1)
	return int(max(n, 1))
}

func (c *checker) positive(key string) {
	v, err := c.f.FloatOr(key, 1)
	if err != nil || !(v > 0) || math.IsInf(v, 0) {
		c.bad(key, "%s", reason(err, fmt.Sprintf("is %g, want a positive number", v)))
	}
}

func (c *checker) has(key string) bool {
	_, ok := c.f.Value(key)
	return ok
}

// reason is an error without what the caller says anyway, or otherwise.
func reason(err error, otherwise string) string {
	if e, ok := err.(*FormatError); ok {
		return e.Err.Error()
	}
	return otherwise
}

// numbers decodes a tensor and looks for numbers that are none.
func (c *checker) numbers(t *Tensor) {
	switch t.DType {
	case tensor.I8, tensor.I16, tensor.I32, tensor.I64:
		return
	}
	block := t.DType.BlockLen()
	src, err := t.Numbers()
	if err != nil {
		c.bad("tensor "+t.Name, "%v", err)
		return
	}
	buf := make([]float32, min(t.Len(), 1<<14))
	bytes := len(buf) / block * t.DType.BlockBytes()
	for at := 0; len(src) > 0; at += len(buf) {
		n := min(bytes, len(src))
		part := buf[:n/t.DType.BlockBytes()*block]
		t.DType.Decode(part, src[:n])
		for i, v := range part {
			if v-v != 0 { // NaN or infinite
				c.bad("tensor "+t.Name, "number %d is %g", at+i, v)
				return
			}
		}
		src = src[n:]
	}
}

// vocabulary looks at the lists and ids of the tokenizer, if there is one.
func (c *checker) vocabulary() {
	const pre = "tokenizer.ggml."
	model, err := c.f.StringOr(pre+"model", "")
	if err != nil {
		c.bad(pre+"model", "%s", reason(err, ""))
	}
	if model == "" && !c.has(pre+"tokens") {
		return
	}
	tokens, err := c.f.Strings(pre + "tokens")
	if err != nil || len(tokens) == 0 {
		if model != "none" && model != "no_vocab" {
			c.bad(pre+"tokens", "%s", reason(err, "is empty"))
		}
		return
	}
	c.tokens(pre+"tokens", tokens)
	if _, err := c.f.Floats(pre + "scores"); err != nil && c.has(pre+"scores") {
		c.bad(pre+"scores", "%s", reason(err, ""))
	}
	if _, err := c.f.Ints(pre + "token_type"); err != nil && c.has(pre+"token_type") {
		c.bad(pre+"token_type", "%s", reason(err, ""))
	}
	c.ids(pre, len(tokens))
	c.merges(pre+"merges", tokens)
	c.charsMap(pre + "precompiled_charsmap")
	arch, _ := c.f.StringOr("general.architecture", "")
	if n, err := c.f.UintOr(arch+".vocab_size", uint64(len(tokens))); err != nil || n != uint64(len(tokens)) {
		c.odd(arch+".vocab_size", "%s", reason(err, fmt.Sprintf("is %d, there are %d tokens", n, len(tokens))))
	}
	if t := c.f.Tensor("token_embd.weight"); t != nil && t.Shape[0] != len(tokens) {
		c.bad("token_embd.weight", "has %d rows for %d tokens", t.Shape[0], len(tokens))
	}
}

func (c *checker) tokens(key string, tokens []string) {
	var empty, long, invalid, twice tally
	seen := make(map[string]bool, len(tokens))
	for i, s := range tokens {
		empty.add(s == "", i)
		long.add(len(s) > 1<<16, i)
		invalid.add(strings.ToValidUTF8(s, "") != s, i)
		twice.add(seen[s], i)
		seen[s] = true
	}
	long.report(c.bad, key, "longer than 64 KiB")
	empty.report(c.odd, key, "empty")
	invalid.report(c.odd, key, "not UTF-8")
	twice.report(c.odd, key, "there before")
}

// ids looks at the special tokens' ids.
func (c *checker) ids(pre string, tokens int) {
	for _, kv := range c.f.Meta {
		name, ok := strings.CutPrefix(kv.Key, pre)
		if !ok || !strings.HasSuffix(name, "_token_id") {
			continue
		}
		// Some converters write -1 for "none".
		if id, ok := asInt(kv.Value); !ok || id >= int64(tokens) && id != math.MaxUint32 || id < -1 {
			c.bad(kv.Key, "is %v, there are %d tokens", kv.Value, tokens)
		}
	}
}

// merges looks at the pairs of byte pair encoding: "left right".
func (c *checker) merges(key string, tokens []string) {
	if !c.has(key) {
		return
	}
	merges, err := c.f.Strings(key)
	if err != nil {
		c.bad(key, "%s", reason(err, ""))
		return
	}
	known := make(map[string]bool, len(tokens))
	for _, s := range tokens {
		known[s] = true
	}
	var form, unknown tally
	for i, s := range merges {
		// A piece may begin with a space of its own.
		at := strings.IndexByte(s[min(1, len(s)):], ' ') + 1
		if at < 1 || at == len(s)-1 {
			form.add(true, i)
			continue
		}
		left, right := s[:at], s[at+1:]
		unknown.add(!known[left] || !known[right] || !known[left+right], i)
	}
	form.report(c.bad, key, "not two pieces with a space between")
	unknown.report(c.odd, key, "of pieces that are no tokens")
}

// charsMap looks at the size that the normalisation table of a Unigram
// tokenizer begins with.
func (c *checker) charsMap(key string) {
	v, ok := c.f.Value(key)
	if !ok {
		return
	}
	b, ok := v.([]uint8)
	if s, signed := v.([]int8); signed {
		b, ok = widen[uint8](s), true
	}
	switch {
	case !ok:
		c.bad(key, "is %T, want []uint8", v)
	case len(b) < 4:
		c.bad(key, "has %d bytes, at least 4 are needed", len(b))
	default:
		n := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24
		if n%4 != 0 || n > uint64(len(b)-4) {
			c.bad(key, "says its table has %d bytes, of %d", n, len(b)-4)
		}
	}
}

// A tally counts the elements of a list with a problem.
type tally struct{ first, n int }

func (t *tally) add(hit bool, i int) {
	if hit {
		if t.n == 0 {
			t.first = i
		}
		t.n++
	}
}

func (t *tally) report(as func(string, string, ...any), key, what string) {
	if t.n == 1 {
		as(key, "element %d is %s", t.first, what)
	} else if t.n > 1 {
		as(key, "%d elements are %s, the first is %d", t.n, what, t.first)
	}
}
