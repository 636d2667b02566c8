// The flow of weights: what a warp of a product fetches before it needs it,
// also over the border to the next product, so that the memory is busy while
// blocks wait for each other.
#pragma once
#include "dot.cuh"

const int MATVEC_THREADS = 512;
const int MATVEC_WARPS = MATVEC_THREADS / 32;

// How the results of a product leave it.
const int PRODUCT_STORE = 0;    // dst[row] = y
const int PRODUCT_ADD = 1;      // dst[row] = residual[row] + y
const int PRODUCT_GLU = 2;      // dst[row] = fn(y of part 0)·(y of part 1)

// Functions of GLU, tensor.Fn's numbers.
const int FN_SIGMOID = 9, FN_RELU = 10, FN_SILU = 11, FN_GELU = 12, FN_GELU_ERF = 13;

// A Part is one matrix of a product.
struct Part {
	Planes w;       // rows × cols
	uint64_t dst;   // f32 (rows)
	uint64_t bias;  // f32 (rows), or 0
	int32_t type;   // GGUF type number
	int32_t rows;
	int32_t first;  // number of the first chunk: rows may be some of a larger matrix
	int32_t unused;
};

// A Product is up to three matrices on one input, with what comes before and
// after. With post the input is first x + rms_norm(post)·post_norm, and block
// 0 writes that to sum. With norm the input is rms_norm(x)·norm_weight.
struct Product {
	Part part[3];
	uint64_t x;           // f32 (cols)
	uint64_t norm_weight; // f32 (cols), or 0 for ones
	uint64_t post;        // f32 (cols), or 0
	uint64_t post_weight; // f32 (cols), or 0 for ones
	uint64_t sum;         // f32 (cols); not x
	uint64_t residual;    // f32 (rows of part 0)
	uint64_t best;        // {f32 value, i32 row} a block: the largest result of part 0, or 0
	int32_t cols;         // a multiple of 32
	int32_t parts;
	int32_t mode;
	int32_t fn;           // of GLU
	int32_t shift;        // 1<<shift lanes share a row: 2 to 5
	int32_t norm;         // 1: rms_norm x
	float eps;
	float cap;            // results become cap·tanh(y/cap); 0 is off
	int32_t units[3];     // of the parts: rows over 32>>shift, rounded up
	int32_t skew[3];      // units of the parts before, modulo all warps; 0 of a GLU
};

// A unit is 32>>shift rows of a part. The units of all parts, one after the
// other, go round the blocks, so that each gets as many, and in a block round
// the warps; the two parts of a GLU go round alike.
DEVICE int stride() { return MATVEC_WARPS * gridDim.x; }
DEVICE int first_unit(const Product &p, int part) {
	int unit = (threadIdx.x >> 5) * gridDim.x + blockIdx.x - p.skew[part];
	return unit < 0 ? unit + stride() : unit;
}

// iterations is how many a row takes.
template <bool RING> DEVICE int iterations(const Product &p) {
	return (p.cols / 32 + (unroll<RING> << p.shift) - 1) >> (p.shift + unroll_shift<RING>);
}

// A Flow brings a warp's weights, iteration after iteration, unit after unit,
// into the next product as soon as that is known: one iteration is in use, the
// next on its way.
struct Flow {
	int ring;             // where this warp's 2·unroll slots begin in dynamic_shared
	int put;              // half of them that is filled next
	int ahead;            // 1: an iteration is on its way
	int p, next;          // product that is fetched, what follows it or -1: of all
	int part, unit;       // of it; part -1 is before the first
	int chunk, col, left; // of the unit; iterations left
};

// begin begins the unit f.unit of a part.
DEVICE void begin(Flow &f, const Part &part, int shift, int chunks, int rounds) {
	int lane = threadIdx.x & 31, row = (f.unit << (5 - shift)) + (lane >> shift), col = lane & ((1 << shift) - 1);
	f.col = row < part.rows ? col : chunks; // past the end: nothing to copy
	f.chunk = part.first + row * chunks + col;
	f.left = rounds;
}

// start begins the next unit of any part. It reports whether there is one.
template <bool RING> DEVICE bool start(Flow &f, const Product *all) {
	if (f.part < 0) f.part = 0, f.unit = first_unit(all[f.p], 0);
	else f.unit += stride();
	while (f.part >= all[f.p].parts || f.unit >= all[f.p].units[f.part]) {
		if (f.part >= all[f.p].parts) {
			if (f.next < 0) return false;
			f.p = f.next, f.next = -1, f.part = 0;
		} else if (++f.part == all[f.p].parts) {
			continue;
		}
		f.unit = first_unit(all[f.p], f.part);
	}
	const Product &p = all[f.p];
	begin(f, p.part[f.part], p.shift, p.cols / 32, iterations<RING>(p));
	return true;
}

