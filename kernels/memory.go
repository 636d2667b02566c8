package kernels

import (
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/llcuda/llcuda/internal/cuda"
	"github.com/llcuda/llcuda/tensor"
)

// An allocation is memory that New or Place took.
type allocation struct {
	addr       uint64
	bytes      int // as the card has it
	dtype      tensor.DType
	rows, cols int
	span       int  // as the tensor counts its addresses: bytes of the host's form
	packed     bool // in planes
	constant   bool // it was placed, and never written since
}

// find is the allocation that an address lies in.
func (d *Device) find(addr uint64) *allocation {
	i, exact := slices.BinarySearchFunc(d.allocations, addr, func(a allocation, addr uint64) int {
		switch {
		case a.addr < addr:
			return -1
		case a.addr > addr:
			return 1
		}
		return 0
	})
	if !exact {
		i--
	}
	if i < 0 || addr >= d.allocations[i].addr+uint64(max(d.allocations[i].bytes, d.allocations[i].span, 1)) {
		return nil
	}
	return &d.allocations[i]
}

// packed returns the planes of a weight and the number of t's first chunk in
// them: t may be some whole rows of the weight. Tensors that are as on the host
// have none.
func (d *Device) packed(t *tensor.Tensor) (p planes, first int64, ok bool) {
	a := d.find(ptr(t))
	if a == nil || !a.packed {
		return planes{}, 0, false
	}
	return planesOf(a.dtype, a.addr, a.rows, a.cols), a.chunks(int(ptr(t) - a.addr)), true
}

// chunks are the 32 numbers each of so many bytes of the host's form.
func (a *allocation) chunks(bytes int) int64 {
	return int64(bytes/a.dtype.BlockBytes()*a.dtype.BlockLen()) / 32
}

// usable refuses what a kernel would read wrongly: memory that is no longer
// there, and weights in planes where an operation does not know them.
func (d *Device) usable(op *tensor.Op) error {
	for i, t := range [...]*tensor.Tensor{op.A, op.Dst, op.B, op.C, op.Pos, op.Seq} {
		if t == nil || t.Len() == 0 {
			continue
		}
		switch a := d.find(ptr(t)); {
		case a == nil:
			return fmt.Errorf("%s: %s: %s was freed", d.name, op.Kind, t)
		case a.packed && i > 0:
			return d.refuse(op, "%s is a constant", t)
		case i == 1 || i == 2 && op.Kind == tensor.OpTopK:
			d.varies(a)
		}
	}
	return nil
}

// constant says whether t was placed, and never written since: what is made of
// its numbers may be kept until it is freed or varies.
func (d *Device) constant(t *tensor.Tensor) bool {
	a := d.find(ptr(t))
	return a != nil && a.constant
}

// varies says that memory is written: programs that took it for a constant are
// captured anew.
func (d *Device) varies(a *allocation) {
	if a.constant {
		a.constant = false
		d.generation++
	}
}

