// Package cpu is the host's device: every operation of package tensor, on all
// cores, for every data type.
//
// A recorded step becomes a list of phases that each worker walks by itself
// (Program in program.go), the counterpart of a persistent kernel on a GPU.
// Operations that run alone are programs of one operation. What an operation
// means is in package tensor; its float64 truth, which the tests compare with,
// is in package tensor/conformance.
//
// Activations are float32 and so are sums, with enough partial sums that the
// error stays near one rounding; sums of caches in float16 or q8_0 are float32
// too. The functions (exp, silu, gelu, tanh) are good to 1e-6 of their value.
package cpu

import (
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// A Device executes operations on the host's cores. It is safe for concurrent
// use, one operation or program at a time. Operations have finished when Do
// and Run return.
type Device struct {
	mu      sync.Mutex // held while a program runs or is compiled
	pool    *pool
	eager   *program // of Do: one operation, its memory used again
	scratch [][]byte // per worker; grows while compiling
	buffers [][]byte // shared by the workers, by role; grow while compiling
}

// New makes a device of so many threads, 0 for one a core. Its goroutines
// start with the first operation that needs them, and sleep between programs.
// Close ends them.
func New(threads int) *Device {
	if threads <= 0 {
		threads = cores()
	}
	d := &Device{pool: newPool(threads), scratch: make([][]byte, threads), buffers: make([][]byte, lastBuffer)}
	d.eager = &program{dev: d}
	return d
}

// Default is the device that everything shares: one thread a core.
var Default = sync.OnceValue(func() *Device { return New(0) })

// Close ends the device's goroutines. The device may be used again: they
// start anew.
func (d *Device) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pool.stop()
}

// Threads is the number of workers.
func (d *Device) Threads() int { return d.pool.threads }

// Name is "cpu".
func (d *Device) Name() string { return "cpu" }

// Memory is what the machine, or the container that holds us to less, has
// left and in all.
func (d *Device) Memory() (free, total int64) { return memory() }

// align is where tensors start: a cache line, and the widest vector register.
const align = 64

// New allocates a tensor of zeros.
func (d *Device) New(dt tensor.DType, shape ...int) (*tensor.Tensor, error) {
	n, err := dt.Size(shape)
	if err != nil {
		return nil, fmt.Errorf("cpu: new: %w", err)
	}
	if n >= 1<<20 { // smaller ones are not worth the look at the system
		if free, _ := d.Memory(); int64(n) > free {
			return nil, fmt.Errorf("cpu: %s%v takes %d MiB, %d MiB are free: %w", dt, shape, n>>20, free>>20, tensor.ErrNoMemory)
		}
	}
	return &tensor.Tensor{DType: dt, Shape: shape, Device: d, Data: aligned(n)}, nil
}

// Place returns a view of data, which must outlive the tensor and not change.
// Plain numbers that do not lie where such numbers may lie are copied.
func (d *Device) Place(name string, dt tensor.DType, shape []int, data []byte) (*tensor.Tensor, error) {
	n, err := dt.Size(shape)
	if err != nil {
		return nil, fmt.Errorf("cpu: place %q: %w", name, err)
	}
	if n != len(data) {
		return nil, fmt.Errorf("cpu: place %q: %d bytes for %s%v, want %d", name, len(data), dt, shape, n)
	}
	if !dt.Quantised() && addr(data)%uintptr(dt.BlockBytes()) != 0 {
		own := aligned(n)
		if err := guarded("place", func() { copy(own, data) }); err != nil {
			return nil, err
		}
		data = own
	}
	return &tensor.Tensor{Name: name, DType: dt, Shape: shape, Device: d, Data: data}, nil
}

// aligned returns n zeroed bytes that start at a multiple of align.
func aligned(n int) []byte {
	b := make([]byte, n+align)
	off := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (align - 1)
	return b[off : off+n : off+n]
}

// Free drops the tensor's memory.
func (d *Device) Free(t *tensor.Tensor) {
	if t != nil {
		t.Data = nil
	}
}

// Write copies host bytes into t.
func (d *Device) Write(t *tensor.Tensor, src []byte) error {
	if len(src) != len(t.Data) {
		return fmt.Errorf("cpu: write: %d bytes into %s, want %d", len(src), t, len(t.Data))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return guarded("write", func() { copy(t.Data, src) })
}

// Read copies t into host bytes.
func (d *Device) Read(dst []byte, t *tensor.Tensor) error {
	if len(dst) != len(t.Data) {
		return fmt.Errorf("cpu: read: %s into %d bytes, want %d", t, len(dst), len(t.Data))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return guarded("read", func() { copy(dst, t.Data) })
}

// Do executes one operation.
func (d *Device) Do(op *tensor.Op) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.eager.build(op); err != nil {
		return err
	}
	return d.eager.run()
}

// Compile makes a program of ops.
func (d *Device) Compile(ops []tensor.Op) (tensor.Program, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := &program{dev: d}
	for i := range ops {
		if err := p.add(&ops[i]); err != nil {
			return nil, err
		}
	}
	p.finish()
	return p, nil
}

// Sync has nothing to wait for: failures came back from Do and Run.
func (d *Device) Sync() error { return nil }

// cores is how many threads are of use: physical cores, and no more than the
// Go runtime may use at a time.
func cores() int {
	n := runtime.GOMAXPROCS(0)
	if c := physicalCores(); c > 0 && c < n {
		return c
	}
	return n
}

// roles of Device.buffers.
const (
	wideBuffer     = iota // f16 and bf16 activations as f32
	resultBuffer          // products before they become f16 or bf16
	partialBuffer         // Attention: partial results of key ranges
	preparedBuffer        // activations in the form of a product; one for each form follows
	lastBuffer     = preparedBuffer + 8
)

// grow makes the workers' scratch at least n bytes.
func (d *Device) growScratch(n int) {
	for i := range d.scratch {
		if len(d.scratch[i]) < n {
			d.scratch[i] = aligned(n)
		}
	}
}

// growBuffer makes a shared buffer at least n bytes.
func (d *Device) growBuffer(role, n int) {
	if len(d.buffers[role]) < n {
		d.buffers[role] = aligned(n)
	}
}
