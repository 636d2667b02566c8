// matvec: y (m) = W (m, k) · x (k), W packed (see format.cuh), x and y f32. matvecs
// are many of those with one x and weights of one type.
//
// A block takes units of 16 rows, and 1<<share of its warps share the columns
// of a unit, a tile each in turn (dot.cuh). The next tiles are on their way
// meanwhile: on sm_80 and newer in a ring in shared memory, else one in
// registers. In a recorded step the first are fetched while the kernel before is
// at work: x is read after it.
//
// Of x a warp brings what its own tiles need. Where all warps share a unit that is
// a sixteenth for each, and none waits for another before the sums; else those
// with the same columns share the work.
//
// Launch: one block of 512 threads an SM. Shared memory: activations, ring, sums.
// Bound by reading W once.
//
// measured (one H200, 2026-11-28, in percent of the card's streaming read): 8 to
// 125 independent products in a launch, of q4_k, q6_k, q8_0, q5_0: 14336 × 4096 90, 88,
// 91, 92; 4096 × 14336 86, 86, 89, 89; 4096 × 4096 89, 88, 90, 92; 1024 × 4096 88, 87, 90,
// 92. A launch for each: 74, 83, 91, 80; 67, 75, 80, 74; 49, 54, 68, 57; 20, 30, 40, 26:
// one that reads what the one before wrote takes 2 to 3 µs with almost no weights.
#include "tiles.cuh"
#include "quantise.cuh"

// A Matrix is one that a launch multiplies. Its units, of 16 rows, are numbered on
// from those of the launch's matrices before it.
struct Matrix {
	Planes w;
	uint64_t dst;   // f32
	int32_t before; // units of the matrices before
	int32_t ahead;  // units before it in its planes, less `before`
	int32_t m, _;
};

// What all matrices of a launch have in common.
struct Common {
	uint64_t x;     // f32
	int32_t cols;
	int32_t groups; // of 128 columns
	int32_t share;  // 1<<share is at most groups; where super-blocks are, share is at least 1
	int32_t whole;  // units of every block
	int32_t rest;   // blocks that have one more
	int32_t slots;  // of a warp's ring: 3, 4 or 6
	int32_t ring;   // bytes before the ring: activations
	int32_t sums;   // bytes before the sums
	int32_t pass;   // rounds that have sums at a time; in a round each warp works on one unit
	int32_t zero;   // see Tables (levels.cuh)
};

struct MatVec {
	Common of;
	Matrix w;
};

// A Brief is a Matrix in fewer bytes: planes lie one behind the other, each from a
// multiple of 256 (pack.go's planeSizes).
struct Brief {
	const char *base; // of the planes
	uint64_t dst;
	int32_t tiles;    // of the planes
	int32_t before, ahead, m;
};

const int MATRICES = 125; // of a launch, whose arguments are 4 KB at most
struct MatVecs {
	Common of;
	Brief w[MATRICES + 1]; // the first that is none has more before it than there are
};

// A Listed is a MatVecs whose matrices are in shared memory: what a block takes
// from its arguments for the first time is as far away as L2.
struct Listed {
	const Common &of;
	const Matrix *w;
};

template <int type> DEVICE Listed listed(const MatVecs &a, Matrix *w) {
	if (threadIdx.x <= MATRICES) {
		const Brief &from = a.w[threadIdx.x];
		Matrix &to = w[threadIdx.x];
		const char *at = from.base;
#pragma unroll
		for (int k = 0; k < 4; k++) {
			to.w.p[k] = at;
			at += ((int64_t)from.tiles * piece(type, k) / (of_superblocks(type, k) ? 2 : 1) + 255) / 256 * 256;
		}
		to.dst = from.dst, to.before = from.before, to.ahead = from.ahead, to.m = from.m;
	}
	__syncthreads();
	return {a.of, w};
}

DEVICE const Matrix &matrix_of(const MatVec &a, int) { return a.w; }
DEVICE const Matrix &matrix_of(const Listed &a, int number) { return a.w[number]; }

