// Package kernels is the CUDA device: tensor.Device on an NVIDIA card, with
// kernels of its own, which the binary carries compiled (image/).
//
// A file is an operation: norm.cu computes, norm.go beside it launches. All
// work of a device goes in order through one stream; the host waits for it in
// Read and Sync alone. A recorded step becomes a CUDA graph, or one persistent
// kernel (fuse.go), that one call issues.
//
// Weights are kept as planes (format.cuh), which Place makes of a file's
// blocks while they are copied to the card. What New makes has the layout of
// the host.
package kernels

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/llcuda/llcuda/internal/cuda"
	"github.com/llcuda/llcuda/tensor"
)

// A Device is one card. It is safe for concurrent use: operations of several
// goroutines come one after the other.
//
// After a failure of the card itself (cuda.Error, Sticky) the device is dead:
// every call returns that error until it is closed and opened again.
type Device struct {
	drv     *cuda.Driver
	ordinal int
	name    string
	info    cuda.DeviceInfo
	handle  cuda.Device
	context cuda.Context
	async   bool // its form of the kernels has cp.async

	// dependent says whether kernels of a recorded step may begin before the one
	// before has ended (cuda.cuh). chaining is on while such a step is recorded,
	// chained as long as what was recorded last is a kernel.
	dependent, chaining, chained bool
	launches                     int // of kernels, so far

	mu     sync.Mutex // held while the card is told something; fields below
	stream cuda.Stream
	failed error // why nothing works any more
	dry    bool  // prepare what launches need, and launch nothing
	fault  fault

	allocations []allocation // by address
	scratches   [lastRole]scratchBuffer
	ropeTables  map[ropeKey]uint64 // addresses (rope.go)
	generation  int                // changes when a buffer of scratch memory moves, or a constant is written
	images      images
	host        hostBuffer
	input       converted // matmul.go
	blas        blas      // cublas.go
	stage       *staging
	timing      [2]cuda.Event
}

// Count is how many cards there are: 1 or more, or an error that says why none.
func Count() (int, error) {
	drv, err := cuda.Default()
	if err != nil {
		return 0, err
	}
	return drv.Devices()
}

// Infos describes all cards. A card that is too old is among them, and its
// error in the error.
func Infos() ([]cuda.DeviceInfo, error) {
	drv, err := cuda.Default()
	if err != nil {
		return nil, err
	}
	n, err := drv.Devices()
	if err != nil {
		return nil, err
	}
	all := make([]cuda.DeviceInfo, n)
	var errs error
	for i := range all {
		var err error
		all[i], err = drv.Info(i)
		errs = errors.Join(errs, err)
	}
	return all, errs
}

// Open opens a card of the machine's driver, by its number from 0 on.
func Open(ordinal int) (*Device, error) {
	drv, err := cuda.Default()
	if err != nil {
		return nil, err
	}
	return OpenOn(drv, ordinal)
}

