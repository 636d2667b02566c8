// Products of a few rows with packed weights: y (n, m) = x (n, k)·Wᵀ, n ≤ 8·R, of
// up to three matrices at a time, whose types may differ.
//
// A tile (format.cuh) becomes f16 in registers and goes through the tensor cores:
// 16 rows of W with eight of x at a time. In a tile each lane has a chunk of its
// own, and in which order columns are added is free: so a lane multiplies its
// chunk with the same columns of x, and nothing is moved. A row's result does not
// depend on the others, in one bit. (Integers as for one row were tried: the sums of
// each chunk need its scales. 32 rows of q4_k 14336 × 4096 took 49 µs so, not 31.)
//
// A unit is 64 rows of W; the four warps of a crew have 16 each. On Hopper a crew
// is a warpgroup, which multiplies by wgmma: W is in registers, x is read from
// shared memory by the tensor cores; a crew waits for the product of a tile before
// it decodes the next one, and others decode meanwhile. Elsewhere it is ldmatrix
// and mma.
//
// A block has a part of the columns, as many as have room in shared memory, for
// all rows; the next kernel adds the parts, or matmul_sum. 1<<share crews share the
// columns of a unit, or (0) each has units of its own and none waits for another. The
// blocks of a part of the columns are dealt to the matrices.
// Launch: 512 threads, splits·blocks blocks. Bound by reading W for eight rows, for more
// by instructions, too: 230 a tile of q4_k on sm_90 (of mma alone it was about 330).
//
// measured in a recorded step, with the input's conversion and the sum of parts: 32 rows, q4_k
// 14336 × 4096 23.1 µs (of mma alone 30.8), q6_k 4096 × 14336 21.3 µs (30.6); 8 rows, q4_k
// 14336 × 4096 14.9 µs, 8192 × 2048 6.6 µs (H200, 2026-11-28).
#pragma once
#include "dot.cuh"
#include "halves.cuh"
#include "wgmma.cuh"

const int FEW_THREADS = 512, FEW_CREWS = FEW_THREADS / 128;

// A FewPart is a matrix, and its result.
struct FewPart {
	Planes w;
	uint64_t dst;      // f32 (splits, n, m)
	int32_t type;
	int32_t first;     // row of w's planes, of a tile
	int32_t m;
	int32_t blocks;    // of a split
	int32_t share;     // 1<<share crews share a unit
	int32_t super;     // the plane of superblocks, which two tiles share, or -1
	int32_t pieces[4]; // bytes of a tile in each plane (piece of dot.cuh)
};

struct FewArgs {
	FewPart part[3];
	uint64_t x;       // f16 (n, k), each row times a power of two (activations.cu)
	uint64_t x_scale; // f32 (n): products of a row are multiplied by it; or 0
	int32_t n, k;
	int32_t groups;   // of 128 columns
	int32_t each;     // groups of a split; even where superblocks are
	int32_t splits;
	uint32_t zero;    // 0: constants that it is added to are kept in registers
	int32_t ring;     // bytes before the ring: x
	int32_t sums;     // bytes before the sums
};

// ---- weights

// Weights bring a warp's tiles: of each unit the tiles that are its crew's. The next
// ones are on their way while one is used, in a ring in shared memory, or one in
// registers. (Their type is known when the kernel runs, as far as it can be.)
// A ring has slots for so many tiles.
template <int R> DEVICE constexpr int few_slots() { return R == 1 ? 4 : 3; }

struct Weights {
	int unit, units, by; // the unit that is fetched, of so many of the block, and to the next one
	int row, rows, last; // row of tiles of unit 0, from a unit to the next, and the last one there is
	int groups, from;    // tiles of a row; the crew's first
	int items, left, step;
	int tile;            // that is fetched next
	Loaded pending[2];   // without a ring
	// With one, what this lane copies of the next tile: of the first plane, of the second
	// where it is large (q6_k's), and 16 bytes of one of the others, from the matrix's first
	// tile on.
	const char *q, *h, *rest;
	int piece, half;              // bytes of a tile there; 1 where two share them
	int q_by, h_by;               // to the next tile
	int large, h_at, rest_at;     // bytes of the first piece; where the others are, or 0
	char *memory;
	int slot, free, first, end, bytes; // where the next tile is taken from, and goes to, of the ring
};

