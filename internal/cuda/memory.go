package cuda

import "unsafe"

// MemGetInfo is the current device's memory in bytes.
func (d *Driver) MemGetInfo() (free, total int64, err error) {
	var f, t uint64
	err = d.call(memGetInfo, uintptr(unsafe.Pointer(&f)), uintptr(unsafe.Pointer(&t)))
	return int64(f), int64(t), err
}

// MemAlloc returns n bytes of device memory, n > 0, with any content.
func (d *Driver) MemAlloc(n int) (uint64, error) {
	var p uint64
	err := d.call(memAlloc, uintptr(unsafe.Pointer(&p)), uintptr(n))
	return p, err
}

func (d *Driver) MemFree(p uint64) error { return d.call(memFree, uintptr(p)) }

// MemHostAlloc returns n bytes of pinned host memory, n > 0, that every
// context may copy from and to at full speed and that kernels reach under the
// address MemHostGetDevicePointer. It lies outside Go's heap.
func (d *Driver) MemHostAlloc(n int) ([]byte, error) {
	const portable, mapped = 1, 2
	var p unsafe.Pointer
	if err := d.call(memHostAlloc, uintptr(unsafe.Pointer(&p)), uintptr(n), portable|mapped); err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(p), n), nil
}

// MemFreeHost frees what MemHostAlloc returned.
func (d *Driver) MemFreeHost(b []byte) error {
	return d.call(memFreeHost, uintptr(unsafe.Pointer(unsafe.SliceData(b))))
}

func (d *Driver) MemHostGetDevicePointer(b []byte) (uint64, error) {
	var p uint64
	err := d.call(memHostGetDevicePointer, uintptr(unsafe.Pointer(&p)), uintptr(unsafe.Pointer(unsafe.SliceData(b))), 0)
	return p, err
}

// MemcpyHtoD, MemcpyDtoH and MemcpyDtoD copy on a stream and return before
// they are done. Host memory is pinned and stays as it is until then.
func (d *Driver) MemcpyHtoD(dst uint64, src []byte, s Stream) error {
	return d.call(memcpyHtoD, uintptr(dst), uintptr(unsafe.Pointer(unsafe.SliceData(src))), uintptr(len(src)), uintptr(s))
}

func (d *Driver) MemcpyDtoH(dst []byte, src uint64, s Stream) error {
	return d.call(memcpyDtoH, uintptr(unsafe.Pointer(unsafe.SliceData(dst))), uintptr(src), uintptr(len(dst)), uintptr(s))
}

func (d *Driver) MemcpyDtoD(dst, src uint64, n int, s Stream) error {
	return d.call(memcpyDtoD, uintptr(dst), uintptr(src), uintptr(n), uintptr(s))
}

// MemsetD8 sets n bytes, MemsetD32 n words, on a stream.
func (d *Driver) MemsetD8(dst uint64, value byte, n int, s Stream) error {
	return d.call(memsetD8, uintptr(dst), uintptr(value), uintptr(n), uintptr(s))
}

func (d *Driver) MemsetD32(dst uint64, value uint32, n int, s Stream) error {
	return d.call(memsetD32, uintptr(dst), uintptr(value), uintptr(n), uintptr(s))
}
