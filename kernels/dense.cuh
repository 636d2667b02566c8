// Large products of f16 on tensor cores: dst (n, m) = x (n, k) · wᵀ (m, k), for
// cards whose blocks have 100 KB of shared memory and more.
//
// A block makes BM rows of w by BN rows of x, BK = 64 columns a step (BK = 32
// in one shape): warps of 64×64, sums f32 in registers. cp.async fills
// STAGES-1 stages ahead. A warp loads the fragments of 16 columns while it
// multiplies those of the 16 before, across the end of a step too: the one
// barrier of a step stands before its last 16 columns, when every warp has the
// fragments of all that it needs of this stage's older neighbour.
//
// Shared memory: rows of BK numbers, 16-byte unit u of row r at place u ^ (r mod
// 8) (BK = 32: u ^ (r/2 mod 4)): the 8 rows of an ldmatrix, and 8 threads that
// copy units of a row, touch all 32 banks once.
//
// Launch: 1-D grid of tiles, STAGES·(BM+BN)·BK·2 bytes of shared memory. k is
// a multiple of BK. Tiles follow each other in bands of `band` tiles of x, so
// that blocks that run at a time share rows in L2.
//
// Bound, 256×128: 128 mma a quarter of an SM and 64 columns·½, at Hopper's
// mma.sync rate of 6.4 cycles 1638 a step; ldmatrix takes 1024 of them, copies
// 384. 600 TFLOP/s on an H100 or H200; L2 gives 85 operations a byte, 5.9 TB/s
// at 500.
#pragma once
#include "matmul.cuh"
#include "wgmma.cuh"

struct DenseArgs {
	uint64_t w, x;    // f16 (m, ldw), (n, ldx)
	uint64_t x_scale; // f32 (n), or 0 for ones
	uint64_t w_scale; // f32 (m), likewise
	uint64_t dst;     // (n, ldd)
	int32_t n, m;
	int32_t ldx, ldw, ldd;
	int32_t k;
	int32_t type; // of dst
	int32_t band;
};

// A Spot is where a tile of the product lies.
struct Spot {
	int n0, m0;
};

template <int BM, int BN> DEVICE Spot spot(const DenseArgs &a) {
	int tiles_n = (a.n + BN - 1) / BN, tiles_m = (a.m + BM - 1) / BM;
	int band = (int)blockIdx.x / (a.band * tiles_m), width = min(a.band, tiles_n - band * a.band);
	int rest = (int)blockIdx.x - band * a.band * tiles_m;
	return {(band * a.band + rest % width) * BN, rest / width * BM};
}

// A DenseCopy brings BK columns of both operands to a stage: the rows of w, then
// those of x. Rows past the last are the last once more.
template <int BM, int BN, int BK, int threads> struct DenseCopy {
	static constexpr int per_row = BK / 8, rows = threads / per_row; // units, rows at a time
	static constexpr int of_w = BM / rows, units = of_w + (BN + rows - 1) / rows;
	static_assert(BM % rows == 0, "whole rounds of copies");
	const char *w, *x;
	uint32_t at[units]; // in 16 bytes
	int to;             // place of the first unit in a stage; the others are whole rounds on

	__device__ __forceinline__ void start(const DenseArgs &a, Spot s) {
		int row = (int)threadIdx.x / per_row, u = (int)threadIdx.x % per_row;
		w = (const char *)a.w, x = (const char *)a.x;
#pragma unroll
		for (int i = 0; i < units; i++) {
			bool is_w = i < of_w;
			int r = (is_w ? s.m0 + i * rows : s.n0 + (i - of_w) * rows) + row, last = (is_w ? a.m : a.n) - 1;
			at[i] = (uint32_t)min(r, last) * (uint32_t)((is_w ? a.ldw : a.ldx) / 8) + u;
		}
		to = row * BK * 2 + ((u ^ (BK == 64 ? row & 7 : row >> 1 & 3)) << 4);
	}
	// some copies units lo to hi-1.
	__device__ __forceinline__ void some(char *stage, int lo, int hi) {
#pragma unroll
		for (int i = 0; i < units; i++) {
			bool there = BN % rows == 0 || i < units - 1 || (int)threadIdx.x / per_row < BN % rows;
			if (i >= lo && i < hi && there) cp_async16(stage + to + i * rows * BK * 2, (i < of_w ? w : x) + (int64_t)at[i] * 16);
		}
	}
	__device__ __forceinline__ void next() { w += BK * 2, x += BK * 2; }
};

