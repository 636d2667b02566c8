// Package cuda calls NVIDIA's driver library by its C interface (CUDA Driver
// API, docs.nvidia.com/cuda/cuda-driver-api), which it loads when it is first
// asked for: neither building nor starting needs anything of CUDA. cuBLAS and
// NVRTC, which are parts of the toolkit, are used where a machine has them.
//
// The methods of Driver are the library's functions under their names, without
// "cu". A context is a property of an operating system thread: a goroutine
// that calls them has locked itself to one (runtime.LockOSThread) and made a
// context current there (SetCurrent). Only Load, Version, Devices and Info
// need none.
//
// Errors are of type *Error and say what to do. When there is nothing to
// compute with, they are one of ErrNoDriver, ErrOldDriver, ErrNoDevice,
// ErrHidden and ErrOldDevice, for errors.Is.
package cuda

import (
	"fmt"
	"os"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
)

// oldest is the version of CUDA that kernels are compiled by: drivers from 530
// on take its machine code and PTX.
const oldest = 12010

// A Driver is a loaded driver library. It is safe for concurrent use.
type Driver struct {
	path    string
	version int
	fn      [lastFunction]uintptr
	ex      uintptr // cuLaunchKernelEx, where it is
}

// Default is the machine's driver: the file that LLCUDA_LIBCUDA names, or the
// system's. It is loaded once.
var Default = sync.OnceValues(func() (*Driver, error) {
	return Load(os.Getenv("LLCUDA_LIBCUDA"))
})

// Load loads and starts a driver library; "" is the system's.
func Load(path string) (*Driver, error) {
	names := libraries
	if path != "" {
		names = []string{path}
	}
	lib, name, err := open(names...)
	if err != nil {
		return nil, fmt.Errorf("%w: %v%s", ErrNoDriver, err, noDriverAdvice)
	}
	d := &Driver{path: name}
	if d.fn[driverGetVersion], err = symbol(lib, functions[driverGetVersion]); err != nil {
		return nil, fmt.Errorf("%w: %s is not NVIDIA's driver library: %v", ErrNoDriver, name, err)
	}
	var version int32
	if err := d.call(driverGetVersion, uintptr(unsafe.Pointer(&version))); err != nil {
		return nil, err
	}
	if d.version = int(version); d.version < oldest {
		return nil, fmt.Errorf("%w: it takes CUDA up to %s, the kernels need %s; install driver 530 or newer",
			ErrOldDriver, versionName(d.version), versionName(oldest))
	}
	for f, name := range functions {
		if d.fn[f], err = symbol(lib, name); err != nil {
			return nil, fmt.Errorf("%w: %s has %v; install driver 530 or newer", ErrOldDriver, d.path, err)
		}
	}
	if d.version >= 12030 { // from there on a graph takes what it launches
		d.ex, _ = symbol(lib, launchEx)
	}
	if err := d.call(initialise, 0); err != nil {
		return nil, whyNot(err)
	}
	return d, nil
}

// Version is the newest version of CUDA that the driver takes: "12.4".
func (d *Driver) Version() string { return versionName(d.version) }

// Path is the file that was loaded.
func (d *Driver) Path() string { return d.path }

func versionName(v int) string { return fmt.Sprintf("%d.%d", v/1000, v%1000/10) }

// A function is an index into Driver.fn.
type function int

const (
	driverGetVersion function = iota
	initialise
	getErrorName
	getErrorString
	deviceGetCount
	deviceGet
	deviceGetName
	deviceGetAttribute
	deviceTotalMem
	deviceGetPCIBusID
	primaryRetain
	primaryRelease
	primaryReset
	ctxSetCurrent
	moduleLoadDataEx
	moduleUnload
	moduleGetFunction
	funcGetAttribute
	funcSetAttribute
	occupancy
	memGetInfo
	memAlloc
	memFree
	memHostAlloc
	memFreeHost
	memHostGetDevicePointer
	memcpyHtoD
	memcpyDtoH
	memcpyDtoD
	memsetD8
	memsetD32
	streamCreate
	streamDestroy
	streamSynchronize
	streamQuery
	eventCreate
	eventDestroy
	eventRecord
	eventSynchronize
	eventElapsed
	beginCapture
	endCapture
	graphInstantiate
	graphUpload
	graphLaunch
	graphDestroy
	graphExecDestroy
	launchKernel
	launchCooperative
	lastFunction
)