DEVICE void plan(Weights &t, const FewPart &p) {
	const int lane = threadIdx.x & 31;
	const bool apart = p.pieces[1] == 512;
	int plane = apart ? 2 : 1, i = lane * 16;
	t.large = p.pieces[0], t.h_at = apart ? t.large : 0, t.rest_at = t.large + (apart ? 512 : 0);
	while (plane < 4 && i >= p.pieces[plane]) i -= p.pieces[plane++];
	if (plane == 4) plane = 0, i = 0, t.rest_at = 0; // nothing for this lane
	t.rest = p.w.p[plane] + i, t.piece = p.pieces[plane], t.half = p.super == plane;
	t.q_by = t.step * p.pieces[0], t.h_by = t.step * 512;
}

template <bool RING> DEVICE void next_unit(Weights &t, const FewPart &p) {
	const int tile = min(t.row + t.rows * t.unit, t.last) * t.groups + t.from, lane = threadIdx.x & 31;
	t.left = t.items, t.tile = tile;
	if (!RING) return;
	t.q = p.w.p[0] + (int64_t)tile * t.large + lane * 16;
	t.h = p.w.p[1] + (int64_t)tile * 512 + lane * 16;
}

// copy starts to copy the next tile to the ring, of a type or (-1) of that which runs.
template <int type> DEVICE void copy(Weights &t) {
	constexpr int of = type < 0 ? 0 : type;
	constexpr bool known = type >= 0, apart = piece(of, 1) == 512;
	const int large = known ? piece(of, 0) : t.large, rest_at = known ? piece(of, 0) + (apart ? 512 : 0) : t.rest_at;
	char *to = t.memory + t.free;
	cp_async16(to, t.q);
	if (large > 512) cp_async16(to + 512, t.q + 512);
	if (large > 1024) cp_async16(to + 1024, t.q + 1024), cp_async16(to + 1536, t.q + 1536);
	if (known ? apart : t.h_at > 0) cp_async16(to + (known ? large : t.h_at), t.h), t.h += t.h_by;
	if (t.rest_at > 0) cp_async16(to + rest_at, t.rest + (int64_t)(t.tile >> t.half) * t.piece);
	t.q += t.q_by;
}

// fetch starts to bring the next tile, if there is one.
template <int type, bool RING> DEVICE void fetch(Weights &t, const FewPart &p) {
	if (t.left == 0 && (t.unit += t.by) < t.units) next_unit<RING>(t, p);
	if (t.left > 0) {
		t.left--;
		if constexpr (RING) copy<type>(t);
		else fetch_direct<type>(t.pending, p.w, t.tile);
		t.tile += t.step;
	}
	if (RING) cp_async_commit(); // also of nothing, so that as many are on their way as ever
}

template <int type, int slots> DEVICE void begin(Weights &t, const FewPart &p, char *memory, int rings) {
	t.unit -= t.by, t.left = 0;
	if constexpr (type >= 0) {
		fetch<type, false>(t, p);
		return;
	}
	plan(t, p);
	t.bytes = p.pieces[0] + p.pieces[1] + p.pieces[2] + p.pieces[3];
	t.memory = memory + (threadIdx.x & 31) * 16;
	t.slot = t.free = t.first = rings + (threadIdx.x >> 5) * slots * t.bytes;
	t.end = t.first + slots * t.bytes;
#pragma unroll 1
	for (int i = 0; i < slots - 1; i++) fetch<-1, true>(t, p), t.free += t.bytes;
}

// await waits for the tile that was fetched first, passed goes on to the next when that
// has been taken, and fetches another to where the one before was.
template <int slots> DEVICE void await() {
	cp_async_wait<slots - 2>();
	__syncwarp(); // the copies of other lanes, too; and all have read the slot before
}
template <int type> DEVICE void passed(Weights &t, const FewPart &p) {
	fetch<type, true>(t, p);
	t.free = t.slot;
	if ((t.slot += t.bytes) == t.end) t.slot = t.first;
}

// ---- their numbers

// A Row is a lane's chunk of a row: number i is d[i/16]·q[i] + m[i/16], d and m pairs
// of f16. In q are nibbles or levels as they lie in the plane, or bytes: those of
// llm_int8 are 128ths, since its scales are small.
struct Row {
	uint32_t q[8];
	uint32_t d[2], m[2];
};

// Bases are 1024 and 64, twice as f16: integers below 1024, or below 1024/16 and 16 times
// as large, that are put into their lower bits are added to them.
struct Bases {
	uint32_t of_1024, of_64;
};

