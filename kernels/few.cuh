// Products of a few rows with packed weights: y (n, m) = x (n, k)·Wᵀ, n ≤ 8.
//
// It is matvec's product (dot.cuh, product.cuh) with the weights' part of the
// work done once for all rows: a tile becomes bytes and factors, and then each
// row takes four mma and ten instructions more. A row's result does not depend
// on the others, in one bit.
//
// A block has a part of the columns, as many as have room in shared memory, for
// all rows; the parts are added by matmul_sum. Launch: 512 threads, splits·b
// blocks. Bound by instructions and shared memory from four rows on.
// measured, four rows: q4_k 14336 × 4096 19.3 µs, q6_k 4096 × 14336 23.3 µs (H100,
// 2026-11-28).
#pragma once
#include "product.cuh"

const int FEW_ROWS = 8;

struct FewArgs {
	Planes w;
	uint64_t x;     // rows of Activations for all columns (few_input)
	uint64_t dst;   // f32 (splits, n, m)
	int32_t first;  // row of w's planes, of a tile
	int32_t n, m;
	int32_t groups; // of 128 columns
	int32_t each;   // groups of a split; even where superblocks are
	int32_t splits;
	int32_t share;  // 1<<share warps share a unit
	int32_t sums;   // bytes before the sums: activations
};

// A Tile is a tile's numbers: number i of a chunk is d[i/16]·q[i] + m[i/16].
struct Tile {
	uint32_t q[2][8];
	float d[2][2], m[2][2];
};

template <int type> DEVICE void numbers(Tile &t, const Loaded v[2], int j) {
	constexpr uint32_t by = type == Q4_0 ? 8 : type == Q5_0 ? 16 : type == Q3_K ? 4 : type == Q6_K ? 32 : 0;
#pragma unroll
	for (int i = 0; i < 2; i++) {
		const Loaded &l = v[i];
		uint32_t *q = t.q[i];
		integers<type>(q, q + 4, l);
		if (by > 0)
#pragma unroll
			for (int k = 0; k < 8; k++) q[k] = centre(q[k], by);
		float d = h2f(l.d), m = h2f(l.d >> 16);
		t.m[i][0] = t.m[i][1] = 0;
		if (type == Q4_1 || type == Q5_1) t.m[i][0] = t.m[i][1] = m;
		if (type == Q4_K || type == Q5_K) {
			uint32_t field = scale_offset(l.b, j);
			d = h2f(l.b.x) * (float)(int)(field & 63), m = -(h2f(l.b.x >> 16) * (float)(int)(field >> 6));
			t.m[i][0] = t.m[i][1] = m;
		}
		if (type == IQ4_XS) d *= (float)(int8_t)l.s;
		if (type == MXFP4) d = half_e8m0(l.s);
		t.d[i][0] = t.d[i][1] = d;
		if (type == Q6_K || type == Q3_K) t.d[i][0] = d * (float)(int8_t)l.s, t.d[i][1] = d * (float)(int8_t)(l.s >> 8);
		if (type == Q2_K) {
			t.d[i][0] = d * (float)(int)(l.s & 15), t.d[i][1] = d * (float)(int)(l.s >> 8 & 15);
			t.m[i][0] = -(m * (float)(int)(l.s >> 4 & 15)), t.m[i][1] = -(m * (float)(int)(l.s >> 12));
		}
	}
}

// dot_rows adds the products of a tile with four rows, `apart` bytes from each
// other: their parts of operand B from b0 and b1 on, and from meta on {scale,
// scale·sum of the first half, of the second, of both}. Rows take turns, so that
// no product waits for the one before. (What comes of rows past the last is not
// looked at.)
template <int type> DEVICE void dot_rows(float y0[4], float y1[4], const Tile &t, const char *b0, const char *b1, const char *meta, int apart) {
	int a[4][4] = {}, b[4][4] = {};
#pragma unroll
	for (int i = 0; i < 4; i += 2) {
		const uint32_t fa[4] = {t.q[0][i], t.q[1][i], t.q[0][i + 1], t.q[1][i + 1]}, sa[4] = {t.q[0][4 + i], t.q[1][4 + i], t.q[0][5 + i], t.q[1][5 + i]};
#pragma unroll
		for (int r = 0; r < 4; r++) {
			uint2 x = *(const uint2 *)(b0 + r * apart + 4 * i);
			const uint32_t k[2] = {x.x, x.y};
			mma_s8(a[r], fa, k);
		}
#pragma unroll
		for (int r = 0; r < 4; r++) {
			uint2 x = *(const uint2 *)(b1 + r * apart + 4 * i);
			const uint32_t k[2] = {x.x, x.y};
			mma_s8(two_scales(type) ? b[r] : a[r], sa, k);
		}
	}
#pragma unroll
	for (int r = 0; r < 4; r++) {
		float4 x = *(const float4 *)(meta + r * apart);
		float v0 = t.d[0][0] * (float)(a[r][0] * 128 + a[r][1]), v1 = t.d[1][0] * (float)(a[r][2] * 128 + a[r][3]);
		if (two_scales(type)) v0 += t.d[0][1] * (float)(b[r][0] * 128 + b[r][1]), v1 += t.d[1][1] * (float)(b[r][2] * 128 + b[r][3]);
		y0[r] += x.x * v0, y1[r] += x.x * v1;
		if (type == Q2_K) y0[r] += t.m[0][0] * x.y + t.m[0][1] * x.z, y1[r] += t.m[1][0] * x.y + t.m[1][1] * x.z;
		else if (has_offset(type)) y0[r] += t.m[0][0] * x.w, y1[r] += t.m[1][0] * x.w;
	}
}