// Memory is the card's, in bytes; zeros when it does not answer.
func (d *Device) Memory() (free, total int64) {
	d.mu.Lock()
	failed := d.failed
	d.mu.Unlock()
	if failed != nil {
		return 0, 0
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if d.drv.SetCurrent(d.context) != nil {
		return 0, 0
	}
	free, total, err := d.drv.MemGetInfo()
	if err != nil {
		return 0, 0
	}
	return free, total
}

// New allocates a tensor of zeros.
func (d *Device) New(dt tensor.DType, shape ...int) (*tensor.Tensor, error) {
	n, err := dt.Size(shape)
	if err != nil {
		return nil, fmt.Errorf("%s: new: %w", d.name, err)
	}
	if err := d.enter("new"); err != nil {
		return nil, err
	}
	defer d.leave()
	t := &tensor.Tensor{DType: dt, Shape: shape, Device: d}
	a := allocation{dtype: dt, rows: t.Rows(), cols: t.Cols(), bytes: n, span: n}
	if err := d.take(&a); err != nil {
		return nil, d.wrap("new", fmt.Errorf("%s: %w", t, err))
	}
	t.Addr = uintptr(a.addr)
	return t, nil
}

// take allocates a.bytes, zeroed, and enters them into the table.
func (d *Device) take(a *allocation) error {
	if err := d.alloc(&a.addr, a.bytes); err != nil {
		return err
	}
	i, _ := slices.BinarySearchFunc(d.allocations, *a, func(x, y allocation) int {
		if x.addr < y.addr {
			return -1
		}
		return 1
	})
	d.allocations = slices.Insert(d.allocations, i, *a)
	return nil
}

// Free gives back what New or Place took, once the card is done with it. It
// does nothing for views, and for what is freed already.
func (d *Device) Free(t *tensor.Tensor) {
	if t == nil || t.Device != tensor.Device(d) || d.enter("free") != nil {
		return
	}
	defer d.leave()
	a := d.find(ptr(t))
	if a == nil || a.addr != ptr(t) {
		return
	}
	t.Addr = 0
	d.release(a)
}

func (d *Device) release(a *allocation) error {
	addr, span := a.addr, uint64(a.span)
	d.allocations = slices.DeleteFunc(d.allocations, func(b allocation) bool { return b.addr == addr })
	err := d.drv.StreamSynchronize(d.stream)
	if err == nil {
		err = errors.Join(d.drv.MemFree(addr), d.dropTables(addr, span))
	}
	if err != nil {
		return d.wrap("free", err)
	}
	return nil
}

// Used is how much memory tensors take on the card.
func (d *Device) Used() (bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range d.allocations {
		bytes += int64(a.bytes)
	}
	return bytes
}

// Overhead is how much memory of the card a model takes beside its tensors, whose
// products have inputs of at most so many rows and columns: the staging area, code,
// and what operations need for themselves. What is taken already, and so missing in
// Memory, does not count.
//
// H200, driver 580, 2026-11-28: with 6 MiB for code, five models used 14 to 30 MiB
// more than announced with prompts of 512, and 10 less to 9 more without prompts.
func (d *Device) Overhead(rows, cols int) (bytes int64) {
	const code = 26 << 20
	usual := code + 2*int64(rows)*int64(cols) // x as f16
	d.mu.Lock()
	staged := d.stage != nil
	d.mu.Unlock()
	if !staged {
		bytes = slotSize
	}
	return max(bytes, usual+bytes-d.Scratch())
}

// Placed is how much memory Place takes for a weight.
func (d *Device) Placed(dt tensor.DType, shape []int) int64 {
	t := &tensor.Tensor{DType: dt, Shape: shape}
	n := packedBytes(dt, t.Rows(), t.Cols())
	if n == 0 {
		n = t.Bytes()
	}
	return d.Taken(int64(n))
}

// Taken is how much memory a tensor of so many bytes takes. The driver gives
// memory in pieces of 2 MiB, of which only what is smaller than half shares one
// (seen on an H200, driver 580: 64 caches of 16.1 MiB are 18 MiB each).
func (d *Device) Taken(bytes int64) int64 {
	const piece = 2 << 20
	if bytes > piece/2 {
		bytes = (bytes + piece - 1) / piece * piece
	}
	return bytes
}

// Write copies host bytes into t.
func (d *Device) Write(t *tensor.Tensor, src []byte) error {
	if len(src) != t.Bytes() {
		return fmt.Errorf("%s: write: %d bytes into %s, want %d", d.name, len(src), t, t.Bytes())
	}
	if err := d.enter("write"); err != nil {
		return err
	}
	a := d.find(ptr(t))
	if a == nil {
		d.leave()
		return fmt.Errorf("%s: write: %s has no memory: it was freed", d.name, t)
	}
	d.varies(a)
	if a.packed || len(src) > smallest {
		target := *a
		d.leave()
		return d.upload("write", target, ptr(t), src)
	}
	defer d.leave()
	if len(src) == 0 {
		return nil
	}
	part, err := d.host.part(d, len(src))
	if err == nil {
		err = guarded("write", func() { copy(part, src) })
	}
	if err == nil {
		err = d.drv.MemcpyHtoD(ptr(t), part, d.stream)
	}
	if err != nil {
		return d.wrap("write", err)
	}
	return nil
}

// Read copies t into host bytes. It returns the mistakes that Sync would, and
// then no numbers.
func (d *Device) Read(dst []byte, t *tensor.Tensor) error {
	if len(dst) != t.Bytes() {
		return fmt.Errorf("%s: read: %s into %d bytes, want %d", d.name, t, len(dst), t.Bytes())
	}
	if err := d.enter("read"); err != nil {
		return err
	}
	defer d.leave()
	a := d.find(ptr(t))
	if a == nil {
		return fmt.Errorf("%s: read: %s has no memory: it was freed", d.name, t)
	}
	if len(dst) == 0 {
		return d.sync("read")
	}
	if a.packed {
		return d.unpack(dst, t)
	}
	return d.download(dst, ptr(t))
}

// download copies from the card through pinned memory.
func (d *Device) download(dst []byte, addr uint64) error {
	for {
		n := min(len(dst), largest)
		part, err := d.host.result(d.drv, n)
		if err == nil {
			err = d.drv.MemcpyDtoH(part, addr, d.stream)
		}
		if err != nil {
			return d.wrap("read", err)
		}
		if err := d.sync("read"); err != nil {
			return err
		}
		if err := guarded("read", func() { copy(dst, part) }); err != nil {
			return d.wrap("read", err)
		}
		if dst, addr = dst[n:], addr+uint64(n); len(dst) == 0 {
			return nil
		}
	}
}

const (
	smallest = 64 << 10  // what is written through hostBuffer.ring at most
	ringSize = 512 << 10 // of hostBuffer.ring
	largest  = 4 << 20   // what is read at a time
)

// A hostBuffer is pinned memory through which small things go to the card, and
// everything comes from it.
type hostBuffer struct {
	all    []byte // ring, fault word
	ring   []byte
	fault  []byte
	used   int // of ring, since the host last waited for the card
	answer []byte
}

func (h *hostBuffer) open(drv *cuda.Driver) (err error) {
	if h.all, err = drv.MemHostAlloc(ringSize + 64); err != nil {
		return err
	}
	clear(h.all)
	h.ring, h.fault = h.all[:ringSize], h.all[ringSize:]
	return nil
}

// part is n bytes of the ring that no copy still reads.
func (h *hostBuffer) part(d *Device, n int) ([]byte, error) {
	if h.used+n > len(h.ring) {
		if err := d.drv.StreamSynchronize(d.stream); err != nil {
			return nil, err
		}
		h.used = 0
	}
	b := h.ring[h.used:][:n]
	h.used += (n + 63) &^ 63
	return b, nil
}

// result is n bytes for what comes from the card.
func (h *hostBuffer) result(drv *cuda.Driver, n int) ([]byte, error) {
	if n > len(h.answer) {
		if h.answer != nil {
			if err := drv.MemFreeHost(h.answer); err != nil {
				return nil, err
			}
			h.answer = nil
		}
		b, err := drv.MemHostAlloc(min(largest, max(n, 64<<10)))
		if err != nil {
			return nil, err
		}
		h.answer = b
	}
	return h.answer[:n], nil
}

func (h *hostBuffer) close(drv *cuda.Driver) error {
	var errs []error
	for _, b := range [][]byte{h.all, h.answer} {
		if b != nil {
			errs = append(errs, drv.MemFreeHost(b))
		}
	}
	*h = hostBuffer{}
	return errors.Join(errs...)
}
