// Products of many rows on tensor cores: dst (n, m) = x (n, k) · wᵀ (m, k).
//
// A block of 4 warps makes a tile of BM = 128 rows of w by BN rows of x (128, 64,
// 32 or 16; f16 also 256 by 128 with 8 warps), 32 columns a step. Both operands
// lie in shared memory as f16; the sums are f32 in registers. The tensor cores'
// first operand is w, so that a store writes whole sectors of dst.
//
//	x   f16 (n, ldx), each row times a power of two that keeps it in range
//	    (activations.cu); ldx is a multiple of 32, columns past k are zeros.
//	    cp.async copies it `stages`-1 steps ahead.
//	w   f16 (m, ldw) likewise, or planes (format.cuh). Of planes each thread
//	    fetches the chunk of one row into registers before the products of a
//	    step, and decodes it to shared memory after them: the tensor cores of
//	    other warps work meanwhile.
//
// Decoding makes pairs of f16: a byte q under the exponent of 1024 is 1024+q;
// minus 1024 it is exact; times the scale, plus the offset, it is rounded once
// more. Scales and offsets are rounded to f16: relative errors of 2⁻¹², which
// makes an NMSE of 1e-7. Weights beyond ±65504 are cut to it.
//
// Shared memory: rows of 64 bytes, 16-byte unit u of row r at place u ^ (r/2 mod
// 4): the 8 rows of an ldmatrix, and 8 threads that write a unit each, touch
// all 32 banks once.
//
// Launch: 1-D grid of tiles·splits, 128 (256) threads, 16 KB + stages·BN·64
// bytes of shared memory (w f16: stages·(BM+BN)·64). With splits > 1 each block
// makes a part of the columns and writes it to `partial`, and matmul_sum adds
// the parts in order: results are the same each time.
//
// Bound, BN = 128: a step of a block is 4 warps × 64 mma (k16) = 1.05 MFLOP; at
// Hopper's mma.sync rate (6.3 cycles each and quarter of an SM) 403 cycles. The
// load unit takes 530: 32 KB of ldmatrix, 16 KB of stores and copies, and 128
// lines of weights, a row each. Decoding is 100 of 265 instructions a warp. So
// at most 460 TFLOP/s on an H100 with two blocks an SM, and 300 if they overlap
// by two thirds: Llama-3.1-8B, 16 GFLOP a token, 18,000 tokens a second without
// attention, and 10,000 if only 170 are reached. f16 needs no lines and half
// the stores: 384 cycles, 450 TFLOP/s for the large tile. On a T4 an mma takes
// 16 cycles, so 1024 a step, and everything else fits beside it: 45 of 65
// TFLOP/s, 2,800 tokens a second of the 8B model if nothing stalls.
// BN = 16: bound by memory; six blocks an SM have 14 KB of q4_k in flight from
// L2, where prefetch has brought it.
// Registers: 230 (BN = 128), 150, 80 on sm_75; no spills.
// measured: 226 to 275 TFLOP/s for the products of an 8B model at 512 rows (q4_k, q6_k) (H200, 2026-11-23)
#pragma once
#include "format.cuh"

const int BAND = 16; // tiles of x that follow each other before the next tile of w

struct MatMulArgs {
	Planes w;
	uint64_t x;       // f16 (n, ldx)
	uint64_t x_scale; // f32 (n): products of a row of x are multiplied by it; 0 for ones
	uint64_t w_scale; // f32 (m), likewise
	uint64_t dst;     // (n, ldd)
	uint64_t partial; // f32 (splits, n, m), or 0
	int32_t first;    // w's first row in its planes
	int32_t n, m;
	int32_t ldx, ldw, ldd;
	int32_t steps;    // of 32 columns
	int32_t each;     // steps of a split
	int32_t splits;
	int32_t stages;   // tiles of x (and of w that is f16) in shared memory: 2 or 4
	int32_t type;     // of dst: F32, F16, BF16
	int32_t pad;
};

// ---- weights: fetched to registers, decoded to shared memory

