package cuda

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"github.com/ebitengine/purego"
)

// Why there is nothing to compute with.
var (
	ErrNoDriver  = errors.New("cuda: no NVIDIA driver")
	ErrOldDriver = errors.New("cuda: the NVIDIA driver is too old")
	ErrNoDevice  = errors.New("cuda: the NVIDIA driver sees no GPU")
	ErrHidden    = errors.New("cuda: CUDA_VISIBLE_DEVICES hides all GPUs")
	ErrOldDevice = errors.New("cuda: the GPU is too old")
)

const noDriverAdvice = "; install NVIDIA's driver (in a container: run it with --gpus all; in Colab: choose a GPU runtime); the CPU works without"

// Codes of CUresult (cuda.h) that callers tell apart.
const (
	InvalidValue   = 1
	OutOfMemory    = 2
	invalidDevice  = 101
	noDevice       = 100
	stubLibrary    = 34
	InvalidImage   = 200
	NoBinaryForGPU = 209
	InvalidPTX     = 218
	NewerPTX       = 222
	NotFound       = 500
	NotReady       = 600
	IllegalAddress = 700
	LaunchTimeout  = 702
	Assert         = 710
	HardwareStack  = 714
	IllegalOp      = 715
	Misaligned     = 716
	InvalidSpace   = 717
	InvalidPC      = 718
	LaunchFailed   = 719
	notPermitted   = 800
	driverMismatch = 803
	noCompat       = 804
	UnknownFailure = 999
)

// An Error is what a call of the library returned.
type Error struct {
	Call string // "cuMemAlloc_v2"
	Code int    // CUresult
	Name string // "CUDA_ERROR_OUT_OF_MEMORY"
	Text string // the library's words
	Log  string // of the driver's compiler or linker, if it was at work
}

func (e *Error) Error() string {
	s := fmt.Sprintf("cuda: %s: %s", e.Call, e.Name)
	if e.Text != "" {
		s += " (" + e.Text + ")"
	}
	if e.Log != "" {
		s += ": " + e.Log
	}
	if a := e.advice(); a != "" {
		s += "; " + a
	}
	return s
}

// Sticky says that the error has ended the context: every later call returns
// it again, until the device is opened anew.
func (e *Error) Sticky() bool {
	switch e.Code {
	case IllegalAddress, LaunchTimeout, Assert, HardwareStack, IllegalOp, Misaligned, InvalidSpace, InvalidPC, LaunchFailed,
		214, 220, 709, UnknownFailure: // ECC, NVLink, context is destroyed
		return true
	}
	return false
}

func (e *Error) advice() string {
	switch e.Code {
	case OutOfMemory:
		return "free models (%unload) and tensors (%reset), close other programs on the card (nvidia-smi lists them), or choose fewer --gpu-layers or a smaller --ctx"
	case LaunchTimeout:
		return "the system ends kernels that hold the display's card for seconds: use another card for the display, or smaller batches"
	case IllegalAddress, Misaligned, IllegalOp, InvalidPC, InvalidSpace, HardwareStack, Assert, LaunchFailed:
		return "a kernel failed: this is a fault of llcuda or of the card; report it with the output of llcuda gpu"
	case 214:
		return "the card's memory has an error that it cannot correct: see nvidia-smi -q -d ECC, and reset the card"
	case stubLibrary:
		return "this is the toolkit's stub and not the driver: take its folder out of LD_LIBRARY_PATH"
	case driverMismatch:
		return "the driver was updated while it ran: restart the machine"
	case noCompat:
		return "a compatibility package for datacentre cards is in the way: take cuda-compat out of LD_LIBRARY_PATH"
	case notPermitted:
		return "another process has the card for itself alone: end it, or set the compute mode to default (nvidia-smi -c 0)"
	case NewerPTX, InvalidImage, NoBinaryForGPU, InvalidPTX:
		return "update NVIDIA's driver to 530 or newer"
	case UnknownFailure:
		return "see dmesg for the driver's own words (Xid); reloading the driver or restarting the machine often helps"
	}
	return ""
}

// Is makes errors.Is(err, &Error{Code: OutOfMemory}) tell codes apart.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && t.Call == ""
}

// Code is the library's code in err, 0 if it has none.
func Code(err error) int {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// failure makes an error of a code.
func (d *Driver) failure(call string, code int) *Error {
	e := &Error{Call: call, Code: code, Name: fmt.Sprintf("CUDA_ERROR_%d", code)}
	if s := d.text(getErrorName, code); s != "" {
		e.Name = s
	}
	e.Text = d.text(getErrorString, code)
	return e
}

func (d *Driver) text(f function, code int) string {
	if d.fn[f] == 0 {
		return ""
	}
	var s *byte
	if r, _, _ := purego.SyscallN(d.fn[f], uintptr(code), uintptr(unsafe.Pointer(&s))); int32(r) != 0 {
		return ""
	}
	return cString(s)
}

// cString copies a string of C, which the library keeps.
func cString(s *byte) string {
	if s == nil {
		return ""
	}
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(s), n)) != 0 {
		n++
	}
	return string(unsafe.Slice(s, n))
}

// whyNot makes of cuInit's error the reason that there is no device.
func whyNot(err error) error {
	switch Code(err) {
	case noDevice, invalidDevice:
		if v, set := os.LookupEnv("CUDA_VISIBLE_DEVICES"); set {
			return fmt.Errorf("%w: it is %q; unset it or name a card (0), and start llcuda again", ErrHidden, v)
		}
		return fmt.Errorf("%w: see nvidia-smi; in Colab choose a GPU runtime; the CPU works without", ErrNoDevice)
	case stubLibrary, 3: // 3: not initialised, what stubs of older toolkits return
		return fmt.Errorf("%w: %w", ErrNoDriver, err)
	}
	return err
}