// fetch starts the copies of one iteration.
template <int type, bool RING> DEVICE void fetch(Flow &f, Loaded pending[unroll<RING>], const Planes &w, int shift, int chunks) {
	char *slot = dynamic_shared() + f.ring + f.put * (unroll<RING> * SLOT_BYTES);
	if (f.col + (unroll<RING> - 1 << shift) < chunks) { // all of them, without a branch for each
#pragma unroll
		for (int u = 0; u < unroll<RING>; u++) {
			if (RING) fetch_async<type>(slot + u * SLOT_BYTES, w, f.chunk + (u << shift));
			else fetch_direct<type>(pending[u], w, f.chunk + (u << shift));
		}
	} else if (RING) {
#pragma unroll 1
		for (int u = 0; f.col + (u << shift) < chunks; u++) fetch_async<type>(slot + u * SLOT_BYTES, w, f.chunk + (u << shift));
	} else if (f.col < chunks) {
		fetch_direct<type>(pending[0], w, f.chunk);
	}
	cp_async_commit();
	f.put ^= 1, f.ahead = 1, f.left--;
	f.col += unroll<RING> << shift, f.chunk += unroll<RING> << shift;
}
template <int type> DEVICE void fetch_ring(Flow &f, const Planes &w, int shift, int chunks) { fetch<type, true>(f, 0, w, shift, chunks); }
template <int type> DEVICE void fetch_loaded(Flow &f, Loaded *pending, const Planes &w, int shift, int chunks) {
	fetch<type, false>(f, pending, w, shift, chunks);
}

// A Fetched is what fetch_next returns.
struct Fetched {
	Flow f;
	Loaded v[unroll<false>];
};

// fetch_next fetches an iteration of whatever comes next, if anything does. It
// is called where the part changes, and is no part of the loops. ONLY is the
// one type that there is, or -1.
template <bool RING, int ONLY> DEVICE_CALL Fetched fetch_next(Flow f, const Product *all) {
	Fetched r;
	if (f.left > 0 || start<RING>(f, all)) {
		const Product &p = all[f.p];
		const Part &part = p.part[f.part];
		Planes w = part.w;
		int shift = p.shift, chunks = p.cols / 32;
		if constexpr (ONLY >= 0 && RING) fetch_ring<ONLY>(f, w, shift, chunks);
		else if constexpr (ONLY >= 0) fetch_loaded<ONLY>(f, r.v, w, shift, chunks);
		else if constexpr (RING) FOR_TYPE(part.type, fetch_ring, f, w, shift, chunks)
		else FOR_TYPE(part.type, fetch_loaded, f, r.v, w, shift, chunks)
	}
	r.f = f;
	return r;
}

template <bool RING, int ONLY> DEVICE void fetch_any(Flow &f, Loaded *pending, const Product *all) {
	Fetched next = fetch_next<RING, ONLY>(f, all);
	f = next.f;
	if (!RING && f.ahead)
		for (int u = 0; u < unroll<RING>; u++) pending[u] = next.v[u];
}

// start_flow begins before product p. The ring, MATVEC_WARPS·2·unroll slots,
// begins `ring` bytes behind dynamic_shared.
DEVICE Flow start_flow(int ring, int p) {
	Flow f;
	f.ring = ring + (threadIdx.x >> 5) * (2 * unroll<true> * SLOT_BYTES);
	f.p = p, f.next = -1, f.part = -1;
	f.put = f.ahead = f.unit = f.left = f.chunk = f.col = 0;
	return f;
}

// A Parked is a flow that waits in shared memory, so that what runs meanwhile
// has the registers. What was in registers is fetched again.
struct Parked {
	int p, next, put, ahead, part, unit, left;
};

DEVICE void park(const Flow &f, Parked *memory) {
	__syncwarp();
	if ((threadIdx.x & 31) == 0) *memory = {f.p, f.next, f.put, f.ahead, f.part, f.unit, f.left};
	__syncwarp();
}

template <bool RING> DEVICE Flow resume(const Parked *memory, int ring, const Product *all) {
	Flow f = start_flow(ring, memory->p);
	f.next = memory->next, f.put = memory->put, f.ahead = memory->ahead;
	f.part = memory->part, f.unit = memory->unit;
	int left = memory->left;
	if (!RING && f.ahead) f.ahead = 0, left++;
	if (left == 0) return f;
	const Product &p = all[f.p];
	begin(f, p.part[f.part], p.shift, p.cols / 32, iterations<RING>(p));
	int done = (f.left - left) * (unroll<RING> << p.shift);
	f.col += done, f.chunk += done, f.left = left;
	return f;
}