// OpenOn is Open for a driver that is loaded.
func OpenOn(drv *cuda.Driver, ordinal int) (*Device, error) {
	if _, err := index(); err != nil {
		return nil, err
	}
	info, err := drv.Info(ordinal)
	if err != nil {
		return nil, err
	}
	handle, err := drv.Device(ordinal)
	if err != nil {
		return nil, err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	d := &Device{drv: drv, ordinal: ordinal, name: fmt.Sprintf("cuda:%d", ordinal), info: info, handle: handle}
	if all := forms(imageNames(), "step", info.Major, info.Minor); len(all) > 0 {
		d.async = all[0].version >= 80
		d.dependent = all[0].version >= 90 && !all[0].ptx() && drv.Dependent()
	}
	if d.context, err = drv.PrimaryRetain(handle); err != nil {
		return nil, d.wrap("open", err)
	}
	err = drv.SetCurrent(d.context)
	if err == nil {
		d.stream, err = drv.StreamCreate()
	}
	for i := range d.timing {
		if err == nil {
			d.timing[i], err = drv.EventCreate(true)
		}
	}
	if err == nil {
		err = d.host.open(drv)
	}
	if err == nil {
		d.fault, err = newFault(d.host.fault, drv)
	}
	if err != nil {
		err = d.wrap("open", err)
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Name is "cuda:0" for the first card.
func (d *Device) Name() string { return d.name }

// Info is what the driver says about the card.
func (d *Device) Info() cuda.DeviceInfo { return d.info }

// Failed says why the device does not work any more, nil as long as it does.
func (d *Device) Failed() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed
}

func (d *Device) sms() int { return d.info.SMs }

var errClosed = errors.New("the device is closed")

// Close gives back everything the device has. Its tensors and programs are
// dead after it.
func (d *Device) Close() error {
	d.mu.Lock()
	dead, st := d.failed, d.stage
	d.failed = errClosed
	d.mu.Unlock()
	if errors.Is(dead, errClosed) {
		return nil
	}
	if st != nil { // copies on their way end first
		for range slots {
			<-st.free
		}
		close(st.free) // who still waits for a slot gets none
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var err error
	if dead != nil { // nothing in the context works any more: end it
		if err = d.drv.PrimaryReset(d.handle); sticky(err) {
			err = nil // the old one again
		}
	} else if err = d.drv.SetCurrent(d.context); err == nil {
		err = d.give()
	}
	d.allocations, d.ropeTables, d.images, d.host, d.stage = nil, nil, images{}, hostBuffer{}, nil
	return errors.Join(err, d.drv.SetCurrent(0), d.drv.PrimaryRelease(d.handle))
}

// sticky says whether an error of the driver has ended the context.
func sticky(err error) bool {
	e := (*cuda.Error)(nil)
	return errors.As(err, &e) && e.Sticky()
}

// give frees what the device holds, in a context that works.
func (d *Device) give() error {
	var errs []error
	if d.stream != 0 {
		errs = append(errs, d.drv.StreamSynchronize(d.stream))
	}
	for _, a := range d.allocations {
		errs = append(errs, d.drv.MemFree(a.addr))
	}
	for _, table := range d.ropeTables {
		errs = append(errs, d.drv.MemFree(table))
	}
	for i := range d.scratches {
		errs = append(errs, d.scratches[i].free(d.drv))
	}
	errs = append(errs, d.blas.close(), d.images.unload(d.drv), d.host.close(d.drv), d.stage.close(d.drv))
	for _, e := range d.timing {
		if e != 0 {
			errs = append(errs, d.drv.EventDestroy(e))
		}
	}
	if d.stream != 0 {
		errs = append(errs, d.drv.StreamDestroy(d.stream))
	}
	return errors.Join(errs...)
}

// enter begins a call of a method: it takes the device for itself, and makes
// its context that of the thread. On nil, leave ends it. What a product has
// left for the next one is forgotten: the call may write over it.
func (d *Device) enter(op string) error {
	err := d.proceed(op)
	if err == nil {
		d.input = converted{}
	}
	return err
}

// proceed is enter for one more operation.
func (d *Device) proceed(op string) error {
	d.mu.Lock()
	if d.failed != nil {
		err := fmt.Errorf("%s: %s: %w", d.name, op, d.failed)
		d.mu.Unlock()
		return err
	}
	runtime.LockOSThread()
	if err := d.drv.SetCurrent(d.context); err != nil {
		err = d.wrap(op, err)
		d.leave()
		return err
	}
	return nil
}

func (d *Device) leave() {
	runtime.UnlockOSThread()
	d.mu.Unlock()
}

// wrap says where the driver's error happened. One that the card does not
// recover from is remembered; d.mu is held.
func (d *Device) wrap(op string, err error) error {
	if sticky(err) && d.failed == nil {
		d.failed = fmt.Errorf("%w; the device does not work any more: %%gpu reset opens it anew, without its models and tensors, as a restart of the kernel or the program does", err)
		err = d.failed
	}
	return fmt.Errorf("%s: %s: %w", d.name, op, err)
}

// Do issues one operation.
func (d *Device) Do(op *tensor.Op) error {
	if err := d.proceed(op.Kind.String()); err != nil {
		return err
	}
	defer d.leave()
	return d.do(op)
}

// do issues one operation; the device is entered.
func (d *Device) do(op *tensor.Op) error {
	err := d.usable(op)
	if err == nil {
		err = d.dispatch(op)
		d.input.forget(op.Dst)
	}
	if e := (*cuda.Error)(nil); errors.As(err, &e) {
		return d.wrap(op.Kind.String(), err)
	}
	return err
}

func (d *Device) dispatch(op *tensor.Op) error {
	switch op.Kind {
	case tensor.OpMatMul:
		return d.matMul(op)
	case tensor.OpRows:
		return d.rows(op)
	case tensor.OpRMSNorm:
		return d.rmsNorm(op)
	case tensor.OpLayerNorm:
		return d.layerNorm(op)
	case tensor.OpRoPE:
		return d.rope(op)
	case tensor.OpStore:
		return d.store(op)
	case tensor.OpAttention:
		return d.attention(op)
	case tensor.OpGLU:
		return d.glu(op)
	case tensor.OpUnary:
		return d.unary(op)
	case tensor.OpBinary:
		return d.binary(op)
	case tensor.OpScale:
		return d.scale(op)
	case tensor.OpSoftmax:
		return d.softmax(op)
	case tensor.OpReduce:
		return d.reduce(op)
	case tensor.OpArgMax:
		return d.argMax(op)
	case tensor.OpTopK:
		return d.topK(op)
	case tensor.OpConvert:
		return d.convert(op)
	case tensor.OpTranspose:
		return d.transpose(op)
	case tensor.OpFill:
		return d.fill(op)
	case tensor.OpRandom:
		return d.random(op)
	case tensor.OpFork:
		return d.fork(op)
	}
	return d.refuse(op, "this device does not know it")
}

// refuse says why the device does not have an operation.
func (d *Device) refuse(op *tensor.Op, why string, args ...any) error {
	return fmt.Errorf("%s: %s: %s: %w", d.name, op.Kind, fmt.Sprintf(why, args...), tensor.ErrUnsupported)
}

// Sync waits for everything issued and returns the first mistake that the
// kernels have found in their operands since the last Sync or Read.
func (d *Device) Sync() error {
	if err := d.enter("sync"); err != nil {
		return err
	}
	defer d.leave()
	return d.sync("sync")
}

// sync is Sync of an entered device.
func (d *Device) sync(op string) error {
	if err := d.drv.StreamSynchronize(d.stream); err != nil {
		return d.wrap(op, err)
	}
	d.host.used = 0
	if err := d.fault.take(); err != nil {
		return fmt.Errorf("%s: %w", d.name, err)
	}
	return nil
}

// Time is how long the card takes for what do issues, which is not to wait.
func (d *Device) Time(do func() error) (time.Duration, error) {
	record := func(e cuda.Event) error {
		if err := d.enter("time"); err != nil {
			return err
		}
		defer d.leave()
		return d.drv.EventRecord(e, d.stream)
	}
	if err := record(d.timing[0]); err != nil {
		return 0, err
	}
	if err := do(); err != nil {
		return 0, err
	}
	if err := record(d.timing[1]); err != nil {
		return 0, err
	}
	if err := d.Sync(); err != nil {
		return 0, err
	}
	if err := d.enter("time"); err != nil {
		return 0, err
	}
	defer d.leave()
	return d.drv.EventElapsed(d.timing[0], d.timing[1])
}
