package engine

import (
	"errors"
	"fmt"
	"strings"
)

// What callers test for with errors.Is.
var (
	// ErrTooBig: the model does not fit into the device's memory. The error
	// is a *TooBigError.
	ErrTooBig = errors.New("model too big for memory")

	// ErrContextFull: the tokens do not fit into the session's context. The
	// error is a *ContextError.
	ErrContextFull = errors.New("context full")

	// ErrNoGPU: layers were asked for on a GPU, and the device is none.
	ErrNoGPU = errors.New("no GPU")

	// ErrEncoder: the model makes vectors of texts and continues none.
	ErrEncoder = errors.New("an encoder makes vectors of texts and continues none")

	// ErrArch: the file's architecture is not one that engine has.
	ErrArch = errors.New("unknown architecture")

	// ErrModel: the file is a GGUF file but no sound model.
	ErrModel = errors.New("broken model file")
)

// A TooBigError says what a model needs and what the device has, in bytes.
type TooBigError struct {
	Model                   string
	Device                  string
	Weights, Cache, Scratch int64
	Free                    int64

	Layers  int // most layers on GPUs that fit; less than 1: none
	Context int // longest context that fits with the layers asked for; 0: none
	Texts   int // most texts at once that fit; 0: none

	asked int // layers on GPUs
	texts int // texts at once
}

func (e *TooBigError) Need() int64 { return e.Weights + e.Cache + e.Scratch }

func (e *TooBigError) Error() string {
	var way []string
	if e.Layers > 0 && e.Layers < e.asked {
		way = append(way, fmt.Sprintf("--gpu-layers %d", e.Layers))
	}
	if e.Context > 0 {
		way = append(way, fmt.Sprintf("--ctx %d", e.Context))
	}
	if e.Texts > 0 {
		way = append(way, fmt.Sprintf("%d texts at once", e.Texts))
	}
	if e.asked > 0 && e.Layers == 0 {
		way = append(way, "the CPU (--gpu-layers 0)")
	}
	if len(way) == 0 {
		way = []string{"a smaller model", "a smaller quantisation"}
	}
	what := e.Model
	if e.asked > 0 {
		what = fmt.Sprintf("%s with %d layers on GPUs", e.Model, e.asked)
	}
	if e.texts > 0 {
		what += fmt.Sprintf(" for %d texts at once", e.texts)
	}
	have := "has"
	if strings.Contains(e.Device, " and ") {
		have = "have"
	}
	free := mib(e.Free)
	if free == mib(e.Need()) {
		free = "a little less"
	}
	return fmt.Sprintf("engine: %s needs %s (weights %s, cache %s, scratch %s), but %s %s %s free; take %s",
		what, mib(e.Need()), mib(e.Weights), mib(e.Cache), mib(e.Scratch), e.Device, have, free, strings.Join(way, " or "))
}

func (e *TooBigError) Unwrap() error { return ErrTooBig }

// A ContextError says how full a session is and what did not fit, in tokens.
type ContextError struct {
	Position int // tokens in the session
	New      int // tokens that were to be added
	Context  int // tokens that the session holds
}

func (e *ContextError) Error() string {
	return fmt.Sprintf("engine: context full: %d tokens and %d new ones, at most %d allowed; shorten the text or load the model with a larger context",
		e.Position, e.New, e.Context)
}

func (e *ContextError) Unwrap() error { return ErrContextFull }

// mib shows bytes in the unit that memory is sold in.
func mib(n int64) string {
	if n >= 10<<30 {
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
	return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20))
}