// launchEx is not in all drivers that the others are in.
const launchEx = "cuLaunchKernelEx"

// functions are their names in the library. Names with a version are what
// cuda.h makes of the plain ones.
var functions = [lastFunction]string{
	driverGetVersion:        "cuDriverGetVersion",
	initialise:              "cuInit",
	getErrorName:            "cuGetErrorName",
	getErrorString:          "cuGetErrorString",
	deviceGetCount:          "cuDeviceGetCount",
	deviceGet:               "cuDeviceGet",
	deviceGetName:           "cuDeviceGetName",
	deviceGetAttribute:      "cuDeviceGetAttribute",
	deviceTotalMem:          "cuDeviceTotalMem_v2",
	deviceGetPCIBusID:       "cuDeviceGetPCIBusId",
	primaryRetain:           "cuDevicePrimaryCtxRetain",
	primaryRelease:          "cuDevicePrimaryCtxRelease_v2",
	primaryReset:            "cuDevicePrimaryCtxReset_v2",
	ctxSetCurrent:           "cuCtxSetCurrent",
	moduleLoadDataEx:        "cuModuleLoadDataEx",
	moduleUnload:            "cuModuleUnload",
	moduleGetFunction:       "cuModuleGetFunction",
	funcGetAttribute:        "cuFuncGetAttribute",
	funcSetAttribute:        "cuFuncSetAttribute",
	occupancy:               "cuOccupancyMaxActiveBlocksPerMultiprocessor",
	memGetInfo:              "cuMemGetInfo_v2",
	memAlloc:                "cuMemAlloc_v2",
	memFree:                 "cuMemFree_v2",
	memHostAlloc:            "cuMemHostAlloc",
	memFreeHost:             "cuMemFreeHost",
	memHostGetDevicePointer: "cuMemHostGetDevicePointer_v2",
	memcpyHtoD:              "cuMemcpyHtoDAsync_v2",
	memcpyDtoH:              "cuMemcpyDtoHAsync_v2",
	memcpyDtoD:              "cuMemcpyDtoDAsync_v2",
	memsetD8:                "cuMemsetD8Async",
	memsetD32:               "cuMemsetD32Async",
	streamCreate:            "cuStreamCreate",
	streamDestroy:           "cuStreamDestroy_v2",
	streamSynchronize:       "cuStreamSynchronize",
	streamQuery:             "cuStreamQuery",
	eventCreate:             "cuEventCreate",
	eventDestroy:            "cuEventDestroy_v2",
	eventRecord:             "cuEventRecord",
	eventSynchronize:        "cuEventSynchronize",
	eventElapsed:            "cuEventElapsedTime",
	beginCapture:            "cuStreamBeginCapture_v2",
	endCapture:              "cuStreamEndCapture",
	graphInstantiate:        "cuGraphInstantiateWithFlags",
	graphUpload:             "cuGraphUpload",
	graphLaunch:             "cuGraphLaunch",
	graphDestroy:            "cuGraphDestroy",
	graphExecDestroy:        "cuGraphExecDestroy",
	launchKernel:            "cuLaunchKernel",
	launchCooperative:       "cuLaunchCooperativeKernel",
}

// call calls a function and makes an error of what it returns.
//
//go:uintptrescapes
func (d *Driver) call(f function, args ...uintptr) error {
	if code, _, _ := purego.SyscallN(d.fn[f], args...); int32(code) != 0 {
		return d.failure(functions[f], int(int32(code)))
	}
	return nil
}
