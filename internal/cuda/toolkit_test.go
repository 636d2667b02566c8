package cuda

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"unsafe"
)

// TestCUBLAS calls a library that has cuBLAS's interface and counts columns
// first, as its documentation says.
func TestCUBLAS(t *testing.T) {
	d := &Driver{version: 12040}
	t.Setenv("LLCUDA_CUBLAS", "/nowhere/libcublas.so.12")
	if _, err := d.LoadCUBLAS(); !errors.Is(err, ErrNoCUBLAS) || !strings.Contains(err.Error(), "/nowhere") {
		t.Errorf("no library: %v", err)
	}
	t.Setenv("LLCUDA_CUBLAS", compile(t, `
		static void *stream, *work; static unsigned long bytes;
		int cublasCreate_v2(void **h) { *h = (void *)7; return 0; }
		int cublasDestroy_v2(void *h) { return h == (void *)7 ? 0 : 1; }
		int cublasSetStream_v2(void *h, void *s) { stream = s; return 0; }
		int cublasSetWorkspace_v2(void *h, void *w, unsigned long n) { work = w, bytes = n; return 0; }
		int cublasGemmEx(void *h, int ta, int tb, int m, int n, int k, const float *alpha, const float *A, int at, int lda,
				const float *B, int bt, int ldb, const float *beta, float *C, int ct, int ldc, int compute, int algo) {
			if (h != (void *)7 || stream != (void *)11 || work != (void *)256 || bytes != 4096) return 1;
			if (compute != 68 || algo != -1 || at || bt || ct) return 15;
			for (int i = 0; i < m; i++) for (int j = 0; j < n; j++) {
				float sum = 0;
				for (int l = 0; l < k; l++) sum += (ta ? A[i*lda + l] : A[l*lda + i]) * (tb ? B[l*ldb + j] : B[j*ldb + l]);
				C[j*ldc + i] = *alpha * sum + *beta * C[j*ldc + i];
			}
			return 0;
		}`))
	c, err := d.LoadCUBLAS()
	if err != nil {
		t.Fatal(err)
	}
	h, err := c.Create(11, 256, 4096)
	if err != nil {
		t.Fatal(err)
	}
	w, x, dst := []float32{1, 2, 3, 4, 5, 6}, []float32{1, 0, 1, 0, 2, 0}, make([]float32, 4) // (2, 3), (2, 3)
	onHeap = [][]float32{w, x, dst}
	at := func(f []float32) uint64 { return uint64(uintptr(unsafe.Pointer(&f[0]))) }
	if err := c.MatMul(h, at(dst), R32F, at(w), R32F, at(x), R32F, 2, 2, 3); err != nil || !slices.Equal(dst, []float32{4, 10, 4, 10}) {
		t.Errorf("product %v, %v", dst, err)
	}
	if err := c.MatMul(h, at(dst), R32F, at(w), R16F, at(x), R16F, 2, 2, 3); err == nil || !strings.Contains(err.Error(), "cublasGemmEx: CUBLAS_STATUS_NOT_SUPPORTED") {
		t.Errorf("a product that it has not: %v", err)
	}
	if err := c.Destroy(h); err != nil {
		t.Error(err)
	}
}

// onHeap keeps what C has the addresses of from moving with a stack.
var onHeap [][]float32

// TestNVRTC compiles a kernel where there is NVRTC.
func TestNVRTC(t *testing.T) {
	n, err := LoadNVRTC("")
	if errors.Is(err, ErrNoNVRTC) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	source := `#include "two.h"
		extern "C" __global__ void twice(float *x) { x[threadIdx.x] *= TWO; }`
	headers := map[string]string{"two.h": "#define TWO 2"}
	ptx, log, err := n.Compile("twice.cu", source, headers, "--gpu-architecture=compute_75")
	if err != nil || !bytes.Contains(ptx, []byte(".entry twice(")) {
		t.Errorf("PTX %q, log %q, %v", ptx, log, err)
	}
	cubin, log, err := n.Compile("twice.cu", source, headers, "--gpu-architecture=sm_75")
	if err != nil || !bytes.HasPrefix(cubin, []byte("\x7fELF")) {
		t.Errorf("%d bytes of machine code, log %q, %v", len(cubin), log, err)
	}
	if _, log, err := n.Compile("twice.cu", source, nil, "--gpu-architecture=sm_75"); err == nil || !strings.Contains(log, "two.h") || !strings.Contains(err.Error(), "NVRTC_ERROR_COMPILATION") {
		t.Errorf("a header that is not there: log %q, %v", log, err)
	}
}

func TestNoNVRTC(t *testing.T) {
	t.Setenv("LLCUDA_NVRTC", t.TempDir())
	if _, err := LoadNVRTC("12.4"); !errors.Is(err, ErrNoNVRTC) || !strings.Contains(err.Error(), "pip install") {
		t.Errorf("got %v", err)
	}
}
