// transpose_{bits}: dst (c, r) = xᵀ of x (r, c), numbers of that many bits.
// Launch: a block of 256 a tile of 32×32, which goes through shared memory so
// that reads and writes both are of whole lines. Bound: bytes of x and dst.
// measured: not yet
#include "cuda.cuh"

struct Transpose {
	uint64_t dst, x;
	int64_t rows, cols;
	int64_t across; // tiles in a row of them
};

template <class S> DEVICE void transpose(const Transpose &a) {
	SHARED S tile[32][33];
	int tx = threadIdx.x % 32, ty = threadIdx.x / 32;
	int64_t row = blockIdx.x / a.across * 32, col = blockIdx.x % a.across * 32;
	const S *x = (const S *)a.x;
	S *dst = (S *)a.dst;
	for (int i = ty; i < 32; i += 8)
		if (row + i < a.rows && col + tx < a.cols) tile[i][tx] = x[(row + i) * a.cols + col + tx];
	__syncthreads();
	for (int i = ty; i < 32; i += 8)
		if (col + i < a.cols && row + tx < a.rows) dst[(col + i) * a.rows + row + tx] = tile[tx][i];
}

KERNEL(transpose_8, Transpose, 256, 4) { transpose<uint8_t>(a); }
KERNEL(transpose_16, Transpose, 256, 4) { transpose<uint16_t>(a); }
KERNEL(transpose_32, Transpose, 256, 4) { transpose<uint32_t>(a); }
KERNEL(transpose_64, Transpose, 256, 4) { transpose<uint64_t>(a); }
