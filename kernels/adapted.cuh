// What adapters add to a product of the persistent kernel: y += B·(A·x), for
// each part that has them. A (rank, cols) and B (rows, rank) are f16; engine's
// blend has scales in B, and several adapters in one A and one B.
//
// A·x takes no stage of its own. The rows of A of all parts go round the blocks: a
// block has x in registers when it brings its input (prepare), adds up its row
// there, and leaves the number for all others, in one word with the number of the
// launch. Nobody waits for that before its own units are summed, and then the
// words are there; B's rows are added to the units that the block finishes, and
// are on their way before them.
//
// Tried, H200, 2026-11-28, rank 16: rows of B brought to L2 while the block waits,
// and from there behind its product (1B: 1,266 tok/s, where registers give 1,296).
//
// So it costs the bytes of A and B and, in each stage, the way of a word through
// L2. Only modules that define ADAPTED have code for it: it would slow others.
#pragma once
#include "flow.cuh"

#ifdef ADAPTED
const bool adapting = true;
#else
const bool adapting = false;
#endif

const int LOW_MOST = 512; // ranks of all parts
const int LOW_ROWS = 4;   // rows of A of a block

struct Adapted {
	uint64_t a[3];    // f16 (rank, cols)
	uint64_t b[3];    // f16 (rows, rank)
	uint64_t low;     // {f32 A·x, u32 launch} (ranks): x as it is before the factor of its norm
	int32_t first[3]; // where a part's are in low: those of one A may be of several parts
	int32_t rank[3];  // multiples of 8; 0: nothing is added to the part
	int32_t ranks;    // of all parts, at most LOW_MOST; 0: none
	int32_t blocks;   // the last ones, which have rows of A: at most LOW_ROWS each
};

// A Lowering is the adapters of a product in a block.
struct Lowering {
	const Adapted *of;
	uint32_t launch;         // its number: words of the launch before are others
	const char *const *rows; // (LOW_ROWS): where the block's rows of A begin, or 0
	float *low;              // (ranks): A·x, when gather_low has brought it
	float *sums;             // (LOW_ROWS, MATVEC_WARPS)
};

// low_row is row k of this block's. It may be beyond ranks.
DEVICE int low_row(const Adapted &d, int k) { return gridDim.x - 1 - blockIdx.x + k * d.blocks; }

// fetch_low finds the block's rows of A, brings them to L2, and leaves where they
// begin (or 0) in shared memory, while the block waits for others. A
// __syncthreads is next.
DEVICE void fetch_low(const Adapted &d, int cols, const char **rows) {
	bool has = low_row(d, 0) < d.blocks;
#pragma unroll 1
	for (int k = 0; k < LOW_ROWS; k++) {
		const char *at = 0;
		int row = low_row(d, k);
		if (has && row < d.ranks) {
			int part = 2;
			while (part > 0 && (uint32_t)(row - d.first[part]) >= (uint32_t)d.rank[part]) part--;
			at = (const char *)d.a[part] + (int64_t)(row - d.first[part]) * cols * 2;
#pragma unroll 1
			for (int i = 64 * threadIdx.x; i < cols; i += 64 * MATVEC_THREADS) prefetch_l2(at + 2 * i);
		}
		if (threadIdx.x == 0) rows[k] = at;
	}
}

// four_of is four numbers of A times four of x.
DEVICE float four_of(uint2 a, float4 x) {
	return h2f(a.x) * x.x + h2f(a.x >> 16) * x.y + h2f(a.y) * x.z + h2f(a.y >> 16) * x.w;
}

// A Lower is what a thread has of the block's rows of A: sums over its columns.
struct Lower {
	float sum[LOW_ROWS];
};

// add_low adds columns i to i+3, which are x; a is those of the first row.
DEVICE void add_low(Lower &t, const Lowering &l, int i, float4 x, uint2 a) {
	t.sum[0] += four_of(a, x);
	if (!l.rows[1]) return;
	uint2 more[LOW_ROWS];
#pragma unroll
	for (int k = 1; k < LOW_ROWS; k++) more[k] = l.rows[k] ? load8(l.rows[k] + 2 * i) : make_uint2(0, 0);
#pragma unroll
	for (int k = 1; k < LOW_ROWS; k++) t.sum[k] += four_of(more[k], x);
}

// sum_low leaves each warp's sums for leave_low; there is a __syncthreads between.
DEVICE void sum_low(const Lower &t, const Lowering &l) {
#pragma unroll
	for (int k = 0; k < LOW_ROWS; k++) {
		if (!l.rows[k]) break;
		float v = warp_sum(t.sum[k]);
		if ((threadIdx.x & 31) == 0) l.sums[k * MATVEC_WARPS + (threadIdx.x >> 5)] = v;
	}
}

// leave_low leaves the block's rows of A·x for all blocks: a warp a row. What is
// volatile is written and read past L1, 64 bits at once; it orders nothing else.
DEVICE void leave_low(const Lowering &l) {
	int k = MATVEC_WARPS - 1 - (threadIdx.x >> 5), lane = threadIdx.x & 31;
	if (k >= LOW_ROWS || !l.rows[k]) return;
	float v = warp_sum(lane < MATVEC_WARPS ? l.sums[k * MATVEC_WARPS + lane] : 0);
	if (lane == 0) ((volatile uint64_t *)l.of->low)[low_row(*l.of, k)] = (uint64_t)l.launch << 32 | __float_as_uint(v);
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

// fetch_b brings what a lane needs of a row of B: its first columns, and the
// others to L2.
DEVICE uint4 fetch_b(const Adapted &d, int part, int row) {
	const uint4 zero = make_uint4(0, 0, 0, 0);
	int rank = d.rank[part], i = half_of_row();
	if (i >= rank) return zero;
	const char *at = (const char *)d.b[part] + (int64_t)row * rank * 2;
#pragma unroll 1
	for (int j = i + 16; j < rank; j += 16) prefetch_l2(at + 2 * j);
	return load16(at + 2 * i);
}

DEVICE float eight_of(uint4 b, const float *low) {
	const float4 x = *(const float4 *)low, y = *(const float4 *)(low + 4);
	return four_of(make_uint2(b.x, b.y), x) + four_of(make_uint2(b.z, b.w), y);
}

// raise is the lane's share of B·low of a row; first is from fetch_b.
DEVICE float raise(const Lowering &l, int part, int row, uint4 first) {
	int rank = l.of->rank[part], i = half_of_row();
	if (i >= rank) return 0;
	const float *low = l.low + l.of->first[part];
	const char *at = (const char *)l.of->b[part] + (int64_t)row * rank * 2;
	float y = eight_of(first, low + i);
#pragma unroll 1
	for (i += 16; i < rank; i += 16) y += eight_of(load16(at + 2 * i), low + i);
	return y;
}