DEVICE constexpr bool of_nibbles(int type) { return type == Q4_0 || type == Q4_1 || type == Q4_K; }

// zero_of is the integer, from 0 up, that stands for 0.
DEVICE constexpr int zero_of(int type) {
	return type == Q4_0 ? 8 : type == Q5_0 ? 16 : type == Q3_K ? 4 : type == Q6_K ? 32
		: type == Q8_0 || type == LLM_INT8 || type == IQ4_NL || type == IQ4_XS || type == MXFP4 ? 128 : 0;
}

DEVICE uint32_t low_twice(uint32_t w) { return __byte_perm(w, 0, 0x1010); }
DEVICE uint32_t high_twice(uint32_t w) { return __byte_perm(w, 0, 0x3232); }

// factor_limit is half_factor's limit as f16: no weight is beyond ±65504.
DEVICE constexpr uint32_t factor_limit(int type) {
	return has_offset(type) ? 0x6420 : type == Q4_0 || type == Q3_K ? 0x6d54 : type == Q5_0 ? 0x6bff : type == Q6_K ? 0x67ff : 0x5fff;
}

template <int type> DEVICE void scale(Row &r, const Loaded &l, int j, const Bases &base) {
	constexpr uint32_t factor = factor_limit(type), factors = factor * 0x10001, both = 0x77ff0000 | factor, offsets = 0x77ff77ff;
	r.m[0] = r.m[1] = 0;
	if constexpr (type == Q4_K || type == Q5_K) {
		uint32_t field = scale_offset(l.b, j);
		uint32_t s = sub_h2(and_or<0x3f0000>(field << 10, and_or<0x3f>(field, base.of_1024)), 0x64006400);
		s = within_h2(mul_h2(l.b.x ^ 0x80000000, s), both); // the offset negative
		r.d[0] = r.d[1] = low_twice(s), r.m[0] = r.m[1] = high_twice(s);
	} else if constexpr (type == Q2_K) {
		uint32_t d = sub_h2(and_or<0xf0000>(l.s << 8, and_or<15>(l.s, base.of_1024)), 0x64006400);
		uint32_t m = sub_h2(0x64006400, and_or<0xf0000>(l.s << 4, and_or<15>(l.s >> 4, base.of_1024)));
		d = within_h2(mul_h2(low_twice(l.d), d), factors), m = within_h2(mul_h2(high_twice(l.d), m), offsets);
		r.d[0] = low_twice(d), r.d[1] = high_twice(d), r.m[0] = low_twice(m), r.m[1] = high_twice(m);
	} else if constexpr (type == Q3_K || type == Q6_K) {
		uint32_t s = sub_h2(__byte_perm(l.s ^ 0x8080, 0x6464, 0x5140), 0x64806480); // signed bytes
		s = within_h2(mul_h2(low_twice(l.d), s), factors);
		r.d[0] = low_twice(s), r.d[1] = high_twice(s);
	} else if constexpr (type == IQ4_XS) {
		uint32_t s = sub_h2(__byte_perm(l.s ^ 0x80, 0x64, 0x4040), 0x64806480);
		r.d[0] = r.d[1] = within_h2(mul_h2(low_twice(l.d), s), factors);
	} else if constexpr (type == Q4_1 || type == Q5_1) {
		uint32_t s = within_h2(l.d, both);
		r.d[0] = r.d[1] = low_twice(s), r.m[0] = r.m[1] = high_twice(s);
	} else if constexpr (type == MXFP4 || of_levels(type) || type == LLM_INT8) {
		float d = type == MXFP4 ? half_e8m0(l.s) : type == LLM_INT8 ? __uint_as_float(l.d) * (128.0f / 127) : __uint_as_float(l.d);
		r.d[0] = r.d[1] = half_factor<type>(d);
	} else {
		r.d[0] = r.d[1] = within_h2(low_twice(l.d), factors);
	}
}

template <int type> DEVICE void numbers(Row &r, const Loaded &l, int j, const Bases &base) {
	if constexpr (of_nibbles(type) || of_levels(type)) {
		r.q[0] = l.q.x, r.q[1] = l.q.y, r.q[2] = l.q.z, r.q[3] = l.q.w;
	} else {
		integers<type>(r.q, r.q + 4, l);
		if (zero_of(type) == 128)
#pragma unroll
			for (int i = 0; i < 8; i++) r.q[i] = flip(r.q[i]);
	}
	scale<type>(r, l, j, base);
}