// number_of is the number of a unit's matrix, which is not before `number`.
DEVICE int number_of(const MatVec &, int, int) { return 0; }
DEVICE int number_of(const Listed &a, int unit, int number) {
	while (unit >= a.w[number + 1].before) number++;
	return number;
}

DEVICE int at_once(const Common &a) { return MATVEC_WARPS >> a.share; } // units that a block works on
DEVICE int rank_of(const Common &a) { return threadIdx.x >> 5 & (1 << a.share) - 1; }

// turn goes on to the warp's next unit, which start begins with.
template <int type, int SLOTS> DEVICE void turn(Tiles<type, SLOTS> &t, const MatVec &a) { t.tile += t.unit; }
template <int type, int SLOTS> DEVICE void turn(Tiles<type, SLOTS> &t, const Listed &a) {
	t.unit += at_once(a.of) * (int)gridDim.x;
	t.number = number_of(a, t.unit, t.number);
	aim(t, a.w[t.number].w);
	t.tile = (t.unit + a.w[t.number].ahead) * a.of.groups + rank_of(a.of);
}
template <int type, int SLOTS> DEVICE void start(Tiles<type, SLOTS> &t, const MatVec &a, int unit, int items) {
	t.tile = (unit + a.w.ahead) * a.of.groups + rank_of(a.of), t.number = 0;
	t.unit = at_once(a.of) * (int)gridDim.x * a.of.groups - (items << a.of.share); // tiles
}
template <int type, int SLOTS> DEVICE void start(Tiles<type, SLOTS> &t, const Listed &a, int unit, int) {
	t.unit = unit, t.number = number_of(a, unit, 0);
	t.tile = (unit + a.w[t.number].ahead) * a.of.groups + rank_of(a.of);
}

// read_input makes the columns that this warp and those beside it use the
// integers of dot.cuh. Half of a warp brings a group at a time. (Loads of up to
// 8192 columns are under way together. A lane that has no chunk loads none: the
// same chunk for all blocks' lanes would come from one slice of L2, one by one.)
DEVICE void read_input(const Common &a, const Activations &x, int rank, int helper) {
	const int lane = threadIdx.x & 31, step = 8 * MATVEC_WARPS, many = 2; // chunks of the block at a time; of those loaded together
	const int chunks = a.cols / 32;
	int base = 4 * (rank + (2 * helper << a.share)), chunk = base + (lane & 16 ? 4 << a.share : 0) + (lane >> 2 & 3);
	const float *from = (const float *)a.x + (lane & 3) * 4;
#pragma unroll 1
	while (base < chunks) { // the same for a warp
		float4 first[many], second[many];
#pragma unroll
		for (int k = 0; k < many; k++) {
			const float *at = from + (chunk + k * step) * 32;
			first[k] = second[k] = make_float4(0, 0, 0, 0);
			if (chunk + k * step < chunks) first[k] = load_fresh4(at), second[k] = load_fresh4(at + 16);
		}
#pragma unroll 1
		for (int k = 0; k < many && base < chunks; k++, base += step, chunk += step) { // not unrolled: cold code is slow
			quantise_pair(x, chunk, first[0], second[0], chunk < chunks);
#pragma unroll
			for (int n = 1; n < many; n++) first[n - 1] = first[n], second[n - 1] = second[n];
		}
	}
}