// Fetched is what a thread holds of its row: integers and high bits of a chunk,
// and scales, those of a superblock for its 8 chunks.
struct Fetched {
	uint32_t q[8], h[2];
	uint32_t d;
	uint4 head;
};

template <int T> DEVICE void fetch(Fetched &f, const Planes &p, int c, int s, bool fresh) {
	if constexpr (T == Q8_0 || T == LLM_INT8) {
		const char *at = p.p[0] + (int64_t)(c >> 3) * 256 + (c & 7) * 16;
		load_words<4, 16>(f.q, at);
		load_words<4, 16>(f.q + 4, at + 128);
		f.d = T == Q8_0 ? load2(p.p[1] + (int64_t)c * 2) : load4(p.p[1] + (int64_t)(c >> 1) * 4);
	} else if constexpr (T == Q2_K || T == Q3_K) {
		load_words<2, 8>(f.h, p.p[0] + (int64_t)c * 8);
		if constexpr (T == Q3_K) f.q[0] = load4(p.p[1] + (int64_t)c * 4);
	} else {
		load_words<4, 16>(f.q, p.p[0] + (int64_t)c * 16);
		if constexpr (T == Q5_0 || T == Q5_1 || T == Q5_K) f.h[0] = load4(p.p[1] + (int64_t)c * 4);
		if constexpr (T == Q6_K) load_words<2, 8>(f.h, p.p[1] + (int64_t)c * 8);
		if constexpr (T == Q4_0 || T == IQ4_NL) f.d = load2(p.p[1] + (int64_t)c * 2);
		if constexpr (T == Q5_0) f.d = load2(p.p[2] + (int64_t)c * 2);
		if constexpr (T == Q4_1 || T == Q5_1) f.d = load4(p.p[T == Q4_1 ? 1 : 2] + (int64_t)c * 4);
		if constexpr (T == MXFP4) f.d = load1(p.p[1] + c);
		if constexpr (of_levels(T)) f.d = load4(p.p[1] + (int64_t)(c >> 1) * 4);
	}
	if (!fresh) return;
	c &= ~3; // of the superblock, whose other half is in the next tile
	if constexpr (T == Q4_K || T == Q5_K) f.head = load16(p.p[T == Q4_K ? 1 : 2] + (int64_t)s * 16);
	if constexpr (T == Q2_K || T == Q3_K || T == Q6_K) {
		const char *at = p.p[T == Q2_K ? 1 : 2] + (int64_t)c * 2;
		uint2 v = load8(at), w = load8(at + 128);
		f.head = make_uint4(v.x, v.y, w.x, w.y);
	}
	if constexpr (T == Q2_K) f.d = load4(p.p[2] + (int64_t)s * 4);
	if constexpr (T == Q3_K || T == Q6_K) f.d = load2(p.p[3] + (int64_t)s * 2);
	if constexpr (T == IQ4_XS) f.head.x = load4(p.p[1] + c), f.head.y = load4(p.p[1] + c + 64), f.d = load2(p.p[2] + (int64_t)s * 2);
}

// prefetch asks for the integers of two tiles (of a row: 8 chunks, from c on),
// which are needed eight steps later, so that fetch finds them in L2.
template <int T> DEVICE void prefetch(const Planes &p, int c) {
	constexpr int bytes = T == Q8_0 || T == LLM_INT8 ? 32 : T == Q2_K || T == Q3_K ? 8 : 16; // a chunk in the first plane
#pragma unroll
	for (int i = 0; i < 128; i += 64) {
		prefetch_l2(p.p[0] + (int64_t)(c + i) * bytes);
		if constexpr (T == Q3_K || T == Q5_0 || T == Q5_1 || T == Q5_K) prefetch_l2(p.p[1] + (int64_t)(c + i) * 4);
		if constexpr (T == Q6_K) prefetch_l2(p.p[1] + (int64_t)(c + i) * 8);
	}
}

// integers are bytes from 0 up; zero is what stands for the number 0.
template <int T> DEVICE constexpr int zero() {
	return T == Q4_0 ? 8 : T == Q5_0 ? 16 : T == Q3_K ? 4 : T == Q6_K ? 32 : has_offset(T) ? 0 : 128;
}

