// What adapters add to a product of the persistent kernel: y += B·(A·x), for
// each part that has them. A (rank, cols) and B (rows, rank) are f16; engine's
// blend has scales in B, and several adapters in one A and one B.
//
// A·x takes no stage of its own. The rows of A of all parts go round the blocks: a
// block has x in registers when it brings its input (prepare), adds up its row
// there, and leaves the number for all others, in one word with the number of the
// launch. Nobody waits for that before its own units are summed, and then the
// words are there; B's rows, which were copied to shared memory meanwhile, are
// added to the units that the block finishes.
//
// It costs the bytes of A and B and, in each stage, the way of a word through L2
// and instructions that run cold. Only modules that define ADAPTED have code for
// it: it would slow others.
//
// measured: rank 16 in all products of the layers, one H200, 2026-11-28, tok/s of
// Llama 3.2 1B, Llama 3.1 8B and Gemma 3 1B: 1,737, 531, 1,084; without adapters
// 2,011, 571, 1,181. While there was a barrier between two stages: 1,430, 417, 832
// and 1,583, 445, 869; tried, and slower there:
//   blocks that look for their rows of A in each barrier, four a block: 1,284, 380;
//     with all work of adapters left out, still 1,394, 405
//   the host finds rows, B in eight registers over a product's loop: 1,400, 399, 752
//   B to L2 in the barrier, from there behind the loop: 2 % less than in registers
//   B to shared memory, but asked for in the barrier: 1,406, 416, 807
//   norms' weights to L2 in the barrier: 1,429, 419, 837; not worth it
#pragma once
#include "flow.cuh"

#ifdef ADAPTED
const bool adapting = true;
#else
const bool adapting = false;
#endif

const int LOW_MOST = 512; // ranks of all parts
const int LOW_ROWS = 2;   // rows of A of a block

// An Adapted is what adapters add to a product, as one block sees it.
struct alignas(16) Adapted {
	uint64_t row[LOW_ROWS]; // the block's rows of A, f16 (cols), or 0
	uint64_t to[LOW_ROWS];  // where they go in low
	uint64_t b[3];          // f16 (rows, rank)
	uint64_t low;           // {f32 A·x, u32 launch} (ranks): x as it is before the factor of its norm
	int32_t first[3];       // where a part's are in low: those of one A may be of several parts
	int32_t rank[3];        // multiples of 8; 0: nothing is added to the part
	int32_t ranks;          // of all parts, at most LOW_MOST; 0: none
	int32_t _;
};

// A Lowering is the adapters of a product in a block.
struct Lowering {
	const Adapted *of;
	uint32_t launch; // its number: words of the launch before are others
	float *low;      // (ranks): A·x, when gather_low has brought it
	float *sums;     // (LOW_ROWS, MATVEC_WARPS)
	char *b;         // (LOW_UNITS, 32, 16): what lanes need first of rows of B, of a pass's units
};

// So many units have room for rows of B.
const int LOW_UNITS = 16;

// fetch_low brings the first row of A to L2 while the block waits for others.
DEVICE void fetch_low(const Adapted &d, int cols) {
	if (d.row[0] && 64 * (int)threadIdx.x < cols) prefetch_l2((const char *)d.row[0] + 128 * threadIdx.x);
}

// four_of is four numbers of A times four of x.
DEVICE float four_of(uint2 a, float4 x) {
	return h2f(a.x) * x.x + h2f(a.x >> 16) * x.y + h2f(a.y) * x.z + h2f(a.y >> 16) * x.w;
}

// A Lower is a thread's way along the block's rows of A: sums over its columns,
// and the next columns of the first row.
struct Lower {
	const char *row, *more;
	float sum[LOW_ROWS];
	uint2 next;
};

DEVICE uint2 columns_of(const char *row, int i, int cols) { return i < cols ? load8(row + 2 * i) : make_uint2(0, 0); }

DEVICE Lower start_low(const Lowering &l, int cols) {
	Lower t = {};
	t.row = (const char *)l.of->row[0], t.more = (const char *)l.of->row[1];
	if (t.row) t.next = columns_of(t.row, 8 * (threadIdx.x & ~3) + 4 * (threadIdx.x & 3), cols);
	return t;
}

