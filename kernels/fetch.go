package kernels

import (
	"errors"
	"fmt"

	"github.com/llcuda/llcuda/internal/cuda"
	"github.com/llcuda/llcuda/tensor"
)

// A fetch is a copy of a few bytes to pinned memory with an event behind it:
// the host waits for the event, and not for what the card was given since.
type fetch struct {
	d     *Device
	event cuda.Event
	part  []byte
}

// NewFetch returns a way to read tensors of so many bytes while the card goes
// on with later work.
func (d *Device) NewFetch(bytes int) (tensor.Fetch, error) {
	if err := d.enter("fetch"); err != nil {
		return nil, err
	}
	defer d.leave()
	f := &fetch{d: d}
	var err error
	if f.part, err = d.drv.MemHostAlloc(bytes); err == nil {
		f.event, err = d.drv.EventCreate(false)
	}
	if err != nil {
		return nil, errors.Join(d.wrap("fetch", err), f.free())
	}
	return f, nil
}

// Start copies t once everything that was issued before is done.
func (f *fetch) Start(t *tensor.Tensor) error {
	d := f.d
	if t.Bytes() != len(f.part) {
		return fmt.Errorf("%s: fetch: %s into %d bytes", d.name, t, len(f.part))
	}
	if err := d.enter("fetch"); err != nil {
		return err
	}
	defer d.leave()
	if d.find(ptr(t)) == nil {
		return fmt.Errorf("%s: fetch: %s has no memory: it was freed", d.name, t)
	}
	err := d.drv.MemcpyDtoH(f.part, ptr(t), d.stream)
	if err == nil {
		err = d.drv.EventRecord(f.event, d.stream)
	}
	if err != nil {
		return d.wrap("fetch", err)
	}
	return nil
}

// Wait waits for the last Start and returns the mistakes that Sync would.
func (f *fetch) Wait(dst []byte) error {
	d := f.d
	if err := d.enter("fetch"); err != nil {
		return err
	}
	defer d.leave()
	if err := d.drv.EventSynchronize(f.event); err != nil {
		return d.wrap("fetch", err)
	}
	if err := d.fault.take(); err != nil {
		return fmt.Errorf("%s: %w", d.name, err)
	}
	copy(dst, f.part)
	return nil
}

// Free waits for the card and gives back the memory.
func (f *fetch) Free() {
	if f.d.enter("free") != nil {
		return
	}
	defer f.d.leave()
	err := f.d.drv.StreamSynchronize(f.d.stream)
	if err = errors.Join(err, f.free()); err != nil {
		_ = f.d.wrap("free", err) // remembered if it is the card's end
	}
}

func (f *fetch) free() error {
	var errs []error
	if f.event != 0 {
		errs = append(errs, f.d.drv.EventDestroy(f.event))
	}
	if f.part != nil {
		errs = append(errs, f.d.drv.MemFreeHost(f.part))
	}
	f.event, f.part = 0, nil
	return errors.Join(errs...)
}