template <int T> DEVICE void integers(uint32_t q[8], const Fetched &f) {
	if constexpr (T == Q8_0 || T == LLM_INT8) {
#pragma unroll
		for (int i = 0; i < 8; i++) q[i] = flip(f.q[i]);
	} else if constexpr (T == Q2_K || T == Q3_K) {
#pragma unroll
		for (int i = 0; i < 8; i++) {
			q[i] = f.h[i / 4] >> i % 4 * 2 & 0x03030303;
			if constexpr (T == Q3_K) q[i] |= (f.q[0] >> i & 0x01010101) << 2;
		}
	} else if constexpr (T == IQ4_NL || T == IQ4_XS || T == MXFP4) {
#pragma unroll
		for (int i = 0; i < 4; i++) {
			int lo, hi;
			if constexpr (T == MXFP4) e2m1_levels(lo, hi, f.q[i]);
			else iq4_levels(lo, hi, f.q[i]);
			q[i] = flip(lo), q[4 + i] = flip(hi);
		}
	} else {
#pragma unroll
		for (int i = 0; i < 4; i++) {
			q[i] = nibbles(f.q[i]), q[4 + i] = nibbles(f.q[i] >> 4);
			if constexpr (T == Q5_0 || T == Q5_1 || T == Q5_K) {
				q[i] |= f.h[0] << (4 - i) & 0x10101010, q[4 + i] |= f.h[0] >> i & 0x10101010;
			}
			if constexpr (T == Q6_K) {
				q[i] |= (i < 2 ? f.h[0] << (4 - 2 * i) : f.h[0] >> (2 * i - 4)) & 0x30303030;
				q[4 + i] |= (i < 2 ? f.h[1] << (4 - 2 * i) : f.h[1] >> (2 * i - 4)) & 0x30303030;
			}
		}
	}
}

// scales are the factor and the offset of each half, pairs of equal f16. j is
// the chunk's number in its superblock.
template <int T> DEVICE void scales(uint32_t d[2], uint32_t m[2], const Fetched &f, int j) {
	float factor[2], offset[2] = {0, 0};
	if constexpr (T == Q4_0 || T == Q5_0 || T == Q8_0 || T == IQ4_NL || T == MXFP4) {
		factor[0] = factor[1] = T == MXFP4 ? half_e8m0(f.d) : h2f((uint16_t)f.d);
	} else if constexpr (T == Q4_1 || T == Q5_1) {
		factor[0] = factor[1] = low_half(f.d), offset[0] = offset[1] = high_half(f.d);
	} else if constexpr (T == Q4_K || T == Q5_K) {
		uint32_t field = scale_offset(f.head, j);
		factor[0] = factor[1] = low_half(f.head.x) * (float)(int)(field & 63);
		offset[0] = offset[1] = -(high_half(f.head.x) * (float)(int)(field >> 6));
	} else if constexpr (of_levels(T) || T == LLM_INT8) {
		factor[0] = factor[1] = __uint_as_float(f.d) * (T == LLM_INT8 ? 128.0f / 127 : 1);
	} else if constexpr (T == IQ4_XS) {
		factor[0] = factor[1] = h2f((uint16_t)f.d) * (float)(int8_t)((j < 4 ? f.head.x : f.head.y) >> j % 4 * 8);
	} else {
		uint32_t word = j < 2 ? f.head.x : j < 4 ? f.head.y : j < 6 ? f.head.z : f.head.w;
		uint32_t s = word >> j % 2 * 16;
		if constexpr (T == Q2_K) {
			float by = low_half(f.d), off = high_half(f.d);
			factor[0] = by * (float)(int)(s & 15), factor[1] = by * (float)(int)(s >> 8 & 15);
			offset[0] = -(off * (float)(int)(s >> 4 & 15)), offset[1] = -(off * (float)(int)(s >> 12 & 15));
		} else {
			float by = h2f((uint16_t)f.d);
			factor[0] = by * (float)(int8_t)s, factor[1] = by * (float)(int8_t)(s >> 8);
		}
	}
#pragma unroll
	for (int i = 0; i < 2; i++) {
		d[i] = half_factor<T>(factor[i]);
		if constexpr (has_offset(T)) m[i] = half_offset(offset[i]);
	}
}

