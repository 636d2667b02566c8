package gguf_test

import (
	"bytes"
	"fmt"
	"log"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/tensor"
)

func Example() {
	var file bytes.Buffer
	w := gguf.NewWriter(&file)
	w.Add("general.architecture", "llama")
	w.Add("llama.block_count", uint32(1))
	numbers := make([]byte, tensor.Q8_0.Bytes(2*32))
	tensor.Q8_0.Encode(numbers, make([]float32, 2*32))
	w.AddTensor("blk.0.attn_q.weight", tensor.Q8_0, []int{2, 32}, numbers)
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}

	f, err := gguf.Parse(file.Bytes()) // Open maps a file
	if err != nil {
		log.Fatal(err)
	}
	for _, kv := range f.Meta {
		fmt.Println(kv.Key, "=", kv.Value)
	}
	for _, t := range f.Tensors {
		fmt.Println(t.Name, t.DType, t.Shape, len(t.Data), "bytes")
	}
	_, err = f.String("llama.block_count")
	fmt.Println(err)
	// Output:
	// general.architecture = llama
	// llama.block_count = 1
	// blk.0.attn_q.weight q8_0 [2 32] 68 bytes
	// gguf: key "llama.block_count": is uint32 1, want string
}