// Step s of the eight that multiply a tile takes four numbers of each chunk, from
// 4(s/2) + 16(s%2) on: a word of a plane of nibbles is two steps. halves makes f16 of
// them, the first and the third in w[0].
template <int type> DEVICE void halves(uint32_t w[2], const Row &r, int s, const Bases &base) {
	const int word = s >> 1, second = s & 1;
	const uint32_t d = r.d[second], m = r.m[second];
	if constexpr (of_levels(type)) {
		uint32_t first, last; // two numbers each
		half_levels<type>(first, last, r.q[word] >> second * 16);
		w[0] = mul_h2(__byte_perm(first, last, 0x5410), d), w[1] = mul_h2(__byte_perm(first, last, 0x7632), d);
		return;
	}
#pragma unroll
	for (int i = 0; i < 2; i++) {
		uint32_t v, zero;
		if constexpr (of_nibbles(type)) { // 1024 + q, or 64 + q
			v = i ? r.q[word] >> 8 : r.q[word];
			v = second ? and_or<0x00f000f0>(v, base.of_64) : and_or<0x000f000f>(v, base.of_1024);
			zero = second ? 0x5400 + 16 * zero_of(type) : 0x6400 + zero_of(type);
		} else { // 1024 + q, or 8 + q/128
			constexpr uint32_t exponent = type == LLM_INT8 ? 0x48484848 : 0x64646464;
			v = __byte_perm(r.q[word + 4 * second], exponent, i ? 0x4341 : 0x4240);
			zero = (exponent & 0xff00) + zero_of(type);
		}
		v = sub_h2(v, zero * 0x10001);
		w[i] = has_offset(type) ? fma_h2(v, d, m) : mul_h2(v, d);
	}
}

// step_of makes step s's operand of mma of a lane's two rows.
template <int type> DEVICE void step_of(uint32_t w[4], const Row v[2], int s, const Bases &base) {
#pragma unroll
	for (int i = 0; i < 2; i++) {
		uint32_t two[2];
		halves<type>(two, v[i], s, base);
		w[i] = two[0], w[2 + i] = two[1];
	}
}

// tile_of makes all eight of the tile that was fetched first.
template <int type> DEVICE void tile_of(uint32_t w[8][4], Weights &weights, const FewPart &p, const char *memory, int j, const Bases &base) {
	Loaded l[2];
	Row v[2];
	take<type>(l, memory + weights.slot);
	passed<type>(weights, p);
	numbers<type>(v[0], l[0], j, base), numbers<type>(v[1], l[1], j, base);
#pragma unroll
	for (int s = 0; s < 8; s++) step_of<type>(w[s], v, s, base);
}
#define FEW_TILE(number, name) case number: tile_of<number>(w, weights, p, memory, j, base); break;

// ---- x

// x in shared memory is matrices of 8·R rows and 64 columns (wgmma.cuh), two for a
// group: of a step 16 columns, and unit 2(s%4) + i of a row holds w[i]'s numbers of the
// four chunks.
template <int R> DEVICE constexpr int matrix_bytes() { return 1024 * R; }

// bring copies the groups from `from` on; past the last column there are zeros, and rows
// past n are left out: nobody looks at what comes of them. A warp copies 8 rows of a
// group, a lane 8 columns of each chunk: those lanes that store together find all banks.
template <int R> DEVICE void bring(const FewArgs &a, char *memory, int from, int groups) {
	const int lane = threadIdx.x & 31, u = (lane & 1) * 2 + (lane >> 3 & 1), r = (lane >> 1 & 1) | (lane >> 4) << 1 | (lane >> 2 & 1) << 2;
	constexpr int at_once = 2, warps = FEW_THREADS / 32;
#pragma unroll 1
	for (int item = threadIdx.x >> 5; item < groups * R; item += warps * at_once) {
		uint4 v[at_once][4];
#pragma unroll
		for (int k = 0; k < at_once; k++) {
			const int i = item + k * warps, row = i % R * 8 + r, chunk = (from + i / R) * 4;
			const char *x = (const char *)a.x + (int64_t)row * a.k * 2 + chunk * 64 + u * 16;
#pragma unroll
			for (int t = 0; t < 4; t++)
				v[k][t] = i < groups * R && row < a.n && (chunk + t) * 32 < a.k ? fresh16(x + t * 64) : make_uint4(0, 0, 0, 0);
		}
#pragma unroll
		for (int k = 0; k < at_once; k++) {
			const int i = item + k * warps, row = i % R * 8 + r;
			char *to = memory + (i / R * 2 + (u & 1)) * matrix_bytes<R>() + row * 128;
			if (i >= groups * R || row >= a.n) continue;
#pragma unroll
			for (int e = 0; e < 4; e++) { // step 4(u%2) + u/2 or two on, w[0] or w[1]
				uint32_t w[4];
#pragma unroll
				for (int t = 0; t < 4; t++) w[t] = __byte_perm(e < 2 ? v[k][t].x : v[k][t].z, e < 2 ? v[k][t].y : v[k][t].w, e & 1 ? 0x7632 : 0x5410);
				*(uint4 *)(to + (((u >> 1) * 2 + (e >> 1) * 4 + (e & 1) ^ r) << 4)) = make_uint4(w[0], w[1], w[2], w[3]);
			}
		}
	}
}