// place is where the 16-byte unit u of row r of a tile lies.
DEVICE int place(int r, int u) { return r * 64 + ((u ^ (r >> 1 & 3)) << 4); }

// decode writes a chunk to row r of a tile.
template <int T> DEVICE void decode(char *tile, int r, const Fetched &f, int j) {
	uint32_t q[8], d[2], m[2];
	scales<T>(d, m, f, j);
	if constexpr (of_levels(T)) {
#pragma unroll
		for (int u = 0; u < 4; u++) {
			uint32_t w[4];
#pragma unroll
			for (int i = 0; i < 4; i += 2) {
				half_levels<T>(w[i], w[i + 1], f.q[u % 2 * 2 + i / 2] >> u / 2 * 16);
				w[i] = mul_h2(w[i], d[0]), w[i + 1] = mul_h2(w[i + 1], d[0]);
			}
			*(uint4 *)(tile + place(r, u)) = make_uint4(w[0], w[1], w[2], w[3]);
		}
		return;
	}
	integers<T>(q, f);
	// Exponents of 1024, and of 8 for 128ths: their scale would be too small.
	constexpr uint32_t exponent = T == LLM_INT8 ? 0x48484848 : 0x64646464;
	constexpr uint32_t bias = (exponent & 0xff00ff00) + zero<T>() * 0x10001;
#pragma unroll
	for (int u = 0; u < 4; u++) {
		uint32_t w[4];
#pragma unroll
		for (int i = 0; i < 4; i++) {
			w[i] = sub_h2(__byte_perm(q[2 * u + i / 2], exponent, i % 2 ? 0x4342 : 0x4140), bias);
			if constexpr (has_offset(T)) w[i] = fma_h2(w[i], d[u / 2], m[u / 2]);
			else w[i] = mul_h2(w[i], d[u / 2]);
		}
		*(uint4 *)(tile + place(r, u)) = make_uint4(w[0], w[1], w[2], w[3]);
	}
}

// ---- f16 operands: copied

// A Copy brings rows of an f16 matrix, 32 columns at a time, to shared memory:
// `rows` rows of the tile, 4 units of 16 bytes each. Rows past the last are the
// last once more; what is made of them is not stored.
template <int rows, int threads> struct Copy {
	static const int units = rows * 4 / threads > 0 ? rows * 4 / threads : 1;
	const char *from;
	uint32_t at[units]; // of this thread's units in the matrix, in 16 bytes
	uint4 held[units];

	__device__ __forceinline__ void start(uint64_t matrix, int ld, int first, int end, int step) {
		from = (const char *)matrix + (int64_t)step * 64;
#pragma unroll
		for (int i = 0; i < units; i++) {
			int row = first + i * (threads / 4) + (int)threadIdx.x / 4;
			at[i] = (uint32_t)(row < end ? row : end - 1) * (uint32_t)(ld / 8) + threadIdx.x % 4;
		}
	}
	// next copies the next 32 columns; where the card copies at once, they are
	// held in registers until put.
	__device__ __forceinline__ void next(char *tile) {
#pragma unroll
		for (int i = 0; i < units; i++) {
			int row = i * (threads / 4) + (int)threadIdx.x / 4;
			if (rows * 4 < threads && row >= rows) continue;
			const char *p = from + (int64_t)at[i] * 16;
			if (async_copies) cp_async16(tile + place(row, threadIdx.x % 4), p);
			else held[i] = load16(p);
		}
		from += 64;
	}
	__device__ __forceinline__ void put(char *tile) {
		if (!async_copies) {
#pragma unroll
			for (int i = 0; i < units; i++) {
				int row = i * (threads / 4) + (int)threadIdx.x / 4;
				if (rows * 4 < threads && row >= rows) continue;
				*(uint4 *)(tile + place(row, threadIdx.x % 4)) = held[i];
			}
		}
	}
};

// ---- results

