package kernels

import (
	"fmt"
	"reflect"
	"unsafe"

	"github.com/llcuda/llcuda/internal/cuda"
	"github.com/llcuda/llcuda/tensor"
)

// ptr is the address of a tensor for a kernel, 0 for none.
func ptr(t *tensor.Tensor) uint64 {
	if t == nil {
		return 0
	}
	return uint64(t.Addr)
}

// ceil is how many pieces of size n cover x.
func ceil(x, n int) int { return (x + n - 1) / n }

// launch issues a kernel on a row of blocks, unless there are none. args is
// the Go mirror of the kernel's argument struct; smem its dynamic shared
// memory in bytes.
func (d *Device) launch(kernel string, grid, block, smem int, args unsafe.Pointer) error {
	return d.launch3(kernel, [3]int{grid, 1, 1}, [3]int{block, 1, 1}, smem, args)
}

// launch3 is launch on three-dimensional blocks.
func (d *Device) launch3(kernel string, grid, block [3]int, smem int, args unsafe.Pointer) error {
	launch := d.drv.LaunchKernel
	if d.chained {
		launch = d.drv.LaunchDependent
	}
	return d.start(kernel, grid, block, smem, args, launch)
}

// launchCooperative is launch for a kernel whose blocks wait for each other:
// there are at most blocksPerSM·sms of them.
func (d *Device) launchCooperative(kernel string, grid, block, smem int, args unsafe.Pointer) error {
	return d.start(kernel, [3]int{grid, 1, 1}, [3]int{block, 1, 1}, smem, args, d.drv.LaunchCooperative)
}

type launcher func(f cuda.Function, grid, block [3]int, smem int, s cuda.Stream, params []unsafe.Pointer) error

func (d *Device) start(kernel string, grid, block [3]int, smem int, args unsafe.Pointer, launch launcher) error {
	f, err := d.kernel(kernel, smem)
	if err != nil || d.dry || grid[0]*grid[1]*grid[2] == 0 {
		return err
	}
	if err := launch(f.handle, grid, block, smem, d.stream, []unsafe.Pointer{args}); err != nil {
		return fmt.Errorf("kernel %s, grid %v, block %v, %d bytes shared: %w", kernel, grid, block, smem, err)
	}
	d.chained = d.chaining
	d.launches++
	return nil
}

// issue is for work of other kinds: do puts it on the stream. Like a launch it
// is left out while operations are issued dry.
func (d *Device) issue(do func(s cuda.Stream) error) error {
	if d.dry {
		return nil
	}
	d.chained = false
	return do(d.stream)
}

// zero sets n bytes of the card to 0, in order with the launches.
func (d *Device) zero(addr uint64, n int) error {
	if d.dry || n == 0 {
		return nil
	}
	d.chained = false
	return d.drv.MemsetD8(addr, 0, n, d.stream)
}

// move copies n bytes on the card, in order with the launches.
func (d *Device) move(dst, src uint64, n int) error {
	if d.dry || n == 0 {
		return nil
	}
	d.chained = false
	return d.drv.MemcpyDtoD(dst, src, n, d.stream)
}

// blocksPerSM is how many blocks of a kernel one SM holds at a time.
func (d *Device) blocksPerSM(kernel string, block, smem int) (int, error) {
	f, err := d.kernel(kernel, smem)
	if err != nil {
		return 0, err
	}
	return d.drv.Occupancy(f.handle, block, smem)
}

// mirrors are the Go structs that kernels get as their argument, by kernel.
var mirrors = map[string]uintptr{}

// mirror registers the argument of kernels: mirror("glu", gluArgs{}), or
// mirror(storeArgs{}, "store_f32", "store_f16"). A test compares its size with
// what the images say.
func mirror[A, B any](first A, rest ...B) struct{} {
	parts := []any{first}
	for _, p := range rest {
		parts = append(parts, p)
	}
	var size uintptr
	var kernels []string
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			kernels = append(kernels, p)
		case []string:
			kernels = append(kernels, p...)
		default:
			size = reflect.TypeOf(p).Size()
		}
	}
	for _, k := range kernels {
		mirrors[k] = size
	}
	return struct{}{}
}
