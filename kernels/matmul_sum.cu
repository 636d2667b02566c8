// matmul_sum adds the parts of a product that was split along k (matmul.cuh,
// matmul_f32.cu), in order, so that results are the same each time:
//
//	dst[i][j] = x_scale[i]·w_scale[j]·Σ partial[s][i][j]
//
// Launch: 256 threads, a thread a number. Bound: bytes; for (512, 4096) in 2
// parts 25 MB: 9 µs on an H100, computed.
#include "format.cuh"
#include "number.cuh"

struct SumArgs {
	uint64_t partial; // f32 (splits, n, m)
	uint64_t x_scale; // f32 (n), or 0
	uint64_t w_scale; // f32 (m), or 0
	uint64_t dst;     // (n, ldd)
	int32_t n, m, ldd;
	int32_t splits;
	int32_t type;     // of dst: F32, F16, BF16
	int32_t pad;
};

KERNEL(matmul_sum, SumArgs, 256, 4) {
	int64_t i = (int64_t)blockIdx.x * 256 + threadIdx.x, size = (int64_t)a.n * a.m;
	if (i >= size) return;
	float sum = 0;
#pragma unroll 4
	for (int s = 0; s < a.splits; s++) sum += ((const float *)a.partial)[s * size + i];
	int row = (int)(i / a.m), col = (int)(i - (int64_t)row * a.m);
	if (a.x_scale) sum *= ((const float *)a.x_scale)[row];
	if (a.w_scale) sum *= ((const float *)a.w_scale)[col];
	put_number((void *)a.dst, a.type, (int64_t)row * a.ldd + col, sum);
}