DEVICE void store_number(uint64_t dst, int type, int64_t i, float v) {
	if (type == F32) ((float *)dst)[i] = v;
	else ((uint16_t *)dst)[i] = type == F16 ? f2h(v) : f2bf(v);
}

// store_row stores `width` numbers that a tile makes of row n of x, from
// column m0 on; a warp does it.
DEVICE void store_row(const MatMulArgs &a, int split, int n, int m0, int width, const float *sums) {
	int lane = threadIdx.x & 31, count = min(width, a.m - m0);
	if (a.partial) {
		float *to = (float *)a.partial + ((int64_t)split * a.n + n) * a.m + m0;
#pragma unroll 1
		for (int i = lane; i < count; i += 32) to[i] = sums[i];
		return;
	}
	float by = a.x_scale ? ((const float *)a.x_scale)[n] : 1;
	int64_t at = (int64_t)n * a.ldd + m0;
#pragma unroll 1
	for (int i = lane; i < count; i += 32) {
		float v = sums[i] * by;
		if (a.w_scale) v *= ((const float *)a.w_scale)[m0 + i];
		store_number(a.dst, a.type, at + i, v);
	}
}

// ---- the product

// matmul_tile makes BM×BN results, WM×WN each warp.
template <int T, int BM, int BN, int WM, int WN> DEVICE void matmul_tile(const MatMulArgs &a) {
	constexpr bool planes = T != F16;
	constexpr int across = BN / WN, warps = BM / WM * across, threads = warps * 32;
	static_assert(!planes || threads == BM, "a thread decodes a row");
	constexpr int MT = WM / 16, NT = WN / 8;
	constexpr int W_TILE = BM * 64, X_TILE = BN * 64, OUT_ROW = BM + 4;
	int tid = threadIdx.x, lane = tid & 31, warp = tid >> 5;

	// Which tile: bands of w's tiles, so that what runs at a time shares rows.
	int tiles_n = (a.n + BN - 1) / BN, tiles_m = (a.m + BM - 1) / BM;
	int tile = (int)(blockIdx.x % (uint32_t)(tiles_n * tiles_m)), split = (int)(blockIdx.x / (uint32_t)(tiles_n * tiles_m));
	int band = tile / (BAND * tiles_m), width = min(BAND, tiles_n - band * BAND), rest = tile - band * BAND * tiles_m;
	int n0 = (band * BAND + rest % width) * BN, m0 = rest / width * BM;
	int step0 = split * a.each, steps = min(a.each, a.steps - step0);
	if (steps < 0) steps = 0;

	char *w_tiles = dynamic_shared();
	char *x_tiles = w_tiles + (planes ? 2 : a.stages) * W_TILE;
	Copy<BN, threads> x;
	x.start(a.x, a.ldx, n0, a.n, step0);
	Copy<planes ? 1 : BM, threads> w;
	Fetched f;
	int row = a.first + min(m0 + tid, a.m - 1), chunk = 0, super = 0; // of planes: of step0 and on
	if constexpr (planes) {
		chunk = (int)chunk_at(row, step0, a.steps), super = (int)super_at(row, step0, a.steps);
	}
	else w.start((uint64_t)a.w.p[0], a.ldw, m0, a.m, step0);

	float sum[MT][NT][4];
#pragma unroll
	for (int i = 0; i < MT; i++)
#pragma unroll
		for (int j = 0; j < NT; j++) sum[i][j][0] = sum[i][j][1] = sum[i][j][2] = sum[i][j][3] = 0;

	// The first steps. A group is committed for each, empty or not, so that
	// they can be counted.
	int ahead = a.stages - 1;
#pragma unroll 1
	for (int s = 0; s < ahead; s++) {
		if (s < steps) {
			x.next(x_tiles + s * X_TILE);
			if constexpr (!planes) w.next(w_tiles + s * W_TILE);
			x.put(x_tiles + s * X_TILE);
			if constexpr (!planes) w.put(w_tiles + s * W_TILE);
		}
		cp_async_commit();
	}
	if constexpr (planes) {
		if (steps > 0) {
			if ((step0 & 4) != 0) fetch<T>(f, a.w, chunk - 64, super, true); // the heads begin in the tile before
			fetch<T>(f, a.w, chunk, super, (step0 & 4) == 0);
			if (8 - (step0 & 7) < steps) prefetch<T>(a.w, (int)chunk_at(row, (step0 | 7) + 1, a.steps));
			decode<T>(w_tiles, tid, f, step0 & 7);
		}
	}

	// Where this lane's rows of the operands begin (ldmatrix4).
	int wm = warp / across * WM, wn = warp % across * WN;
	int a_row = place(wm + (lane & 15), lane >> 4);
	int b_row = place(wn + (lane & 7) + (lane >> 4) * 8, lane >> 3 & 1);
	int now = 0, then = ahead; // stages that are read and filled
#pragma unroll 1
	for (int s = 0; s < steps; s++) {
		if (a.stages == 4) cp_async_wait<2>();
		else cp_async_wait<0>();
		__syncthreads();
		char *x_then = x_tiles + then * X_TILE, *w_then = w_tiles + then * W_TILE;
		if (s + ahead < steps) {
			x.next(x_then);
			if constexpr (!planes) w.next(w_then);
		}
		cp_async_commit();
		if constexpr (planes) {
			int col = step0 + s + 1;
			chunk += col & 3 ? 1 : 61;
			if ((col & 7) == 0) super += 16;
			if (s + 1 < steps) fetch<T>(f, a.w, chunk, super, (col & 7) == 0);
			if (s + 9 < steps && (col & 7) == 0) prefetch<T>(a.w, chunk + 128);
		}

		const char *x_now = x_tiles + now * X_TILE + b_row;
		const char *w_now = w_tiles + (planes ? s & 1 : now) * W_TILE + a_row;
#pragma unroll
		for (int half = 0; half < 2; half++) {
			// Columns 16 on are two units on: bit 5 of the place.
			uint32_t left[MT][4], right[NT / 2][4];
			int turn = half * ((a_row & 32) ? -32 : 32), turn_x = half * ((b_row & 32) ? -32 : 32);
#pragma unroll
			for (int j = 0; j < NT / 2; j++) ldmatrix4(right[j], x_now + turn_x + j * 1024);
#pragma unroll
			for (int i = 0; i < MT; i++) ldmatrix4(left[i], w_now + turn + i * 1024);
#pragma unroll
			for (int i = 0; i < MT; i++)
#pragma unroll
				for (int j = 0; j < NT; j++) mma_f16(sum[i][j], left[i], right[j / 2] + j % 2 * 2);
		}
		if (s + ahead < steps) {
			x.put(x_then);
			if constexpr (!planes) w.put(w_then);
		}
		if constexpr (planes) {
			if (s + 1 < steps) decode<T>(w_tiles + (s + 1 & 1) * W_TILE, tid, f, step0 + s + 1 & 7);
		}
		if (++now == a.stages) now = 0;
		if (++then == a.stages) then = 0;
	}

	// The sums go through shared memory, 16 columns of a warp at a time: a row
	// of dst is stored as a whole. sum[i][j][e] is of w's row 8(e/2) and x's
	// row e%2 (mma's fragments); rows of 132 numbers keep banks apart.
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
			int n = n0 + row / 16 * WN + pass * 16 + row % 16;
			if (n < a.n) store_row(a, split, n, m0, BM, out + row * OUT_ROW);
		}
	}
}

// Registers: 64×64 sums a warp are 128 of a thread, with two blocks an SM; 16
// columns of x leave room for six.
#define MATMUL(T, name) \
	KERNEL(matmul_##name##_128, MatMulArgs, 128, 2) { matmul_tile<T, 128, 128, 64, 64>(a); } \
	KERNEL(matmul_##name##_64, MatMulArgs, 128, 3) { matmul_tile<T, 128, 64, 64, 32>(a); } \
	KERNEL(matmul_##name##_32, MatMulArgs, 128, 4) { matmul_tile<T, 128, 32, 32, 32>(a); } \
	KERNEL(matmul_##name##_16, MatMulArgs, 128, 6) { matmul_tile<T, 128, 16, 32, 16>(a); }
