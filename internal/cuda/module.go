package cuda

import (
	"runtime"
	"strings"
	"unsafe"

	"github.com/ebitengine/purego"
)

// A Module is a loaded image, a Function a kernel in it.
type (
	Module   uintptr
	Function uintptr
)

// Options of cuModuleLoadDataEx, CUjit_option.
const (
	jitErrorLog     = 5
	jitErrorLogSize = 6
)

var logSize = 8192

// ModuleLoadData loads machine code (a cubin) or PTX, which the driver then
// compiles. The error has the compiler's log.
func (d *Driver) ModuleLoadData(image []byte) (Module, error) {
	if len(image) == 0 || image[len(image)-1] != 0 {
		image = append(image[:len(image):len(image)], 0) // PTX is a string
	}
	var m Module
	log := make([]byte, logSize) // on the heap, for its size is a variable
	options := [2]int32{jitErrorLog, jitErrorLogSize}
	values := [2]uintptr{uintptr(unsafe.Pointer(&log[0])), uintptr(len(log))}
	code, _, _ := purego.SyscallN(d.fn[moduleLoadDataEx], uintptr(unsafe.Pointer(&m)), uintptr(unsafe.Pointer(&image[0])),
		uintptr(len(options)), uintptr(unsafe.Pointer(&options)), uintptr(unsafe.Pointer(&values)))
	runtime.KeepAlive(log)
	if int32(code) != 0 {
		e := d.failure(functions[moduleLoadDataEx], int(int32(code)))
		log[len(log)-1] = 0
		e.Log = strings.TrimSpace(cString(&log[0]))
		return 0, e
	}
	return m, nil
}

func (d *Driver) ModuleUnload(m Module) error { return d.call(moduleUnload, uintptr(m)) }

// ModuleGetFunction finds a kernel; an error of code NotFound if there is none.
func (d *Driver) ModuleGetFunction(m Module, name string) (Function, error) {
	var f Function
	b := append([]byte(name), 0)
	err := d.call(moduleGetFunction, uintptr(unsafe.Pointer(&f)), uintptr(m), uintptr(unsafe.Pointer(&b[0])))
	return f, err
}

// Attributes of a kernel, CUfunction_attribute.
const (
	StaticShared     = 1
	LocalBytes       = 3 // of a thread: stack and spills
	Registers        = 4
	MaxDynamicShared = 8 // may be set
)

func (d *Driver) FuncGetAttribute(f Function, attribute int) (int, error) {
	var v int32
	err := d.call(funcGetAttribute, uintptr(unsafe.Pointer(&v)), uintptr(attribute), uintptr(f))
	return int(v), err
}

func (d *Driver) FuncSetAttribute(f Function, attribute, value int) error {
	return d.call(funcSetAttribute, uintptr(f), uintptr(attribute), uintptr(value))
}

// Occupancy is how many blocks of a kernel one SM holds at a time.
func (d *Driver) Occupancy(f Function, block, dynamicShared int) (int, error) {
	var n int32
	err := d.call(occupancy, uintptr(unsafe.Pointer(&n)), uintptr(f), uintptr(block), uintptr(dynamicShared))
	return int(n), err
}

// LaunchKernel issues a kernel. params has the address of each argument; both
// lie on the heap and are copied before it returns.
func (d *Driver) LaunchKernel(f Function, grid, block [3]int, dynamicShared int, s Stream, params []unsafe.Pointer) error {
	return d.call(launchKernel, uintptr(f), uintptr(grid[0]), uintptr(grid[1]), uintptr(grid[2]),
		uintptr(block[0]), uintptr(block[1]), uintptr(block[2]), uintptr(dynamicShared), uintptr(s),
		uintptr(unsafe.Pointer(unsafe.SliceData(params))), 0)
}

// Dependent says whether there is LaunchDependent.
func (d *Driver) Dependent() bool { return d.ex != 0 }

// LaunchDependent is LaunchKernel for a kernel that may begin before the one
// that was issued last has ended, and waits for that by itself
// (griddepcontrol.wait): cards from compute capability 9.0 on.
func (d *Driver) LaunchDependent(f Function, grid, block [3]int, dynamicShared int, s Stream, params []unsafe.Pointer) error {
	a := &launchAttribute{id: programmaticStreamSerialization, value: 1}
	c := &launchConfig{grid: words(grid), block: words(block), shared: uint32(dynamicShared), stream: s, attributes: a, count: 1}
	code, _, _ := purego.SyscallN(d.ex, uintptr(unsafe.Pointer(c)), uintptr(f), uintptr(unsafe.Pointer(unsafe.SliceData(params))), 0)
	runtime.KeepAlive(params)
	runtime.KeepAlive(c)
	if int32(code) != 0 {
		return d.failure(launchEx, int(int32(code)))
	}
	return nil
}

// launchConfig is cuda.h's CUlaunchConfig, launchAttribute its CUlaunchAttribute.
type (
	launchConfig struct {
		grid, block [3]uint32
		shared      uint32
		stream      Stream
		attributes  *launchAttribute
		count       uint32
	}
	launchAttribute struct {
		id    uint32
		_     uint32
		value uint32
		_     [60]byte
	}
)

const programmaticStreamSerialization = 6

func words(v [3]int) [3]uint32 { return [3]uint32{uint32(v[0]), uint32(v[1]), uint32(v[2])} }

// LaunchCooperative is LaunchKernel for a grid whose blocks wait for each
// other: they have to be resident all at once (Occupancy).
func (d *Driver) LaunchCooperative(f Function, grid, block [3]int, dynamicShared int, s Stream, params []unsafe.Pointer) error {
	return d.call(launchCooperative, uintptr(f), uintptr(grid[0]), uintptr(grid[1]), uintptr(grid[2]),
		uintptr(block[0]), uintptr(block[1]), uintptr(block[2]), uintptr(dynamicShared), uintptr(s),
		uintptr(unsafe.Pointer(unsafe.SliceData(params))))
}