// ---- the product

#ifndef FEW_TYPES
#define FEW_TYPES PACKED_TYPES
#endif

// columns_mma adds the product of a unit's tiles to y; x is the first one's matrices, by
// bytes from one's to the next one's.
template <int type, int R, bool RING> DEVICE void columns_mma(float y[4 * R], Weights &weights, const FewPart &p, const char *memory, const char *x, int by, int j, const Bases &base) {
	const int lane = threadIdx.x & 31, at = (lane & 7) * 128 + ((lane >> 3 ^ lane & 7) << 4);
#pragma unroll 1
	for (int i = 0; i < weights.items; i++, x += by) {
		Loaded l[2];
		Row v[2];
		if (RING) {
			await<few_slots<R>()>();
			take<type>(l, memory + weights.slot);
			passed<type>(weights, p);
		} else {
			l[0] = weights.pending[0], l[1] = weights.pending[1];
			fetch<type, false>(weights, p);
		}
		numbers<type>(v[0], l[0], j, base), numbers<type>(v[1], l[1], j, base);
		j = j + 4 * weights.step & 7;
#pragma unroll
		for (int pair = 0; pair < 4; pair++) {
			uint32_t w[2][4];
			step_of<type>(w[0], v, 2 * pair, base), step_of<type>(w[1], v, 2 * pair + 1, base);
#pragma unroll
			for (int r = 0; r < R; r++) {
				uint32_t b[4];
				ldmatrix4(b, x + (pair >> 1) * matrix_bytes<R>() + r * 1024 + (at ^ (pair & 1) << 6));
				mma_f16(y + 4 * r, w[0], b);
				mma_f16(y + 4 * r, w[1], b + 2);
			}
		}
	}
}

// columns_wgmma does it on Hopper. There is one place with wgmma for all types: for two
// in a function the compiler (12.1) lets each wait for the one before.
template <int R> DEVICE void columns_wgmma(float (&y)[4 * R], Weights &weights, const FewPart &p, const char *memory, const char *x, int by, int j, const Bases &base) {
	uint64_t b = matrix(x);
	const int type = p.type;
#pragma unroll 1
	for (int i = 0; i < weights.items; i++) {
		uint32_t w[8][4];
		await<few_slots<R>()>();
		if (type == Q4_K) tile_of<Q4_K>(w, weights, p, memory, j, base);
		else switch (type) { FEW_TYPES(FEW_TILE) }
		wgmma_fence();
#pragma unroll
		for (int s = 0; s < 8; s++) wgmma_rows<R>(y, w[s], further(b, (s >> 2) * (matrix_bytes<R>() >> 4) + (s & 3) * 2));
		wgmma_commit();
		wgmma_wait<0>(y);
		b = further(b, by >> 4);
		j = j + 4 * weights.step & 7;
	}
}

// store stores the sums of rows `row`, in x and y, and row+8 of W with the rows `of` and
// of+1 of x.
DEVICE void store(const FewArgs &a, const FewPart &p, float *dst, int row, int of, float4 sum) {
	const float *scale = (const float *)a.x_scale;
#pragma unroll
	for (int i = 0; i < 2; i++) {
		if (of + i >= a.n) return;
		const float by = scale ? scale[of + i] : 1;
		float *to = dst + (int64_t)(of + i) * p.m + row;
		if (row < p.m) to[0] = (i ? sum.y : sum.x) * by;
		if (row + 8 < p.m) to[8] = (i ? sum.w : sum.z) * by;
	}
}

