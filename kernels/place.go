package kernels

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/llcuda/llcuda/internal/cuda"
	"github.com/llcuda/llcuda/tensor"
)

// Bytes of a file go to the card through pinned slots: several goroutines copy
// pieces out of the file's map, each into a slot of its own, and put the copy
// to the card behind it on the stream. Packed types land in a staging area of
// the card, from which the pack kernel, next on the stream, makes planes. So
// reading, the bus and packing overlap, within a tensor and from one to the
// next.
const (
	slots    = 8
	slotSize = 4 << 20
)

// A staging is the pinned slots and the area on the card. It is made by the
// first Place.
type staging struct {
	free chan *slot
	all  []*slot
	area uint64 // slotSize bytes
}

// A slot is pinned memory, and the event of the last copy from it.
type slot struct {
	buf  []byte
	done cuda.Event
}

// Place copies constant numbers to the card. Types that have planes are packed
// into them. data is not used after it returns.
func (d *Device) Place(name string, dt tensor.DType, shape []int, data []byte) (*tensor.Tensor, error) {
	n, err := dt.Size(shape)
	if err != nil {
		return nil, fmt.Errorf("%s: place %q: %w", d.name, name, err)
	}
	if n != len(data) {
		return nil, fmt.Errorf("%s: place %q: %d bytes for %s%v, want %d", d.name, name, len(data), dt, shape, n)
	}
	t := &tensor.Tensor{Name: name, DType: dt, Shape: shape, Device: d}
	a := allocation{dtype: dt, rows: t.Rows(), cols: t.Cols(), bytes: n, span: n, constant: true}
	if b := packedBytes(dt, a.rows, a.cols); b > 0 {
		a.bytes, a.packed = b, true
	}
	if err := d.enter("place"); err != nil {
		return nil, err
	}
	err = d.take(&a)
	if err == nil && a.packed && (a.rows%tileRows != 0 || a.cols%tileColumns != 0) { // what fills tiles up is zeros
		err = d.zero(a.addr, a.bytes)
	}
	if err != nil {
		err = d.wrap("place", fmt.Errorf("%s: %w", t, err))
	}
	d.leave()
	if err != nil {
		return nil, err
	}
	t.Addr = uintptr(a.addr)
	if err := d.upload("place "+t.String(), a, a.addr, data); err != nil {
		d.Free(t)
		return nil, err
	}
	return t, nil
}

// upload copies src to the address addr of an allocation. The numbers of a
// packed one are whole rows of it that begin with a group of 256 columns.
func (d *Device) upload(op string, a allocation, addr uint64, src []byte) error {
	unit := 1 << 10
	if a.packed {
		unit = a.dtype.Bytes(256)
		if int(addr-a.addr)%unit != 0 {
			return fmt.Errorf("%s: %s: rows that do not begin at a multiple of 256 numbers: %w", d.name, op, tensor.ErrUnsupported)
		}
	}
	if len(src) == 0 {
		return nil
	}
	st, err := d.staging(op)
	if err != nil {
		return err
	}
	workers := min(slots, runtime.GOMAXPROCS(0))
	piece := min(max(ceil(len(src), workers), 256<<10), slotSize)
	piece = max((piece+unit-1)/unit*unit, unit)
	if piece > slotSize {
		piece = slotSize / unit * unit
	}
	pieces := ceil(len(src), piece)
	var next atomic.Int64
	var failed atomic.Pointer[error]
	work := func() {
		for failed.Load() == nil {
			i := int(next.Add(1)) - 1
			if i >= pieces {
				return
			}
			lo, hi := i*piece, min((i+1)*piece, len(src))
			if err := d.uploadPiece(st, op, a, addr+uint64(lo), src[lo:hi]); err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		}
	}
	var wg sync.WaitGroup
	for range min(workers, pieces) - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
	if e := failed.Load(); e != nil {
		return *e
	}
	return nil
}

// uploadPiece copies one piece by a slot.
func (d *Device) uploadPiece(st *staging, op string, a allocation, addr uint64, src []byte) error {
	s, ok := <-st.free
	if !ok {
		return fmt.Errorf("%s: %s: %w", d.name, op, errClosed)
	}
	defer func() { st.free <- s }()
	if err := d.settle(s); err != nil {
		return fmt.Errorf("%s: %s: %w", d.name, op, err)
	}
	if err := guarded(op, func() { copy(s.buf, src) }); err != nil {
		return fmt.Errorf("%s: %w", d.name, err)
	}
	if err := d.enter(op); err != nil {
		return err
	}
	defer d.leave()
	err := error(nil)
	if !a.packed {
		err = d.drv.MemcpyHtoD(addr, s.buf[:len(src)], d.stream)
	} else if err = d.drv.MemcpyHtoD(st.area, s.buf[:len(src)], d.stream); err == nil {
		err = d.pack(a.dtype, planesOf(a.dtype, a.addr, a.rows, a.cols), a.cols, a.chunks(int(addr-a.addr)), a.chunks(len(src)), st.area)
	}
	if err == nil {
		err = d.drv.EventRecord(s.done, d.stream)
	}
	if err != nil {
		return d.wrap(op, err)
	}
	return nil
}

// settle waits until the card has read a slot.
func (d *Device) settle(s *slot) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := d.drv.SetCurrent(d.context); err != nil {
		return err
	}
	return d.drv.EventSynchronize(s.done)
}

// staging makes the slots, once.
func (d *Device) staging(op string) (*staging, error) {
	if err := d.enter(op); err != nil {
		return nil, err
	}
	defer d.leave()
	if d.stage != nil {
		return d.stage, nil
	}
	st := &staging{free: make(chan *slot, slots)}
	err := d.alloc(&st.area, slotSize)
	for range slots {
		s := new(slot)
		if err == nil {
			s.buf, err = d.drv.MemHostAlloc(slotSize)
		}
		if err == nil {
			s.done, err = d.drv.EventCreate(false)
		}
		st.all = append(st.all, s)
		st.free <- s
	}
	if err != nil {
		return nil, errors.Join(d.wrap(op, fmt.Errorf("staging memory: %w", err)), st.close(d.drv))
	}
	d.stage = st
	return st, nil
}

func (st *staging) close(drv *cuda.Driver) error {
	if st == nil {
		return nil
	}
	var errs []error
	if st.area != 0 {
		errs = append(errs, drv.MemFree(st.area))
	}
	for _, s := range st.all {
		if s.buf != nil {
			errs = append(errs, drv.MemFreeHost(s.buf))
		}
		if s.done != 0 {
			errs = append(errs, drv.EventDestroy(s.done))
		}
	}
	return errors.Join(errs...)
}

// A FileError says that the host's memory could not be read: a mapped file has
// become shorter than it was when it was opened, or its disk has failed.
type FileError struct {
	Op   string
	Addr uintptr
}

func (e *FileError) Error() string {
	return fmt.Sprintf("%s: reading mapped memory at %#x failed: was the model's file cut short or its disk removed?", e.Op, e.Addr)
}

// guarded runs f, which copies from the host's memory; a fault of it is an
// error and not the program's end.
func guarded(op string, f func()) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch r := recover().(type) {
		case nil:
		case interface {
			runtime.Error
			Addr() uintptr
		}:
			err = &FileError{op, r.Addr()}
		default:
			panic(r)
		}
	}()
	f()
	return nil
}
