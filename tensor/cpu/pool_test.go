package cpu

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/llcuda/llcuda/tensor"
)

// waits is a program of n phases that wait for each other and do nothing.
func waits(dev *Device, n int) *program {
	p := &program{dev: dev}
	b := make([]byte, 8)
	for range n {
		p.emit("nothing", 2*dev.Threads(), 1, func(*worker, int, int) error { return nil }, writes(b))
	}
	p.finish()
	return p
}

// TestMoreThreadsThanCores must not take seconds, let alone hang.
func TestMoreThreadsThanCores(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	dev := New(8)
	defer dev.Close()
	p := waits(dev, 50)
	for range 20 {
		if err := p.Run(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPanicIsAnError(t *testing.T) {
	dev := New(2)
	defer dev.Close()
	p := &program{dev: dev}
	b := make([]byte, 8)
	p.emit("broken", 16, 1, func(_ *worker, lo, _ int) error { return []error{nil}[lo] }, writes(b))
	p.emit("after", 16, 1, func(*worker, int, int) error { t.Error("ran after a failure"); return nil }, writes(b))
	p.finish()
	if err := p.Run(); err == nil {
		t.Error("no error")
	}
	if err := waits(dev, 3).Run(); err != nil {
		t.Error(err)
	}
}

// BenchmarkBarrier is the time of one wait of all workers for each other.
func BenchmarkBarrier(b *testing.B) {
	for _, threads := range []int{1, 2, 4} {
		b.Run(fmt.Sprint(threads), func(b *testing.B) {
			const n = 1000
			dev := New(threads)
			defer dev.Close()
			p := waits(dev, n)
			for b.Loop() {
				p.Run()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/wait")
		})
	}
}

// BenchmarkAttention is a layer's attention: decoding at a position, and the
// last 512 tokens of a prompt up to it.
func BenchmarkAttention(b *testing.B) {
	for _, c := range []struct{ n, pos, heads, kvs, dim int }{
		{1, 128, 9, 3, 64}, {1, 1024, 9, 3, 64}, {1, 1024, 32, 8, 64}, {1, 1024, 4, 1, 256}, {512, 512, 9, 3, 64}, {512, 512, 4, 1, 256}, {512, 2048, 32, 8, 64},
	} {
		for _, d := range []tensor.DType{tensor.F16, tensor.Q8_0} {
			b.Run(fmt.Sprintf("%d at %d, %d:%d of %d, %s", c.n, c.pos, c.heads, c.kvs, c.dim, d), func(b *testing.B) {
				dev := New(2)
				defer dev.Close()
				k, _ := dev.New(d, c.pos, c.kvs*c.dim)
				q, _ := dev.New(tensor.F32, c.n, c.heads*c.dim)
				pos, _ := dev.New(tensor.I32, c.n)
				for i := range c.n {
					i32s(pos)[i] = int32(c.pos - c.n + i)
				}
				s := tensor.NewStream(dev)
				p, err := s.Record(func() {
					s.Attention(q, q, k, k, pos, tensor.Attend{Heads: c.heads, KVHeads: c.kvs, Scale: 0.1})
				})
				if err != nil {
					b.Fatal(err)
				}
				for b.Loop() {
					if err := p.Run(); err != nil {
						b.Fatal(err)
					}
				}
				keys := float64(c.n) * (float64(c.pos) - float64(c.n-1)/2)
				b.ReportMetric(4*keys*float64(c.heads*c.dim)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}
