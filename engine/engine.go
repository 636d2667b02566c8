// Package engine runs language models from GGUF files on tensor.Devices.
//
// A Model holds the weights and the vocabulary; it does not change after Load
// and may be shared. A Session is one text: the key-value cache, a position
// and scratch memory; one goroutine uses it. Sampler, GenerateOptions and
// Options are plain values whose zero is useful. A Batcher continues several
// texts at once, an Embedder makes vectors of texts. An Adapter lies beside the
// weights, which stay as they are; what uses it is said from call to call.
//
// Each architecture is one file (llama.go, gemma3.go, …): its forward pass is
// a straight list of tensor.Stream operations.
package engine

import (
	"github.com/llcuda/llcuda/tensor"
)

// Options say where and how to load a model. The zero value is the CPU, a
// context of 4096 tokens or the model's if that is less, and an f16 cache.
type Options struct {
	// Device has the layers that are on none of GPUs: all, where there are
	// none. nil is the shared CPU device.
	Device tensor.Device

	// GPUs take the last layers. Several share them where one is too small.
	GPUs []tensor.Device

	// GPULayers is how many layers go to GPUs, at most all; 0 or less is as
	// many as fit. More than 0 needs GPUs.
	GPULayers int

	// Context is how many tokens a session holds. 0 is the smaller of 4096
	// and what the model was trained for.
	Context int

	// CacheType is the type of keys and values: f16, q8_0, bf16 or f32. An
	// f32 cache is asked for by ExactCache, as the zero value means f16.
	CacheType  tensor.DType
	ExactCache bool

	// Texts is how many texts a Batcher continues at once: room for them is
	// found before anything is loaded. 0 is room for a session of one.
	Texts int

	// Batch is how many prompt tokens are computed at a time; 0 is 512.
	Batch int

	// Progress is called with the bytes of weights that are ready and the
	// bytes in all, on all devices, from the goroutine that called Load.
	Progress func(done, total int64)
}

// Info is what a model file says about itself, and how it was loaded.
type Info struct {
	Name            string // general.name, or the file's name
	Arch            string // general.architecture: "llama"
	FileType        string // the type that most weights have: "q4_k"
	Params          int64  // numbers in all tensors
	WeightBytes     int64  // bytes of all tensors
	TokenBytes      int64  // bytes of weights that one token reads: of an embedding that is not the output too, a row
	Layers          int
	EmbeddingLength int
	Vocab           int  // entries of the vocabulary
	ContextLength   int  // tokens in training
	Context         int  // tokens in a session
	Encoder         bool // makes vectors of texts and continues none
	Pooling         Pooling
	CacheType       string // "f16"
	CacheBytes      int64  // key-value cache of one session, or of Options.Texts texts
	ScratchBytes    int64  // other memory of the same
	Device          string // "cpu", "cuda:0", "cpu+cuda:0"

	Devices []DeviceUse // what the model and these take of each
}
