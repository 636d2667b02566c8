// Products of a few rows with packed weights: y (n, m) = x (n, k)·Wᵀ, n ≤ 32.
//
// A tile (format.cuh) becomes f16 in registers and goes through the tensor cores:
// 16 rows of W with eight of x at a time. In a tile each lane has a chunk of its
// own, and in which order columns are added is free: so a lane multiplies its
// chunk with the same columns of x, and nothing is moved. A row's result does not
// depend on the others, in one bit. (Integers as for one row were tried: the sums of
// each chunk need its scales. 32 rows of q4_k 14336 × 4096 took 49 µs so, not 31.)
//
// A block has a part of the columns, as many as have room in shared memory, for
// all rows; the parts are added by matmul_sum. 1<<share warps share the columns
// of a unit. Launch: 512 threads, splits·b blocks. Bound by reading W for eight
// rows, by instructions for more.
//
// measured in a recorded step, with the launches: 32 rows, q4_k 14336 × 4096 30.8
// µs, q6_k 4096 × 14336 30.6 µs; 8 rows, q4_k 8192 × 2048 7.1 µs (H200, 2026-11-28).
#pragma once
#include "product.cuh"

struct FewArgs {
	Planes w;
	uint64_t x;       // f16 (n, k), each row times a power of two (activations.cu)
	uint64_t x_scale; // f32 (n): products of a row are multiplied by it; or 0
	uint64_t dst;     // f32 (splits, n, m)
	int32_t first;    // row of w's planes, of a tile
	int32_t n, m, k;
	int32_t groups;   // of 128 columns
	int32_t each;     // groups of a split; even where superblocks are
	int32_t splits;
	int32_t share;    // 1<<share warps share a unit
	int32_t slots;    // of a warp's ring
	int32_t ring;     // bytes before the ring: x
	int32_t sums;     // bytes before the sums
	int32_t pad;
};

// A Tile is a tile's numbers: number i of a chunk is d[i/16]·q[i] + m[i/16], for
// the rows g and g+8. Of levels (levels.cuh) q begins with the words of the plane; of
// llm_int8 they are 128ths, since its scales are small.
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
		if constexpr (of_levels(type)) q[0] = l.q.x, q[1] = l.q.y, q[2] = l.q.z, q[3] = l.q.w;
		else integers<type>(q, q + 4, l);
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
		if (of_levels(type)) d = __uint_as_float(l.d);
		if (type == LLM_INT8) d = __uint_as_float(l.d) * (128.0f / 127);
		t.d[i][0] = t.d[i][1] = d;
		if (type == Q6_K || type == Q3_K) t.d[i][0] = d * (float)(int8_t)l.s, t.d[i][1] = d * (float)(int8_t)(l.s >> 8);
		if (type == Q2_K) {
			t.d[i][0] = d * (float)(int)(l.s & 15), t.d[i][1] = d * (float)(int)(l.s >> 8 & 15);
			t.m[i][0] = -(m * (float)(int)(l.s >> 4 & 15)), t.m[i][1] = -(m * (float)(int)(l.s >> 12));
		}
	}
}

// halves makes f16 of word e of a chunk: numbers 4e and 4e+1, 4e+2 and 4e+3. d and
// m are pairs of the half chunk's.
template <int type> DEVICE void halves(uint32_t w[2], const uint32_t *q, int e, uint32_t d, uint32_t m) {
	if constexpr (of_levels(type)) {
		half_levels<type>(w[0], w[1], q[e & 3] >> (e >> 2) * 16);
		w[0] = mul_h2(w[0], d), w[1] = mul_h2(w[1], d);
		return;
	}
	// 1024 + 128, or 8 + 128/128: a byte under such an exponent is exact.
	constexpr uint32_t exponent = type == LLM_INT8 ? 0x48484848 : 0x64646464, bias = (exponent & 0xff00ff00) + 0x800080;
#pragma unroll
	for (int i = 0; i < 2; i++) {
		w[i] = sub_h2(__byte_perm(flip(q[e]), exponent, i ? 0x4342 : 0x4140), bias);
		w[i] = has_offset(type) ? fma_h2(w[i], d, m) : mul_h2(w[i], d);
	}
}

// Rows of x in shared memory are as long as the chunks of the split. The 16-byte
// unit u of chunk c of row r lies at place u ^ c%4 ^ r%2 of the chunk: the lanes
// that load together find all banks.
DEVICE int unit_place(int r, int c, int u) { return c * 64 + ((u ^ (c & 3) ^ (r & 1)) << 4); }

// bring copies the chunks from `from` on to shared memory; past the last column
// there are zeros.
DEVICE void bring(const FewArgs &a, int from, int chunks) {
	char *memory = dynamic_shared();
	for (int i = threadIdx.x >> 5; i < a.n; i += MATVEC_WARPS) {
		const uint4 *x = (const uint4 *)(a.x + (int64_t)i * a.k * 2) + from * 4;
		for (int k = threadIdx.x & 31; k < chunks * 4; k += 32) {
			char *to = memory + i * chunks * 64 + unit_place(i, k >> 2, k & 3);
			if ((from + (k >> 2)) * 32 < a.k) cp_async16(to, x + k);
			else *(uint4 *)to = make_uint4(0, 0, 0, 0);
		}
	}
	cp_async_commit();
}