template <int type, int SLOTS, class Args> DEVICE void matvec(const Args &args) {
	const Common &a = args.of;
	const int share = a.share, warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
	const int rank = rank_of(a), helper = warp >> share, at_once = MATVEC_WARPS >> share; // this warp's of the units at once
	const int units = a.whole + ((int)blockIdx.x < a.rest);
	const int items = a.groups - rank + (1 << share) - 1 >> share; // tiles of a unit that are this warp's
	if (units == 0) return;
	char *memory = dynamic_shared();
	const Activations x = activations(memory, a.cols);
	Tiles<type, SLOTS> tiles;
	start(tiles, args, (int)(blockIdx.x + helper * gridDim.x), items);
	begin(tiles, args, 1 << share, items, units - helper + at_once - 1 >> 4 - share, a.ring);
	put_zeros(a.cols, a.groups, x);
	const Input in = input_of(x);
	const int j = 4 * rank + (lane & 3) & 7; // chunk of its superblock, of all items: where those are, share is at least 1
	const int by = in.by << share, meta_by = 64 << share;
	int b0 = in.b0 + rank * in.by, b1 = in.b1 + rank * in.by, meta = in.meta + rank * 64;
	__syncthreads();
	await_before();
	read_input(a, x, rank, helper);
	if (at_once > 1) __syncthreads();
	else __syncwarp();

	// What is not needed in the innermost loop is computed where it is: none of it may
	// wait in memory, behind the weights.
	int number = 0; // of the matrix that is finished
	for (int from = 0; from < units; from += a.pass * at_once) {
		const int index = thread_index();
		int round = min(units - from - (index >> 5 >> share) + at_once - 1 >> 4 - share, a.pass);
		int sum = a.sums + ((index >> 5) * 16 + (index & 1) * 8 + (index >> 2 & 7)) * 4;
#pragma unroll 1
		for (; round > 0; round--) {
			const Tables table = tables<type>(a.zero);
			float y0 = 0, y1 = 0;
#pragma unroll 1
			for (int n = items; n > 0; n--) {
				Loaded v[2];
				await(tiles, v);
				fetch(tiles, args);
				if (SLOTS > 0) onward(tiles);
				dot<type>(y0, y1, v, j, *(const uint4 *)(memory + b0), *(const uint4 *)(memory + b1), *(const int4 *)(memory + meta), table);
				b0 += by, b1 += by, meta += meta_by;
			}
			b0 -= items * by, b1 -= items * by, meta -= items * meta_by;
			float mine = lane & 1 ? y1 : y0, other = lane & 1 ? y0 : y1;
			mine += __shfl_xor_sync(full_warp, other, 1);
			mine += __shfl_xor_sync(full_warp, mine, 2);
			mine *= sum_unit<type>();
			if ((lane & 2) == 0) *(float *)(memory + sum) = mine;
			sum += MATVEC_WARPS * 64;
		}
		__syncthreads();
		const int to = min(from + a.pass * at_once, units);
		// A warp adds up a unit: lanes i and i + 16 every other sum of row i.
		const int thread = thread_index(), half = thread >> 4 & 1;
#pragma unroll 1
		for (int unit = from + (thread >> 5); unit < to; unit += MATVEC_WARPS) {
			const int of_all = (int)blockIdx.x + (int)gridDim.x * unit;
			number = number_of(args, of_all, number);
			const Matrix &w = matrix_of(args, number);
			const int row = (of_all - w.before) * 16 + (thread & 15);
			const float *part = (const float *)(memory + a.sums) + (unit - from << share) * 16 + (thread & 31);
			float y = 0;
#pragma unroll
			for (int k = 0; k < MATVEC_WARPS; k += 2)
				if (k + half < 1 << share) y += part[k * 16];
			y += __shfl_xor_sync(full_warp, y, 16);
			if (half == 0 && row < w.m) ((float *)w.dst)[row] = y;
		}
		if (to < units) __syncthreads(); // the sums have been read
	}
}

template <int type, class Args> DEVICE void matvec_ring(const Args &a) {
	if (!async_copies) return;
	if (a.of.slots == 3) matvec<type, 3>(a);
	else if (a.of.slots == 4) matvec<type, 4>(a);
	else matvec<type, 6>(a);
}

#define MATVEC(name, type) \
	EARLY_KERNEL(matvec_##name, MatVec, MATVEC_THREADS, 1) { matvec<type, 0>(a); } \
	EARLY_KERNEL(matvec_##name##_ring, MatVec, MATVEC_THREADS, MATVEC_RESIDENT) { matvec_ring<type>(a); } \
	EARLY_KERNEL(matvecs_##name, MatVecs, MATVEC_THREADS, 1) { \
		SHARED Matrix w[MATRICES + 1]; \
		matvec<type, 0>(listed<type>(a, w)); \
	} \
	EARLY_KERNEL(matvecs_##name##_ring, MatVecs, MATVEC_THREADS, 1) { \
		SHARED Matrix w[MATRICES + 1]; \
		matvec_ring<type>(listed<type>(a, w)); \
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
