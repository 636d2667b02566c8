// matmul_f32_{128,64}, matmul_plain: dst (n, m) = x (n, k) · wᵀ (m, k) in full
// float32, for weights that are f32 (or f64 and integers, matmul_plain), of
// which users expect what PyTorch's default gives: no f16 and no TF32.
//
// A block of 256 threads makes a tile of T×T results, each thread (T/16)²; K
// columns of both operands at a time lie transposed in shared memory, the next
// ones are on their way to registers. Sums go along k in order.
//
// Launch: 1-D grid of tiles·splits (see matmul.cuh), 256 threads. Bound by
// fma: for each k a thread of T = 128 does 64 with 4 loads of 16 bytes; 60 % of
// 67 TFLOP/s on an H100, of 8 on a T4, by their data sheets.
#include "format.cuh"
#include "number.cuh"

struct MatMulF32Args {
	uint64_t w, x, dst;
	uint64_t partial; // f32 (splits, n, m), or 0
	int32_t n, m, k;
	int32_t each;     // columns of a split, a multiple of 16
	int32_t wide;     // 1: rows begin at multiples of 16 bytes
	int32_t w_type, x_type, type;
};

// four are columns k to k+3 of a row, zeros past the end.
template <bool any> DEVICE float4 four(uint64_t p, int type, const MatMulF32Args &a, int row, int rows, int k, int end) {
	float4 v = make_float4(0, 0, 0, 0);
	if (row >= rows || k >= end) return v;
	int64_t at = (int64_t)row * a.k + k;
	if constexpr (!any) {
		if (a.wide) return *(const float4 *)((const float *)p + at);
		type = F32;
	}
	v.x = any ? number_at((const char *)p, type, at) : ((const float *)p)[at];
	if (k + 1 < end) v.y = any ? number_at((const char *)p, type, at + 1) : ((const float *)p)[at + 1];
	if (k + 2 < end) v.z = any ? number_at((const char *)p, type, at + 2) : ((const float *)p)[at + 2];
	if (k + 3 < end) v.w = any ? number_at((const char *)p, type, at + 3) : ((const float *)p)[at + 3];
	return v;
}

template <int T, int K, bool any> DEVICE void tile_f32(const MatMulF32Args &a) {
	constexpr int R = T / 16, ROW = T + 4; // results a side of a thread; padded rows
	SHARED float left[2][K * ROW], right[2][K * ROW];
	int tid = threadIdx.x, tx = tid % 16, ty = tid / 16;
	int tiles_m = (a.m + T - 1) / T, tiles = (a.n + T - 1) / T * tiles_m;
	int tile = (int)(blockIdx.x % (uint32_t)tiles), split = (int)(blockIdx.x / (uint32_t)tiles);
	int m0 = tile % tiles_m * T, n0 = tile / tiles_m * T;
	int begin = split * a.each, end = min(a.k, begin + a.each);

	int row = tid / (K / 4), col = tid % (K / 4) * 4; // what this thread loads
	float sum[R][R];
#pragma unroll
	for (int i = 0; i < R; i++)
#pragma unroll
		for (int j = 0; j < R; j++) sum[i][j] = 0;

	float4 w = four<any>(a.w, a.w_type, a, m0 + row, a.m, begin + col, end);
	float4 x = four<any>(a.x, a.x_type, a, n0 + row, a.n, begin + col, end);
	int now = 0;
	for (int k = begin; k < end; k += K, now ^= 1) {
		float *l = left[now] + col * ROW + row, *r = right[now] + col * ROW + row;
		l[0] = w.x, l[ROW] = w.y, l[2 * ROW] = w.z, l[3 * ROW] = w.w;
		r[0] = x.x, r[ROW] = x.y, r[2 * ROW] = x.z, r[3 * ROW] = x.w;
		__syncthreads();
		if (k + K < end) {
			w = four<any>(a.w, a.w_type, a, m0 + row, a.m, k + K + col, end);
			x = four<any>(a.x, a.x_type, a, n0 + row, a.n, k + K + col, end);
		}
#pragma unroll
		for (int i = 0; i < K; i++) {
			float p[R], q[R];
#pragma unroll
			for (int part = 0; part < R / 4; part++) {
				*(float4 *)(p + 4 * part) = *(const float4 *)(left[now] + i * ROW + part * 64 + tx * 4);
				*(float4 *)(q + 4 * part) = *(const float4 *)(right[now] + i * ROW + part * 64 + ty * 4);
			}
#pragma unroll
			for (int u = 0; u < R; u++)
#pragma unroll
				for (int v = 0; v < R; v++) sum[u][v] = fmaf(p[u], q[v], sum[u][v]);
		}
	}

#pragma unroll
	for (int v = 0; v < R; v++) {
		int n = n0 + v / 4 * 64 + ty * 4 + v % 4;
		if (n >= a.n) continue;
#pragma unroll
		for (int u = 0; u < R; u++) {
			int m = m0 + u / 4 * 64 + tx * 4 + u % 4;
			if (m >= a.m) continue;
			int64_t at = (int64_t)n * a.m + m;
			if (a.partial) ((float *)a.partial)[(int64_t)split * a.n * a.m + at] = sum[u][v];
			else put_number((void *)a.dst, any ? a.type : F32, at, sum[u][v]);
		}
	}
}

KERNEL(matmul_f32_128, MatMulF32Args, 256, 2) { tile_f32<128, 8, false>(a); }
KERNEL(matmul_f32_64, MatMulF32Args, 256, 4) { tile_f32<64, 16, false>(a); }
KERNEL(matmul_plain, MatMulF32Args, 256, 3) { tile_f32<64, 16, true>(a); }