// few is for as many rows as 8·R.
template <int type, int R, bool RING> DEVICE void few(const FewArgs &a) {
	const int share = a.share, warp = threadIdx.x >> 5, lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
	const int rank = warp & (1 << share) - 1, at_once = MATVEC_WARPS >> share;
	const int split = blockIdx.x % a.splits, block = blockIdx.x / a.splits, blocks = gridDim.x / a.splits;
	const int from = split * a.each, groups = min(a.each, a.groups - from), chunks = groups * 4;
	const int units = ((a.m + 15) / 16 - block + blocks - 1) / blocks, items = groups - rank + (1 << share) - 1 >> share;
	const int j = 4 * (from + rank) + t & 7; // of all items: where superblocks are, share is at least 1
	char *memory = dynamic_shared();
	float *sums = (float *)(memory + a.sums), *dst = (float *)a.dst + (int64_t)split * a.n * a.m;

	Tiles<type, RING> tiles;
	tiles.w = a.w, tiles.slots = a.slots;
	tiles.unit = warp >> share, tiles.units = units, tiles.by = at_once;
	tiles.base = (a.first / 16 + block) * a.groups + from + rank, tiles.stride = blocks * a.groups;
	tiles.items = items, tiles.step = 1 << share;
	begin(tiles, memory + a.ring);
	await_before();
	bring(a, from * 4, chunks);
	cp_async_wait<0>();
	__syncthreads();

	const char *x = memory + g * chunks * 64; // rows g+8, … lie 512·chunks bytes on
	for (int round = 0; round < units; round += at_once) {
		const int unit = round + (warp >> share), row = (block + blocks * unit) * 16;
		float y[R][4] = {};
#pragma unroll 1
		for (int i = 0; unit < units && i < items; i++) {
			Loaded v[2];
			next(tiles, v);
			Tile w;
			numbers<type>(w, v, j);
			uint32_t d[2][2], m[2][2];
#pragma unroll
			for (int k = 0; k < 4; k++) {
				d[k >> 1][k & 1] = half_factor<type>(w.d[k >> 1][k & 1]);
				m[k >> 1][k & 1] = has_offset(type) ? half_offset(w.m[k >> 1][k & 1]) : 0;
			}
			const int chunk = (rank + (i << share)) * 4 + t;
#pragma unroll
			for (int u = 0; u < 4; u++) { // 8 columns of each lane
				uint32_t fragment[2][4];
#pragma unroll
				for (int e = 0; e < 2; e++)
#pragma unroll
					for (int k = 0; k < 2; k++) {
						uint32_t pair[2];
						halves<type>(pair, w.q[k], 2 * u + e, d[k][u >> 1], m[k][u >> 1]);
						fragment[e][k] = pair[0], fragment[e][2 + k] = pair[1];
					}
#pragma unroll
				for (int r = 0; r < R; r++) { // also of rows past n: nobody looks at what comes of them
					const uint4 b = *(const uint4 *)(x + r * 512 * chunks + unit_place(g, chunk, u));
					const uint32_t b0[2] = {b.x, b.y}, b1[2] = {b.z, b.w};
					mma_f16(y[r], fragment[0], b0);
					mma_f16(y[r], fragment[1], b1);
				}
			}
		}
		// y[r][i] is of W's row g + 8(i/2) and x's row 8r + 2t + i%2.
		if (share > 0) {
			if (round > 0) __syncthreads(); // the sums have been read
#pragma unroll
			for (int r = 0; r < R; r++)
#pragma unroll
				for (int i = 0; i < 4; i++) sums[(warp * 8 * R + 8 * r + 2 * t + (i & 1)) * 16 + g + (i & 2) * 4] = y[r][i];
			__syncthreads();
			for (int i = threadIdx.x; i < at_once * a.n * 16; i += MATVEC_THREADS) {
				const int u = i / (a.n * 16), r = i / 16 - u * a.n, to = (block + blocks * (round + u)) * 16 + (i & 15);
				const float *part = sums + ((u << share) * 8 * R + r) * 16 + (i & 15);
				float sum = 0;
				for (int k = 0; k < 1 << share; k++) sum += part[k * 8 * R * 16];
				if (a.x_scale) sum *= ((const float *)a.x_scale)[r];
				if (to < a.m && round + u < units) dst[(int64_t)r * a.m + to] = sum;
			}
		} else if (unit < units) {
#pragma unroll
			for (int r = 0; r < R; r++)
#pragma unroll
				for (int i = 0; i < 4; i++) {
					const int which = 8 * r + 2 * t + (i & 1), to = row + g + (i & 2) * 4;
					if (which < a.n && to < a.m) dst[(int64_t)which * a.m + to] = a.x_scale ? y[r][i] * ((const float *)a.x_scale)[which] : y[r][i];
				}
		}
	}
}

#define FEW_OF(name, type, R) \
	EARLY_KERNEL(name, FewArgs, MATVEC_THREADS, 1) { few<type, R, false>(a); } \
	EARLY_KERNEL(name##_ring, FewArgs, MATVEC_THREADS, 1) { \
		if (async_copies) few<type, R, true>(a); \
	}
#define FEW(type, name) FEW_OF(few_8_##name, type, 1) FEW_OF(few_32_##name, type, 4)
