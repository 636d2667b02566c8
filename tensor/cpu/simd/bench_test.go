package simd

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/llcuda/llcuda/tensor"
)

// benchmarked are the formats of common files, the plain ones among them.
var benchmarked = []tensor.DType{tensor.Q4_0, tensor.Q4_1, tensor.Q5_0, tensor.Q5_1, tensor.Q8_0, tensor.Q4_K, tensor.Q5_K,
	tensor.Q6_K, tensor.Q3_K, tensor.IQ4_NL, tensor.IQ4_XS,
	tensor.NF4, tensor.FP4, tensor.LLM_INT8, tensor.F16, tensor.BF16, tensor.F32}

// BenchmarkVector: one row of activations, weights larger than the caches, on
// one and on all threads; GB/s of weights, and of a plain read beside it.
func BenchmarkVector(b *testing.B) {
	for _, s := range sets {
		for _, d := range benchmarked {
			for _, threads := range []int{1, runtime.NumCPU()} {
				b.Run(fmt.Sprintf("%s/%s/t%d", s.name, d, threads), func(b *testing.B) {
					benchmarkMul(b, s.kernel(d, tensor.Apart), 1, 2048, 128<<20, threads)
				})
			}
		}
	}
}

// BenchmarkMatrix: n rows of activations, GOP/s of one thread.
func BenchmarkMatrix(b *testing.B) {
	for _, s := range sets {
		for _, d := range benchmarked {
			for _, n := range []int{2, 4, 8, 128} {
				b.Run(fmt.Sprintf("%s/%s/n%d", s.name, d, n), func(b *testing.B) {
					benchmarkMul(b, s.kernel(d, tensor.Apart), n, 2048, 4<<20, 1)
				})
			}
		}
	}
}

func benchmarkMul(b *testing.B, k *Kernel, n, cols, size, threads int) {
	rows := size / k.dtype.Bytes(cols)
	r := rand.New(rand.NewPCG(1, 2))
	some := 64
	part, _ := weights(r, k.dtype, some, cols)
	w := make([]byte, 0, rows*k.dtype.Bytes(cols))
	for len(w)+len(part) <= cap(w) {
		w = append(w, part...)
	}
	rows = len(w) / k.dtype.Bytes(cols)
	x := make([]float32, n*cols)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	prepared := make([]byte, k.PreparedBytes(n, cols))
	k.Prepare(prepared, x, cols, n, 0, n)
	dst := make([]float32, n*rows)
	best := time.Hour
	for b.Loop() {
		start := time.Now()
		var wg sync.WaitGroup
		for t := range threads {
			wg.Go(func() {
				k.Mul(dst, rows, w, prepared, cols, n, rows*t/threads, rows*(t+1)/threads, make([]byte, k.ScratchBytes(n, cols)))
			})
		}
		wg.Wait()
		best = min(best, time.Since(start))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(len(w))/float64(best.Nanoseconds()), "GB/s")
	b.ReportMetric(2*float64(n*rows*cols)/float64(best.Nanoseconds()), "GOP/s")
}

// BenchmarkPrepare: one row of activations, GB/s read.
func BenchmarkPrepare(b *testing.B) {
	for _, s := range sets {
		for _, d := range []tensor.DType{tensor.Q4_K, tensor.F16} {
			b.Run(s.name+"/"+d.String(), func(b *testing.B) {
				const cols = 2048
				k := s.kernel(d, tensor.Apart)
				x := activations(rand.New(rand.NewPCG(1, 2)), 1, cols)
				dst := make([]byte, k.PreparedBytes(1, cols))
				b.SetBytes(4 * cols)
				for b.Loop() {
					k.Prepare(dst, x, cols, 1, 0, 1)
				}
			})
		}
	}
}
