// matvec: y (m) = W (m, k) · x (k), W packed (see format.cuh), x and y f32.
//
// A block takes units of 16 rows, and 1<<share of its warps share the columns
// of a unit, a tile each in turn (dot.cuh). The next tiles are on their way
// meanwhile: on sm_80 and newer into a ring in shared memory, else one into
// registers. In a recorded step the first are fetched while the kernel before is
// at work: x is read after it.
//
// Launch: one block of 512 threads an SM. Shared memory: activations, ring, sums.
// Bound by reading W once.
//
// measured in a recorded step, with the launch: q8_0 262144 × 1152 4,414 GB/s, q6_k
// 128256 × 4096 4,120, q4_k 14336 × 4096 3,075, 4096 × 4096 2,096, of 4,540 that the
// card streams (H200, 2026-11-28). The large ones are bound by memory. The others
// wait: 2.3 µs is what one launch after another takes that reads what the one
// before wrote, and 4096 × 4096 needs 2.1 µs of reading.
#include "product.cuh"

struct MatVec {
	Planes w;
	uint64_t x, dst; // f32
	int32_t first;   // row of w's planes, of a tile
	int32_t cols, m;
	int32_t groups;  // of 128 columns
	int32_t share;
	int32_t slots;   // of a warp's ring: 3, 4 or 8
	int32_t ring;    // bytes before the ring: activations
	int32_t sums;    // bytes before the sums
	int32_t pass;    // units that have sums at a time
	int32_t zero;    // see Tables (levels.cuh)
};

// read_input makes x the integers of dot.cuh.
DEVICE void read_input(const MatVec &a, const Activations &x) {
	const int step = 4 * MATVEC_THREADS, many = 4; // columns of the block at a time; of those loaded together
	put_zeros(a.cols, a.groups, x);
#pragma unroll 1
	for (int base = 4 * (int)(threadIdx.x & ~31); base < a.cols; base += many * step) { // the same for a warp
		float4 v[many];
		int i = base + 4 * (threadIdx.x & 31);
#pragma unroll
		for (int k = 0; k < many; k++) v[k] = i + k * step < a.cols ? load_fresh4((const float *)a.x + i + k * step) : make_float4(0, 0, 0, 0);
#pragma unroll 1
		for (int from = base, k = 0; k < many && from < a.cols; k++, from += step, i += step) { // not unrolled: cold code is slow
			quantise(x, i, v[0], i < a.cols);
#pragma unroll
			for (int n = 1; n < many; n++) v[n - 1] = v[n];
		}
	}
}

template <int type, bool RING> DEVICE void matvec(const MatVec &a) {
	const int share = a.share, warp = threadIdx.x >> 5, lane = threadIdx.x & 31, rank = warp & (1 << share) - 1, at_once = MATVEC_WARPS >> share;
	const int units = ((a.m + 15) / 16 - (int)blockIdx.x + (int)gridDim.x - 1) / (int)gridDim.x; // of this block
	const int items = a.groups - rank + (1 << share) - 1 >> share; // tiles of a unit that are this warp's
	char *memory = dynamic_shared();
	float *sums = (float *)(memory + a.sums);
	Tiles<type, RING> tiles;
	tiles.w = a.w, tiles.slots = a.slots;
	tiles.unit = warp >> share, tiles.units = units, tiles.by = at_once;
	tiles.base = (a.first / 16 + (int)blockIdx.x) * a.groups + rank, tiles.stride = (int)gridDim.x * a.groups;
	tiles.items = items, tiles.step = 1 << share;
	begin(tiles, memory + a.ring);
	await_before();
	Activations x = activations(memory, a.cols);
	read_input(a, x);
	__syncthreads();

	const Input in = input_of(x);
	const int j = 4 * rank + (lane & 3) & 7; // chunk of its superblock, of all items: where those are, share is at least 1
	int unit = warp >> share;
	for (int from = 0; from < units; from += a.pass) {
		const int to = min(from + a.pass, units);
		for (; unit < to; unit += at_once) {
			int b0 = in.b0 + rank * in.by, b1 = in.b1 + rank * in.by, meta = in.meta + rank * 64;
			const Tables table = tables<type>(a.zero);
			float y0 = 0, y1 = 0;
#pragma unroll 1
			for (int n = 0; n < items; n++) {
				Loaded v[2];
				next(tiles, v);
				dot<type>(y0, y1, v, j, *(const uint4 *)(memory + b0), *(const uint4 *)(memory + b1), *(const int4 *)(memory + meta), table);
				b0 += in.by << share, b1 += in.by << share, meta += 64 << share;
			}
			float mine = lane & 1 ? y1 : y0, other = lane & 1 ? y0 : y1;
			mine += __shfl_xor_sync(full_warp, other, 1);
			mine += __shfl_xor_sync(full_warp, mine, 2);
			mine *= sum_unit<type>();
			if ((lane & 2) == 0) sums[((unit - from << share) + rank) * 16 + (lane & 1) * 8 + (lane >> 2)] = mine;
		}
		__syncthreads();
		for (int i = threadIdx.x; i < (to - from) * 16; i += MATVEC_THREADS) {
			int row = ((int)blockIdx.x + (int)gridDim.x * (from + i / 16)) * 16 + (i & 15);
			float y = 0;
#pragma unroll 4
			for (int k = 0; k < 1 << share; k++) y += sums[((i / 16 << share) + k) * 16 + (i & 15)];
			if (row < a.m) ((float *)a.dst)[row] = y;
		}
		if (to < units) __syncthreads(); // the sums have been read
	}
}

#define MATVEC(type, number) \
	EARLY_KERNEL(matvec_##type, MatVec, MATVEC_THREADS, 1) { matvec<number, false>(a); } \
	EARLY_KERNEL(matvec_##type##_ring, MatVec, MATVEC_THREADS, MATVEC_RESIDENT) { \
		if (async_copies) matvec<number, true>(a); \
	}
MATVEC(q4_0, Q4_0)
MATVEC(q4_1, Q4_1)
MATVEC(q5_0, Q5_0)
MATVEC(q5_1, Q5_1)
MATVEC(q8_0, Q8_0)
MATVEC(q2_k, Q2_K)
MATVEC(q3_k, Q3_K)
MATVEC(q4_k, Q4_K)
MATVEC(q5_k, Q5_K)
MATVEC(q6_k, Q6_K)
MATVEC(iq4_nl, IQ4_NL)
MATVEC(iq4_xs, IQ4_XS)
MATVEC(mxfp4, MXFP4)
MATVEC(nf4, NF4)
MATVEC(fp4, FP4)
MATVEC(llm_int8, LLM_INT8)