#define FEW_BEGIN(number, name) case number: begin<number, 0>(weights, p, memory, 0); break;
#define FEW_COLUMNS(number, name) case number: columns_mma<number, R, RING>(y, weights, p, memory, x, by, j, base); break;

template <int R, bool RING> DEVICE void few(const FewArgs &a) {
	const int split = blockIdx.x % a.splits;
	int block = blockIdx.x / a.splits, part = 0;
	while (block >= a.part[part].blocks) block -= a.part[part++].blocks;
	const FewPart &p = a.part[part];

	const int warp = __shfl_sync(full_warp, threadIdx.x >> 5, 0), lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
	const int share = p.share, crew = warp >> 2, rank = crew & (1 << share) - 1, at_once = FEW_CREWS >> share;
	const int from = split * a.each, groups = min(a.each, a.groups - from), rows = (p.m + 15) / 16;
	const int units = ((rows + 3) / 4 - block + p.blocks - 1) / p.blocks;
	const int j = 4 * (from + rank) + t & 7; // the lane's chunk of a superblock, in the crew's first tile
	char *memory = dynamic_shared();
	if (RING && wgmma_there) memory = aligned_shared(memory);
	float4 *sums = (float4 *)(memory + a.sums);
	float *dst = (float *)p.dst + (int64_t)split * a.n * p.m;
	const Bases base = {0x64006400 ^ a.zero, 0x54005400 ^ a.zero};

	Weights weights;
	weights.unit = crew >> share, weights.units = units, weights.by = at_once;
	weights.row = p.first / 16 + block * 4 + (warp & 3), weights.rows = p.blocks * 4, weights.last = p.first / 16 + rows - 1;
	weights.groups = a.groups, weights.from = from + rank;
	weights.items = groups - rank + (1 << share) - 1 >> share, weights.step = 1 << share;
	if (RING) begin<-1, few_slots<R>()>(weights, p, memory, a.ring);
	else switch (p.type) { FEW_TYPES(FEW_BEGIN) }
	await_before();
	bring<R>(a, memory, from, groups);
	async_fence();
	__syncthreads();

	const char *x = memory + rank * 2 * matrix_bytes<R>();
	const int by = 2 * matrix_bytes<R>() << share;
#pragma unroll 1
	for (int round = 0; round < units; round += at_once) {
		const int unit = round + (crew >> share);
		float y[4 * R];
#pragma unroll
		for (int i = 0; i < 4 * R; i++) y[i] = 0;
		if (unit < units) {
			if (RING && wgmma_there) columns_wgmma<R>(y, weights, p, memory, x, by, j, base);
			else switch (p.type) { FEW_TYPES(FEW_COLUMNS) }
		}
		// y[4r+i] is of W's row g + 8(i/2) and x's row 8r + 2t + i%2.
		const int row = ((block + p.blocks * unit) * 4 + (warp & 3)) * 16 + g;
		if (share == 0) {
			if (unit < units)
#pragma unroll
				for (int r = 0; r < R; r++) store(a, p, dst, row, 8 * r + 2 * t, make_float4(y[4 * r], y[4 * r + 1], y[4 * r + 2], y[4 * r + 3]));
			continue;
		}
		if (round > 0) __syncthreads(); // the sums have been read
#pragma unroll
		for (int r = 0; r < R; r++) sums[(crew * R + r) * 128 + (warp & 3) * 32 + lane] = make_float4(y[4 * r], y[4 * r + 1], y[4 * r + 2], y[4 * r + 3]);
		__syncthreads();
		// The crews of a unit add and store what their lanes have, x's rows in turn.
#pragma unroll 1
		for (int r = rank; unit < units && r < R; r += 1 << share) {
			const float4 *at = sums + ((crew - rank) * R + r) * 128 + (warp & 3) * 32 + lane;
			float4 sum = *at;
#pragma unroll 1
			for (int k = 1; k < 1 << share; k++) {
				const float4 v = at[k * R * 128];
				sum.x += v.x, sum.y += v.y, sum.z += v.z, sum.w += v.w;
			}
			store(a, p, dst, row, 8 * r + 2 * t, sum);
		}
	}
}