// store_sums stores `width` sums in shared memory as row n of dst, from column
// m0 on; a warp does it, 4 numbers a lane where rows of dst allow it.
DEVICE void store_sums(const DenseArgs &a, int n, int m0, int width, const float *sums) {
	int lane = threadIdx.x & 31, count = min(width, a.m - m0);
	float by = a.x_scale ? ((const float *)a.x_scale)[n] : 1;
	int64_t at = (int64_t)n * a.ldd + m0;
	const float *scale = a.w_scale ? (const float *)a.w_scale + m0 : 0;
	if (count == width && a.ldd % 4 == 0 && a.dst % 16 == 0 && a.w_scale % 16 == 0) {
#pragma unroll 2
		for (int i = lane * 4; i < width; i += 128) {
			float4 v = *(const float4 *)(sums + i);
			v.x *= by, v.y *= by, v.z *= by, v.w *= by;
			if (scale) {
				float4 s = *(const float4 *)(scale + i);
				v.x *= s.x, v.y *= s.y, v.z *= s.z, v.w *= s.w;
			}
			if (a.type == F32) *(float4 *)((float *)a.dst + at + i) = v;
			else if (a.type == F16) *(uint2 *)((uint16_t *)a.dst + at + i) = make_uint2(pack_h2(v.x, v.y), pack_h2(v.z, v.w));
			else *(uint2 *)((uint16_t *)a.dst + at + i) = make_uint2(f2bf(v.x) | (uint32_t)f2bf(v.y) << 16, f2bf(v.z) | (uint32_t)f2bf(v.w) << 16);
		}
		return;
	}
#pragma unroll 1
	for (int i = lane; i < count; i += 32) store_number(a.dst, a.type, at + i, sums[i] * by * (scale ? scale[i] : 1));
}

template <int BM, int BN, int WM, int WN, int BK, int STAGES> DEVICE void dense_tile(const DenseArgs &a) {
	constexpr int across = BN / WN, warps = BM / WM * across, threads = warps * 32;
	constexpr int MT = WM / 16, NT = WN / 8, KK = BK / 16;
	constexpr int ROW = BK * 2, STAGE = (BM + BN) * ROW, OUT_ROW = BM + 4;
	int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
	Spot tile = spot<BM, BN>(a);
	char *stages = dynamic_shared();
	using Copy = DenseCopy<BM, BN, BK, threads>;
	constexpr int units = Copy::units;
	Copy copy;
	copy.start(a, tile);
	int steps = a.k / BK;

	float sum[MT][NT][4];
#pragma unroll
	for (int i = 0; i < MT; i++)
#pragma unroll
		for (int j = 0; j < NT; j++) sum[i][j][0] = sum[i][j][1] = sum[i][j][2] = sum[i][j][3] = 0;

#pragma unroll 1
	for (int s = 0; s < STAGES - 1; s++) {
		if (s < steps) copy.some(stages + s * STAGE, 0, units), copy.next();
		cp_async_commit();
	}

	// Where this lane's rows of the operands begin (ldmatrix4).
	int wm = warp / across * WM, wn = warp % across * WN;
	int turn = BK == 64 ? lane & 7 : lane >> 1 & 3; // of the row's units
	int a_row = (wm + (lane & 15)) * ROW + ((lane >> 4 ^ turn) << 4);
	int b_row = (BM + wn + (lane & 7) + (lane >> 4) * 8) * ROW + (((lane >> 3 & 1) ^ turn) << 4);

	uint32_t left[2][MT][4], right[2][NT / 2][4];
	cp_async_wait<STAGES - 2>();
	__syncthreads();
#pragma unroll
	for (int j = 0; j < NT / 2; j++) ldmatrix4(right[0][j], stages + b_row + j * 16 * ROW);
#pragma unroll
	for (int i = 0; i < MT; i++) ldmatrix4(left[0][i], stages + a_row + i * 16 * ROW);

	char *now = stages, *end = stages + STAGES * STAGE, *then = end - STAGE; // stages that are read and filled
#pragma unroll 1
	for (int s = 0; s < steps; s++) {
#pragma unroll
		for (int kk = 0; kk < KK; kk++) {
			if (kk == KK - 1) {
				cp_async_wait<STAGES - 2>();
				__syncthreads();
				then = now;
				if ((now += STAGE) == end) now = stages;
			}
			constexpr int last = KK - 1;
			int to = kk + 1 & 1, column = (kk == last ? 0 : kk + 1) << 5;
#pragma unroll
			for (int j = 0; j < NT / 2; j++) ldmatrix4(right[to][j], now + (b_row ^ column) + j * 16 * ROW);
#pragma unroll
			for (int i = 0; i < MT; i++) ldmatrix4(left[to][i], now + (a_row ^ column) + i * 16 * ROW);
			if (kk < last) {
				if (s + STAGES - 1 < steps) copy.some(then, units * kk / last, units * (kk + 1) / last);
				if (kk == last - 1) copy.next(), cp_async_commit();
			}
#pragma unroll
			for (int i = 0; i < MT; i++)
#pragma unroll
				for (int j = 0; j < NT; j++) {
					int turned = i % 2 ? NT - 1 - j : j; // back and forth: operands stay where they are
					mma_f16(sum[i][turned], left[kk & 1][i], right[kk & 1][turned / 2] + turned % 2 * 2);
				}
		}
	}
	cp_async_wait<0>();

	// As in matmul.cuh: through shared memory, 16 columns of a warp at a time.
	float *out = (float *)dynamic_shared();
	int m_at = wm + (lane >> 2), n_at = warp % across * 16 + (lane & 3) * 2;
#pragma unroll
	for (int pass = 0; pass < NT / 2; pass++) {
		__syncthreads();
#pragma unroll
		for (int j = 0; j < 2; j++)
#pragma unroll
			for (int i = 0; i < MT; i++)
#pragma unroll
				for (int e = 0; e < 4; e++) out[(n_at + j * 8 + e % 2) * OUT_ROW + m_at + i * 16 + e / 2 * 8] = sum[i][pass * 2 + j][e];
		__syncthreads();
#pragma unroll 1
		for (int row = warp; row < 16 * across; row += warps) {
			int n = tile.n0 + row / 16 * WN + pass * 16 + row % 16;
			if (n < a.n) store_sums(a, n, tile.m0, BM, out + row * OUT_ROW);
		}
	}
}