// add_low adds columns i to i+3, which are x; those from `next` on come then.
DEVICE void add_low(Lower &t, int i, int next, int cols, float4 x) {
	uint2 a = t.next;
	t.next = columns_of(t.row, next, cols);
	if (t.more) t.sum[1] += four_of(columns_of(t.more, i, cols), x);
	t.sum[0] += four_of(a, x);
}

// rolled_sum is warp_sum in few instructions.
DEVICE float rolled_sum(float v) {
#pragma unroll 1
	for (int i = 16; i > 0; i /= 2) v += __shfl_xor_sync(full_warp, v, i);
	return v;
}

// sum_low leaves each warp's sums for leave_low; there is a __syncthreads between.
DEVICE void sum_low(const Lower &t, const Lowering &l) {
#pragma unroll 1
	for (int k = 0; k < LOW_ROWS; k++) {
		float v = rolled_sum(k ? t.sum[1] : t.sum[0]);
		if ((threadIdx.x & 31) == 0) l.sums[k * MATVEC_WARPS + (threadIdx.x >> 5)] = v;
		if (!t.more) break;
	}
}

// leave_low leaves the block's rows of A·x for all blocks: a warp a row. What is
// volatile is written and read past L1, 64 bits at once; it orders nothing else.
DEVICE void leave_low(const Lowering &l) {
	int k = MATVEC_WARPS - 1 - (threadIdx.x >> 5), lane = threadIdx.x & 31;
	if (k >= LOW_ROWS || !l.of->row[k]) return;
	float v = rolled_sum(lane < MATVEC_WARPS ? l.sums[k * MATVEC_WARPS + lane] : 0);
	if (lane == 0) *(volatile uint64_t *)l.of->to[k] = (uint64_t)l.launch << 32 | __float_as_uint(v);
}

// gather_low waits for A·x of all blocks. The last warps have the fewest units.
DEVICE void gather_low(const Lowering &l) {
#pragma unroll 1
	for (int i = MATVEC_THREADS - 1 - threadIdx.x; i < l.of->ranks; i += MATVEC_THREADS) {
		const volatile uint64_t *at = (const uint64_t *)l.of->low + i;
		uint64_t word;
		while ((uint32_t)((word = *at) >> 32) != l.launch) pause();
		l.low[i] = __uint_as_float((uint32_t)word);
	}
}

// A row of B is that of two lanes, which take eight columns in turn.
DEVICE int half_of_row() { return threadIdx.x >> 1 & 8; } // 0 or 8

// fetch_b brings what a lane needs of a row of B: its first columns to shared
// memory, and the others to L2.
DEVICE void fetch_b(const Lowering &l, int unit, int part, int row) {
	int rank = l.of->rank[part], i = half_of_row();
	if (i >= rank) return;
	const char *at = (const char *)l.of->b[part] + ((int64_t)row * rank + i) * 2;
	cp_async16(l.b + unit * 512 + (threadIdx.x & 31) * 16, at);
#pragma unroll 1
	for (i += 16; i < rank; i += 16) prefetch_l2(at += 32);
}

DEVICE float eight_of(uint4 b, const float *low) {
	const float4 x = *(const float4 *)low, y = *(const float4 *)(low + 4);
	return four_of(make_uint2(b.x, b.y), x) + four_of(make_uint2(b.z, b.w), y);
}

// raise is the lane's share of B·low of a row; unit is that of the pass.
DEVICE float raise(const Lowering &l, int unit, int part, int row) {
	int rank = l.of->rank[part], i = half_of_row();
	if (i >= rank) return 0;
	const float *low = l.low + l.of->first[part];
	uint4 b = *(const uint4 *)(l.b + unit * 512 + (threadIdx.x & 31) * 16);
	float y = 0;
#pragma unroll 1
	for (;;) {
		y += eight_of(b, low + i);
		if ((i += 16) >= rank) break;
		b = load16((const char *)l.of->b[part] + ((int64_t)row * rank + i) * 2);
	}
	return y;
}
