package gguf

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/tensor"
)

// network makes a file that Check has nothing to say about, changed.
func network(t *testing.T, change map[string]any, tensors ...source) *File {
	t.Helper()
	var b strings.Builder
	w := NewWriter(&b)
	meta := []KV{{"general.architecture", "llama"}, {"llama.block_count", uint32(2)}, {"llama.context_length", uint32(64)},
		{"llama.embedding_length", uint32(8)}, {"llama.attention.head_count", uint32(4)}, {"llama.attention.head_count_kv", uint32(2)},
		{"llama.rope.freq_base", float32(10000)}, {"llama.attention.layer_norm_rms_epsilon", float32(1e-5)},
		{"tokenizer.ggml.model", "gpt2"}, {"tokenizer.ggml.tokens", []string{"a", "b", "ab"}}, {"tokenizer.ggml.merges", []string{"a b"}},
		{"tokenizer.ggml.bos_token_id", uint32(2)}, {"tokenizer.ggml.precompiled_charsmap", nil}}
	for _, kv := range meta {
		if v, ok := change[kv.Key]; ok {
			kv.Value = v
			delete(change, kv.Key)
		}
		if kv.Value != nil {
			w.Add(kv.Key, kv.Value)
		}
	}
	for key, v := range change {
		w.Add(key, v)
	}
	if tensors == nil {
		tensors = []source{{Tensor: Tensor{Name: "token_embd.weight", Shape: []int{3, 8}}}, {Tensor: Tensor{Name: "blk.0.x", Shape: []int{1}}},
			{Tensor: Tensor{Name: "blk.1.x", Shape: []int{1}}}}
	}
	for _, x := range tensors {
		if x.Data == nil {
			x.Data = make([]byte, x.DType.Bytes(x.Len()))
		}
		w.AddTensor(x.Name, x.DType, x.Shape, x.Data)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := Parse([]byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestCheck(t *testing.T) {
	type set = map[string]any
	if p := Check(network(t, nil)); len(p) != 0 {
		t.Fatal(p)
	}
	for name, c := range map[string]struct {
		change set
		want   string
	}{
		"no architecture":         {set{"general.architecture": nil}, "bad: general.architecture: no such key"},
		"architecture no string":  {set{"general.architecture": uint32(1)}, "bad: general.architecture: is uint32 1, want string"},
		"block count 0":           {set{"llama.block_count": uint32(0)}, "bad: llama.block_count: is 0, want 1 to"},
		"block count 2^32-1":      {set{"llama.block_count": uint32(math.MaxUint32)}, "bad: llama.block_count: is 4294967295"},
		"more blocks than said":   {set{"llama.block_count": uint32(1)}, "is 1, but there is a tensor of block 1"},
		"fewer blocks than said":  {set{"llama.block_count": uint32(3)}, "is 3, but the last block with tensors is 1"},
		"head count 0":            {set{"llama.attention.head_count": uint32(0)}, "head_count: is 0, want 1 to"},
		"head count a string":     {set{"llama.attention.head_count": "4"}, "head_count: is string, want an unsigned integer"},
		"heads do not divide":     {set{"llama.attention.head_count": uint32(3), "llama.attention.head_count_kv": uint32(3)}, "3 heads do not divide the embedding length 8"},
		"kv heads more":           {set{"llama.attention.head_count_kv": uint32(8)}, "8 key-value heads do not divide 4"},
		"kv heads per block":      {set{"llama.attention.head_count_kv": []uint32{2, 2, 2}}, "has 3 elements for 2 blocks"},
		"kv heads negative":       {set{"llama.attention.head_count_kv": []int32{2, -2}}, "is -2 for block 1"},
		"freq base 0":             {set{"llama.rope.freq_base": float32(0)}, "freq_base: is 0, want a positive number"},
		"freq base NaN":           {set{"llama.rope.freq_base": float32(math.NaN())}, "freq_base: is NaN"},
		"freq base infinite":      {set{"llama.rope.freq_base": float32(math.Inf(1))}, "freq_base: is +Inf"},
		"epsilon NaN":             {set{"llama.attention.layer_norm_rms_epsilon": float32(math.NaN())}, "rms_epsilon: is NaN"},
		"context 0":               {set{"llama.context_length": uint32(0)}, "context_length: is 0, want 1 to"},
		"context 2^32-1":          {set{"llama.context_length": uint32(math.MaxUint32)}, "context_length: is 4294967295"},
		"window 0":                {set{"llama.attention.sliding_window": uint32(0)}, "odd: llama.attention.sliding_window: is 0"},
		"vocab size":              {set{"llama.vocab_size": uint32(4)}, "odd: llama.vocab_size: is 4, there are 3 tokens"},
		"no tokens":               {set{"tokenizer.ggml.tokens": nil}, "bad: tokenizer.ggml.tokens: no such key"},
		"tokens no strings":       {set{"tokenizer.ggml.tokens": []uint32{1}}, "tokens: is []uint32, want []string"},
		"tokens, but other rows":  {set{"tokenizer.ggml.tokens": []string{"a", "b", "ab", "c"}}, "has 3 rows for 4 tokens"},
		"scores no numbers":       {set{"tokenizer.ggml.scores": []string{"1", "2", "3"}}, "bad: tokenizer.ggml.scores: is []string, want a list of floats"},
		"types no integers":       {set{"tokenizer.ggml.token_type": []float32{1, 2, 3}}, "bad: tokenizer.ggml.token_type: is []float32, want a list of integers"},
		"empty token":             {set{"tokenizer.ggml.tokens": []string{"a", "b", ""}}, "element 2 is empty"},
		"token twice":             {set{"tokenizer.ggml.tokens": []string{"a", "a", "a"}}, "2 elements are there before, the first is 1"},
		"token not UTF-8":         {set{"tokenizer.ggml.tokens": []string{"a", "b", "\xff"}}, "element 2 is not UTF-8"},
		"token of 10 MB":          {set{"tokenizer.ggml.tokens": []string{"a", "b", strings.Repeat("x", 10<<20)}}, "bad: tokenizer.ggml.tokens: element 2 is longer"},
		"bos beyond":              {set{"tokenizer.ggml.bos_token_id": uint32(3)}, "bos_token_id: is 3, there are 3 tokens"},
		"eos a string":            {set{"tokenizer.ggml.eos_token_id": "3"}, "eos_token_id: is 3, there are 3 tokens"},
		"merge without space":     {set{"tokenizer.ggml.merges": []string{"ab"}}, "bad: tokenizer.ggml.merges: element 0 is not two pieces"},
		"merge of nothing":        {set{"tokenizer.ggml.merges": []string{"a ", ""}}, "2 elements are not two pieces"},
		"merge of unknown tokens": {set{"tokenizer.ggml.merges": []string{"a b", "a c"}}, "odd: tokenizer.ggml.merges: element 1 is of pieces that are no tokens"},
		"chars map short":         {set{"tokenizer.ggml.precompiled_charsmap": []uint8{1, 2}}, "has 2 bytes, at least 4"},
		"chars map size":          {set{"tokenizer.ggml.precompiled_charsmap": []uint8{0, 0, 0, 255, 1}}, "says its table has 4278190080 bytes, of 1"},
		"chars map type":          {set{"tokenizer.ggml.precompiled_charsmap": "x"}, "is string, want []uint8"},
	} {
		t.Run(name, func(t *testing.T) {
			found := ""
			for _, p := range Check(network(t, c.change)) {
				found += p.String() + "\n"
			}
			if !strings.Contains(found, c.want) {
				t.Errorf("got\n%swant %s", found, c.want)
			}
		})
	}
}

// TestCheckOnce: a block count that is missing is one problem.
func TestCheckOnce(t *testing.T) {
	p := Check(network(t, map[string]any{"llama.block_count": nil}))
	if len(p) != 1 || p[0].String() != "bad: llama.block_count: no such key" {
		t.Error(p)
	}
}

// TestCheckNumbers: a scale that is infinite, in the last block of a tensor.
func TestCheckNumbers(t *testing.T) {
	x := source{Tensor: Tensor{Name: "x", DType: tensor.Q8_0, Shape: []int{1000, 32}, Data: make([]byte, 34000)}}
	x.Data[33966+2] = 1
	binary.LittleEndian.PutUint16(x.Data[33966:], 0x7c00)
	p := Check(network(t, map[string]any{"llama.block_count": uint32(1)}, x))
	if len(p) != 1 || p[0].String() != "bad: tensor x: number 31968 is +Inf" {
		t.Error(p)
	}
}

func TestCheckLayout(t *testing.T) {
	b := append(model(), "more"...)
	b[len(b)-10] = 1 // padding of the last tensor
	f, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	found := ""
	for _, p := range Check(f) {
		found += p.String() + "\n"
	}
	for _, want := range []string{"odd: file: 4 bytes after the last tensor", "odd: file: padding"} {
		if !strings.Contains(found, want) {
			t.Errorf("%s is not in\n%s", want, found)
		}
	}
}