// hopper_tile makes BM×256 results by wgmma, 64×256 each warpgroup, 64
// columns a step, in four stages. Step s is asked for while step s-1 is being
// multiplied, and the barrier before it says that all are done with step s-2:
// its stage takes step s+2.
//
// Bound: a step takes 1024 cycles of the tensor cores, and shared memory is read
// and written for 1024, too: 990 TFLOP/s at 1.83 GHz.
template <int BM> DEVICE void hopper_tile(const DenseArgs &a) {
	constexpr int BN = 256, BK = 64, STAGES = 4, STAGE = (BM + BN) * 128, OUT_ROW = BM + 4;
	int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, group = __shfl_sync(full_warp, warp / 4, 0);
	Spot tile = spot<BM, BN>(a);
	char *stages = aligned_shared(dynamic_shared());
	using Copy = DenseCopy<BM, BN, BK, BM * 2>;
	constexpr int units = Copy::units;
	Copy copy;
	copy.start(a, tile);
	int steps = a.k / BK;

	float sum[128];
#pragma unroll
	for (int i = 0; i < 128; i++) sum[i] = 0;

#pragma unroll 1
	for (int s = 0; s < 2; s++) {
		if (s < steps) copy.some(stages + s * STAGE, 0, units), copy.next();
		cp_async_commit();
	}
	uint64_t w = matrix(stages + group * 64 * 128), x = matrix(stages + BM * 128);
	int now = 0;
#pragma unroll 1
	for (int s = 0; s < steps; s++) {
		cp_async_wait<1>();
		async_fence();
		__syncthreads();
		wgmma_fence();
#pragma unroll
		for (int kk = 0; kk < 4; kk++) wgmma_f16(sum, w + now * (STAGE >> 4) + kk * 2, x + now * (STAGE >> 4) + kk * 2);
		wgmma_commit();
		if (s + 2 < steps) copy.some(stages + (now ^ 2) * STAGE, 0, units), copy.next();
		cp_async_commit();
		wgmma_wait<1>(sum);
		now = now + 1 & 3;
	}
	wgmma_wait<0>(sum);
	cp_async_wait<0>();
	__syncthreads();

	float *out = (float *)stages;
	int m_at = warp * 16 + (lane >> 2), n_at = (lane & 3) * 2;
#pragma unroll
	for (int i = 0; i < 128; i++) out[(n_at + i / 4 * 8 + i % 2) * OUT_ROW + m_at + i % 4 / 2 * 8] = sum[i];
	__syncthreads();
#pragma unroll 1
	for (int row = warp; row < BN; row += BM / 16) {
		if (tile.n0 + row < a.n) store_sums(a, tile.n0 + row, tile.m0, BM, out + row * OUT_ROW);
	}
}