// bring copies groups [from, from+groups) of n rows to shared memory, all at
// once where copies are asynchronous.
DEVICE void bring(const FewArgs &a, int from, int groups, int bytes) {
	int all = a.groups * 4, here = groups * 4;
	for (int i = threadIdx.x >> 5; i < a.n * 5; i += MATVEC_WARPS) {
		int row = i / 5, array = i - row * 5;
		const uint4 *x = (const uint4 *)a.x + ((int64_t)row * 5 + array) * all + from * 4;
		Activations to = activations(dynamic_shared() + row * bytes, groups * 128);
		uint4 *y = array == 0 ? to.hi0 : array == 1 ? to.hi1 : array == 2 ? to.lo0 : array == 3 ? to.lo1 : (uint4 *)to.meta;
#pragma unroll 4
		for (int k = threadIdx.x & 31; k < here; k += 32) cp_async16(y + k, x + k);
		if (array == 4 && (threadIdx.x & 31) < 4) to.zeros[threadIdx.x & 3] = make_uint4(0, 0, 0, 0);
	}
	cp_async_commit();
	cp_async_wait<0>();
}

template <int type> DEVICE void few(const FewArgs &a) {
	const int N = FEW_ROWS;
	const int share = a.share, warp = threadIdx.x >> 5, lane = threadIdx.x & 31, rank = warp & (1 << share) - 1, at_once = MATVEC_WARPS >> share;
	const int split = blockIdx.x % a.splits, block = blockIdx.x / a.splits, blocks = gridDim.x / a.splits;
	const int from = split * a.each, groups = min(a.each, a.groups - from), bytes = activation_bytes(groups * 128);
	const int units = (a.m + 15) / 16, items = groups - rank + (1 << share) - 1 >> share, step = 64 << share;
	const int j = 4 * (from + rank) + (lane & 3) & 7;
	char *memory = dynamic_shared();
	float *sums = (float *)(memory + a.sums);
	Loaded pending[2];

	// The items of this warp: units block+blocks·(warp>>share), … and of each
	// the groups rank, rank+(1<<share), … The next one is on its way in registers.
	int next = block + blocks * (warp >> share), left = items, tile = (a.first / 16 + next) * a.groups + from + rank;
	auto fetch = [&]() {
		if (left == 0) next += blocks * at_once, left = items, tile = (a.first / 16 + next) * a.groups + from + rank;
		if (next >= units || left == 0) return;
		fetch_direct<type>(pending, a.w, tile);
		left--, tile += 1 << share;
	};
	fetch();
	bring(a, from, groups, bytes);
	__syncthreads();

	Input in = input_of(activations(memory, groups * 128));
	if (in.by == 0) in.b0 = in.b1 = (int)((const char *)(activations(memory, groups * 128).zeros + (lane < 16 ? 2 : 0)) - memory); // banks of the other half's chunks
	int turn = 0;
	for (int round = block; round < units; round += blocks * at_once, turn ^= 1) {
		int unit = round + blocks * (warp >> share);
		float y0[N] = {}, y1[N] = {};
		if (unit < units) {
			int b0 = in.b0 + rank * in.by, b1 = in.b1 + rank * in.by, meta = in.meta + rank * 64;
#pragma unroll 1
			for (int i = 0; i < items; i++) {
				Loaded v[2] = {pending[0], pending[1]};
				fetch();
				Tile t;
				numbers<type>(t, v, j);
#pragma unroll
				for (int r = 0; r < N; r += 4) {
					if (r >= a.n) break;
					const char *x = memory + r * bytes;
					dot_rows<type>(y0 + r, y1 + r, t, x + b0, x + b1, x + meta, bytes);
				}
				b0 += in.by << share, b1 += in.by << share, meta += step;
			}
		}
		float *mine = sums + ((turn * MATVEC_WARPS + warp) * N) * 16;
#pragma unroll
		for (int r = 0; r < N; r++) {
			if (r >= a.n) break;
			float own = lane & 1 ? y1[r] : y0[r], other = lane & 1 ? y0[r] : y1[r];
			own += __shfl_xor_sync(full_warp, other, 1);
			own += __shfl_xor_sync(full_warp, own, 2);
			if ((lane & 2) == 0) mine[r * 16 + (lane & 1) * 8 + (lane >> 2)] = own;
		}
		__syncthreads();
		for (int i = threadIdx.x; i < at_once * a.n * 16; i += MATVEC_THREADS) {
			int u = i / (a.n * 16), r = i / 16 - u * a.n, row = (round + blocks * u) * 16 + (i & 15);
			const float *part = sums + ((turn * MATVEC_WARPS + (u << share)) * N + r) * 16 + (i & 15);
			float y = 0;
			for (int w = 0; w < 1 << share; w++) y += part[w * N * 16];
			if (row < a.m) ((float *)a.dst)[((int64_t)split * a.n + r) * a.m + row] = y;
		}
	}
}

#define FEW(type, name) \
	KERNEL(few_##name, FewArgs, MATVEC_THREADS, 1) { few<type>(a); }
