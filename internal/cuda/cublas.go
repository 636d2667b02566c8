package cuda

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unsafe"
)

// ErrNoCUBLAS says that cuBLAS is not on this machine. It is never required.
var ErrNoCUBLAS = errors.New("cuda: cuBLAS is not on this machine (pip install nvidia-cublas-cu12, or LLCUDA_CUBLAS=file)")

// A CUBLAS is NVIDIA's library of matrix products
// (docs.nvidia.com/cuda/cublas), loaded.
type CUBLAS struct{ *part }

// A BLASHandle is cuBLAS at work in one context.
type BLASHandle uintptr

// Types of numbers (cudaDataType in library_types.h).
const (
	R32F = 0
	R16F = 2
	R16B = 14
)

// Enumerations of cublas_api.h.
const (
	gemmN, gemmT = 0, 1
	compute32F   = 68
	gemmDefault  = ^uintptr(0) // -1
)

const (
	blasCreate = iota
	blasDestroy
	blasSetStream
	blasSetWorkspace
	blasGemmEx
)

var blasStatus = map[int]string{1: "CUBLAS_STATUS_NOT_INITIALIZED", 3: "CUBLAS_STATUS_ALLOC_FAILED", 7: "CUBLAS_STATUS_INVALID_VALUE",
	8: "CUBLAS_STATUS_ARCH_MISMATCH", 11: "CUBLAS_STATUS_MAPPING_ERROR", 13: "CUBLAS_STATUS_EXECUTION_FAILED",
	14: "CUBLAS_STATUS_INTERNAL_ERROR", 15: "CUBLAS_STATUS_NOT_SUPPORTED"}

// LoadCUBLAS finds cuBLAS, at most as new as the driver. The error is
// ErrNoCUBLAS where there is none.
func (d *Driver) LoadCUBLAS() (*CUBLAS, error) {
	files := candidates("LLCUDA_CUBLAS", "cublas", versions(d.version, "libcublas.so.%d", "cublas64_%d.dll")...)
	for _, f := range files { // beside it lies a library that it needs and the loader may not find
		if dir, name := filepath.Split(f); dir != "" {
			_, _, _ = open(dir + strings.Replace(name, "cublas", "cublasLt", 1))
		}
	}
	p, err := loadPart(files, []string{"cublasCreate_v2", "cublasDestroy_v2", "cublasSetStream_v2", "cublasSetWorkspace_v2", "cublasGemmEx"})
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrNoCUBLAS, err)
	}
	p.text = func(code int) string {
		if s := blasStatus[code]; s != "" {
			return s
		}
		return fmt.Sprintf("status %d", code)
	}
	return &CUBLAS{p}, nil
}

// Path is the file that was loaded.
func (c *CUBLAS) Path() string { return c.path }

// Create makes a handle in the current context, which issues to a stream. work
// is device memory of so many bytes that products may use: with it they may be
// captured.
func (c *CUBLAS) Create(s Stream, work uint64, bytes int) (BLASHandle, error) {
	var h BLASHandle
	if err := c.call(blasCreate, uintptr(unsafe.Pointer(&h))); err != nil {
		return 0, err
	}
	err := c.call(blasSetStream, uintptr(h), uintptr(s))
	if err == nil {
		err = c.SetWorkspace(h, work, bytes)
	}
	if err != nil {
		return 0, errors.Join(err, c.Destroy(h))
	}
	return h, nil
}

// SetWorkspace gives a handle other memory, aligned to 256 bytes.
func (c *CUBLAS) SetWorkspace(h BLASHandle, work uint64, bytes int) error {
	return c.call(blasSetWorkspace, uintptr(h), uintptr(work), uintptr(bytes))
}

func (c *CUBLAS) Destroy(h BLASHandle) error { return c.call(blasDestroy, uintptr(h)) }

// MatMul issues dst (n, m) = x (n, k) · wᵀ (m, k), all row-major and dense, of
// these types (R32F, R16F, R16B), with float32 sums. cuBLAS counts columns
// first: its product is w's transpose by x.
func (c *CUBLAS) MatMul(h BLASHandle, dst uint64, dstType int, w uint64, wType int, x uint64, xType int, n, m, k int) error {
	alpha, beta := float32(1), float32(0)
	return c.call(blasGemmEx, uintptr(h), gemmT, gemmN, uintptr(m), uintptr(n), uintptr(k),
		uintptr(unsafe.Pointer(&alpha)), uintptr(w), uintptr(wType), uintptr(k), uintptr(x), uintptr(xType), uintptr(k),
		uintptr(unsafe.Pointer(&beta)), uintptr(dst), uintptr(dstType), uintptr(m), compute32F, gemmDefault)
}
