package kernels

import (
	"errors"
	"fmt"

	"github.com/llcuda/llcuda/internal/cuda"
	"github.com/llcuda/llcuda/tensor"
)

// A scratchRole names a buffer that an operation needs while it runs. Two
// buffers that are used at the same time have two roles.
type scratchRole int

// Roles, by the files that use them.
const (
	// matmul.go
	matmulInputScratch scratchRole = iota
	matmulWeightScratch
	matmulPartScratch
	cublasScratch

	// attention.go, decode.go
	attentionScratch
	crowdScratch

	// reduce.go, argmax.go, topk.go
	reduceScratch

	// convert.go
	convertScratch

	lastRole
)

type scratchBuffer struct {
	addr  uint64
	bytes int
}

func (b *scratchBuffer) free(drv *cuda.Driver) error {
	if b.addr == 0 {
		return nil
	}
	err := drv.MemFree(b.addr)
	*b = scratchBuffer{}
	return err
}

// scratch returns device memory of at least so many bytes, the same for every
// call with a role until it has to grow. New memory is zero; afterwards it
// holds what kernels leave in it.
//
// Growing waits for the card and moves the buffer, which programs that have
// its address learn from d.generation (graph.go). It never happens while
// launches are captured: Compile issues the operations dry before.
func (d *Device) scratch(role scratchRole, bytes int) (uint64, error) {
	b := &d.scratches[role]
	if b.bytes >= bytes && b.addr != 0 {
		return b.addr, nil
	}
	unit := 64 << 10
	if bytes > 1<<20 {
		unit = 1 << 20
	}
	size := (max(bytes, 1) + unit - 1) / unit * unit
	if err := d.drv.StreamSynchronize(d.stream); err != nil {
		return 0, err
	}
	d.generation++
	err := b.free(d.drv)
	if err == nil {
		err = d.alloc(&b.addr, size)
	}
	if err != nil {
		return 0, fmt.Errorf("scratch memory: %w", err)
	}
	b.bytes = size
	return b.addr, nil
}

// Scratch is how much memory operations have taken for themselves so far.
func (d *Device) Scratch() (bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, b := range d.scratches {
		bytes += int64(b.bytes)
	}
	return bytes
}

// alloc sets *p to n zeroed bytes of the card. There are whole 16 bytes, for
// kernels load blocks by the words around them.
func (d *Device) alloc(p *uint64, n int) error {
	addr, err := d.drv.MemAlloc((max(n, 1) + 15) &^ 15)
	if cuda.Code(err) == cuda.OutOfMemory {
		free, _, e := d.drv.MemGetInfo()
		return errors.Join(fmt.Errorf("%d MiB wanted, %d MiB free: %w; %w", (n+1<<20-1)>>20, free>>20, tensor.ErrNoMemory, err), e)
	}
	if err != nil {
		return err
	}
	if err := d.drv.MemsetD8(addr, 0, max(n, 1), d.stream); err != nil {
		return errors.Join(err, d.drv.MemFree(addr))
	}
	*p = addr
	return nil
}
